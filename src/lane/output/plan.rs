//! What one batch is to do, kept until it is known to be committed: records to send, database writes, counts for the
//! metrics.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::{Change, SkipReason};
use crate::lane::output::rejection::DeadLettered;
use crate::lane::versions::rulebook::Version;
use crate::rules::CohortIx;
use crate::settings::Topics;
use crate::store::layout::changelog;
use crate::store::{Batch, Meta};

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Topic {
    Changes,
    Members,
    Risks,
    Forecasts,
    DeadLetters,
    Changelog,
    Summaries,
}

impl Topic {
    pub(in crate::lane) const ALL: [Self; 7] = [
        Self::Changes,
        Self::Members,
        Self::Risks,
        Self::Forecasts,
        Self::DeadLetters,
        Self::Changelog,
        Self::Summaries,
    ];

    /// The topic's name in the settings.
    pub(in crate::lane) fn name(self, topics: &Topics) -> &str {
        match self {
            Self::Changes => &topics.changes,
            Self::Members => &topics.members,
            Self::Risks => &topics.risks,
            Self::Forecasts => &topics.forecasts,
            Self::DeadLetters => &topics.dead_letters,
            Self::Changelog => &topics.changelog,
            Self::Summaries => &topics.summaries,
        }
    }
}

/// A record to be sent, to the partition of its input.
pub(in crate::lane) struct OutputRecord {
    pub(in crate::lane) topic: Topic,
    pub(in crate::lane) partition: i32,
    pub(in crate::lane) key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub(in crate::lane) payload: Option<Vec<u8>>,
    pub(in crate::lane) headers: Headers,
}

/// A record's headers.
pub(in crate::lane) type Headers = Box<[(Cow<'static, str>, Cow<'static, [u8]>)]>;

/// One batch over all partitions that took part.
#[derive(Default)]
pub(in crate::lane) struct Plan {
    pub(in crate::lane) records: Vec<OutputRecord>,
    pub(in crate::lane) parts: Vec<Part>,
    /// How many records `bytes` has counted, and their bytes: records are only added.
    counted: Cell<(usize, usize)>,
}

impl Plan {
    /// Bytes of the keys and values of all records.
    pub(in crate::lane) fn bytes(&self) -> usize {
        let (mut counted, mut bytes) = self.counted.get();
        bytes += self.records.get(counted..).unwrap_or_default().iter().map(OutputRecord::bytes).sum::<usize>();
        counted = self.records.len();
        self.counted.set((counted, bytes));
        bytes
    }

    /// Splits the plan by partition: each partition's records and offsets stay together.
    pub(in crate::lane) fn by_partition(self) -> VecDeque<Self> {
        let mut plans: BTreeMap<i32, Self> = BTreeMap::new();
        for part in self.parts {
            plans.entry(part.partition).or_default().parts.push(part);
        }
        for out in self.records {
            plans.entry(out.partition).or_default().records.push(out);
        }
        plans.into_values().collect()
    }
}

impl OutputRecord {
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }

    /// Bytes of a customer's state; `None` for other records.
    pub(in crate::lane) fn state_bytes(&self) -> Option<usize> {
        let is_state =
            self.topic == Topic::Changelog && self.key.as_ref()?.first().copied() == Some(changelog::CUSTOMER);
        self.payload.as_ref().filter(|_| is_state).map(Vec::len)
    }
}

impl Plan {
    /// Removes everything of one partition.
    pub(in crate::lane) fn remove_partition(&mut self, partition: i32) {
        self.records.retain(|out| out.partition != partition);
        self.parts.retain(|part| part.partition != partition);
    }
}

/// One partition's part of a plan.
pub(in crate::lane) struct Part {
    pub(in crate::lane) partition: i32,
    /// META as of this batch.
    pub(in crate::lane) meta: Arc<Meta>,
    /// Empty until the part is complete: `residents` collects the writes of customers.
    pub(in crate::lane) writes: Batch,
    pub(in crate::lane) tally: Tally,
}

/// Counts of a batch, added to the metrics once it is committed, so that a repeated or discarded batch is not counted.
#[derive(Default)]
pub(in crate::lane) struct Tally {
    pub(in crate::lane) consumed: u64,
    pub(in crate::lane) applied: u64,
    pub(in crate::lane) skipped: Vec<SkipReason>,
    pub(in crate::lane) dead_letters: Vec<DeadLettered>,
    /// Changes, with the version whose cohort numbers they use.
    pub(in crate::lane) changes: Vec<(Arc<Version>, CohortIx, Change)>,
    /// The risk levels that were reached.
    pub(in crate::lane) risks: Vec<Box<str>>,
    pub(in crate::lane) unusable_values: u64,
    /// Events of customers who are not in the partition that Kafka's default partitioner chooses.
    pub(in crate::lane) misplaced: u64,
    pub(in crate::lane) flushed: u64,
    /// Customers decided under new parameters by the sweep.
    pub(in crate::lane) reevaluated: u64,
    /// For each deadline that led to a change while live: by how many milliseconds it was decided later than
    /// `time.arrives_within` after its instant.
    pub(in crate::lane) lateness_ms: Vec<i64>,
}
