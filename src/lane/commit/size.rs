//! How much one transaction carries, over all partitions of a lane: bounded, and less after one that took too long.
//!
//! A transaction that is too old is aborted by the broker, and trying the same again would take as long. So each time the
//! limits are halved; a plan of several partitions is taken apart, one transaction for each; and the plan of one partition
//! alone is dropped and decided again, in smaller batches, from what is committed.

use std::time::Duration;

use crate::lane::commit::plan::Plan;
use crate::settings::Settings;

/// Records of one transaction. A broker on a slow disk writes some 20,000 a second, and `transaction.timeout.ms` is 10 s.
const RECORDS_MAX: usize = 100_000;
/// A transaction that is not worth making smaller: a broker that cannot write this many is as good as away.
const RECORDS_MIN: usize = 64;
/// Bytes of one transaction, at most; with little memory, what the queues to the brokers may hold.
const BYTES_MAX: usize = 64 << 20;
const BYTES_MIN: usize = 1 << 20;
/// A batch is there at least twice: what was read, and what is to be written of it.
const COPIES: u64 = 2;
/// Bytes that an event takes while its batch is at work, beside its own: a new customer, their changes, and the state that is
/// flushed to make room for them.
const EVENT_BYTES: u64 = 2_048;
const EVENTS_MIN: usize = 64;
/// Transactions in a row that must count before the limits are doubled again.
const GROWS_AFTER: u32 = 8;
/// Of a plan's records, how many may be states that are flushed although the plan is full of outputs: one in this many.
/// Without any, changes would never be flushed while much is said, and a restart would read ever more again.
const FLUSHES_AT_LEAST: usize = 4;
/// A deadline makes about this many records: a change, a row of the members, a state.
const RECORDS_A_DEADLINE: usize = 4;

pub(in crate::lane) struct PlanSize {
    /// Events of one batch, at most: no more than there is memory for.
    events_max: usize,
    /// Bytes of the records of one batch, at most: no more than there is memory for.
    read_max: u64,
    bytes_max: usize,
    /// How often the limits were halved, less how often doubled.
    halved: u32,
    /// Transactions that counted since the last that took too long, or since the limits were doubled.
    well: u32,
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
            bytes_max: queues.clamp(BYTES_MIN, BYTES_MAX),
            halved: 0,
            well: 0,
        }
    }

    /// Records of one transaction.
    pub(in crate::lane) fn records(&self) -> usize {
        (RECORDS_MAX >> self.halved).max(RECORDS_MIN)
    }

    /// Records of the input taken in at once.
    pub(in crate::lane) fn events(&self) -> usize {
        (self.events_max >> self.halved).max(1)
    }

    /// Bytes of records of the input taken in at once.
    pub(in crate::lane) fn read_bytes(&self) -> u64 {
        self.read_max
    }

    /// Deadlines of one partition decided at once.
    pub(in crate::lane) fn decisions(&self) -> usize {
        (self.records() / RECORDS_A_DEADLINE).max(1)
    }

    /// Is the plan as large as one may be?
    pub(in crate::lane) fn is_reached(&self, plan: &Plan) -> bool {
        plan.outs.len() >= self.records() || plan.bytes() >= self.bytes_max >> self.halved
    }

    /// States that may still be flushed with a plan.
    pub(in crate::lane) fn flushes(&self, plan: &Plan) -> usize {
        self.records().saturating_sub(plan.outs.len()).max(self.records() / FLUSHES_AT_LEAST)
    }

    /// A transaction was too old before it could be ended. False: what is decided at once is as little as may be already.
    pub(in crate::lane) fn took_too_long(&mut self, plan: &Plan, after: Duration) -> bool {
        let can_be_less = self.records() > RECORDS_MIN;
        self.halved += u32::from(can_be_less);
        self.well = 0;
        tracing::warn!(
            records = plan.outs.len(),
            bytes = plan.bytes(),
            partitions = plan.parts.len(),
            seconds = after.as_secs_f64(),
            records_max = self.records(),
            "A transaction took too long; the next ones are smaller."
        );
        can_be_less
    }

    pub(in crate::lane) fn went_well(&mut self) {
        self.well += 1;
        if self.halved > 0 && self.well >= GROWS_AFTER {
            (self.halved, self.well) = (self.halved - 1, 0);
            if self.halved == 0 {
                tracing::info!(records_max = self.records(), "Transactions may be as large as before again.");
            }
        }
    }

    /// Would the same be decided in smaller parts now?
    pub(in crate::lane) fn is_worth_deciding_again(&self, plan: &Plan) -> bool {
        plan.outs.len() > self.records() / 2
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
            (size.read_bytes(), size.events())
        };
        let (little, enough) = (of(128), of(4_096));
        assert!((BYTES_MIN as u64..128 << 20 >> 5).contains(&little.0), "{little:?}");
        assert!((1_000..5_000).contains(&little.1), "{little:?}");
        assert_eq!(enough, (settings.batch.max_bytes, settings.batch.max_records));
    }

    #[test]
    fn what_took_too_long_is_tried_smaller_and_smaller_and_grows_again() {
        let (mut size, plan) = (size(), Plan::default());
        let first = (size.records(), size.events());
        while size.took_too_long(&plan, Duration::from_secs(10)) {
            assert!(size.decisions() >= 1 && size.events() >= 1 && size.flushes(&plan) >= 1);
        }
        assert_eq!(size.records(), RECORDS_MIN);
        assert!(!size.took_too_long(&plan, Duration::from_secs(10)), "there is an end to it");
        for _ in 0..GROWS_AFTER * 16 {
            size.went_well();
        }
        assert_eq!((size.records(), size.events()), first);
    }
}
