//! Partitions of this lane on their way to other rules or limits, one at a time.

use std::sync::Arc;

use crate::kafka::Reader;
use crate::lane::commit::finish::HAND_OVER_FOR;
use crate::lane::commit::plan::Plan;
use crate::lane::edits::adopt::{self, Adoption};
use crate::lane::error::LaneError;
use crate::lane::input::reading::retried;
use crate::lane::lane::Lane;
use crate::lane::restore::restoring::RESTORE_STEP;

impl Lane {
    /// After a start with other limits: what was decided under the old ones is flushed first, since it could not be decided
    /// again under the new.
    pub(in crate::lane) fn adopt_limits(&mut self) -> Result<(), LaneError> {
        let context = Arc::clone(&self.context);
        // What was begun under these limits is finished under them.
        let settled = self.partitions.values_mut().filter(|p| !p.is_taking_up());
        let waiting = settled.filter_map(|p| (!p.adopts_limits(&context)).then_some(p.number));
        let waiting: Vec<i32> = waiting.collect();
        if waiting.is_empty() { Ok(()) } else { self.flush_partitions(&waiting, HAND_OVER_FOR) }
    }

    /// Goes on with the partition that takes up other rules, or begins with the next one that has to.
    pub(in crate::lane) fn adopt_rules(&mut self) -> Result<(), LaneError> {
        if self.adoption.is_none() {
            let newest = self.context.rulebook.newest();
            // Thresholds and parameters that are being taken up come first.
            let settled = self.partitions.values().filter(|p| !p.is_taking_up() && !p.is_sweeping() && !p.is_overdue());
            let waiting = settled.into_iter().find_map(|p| Some((p.number, p.wants_rules(newest)?)));
            let Some((number, version)) = waiting else { return Ok(()) };
            let Some(version) = self.context.rulebook.get(version)? else { return Ok(()) };
            self.consumer.pause(&[number]).or_else(retried)?;
            self.schema_waits.forget(number, self.health.lane(self.number));
            let queue = self.queue_bytes();
            let reader = || Reader::new(&self.settings.kafka, queue / 4, &self.brokers);
            let partition = self.partitions.get_mut(&number).expect("found just now");
            partition.is_behind();
            match Adoption::new(partition, version, reader, &self.context) {
                Ok(adoption) => self.adoption = Some(adoption),
                Err(error) => return self.contain(number, error),
            }
        }
        let budget = self.share().customer_bytes;
        let Some(adoption) = &mut self.adoption else { return Ok(()) };
        let number = adoption.partition;
        let Some(partition) = self.partitions.get_mut(&number) else {
            self.adoption = None;
            return Ok(());
        };
        if partition.shard_mut().oldest_dirty().is_some() {
            return self.flush_partitions(&[number], HAND_OVER_FOR);
        }
        if !partition.shard_mut().is_empty() {
            partition.empty();
        }
        let mut plan = Plan::default();
        let mut tools = adopt::Tools {
            context: &self.context,
            watermarks: &self.watermarks,
            schemas: &mut self.schemas,
            memory: &self.memory,
            budget,
            health: self.health.lane(self.number),
        };
        match adoption.step(partition, &mut tools, RESTORE_STEP, &mut plan) {
            Ok(false) => {}
            Ok(true) => {
                self.adoption = None;
                self.adrift.insert(number);
            }
            // Nothing else is in the plan.
            Err(error) => return self.contain(number, error),
        }
        self.finish(plan)
    }

    /// Does its input wait for other rules?
    pub(in crate::lane) fn takes_up_rules(&self, number: i32) -> bool {
        self.adoption.as_ref().is_some_and(|adoption| adoption.partition == number)
            || self.partitions.get(&number).is_some_and(|partition| partition.adopting.is_some())
    }
}
