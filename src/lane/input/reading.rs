//! Which partitions are read: pausing them, and seeking to where they go on.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;
use crate::member::error::ignore_retriable;

/// How long one request to a broker may take in the loop.
pub(in crate::lane) const ASK: Duration = Duration::from_secs(1);

impl Lane {
    /// Pauses partitions until the next seek; prefetched records are dropped.
    pub(in crate::lane) fn pause_until_sought(&mut self, numbers: &BTreeSet<i32>) -> Result<(), LaneError> {
        let list: Vec<i32> = numbers.iter().copied().collect();
        self.consumer.pause(&list).or_else(ignore_retriable)?;
        self.to_seek.extend(list);
        for number in numbers {
            // The end signal came after the dropped records.
            self.partitions.get_mut(number).into_iter().for_each(Partition::mark_behind);
        }
        Ok(())
    }

    /// Pauses all partitions until the next seek; prefetched records are dropped.
    pub(in crate::lane) fn pause_all(&mut self) -> Result<(), LaneError> {
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        // A partition that is being revoked cannot be paused.
        self.consumer.pause(&numbers).or_else(ignore_retriable)?;
        self.to_seek.extend(numbers);
        Ok(())
    }

    /// Seeks the partitions in `to_seek` to their next offset and resumes them, unless they wait for something.
    pub(in crate::lane) fn resume_reading(&mut self) -> Result<(), LaneError> {
        self.to_seek.retain(|number| self.partitions.contains_key(number));
        if self.to_seek.is_empty() || self.memory_gate.pauses_reading() || self.disk.is_full() {
            return Ok(());
        }
        let at_rest = |number: &&i32| {
            let waits = self.schema_waits.is_waiting(**number) || self.input_waits(**number);
            !waits && !self.partitions[number].is_overdue() && !self.partitions[number].is_waiting_for_clock()
        };
        let places: Vec<(i32, i64)> =
            self.to_seek.iter().filter(at_rest).map(|number| (*number, self.partitions[number].next_offset)).collect();
        match self.consumer.read_from(&places, ASK * 5) {
            Ok(()) => places.iter().for_each(|(number, _)| {
                self.to_seek.remove(number);
            }),
            Err(failure) => ignore_retriable(failure)?,
        }
        Ok(())
    }

    /// Does the partition's input wait for a migration or for new thresholds?
    pub(super) fn input_waits(&self, number: i32) -> bool {
        self.is_migrating(number) || self.partitions.get(&number).is_some_and(Partition::is_applying_thresholds)
    }

    /// Pauses partitions; the caller adds them to `to_seek` once their input may go on.
    pub(in crate::lane) fn pause_input(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        self.consumer.pause(numbers).or_else(ignore_retriable)?;
        for number in numbers {
            if let Some(partition) = self.partitions.get_mut(number) {
                partition.mark_behind();
            }
        }
        Ok(())
    }

    /// Resumes partitions whose next record waited for a schema that has arrived.
    pub(in crate::lane) fn resume_after_schemas(&mut self) {
        self.to_seek.extend(self.schema_waits.release(&mut self.schemas, self.health.lane(self.number)));
    }
}
