//! How much one transaction of a lane carries: bounded, and less after one that took too long.
//!
//! The broker aborts a transaction that is too old, and the same one again would take as long. So the limits are halved
//! each time; a plan of several partitions is split into one transaction per partition; and the plan of one partition
//! is discarded and decided again in smaller batches.

use std::time::Duration;

use crate::lane::output::plan::Plan;
use crate::settings::Settings;

/// Records of one transaction. A broker on a slow disk writes some 20,000 a second, and `transaction.timeout.ms` is 10
/// s.
const RECORDS_MAX: usize = 100_000;
/// Transactions are not made smaller than this: a broker that cannot write this many records is as good as away.
const RECORDS_MIN: usize = 64;
/// Most bytes of one transaction; with little memory, what the producer's queue may hold.
const BYTES_MAX: usize = 64 << 20;
const BYTES_MIN: usize = 1 << 20;
/// A batch is in memory three times where it is all set aside: as read, as to be written, and with the producer.
const COPIES: u64 = 3;
/// Bytes that a record of a plan takes until it is committed, besides its own: there, in what the database is to write, and
/// with the producer.
const RECORD_BYTES: u64 = 1_536;
/// Bytes that an event needs during its batch, besides its own: a new customer, their changes, and a state that is
/// flushed to make room.
const EVENT_BYTES: u64 = 2_048;
const EVENTS_MIN: usize = 64;
/// Transactions in a row that must commit before the limits are doubled again.
const GROW_AFTER: u32 = 8;
/// One in this many of a plan's records, and of its bytes, may be of flushed states although the plan is full of outputs.
/// Otherwise states would never be flushed while outputs are many, and a restart would read ever more again.
const FLUSHES_AT_LEAST: usize = 4;
/// A deadline produces about this many records: a change, a membership row, a state.
const RECORDS_A_DEADLINE: usize = 4;

/// What may still be flushed with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) struct FlushRoom {
    pub(in crate::lane) states: usize,
    /// Of these states.
    pub(in crate::lane) bytes: usize,
}

impl FlushRoom {
    pub(in crate::lane) const UNBOUNDED: Self = Self { states: usize::MAX, bytes: usize::MAX };

    pub(in crate::lane) fn is_spent(self) -> bool {
        self.states == 0 || self.bytes == 0
    }

    /// A state of so many bytes is flushed: the last one may be larger than what is left.
    pub(in crate::lane) fn spend(&mut self, bytes: usize) {
        self.states = self.states.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// One of so many equal parts; there is something in each.
    pub(in crate::lane) fn part(self, of: usize) -> Self {
        let of = of.max(1);
        Self { states: self.states.div_ceil(of), bytes: self.bytes.div_ceil(of) }
    }
}

pub(in crate::lane) struct PlanSize {
    /// Most events of one batch, by the memory for batches.
    events_max: usize,
    /// Most bytes of the records of one batch, by the memory for batches.
    read_max: u64,
    /// Most records of one transaction, by the memory for batches.
    records_max: usize,
    bytes_max: usize,
    /// How often the limits were halved, minus how often doubled.
    halved: u32,
    /// Transactions committed since the last one that took too long, or since the limits were doubled.
    committed_in_a_row: u32,
}

impl PlanSize {
    pub(in crate::lane) fn new(settings: &Settings) -> Self {
        let lanes = u64::try_from(settings.lanes).unwrap_or(1).max(1);
        let queues = usize::try_from(settings.memory.queues() / lanes).unwrap_or(usize::MAX);
        let batches = settings.memory.batches() / lanes;
        let events = usize::try_from(batches / EVENT_BYTES).unwrap_or(usize::MAX);
        Self {
            events_max: settings.batch.max_records.min(events.max(EVENTS_MIN)),
            read_max: settings.batch.max_bytes.min((batches / COPIES).max(BYTES_MIN as u64)),
            records_max: usize::try_from(batches / RECORD_BYTES).unwrap_or(usize::MAX).min(RECORDS_MAX),
            bytes_max: queues.clamp(BYTES_MIN, BYTES_MAX),
            halved: 0,
            committed_in_a_row: 0,
        }
    }

    /// Records of one transaction.
    pub(in crate::lane) fn records(&self) -> usize {
        (self.records_max >> self.halved).max(RECORDS_MIN)
    }

