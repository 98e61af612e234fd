//! What one batch is to do, kept until it is known to be committed: records to send, database writes, counts for the
//! metrics.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::{Change, SkipReason};
use crate::lane::output::ahead::Ahead;
use crate::lane::output::record::OutputRecord;
use crate::lane::output::rejection::DeadLettered;
use crate::lane::output::texts::{ChangeTexts, Texts};
use crate::lane::versions::rulebook::Version;
use crate::rules::CohortIx;
use crate::store::{Batch, Meta};

/// One batch over all partitions that took part.
#[derive(Default)]
pub(in crate::lane) struct Plan {
    pub(in crate::lane) records: Vec<OutputRecord>,
    pub(in crate::lane) parts: Vec<Part>,
    /// Memory for the texts of one change.
    pub(super) change_texts: ChangeTexts,
    pub(super) risk_texts: Texts,
    /// The first of the records are sent already, in a transaction that is open. Taken out by what changes them.
    pub(in crate::lane) ahead: Option<Ahead>,
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

    /// The records from a place on, each with its place.
    pub(in crate::lane) fn numbered_from(&self, place: usize) -> impl Iterator<Item = (usize, &OutputRecord)> {
        (place..).zip(&self.records[place..])
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

impl Plan {
    /// Removes everything of one partition.
    pub(in crate::lane) fn remove_partition(&mut self, partition: i32) {
        // What is sent of it must not be committed.
        self.ahead = None;
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
