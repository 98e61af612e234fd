//! Applying new rules and limits to the partitions of a lane, one at a time.

use std::sync::Arc;

use crate::kafka::Reader;
use crate::lane::commit::finish::HAND_OVER_FOR;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::migration::rules_migration::{MigrationTools, RulesMigration};
use crate::lane::output::plan::Plan;
use crate::lane::restore::restoring::RESTORE_STEP;
use crate::member::error::ignore_retriable;

impl Lane {
    /// After a start with other limits: what was decided under the old ones is flushed first, since a replay would use
    /// the new ones.
    pub(in crate::lane) fn apply_limits(&mut self) -> Result<(), LaneError> {
        let context = Arc::clone(&self.context);
        // Thresholds are applied to the end under the old limits.
        let settled = self.partitions.values_mut().filter(|p| !p.is_applying_thresholds());
        let waiting = settled.filter_map(|p| (!p.apply_limits(&context)).then_some(p.number));
        let waiting: Vec<i32> = waiting.collect();
        if waiting.is_empty() { Ok(()) } else { self.flush_partitions(&waiting, HAND_OVER_FOR) }
    }

    /// Goes on with the migration in progress, or starts the next one that is due.
    pub(in crate::lane) fn apply_rules(&mut self) -> Result<(), LaneError> {
        if self.migration.is_none() {
            let newest = self.context.rulebook.newest();
            // Thresholds and parameters that are being applied come first.
            let settled =
                self.partitions.values().filter(|p| !p.is_applying_thresholds() && !p.is_sweeping() && !p.is_overdue());
            let waiting = settled.into_iter().find_map(|p| Some((p.number, p.pending_version(newest)?)));
            let Some((number, version)) = waiting else { return Ok(()) };
            let Some(version) = self.context.rulebook.get(version)? else { return Ok(()) };
            self.consumer.pause(&[number]).or_else(ignore_retriable)?;
            self.schema_waits.forget(number, self.health.lane(self.number));
            let queue = self.queue_bytes();
            let reader = || Reader::new(&self.settings.kafka, queue / 4, &self.brokers);
            let partition = self.partitions.get_mut(&number).expect("found just now");
            partition.mark_behind();
            match RulesMigration::new(partition, version, reader, &self.context) {
                Ok(migration) => self.migration = Some(migration),
                Err(error) => return self.contain(number, error),
            }
        }
        let budget = self.share().customer_bytes;
        let Some(migration) = &mut self.migration else { return Ok(()) };
        let number = migration.partition;
        let Some(partition) = self.partitions.get_mut(&number) else {
            self.migration = None;
            return Ok(());
        };
        if partition.residents.oldest_dirty().is_some() {
            return self.flush_partitions(&[number], HAND_OVER_FOR);
        }
        if !partition.residents.shard().is_empty() {
            partition.evict_all();
        }
        let mut plan = Plan::default();
        let mut tools = MigrationTools {
            context: &self.context,
            watermarks: &self.watermarks,
            schemas: &mut self.schemas,
            memory: &self.memory,
            budget,
            health: self.health.lane(self.number),
        };
        match migration.step(partition, &mut tools, RESTORE_STEP, &mut plan) {
            Ok(false) => {}
            Ok(true) => {
                self.migration = None;
                self.to_seek.insert(number);
            }
            // Nothing else is in the plan.
            Err(error) => return self.contain(number, error),
        }
        self.finish(plan)
    }

    /// Is the partition being migrated, here or halfway since an earlier owner?
    pub(in crate::lane) fn is_migrating(&self, number: i32) -> bool {
        self.migration.as_ref().is_some_and(|migration| migration.partition == number)
            || self.partitions.get(&number).is_some_and(|partition| partition.migrating.is_some())
    }
}