    /// Input records of one batch.
    pub(in crate::lane) fn events(&self) -> usize {
        (self.events_max >> self.halved).max(1)
    }

    /// Bytes of the input records of one batch.
    pub(in crate::lane) fn read_bytes(&self) -> u64 {
        self.read_max
    }

    /// Deadlines of one partition decided at once.
    pub(in crate::lane) fn decisions(&self) -> usize {
        (self.records() / RECORDS_A_DEADLINE).max(1)
    }

    /// Has the plan reached a limit?
    pub(in crate::lane) fn is_full(&self, plan: &Plan) -> bool {
        plan.records.len() >= self.records() || plan.bytes() >= self.bytes()
    }

    /// Bytes of the records of one transaction, about.
    fn bytes(&self) -> usize {
        self.bytes_max >> self.halved
    }

    /// What may still be flushed with a plan.
    pub(in crate::lane) fn flush_room(&self, plan: &Plan) -> FlushRoom {
        let left = |most: usize, taken: usize| most.saturating_sub(taken).max(most / FLUSHES_AT_LEAST);
        FlushRoom { states: left(self.records(), plan.records.len()), bytes: left(self.bytes(), plan.bytes()) }
    }

    /// A transaction was too old before it could be committed: halves the limits. False: they are at their minimum.
    pub(in crate::lane) fn note_too_slow(&mut self, plan: &Plan, after: Duration) -> bool {
        let can_be_less = self.records() > RECORDS_MIN;
        self.halved += u32::from(can_be_less);
        self.committed_in_a_row = 0;
        tracing::warn!(
            records = plan.records.len(),
            bytes = plan.bytes(),
            partitions = plan.parts.len(),
            seconds = after.as_secs_f64(),
            records_max = self.records(),
            "A transaction took too long; the next ones are smaller."
        );
        can_be_less
    }

    /// A transaction was committed: after several in a row the limits are doubled again.
    pub(in crate::lane) fn note_committed(&mut self) {
        self.committed_in_a_row += 1;
        if self.halved > 0 && self.committed_in_a_row >= GROW_AFTER {
            (self.halved, self.committed_in_a_row) = (self.halved - 1, 0);
            if self.halved == 0 {
                tracing::info!(records_max = self.records(), "Transactions may be as large as before again.");
            }
        }
    }

    /// Would the plan's records be decided in several batches now?
    pub(in crate::lane) fn would_split(&self, plan: &Plan) -> bool {
        plan.records.len() > self.records() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> PlanSize {
        let loaded = Settings::load(&crate::settings::Sources::default());
        PlanSize::new(&loaded.unwrap_or_else(|error| panic!("{error}")).settings)
    }

    #[test]
    fn little_memory_makes_small_batches() {
        let loaded = Settings::load(&crate::settings::Sources::default());
        let mut settings = loaded.unwrap_or_else(|error| panic!("{error}")).settings;
        settings.lanes = 2;
        let mut of = |mib: u64| {
            settings.memory.limit = mib << 20;
            let size = PlanSize::new(&settings);
            (size.read_bytes(), size.events(), size.records())
        };
        let (little, enough) = (of(128), of(4_096));
        assert!((BYTES_MIN as u64..128 << 20 >> 5).contains(&little.0), "{little:?}");
        assert!((1_000..5_000).contains(&little.1), "{little:?}");
        assert!((2_000..10_000).contains(&little.2), "{little:?}");
        assert_eq!(enough, (settings.batch.max_bytes, settings.batch.max_records, RECORDS_MAX));
    }

    #[test]
    fn what_took_too_long_is_tried_smaller_and_smaller_and_grows_again() {
        let (mut size, plan) = (size(), Plan::default());
        let first = (size.records(), size.events());
        while size.note_too_slow(&plan, Duration::from_secs(10)) {
            assert!(size.decisions() >= 1 && size.events() >= 1 && !size.flush_room(&plan).is_spent());
        }
        assert_eq!(size.records(), RECORDS_MIN);
        assert!(!size.note_too_slow(&plan, Duration::from_secs(10)), "there is an end to it");
        for _ in 0..GROW_AFTER * 16 {
            size.note_committed();
        }
        assert_eq!((size.records(), size.events()), first);
    }
}
