//! What one batch will do, kept until it is known to be done: records to send, writes to make, counts to record.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::{Change, SkipReason};
use crate::lane::edits::rulebook::Version;
use crate::lane::input::refusals::SetAside;
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

    /// What the settings call it.
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
pub(in crate::lane) struct Out {
    pub(in crate::lane) topic: Topic,
    pub(in crate::lane) partition: i32,
    pub(in crate::lane) key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub(in crate::lane) payload: Option<Vec<u8>>,
    pub(in crate::lane) headers: Headers,
}

/// A record's headers; records of one change share theirs.
pub(in crate::lane) type Headers = Arc<[(Cow<'static, str>, Cow<'static, [u8]>)]>;

/// One batch over all partitions that took part.
#[derive(Default)]
pub(in crate::lane) struct Plan {
    pub(in crate::lane) outs: Vec<Out>,
    pub(in crate::lane) parts: Vec<Part>,
    /// So many records were counted, and have so many bytes: records are only added.
    counted: Cell<(usize, usize)>,
}

impl Plan {
    /// Of keys and values of all records.
    pub(in crate::lane) fn bytes(&self) -> usize {
        let (mut counted, mut bytes) = self.counted.get();
        bytes += self.outs.get(counted..).unwrap_or_default().iter().map(Out::bytes).sum::<usize>();
        counted = self.outs.len();
        self.counted.set((counted, bytes));
        bytes
    }

    /// The same in as many plans as there are partitions: each partition's records and offsets stay together.
    pub(in crate::lane) fn by_partition(self) -> VecDeque<Self> {
        let mut plans: BTreeMap<i32, Self> = BTreeMap::new();
        for part in self.parts {
            plans.entry(part.partition).or_default().parts.push(part);
        }
        for out in self.outs {
            plans.entry(out.partition).or_default().outs.push(out);
        }
        plans.into_values().collect()
    }
}

impl Out {
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }

    /// Of a customer's state; `None`: it is something else.
    pub(in crate::lane) fn state_bytes(&self) -> Option<usize> {
        let is_state =
            self.topic == Topic::Changelog && self.key.as_ref()?.first().copied() == Some(changelog::CUSTOMER);
        self.payload.as_ref().filter(|_| is_state).map(Vec::len)
    }
}

impl Plan {
    /// Takes out what one partition has put in.
    pub(in crate::lane) fn forget(&mut self, partition: i32) {
        self.outs.retain(|out| out.partition != partition);
        self.parts.retain(|part| part.partition != partition);
    }
}

/// One partition's part.
pub(in crate::lane) struct Part {
    pub(in crate::lane) partition: i32,
    /// META as of this batch.
    pub(in crate::lane) meta: Arc<Meta>,
    pub(in crate::lane) writes: Batch,
    pub(in crate::lane) tally: Tally,
}

/// What a batch did, counted when it is committed: nothing is counted twice or for nothing.
#[derive(Default)]
pub(in crate::lane) struct Tally {
    pub(in crate::lane) consumed: u64,
    pub(in crate::lane) applied: u64,
    pub(in crate::lane) skipped: Vec<SkipReason>,
    pub(in crate::lane) dead: Vec<SetAside>,
    /// By the numbers of the version that decided.
    pub(in crate::lane) changes: Vec<(Arc<Version>, CohortIx, Change)>,
    /// The levels of risk that were reached.
    pub(in crate::lane) risks: Vec<Box<str>>,
    pub(in crate::lane) unusable_values: u64,
    /// Events of customers who are not where Kafka's default partitioner puts them.
    pub(in crate::lane) elsewhere: u64,
    pub(in crate::lane) flushed: u64,
    /// Decided under new parameters by the sweep.
    pub(in crate::lane) reweighed: u64,
    pub(in crate::lane) rearmed: u64,
    /// For each deadline that led to a change while live: by how many milliseconds it was decided later than
    /// `time.arrives_within` after its instant.
    pub(in crate::lane) lateness_ms: Vec<i64>,
}
