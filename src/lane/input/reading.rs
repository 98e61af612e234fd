//! Which partitions are read now: what pauses them, and where they read on.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::kafka::Failure;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;

/// How long one question to a broker may take in the loop.
pub(in crate::lane) const ASK: Duration = Duration::from_secs(1);

impl Lane {
    /// Stops reading these for a while: what is on its way is dropped.
    pub(in crate::lane) fn read_later(&mut self, numbers: &BTreeSet<i32>) -> Result<(), LaneError> {
        let list: Vec<i32> = numbers.iter().copied().collect();
        self.consumer.pause(&list).or_else(retried)?;
        self.adrift.extend(list);
        for number in numbers {
            // An end signal came after what was dropped.
            self.partitions.get_mut(number).into_iter().for_each(Partition::is_behind);
        }
        Ok(())
    }

    /// Stops reading: what is on its way is dropped.
    pub(in crate::lane) fn rest(&mut self) -> Result<(), LaneError> {
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        // A partition that is leaving cannot be paused; its revocation is on its way.
        self.consumer.pause(&numbers).or_else(retried)?;
        self.adrift.extend(numbers);
        Ok(())
    }

    /// Has partitions that are adrift read from where they stand.
    pub(in crate::lane) fn go_on(&mut self) -> Result<(), LaneError> {
        self.adrift.retain(|number| self.partitions.contains_key(number));
        if self.adrift.is_empty() || self.gate.pauses_reading() || self.disk.is_full() {
            return Ok(());
        }
        let at_rest = |number: &&i32| {
            let waits = self.schema_waits.holds(**number) || self.input_waits(**number);
            !waits && !self.partitions[number].is_overdue() && !self.partitions[number].waits_for_clock()
        };
        let places: Vec<(i32, i64)> =
            self.adrift.iter().filter(at_rest).map(|number| (*number, self.partitions[number].next_offset)).collect();
        match self.consumer.read_from(&places, ASK * 5) {
            Ok(()) => places.iter().for_each(|(number, _)| {
                self.adrift.remove(number);
            }),
            Err(failure) => retried(failure)?,
        }
        Ok(())
    }

    /// Does its input wait until something else is done?
    pub(in crate::lane) fn input_waits(&self, number: i32) -> bool {
        self.takes_up_rules(number) || self.partitions.get(&number).is_some_and(Partition::is_taking_up)
    }

    /// Stops reading some partitions; what is on its way is dropped. They read on once they are adrift and nothing waits.
    pub(in crate::lane) fn pause_input(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        self.consumer.pause(numbers).or_else(retried)?;
        for number in numbers {
            if let Some(partition) = self.partitions.get_mut(number) {
                partition.is_behind();
            }
        }
        Ok(())
    }

    /// Partitions whose next record waits for its schema read on when it is there.
    pub(in crate::lane) fn release_held(&mut self) {
        self.adrift.extend(self.schema_waits.release(&mut self.schemas, self.health.lane(self.number)));
    }
}

/// A call on a partition that is just leaving: its revocation is on its way.
pub(in crate::lane) fn retried(failure: Failure) -> Result<(), LaneError> {
    match failure {
        Failure::Retry(cause) => {
            tracing::debug!(reason = %cause, "The assignment is changing.");
            Ok(())
        }
        failure => Err(failure.into()),
    }
}
