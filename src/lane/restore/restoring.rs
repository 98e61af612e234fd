//! Restoring the partitions of a lane, one step of one of them in each turn.

use std::path::PathBuf;
use std::time::Duration;

use crate::kafka::Reader;
use crate::lane::changelog_reader::ChangelogReader;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::restore::stages::{Restore, RestoreTools, Step};
use crate::member::error::ignore_retriable;

/// How long a step of a restore may take in one turn.
pub(in crate::lane) const RESTORE_STEP: Duration = Duration::from_millis(100);

impl Lane {
    /// Stops working on a partition and closes its database.
    pub(in crate::lane) fn close_partition(&mut self, number: i32) {
        self.partitions.remove(&number);
        self.context.edits.left(number);
        self.schema_waits.forget(number, self.health.lane(self.number));
        self.to_seek.remove(&number);
        self.migration.take_if(|migration| migration.partition == number);
        self.restores.retain(|restore| restore.partition != number);
    }

    /// Restores a running partition that cannot go on as it is. Its input is paused until then.
    pub(in crate::lane) fn restore_again(&mut self, number: i32) -> Result<(), LaneError> {
        self.close_partition(number);
        self.health().forget(number);
        self.consumer.pause(&[number]).or_else(ignore_retriable)?;
        self.begin_restore(number);
        Ok(())
    }

    /// Starts to restore a partition.
    pub(in crate::lane) fn begin_restore(&mut self, number: i32) {
        self.close_partition(number);
        match self.failures.cause(number) {
            // The wait for what it failed for lasts until it is running again.
            Some(cause) => self.health().forget_but(number, cause),
            None => self.health().forget(number),
        }
        let metrics = self.context.metrics.restore(number);
        self.restores.push_back(Restore::new(number, self.path(number), metrics));
        self.show_partitions();
    }

    pub(in crate::lane) fn path(&self, number: i32) -> PathBuf {
        self.folder().join(format!("{}-{number}", self.settings.topics.input))
    }

    /// Goes on with the first restore that is due; one that waits lets the others go first.
    pub(in crate::lane) fn continue_restores(&mut self) -> Result<(), LaneError> {
        let budget = self.share().customer_bytes;
        let queue = self.queue_bytes();
        if self.restores.is_empty()
            && let Some(reader) = self.reader.take()
        {
            reader.discard();
        }
        let Some(first) = self.restores.iter().position(Restore::is_due) else { return Ok(()) };
        self.restores.rotate_left(first);
        let restore = &mut self.restores[0];
        let number = restore.partition;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::new(&self.settings.kafka, queue / 4, &self.brokers)?),
        };
        let step = restore.step(
            &mut RestoreTools {
                consumer: &self.consumer,
                watermarks: &self.watermarks,
                reader,
                changelog: ChangelogReader::new(&self.settings.kafka, &self.brokers, &self.watermarks, &self.context),
                schemas: &mut self.schemas,
                memory: &self.memory,
                context: &self.context,
                start: self.settings.kafka.start,
                budget,
                health: self.health.lane(self.number),
                transaction_timeout: self.producer.transaction_timeout(),
            },
            RESTORE_STEP,
        );
        match step {
            Ok(Step::Going) => return Ok(()),
            Ok(Step::Waiting) => {
                self.restores.rotate_left(1);
                return Ok(());
            }
            Ok(Step::Done(mut partition)) => {
                partition.residents.set_state_bytes_max(self.state_bytes_max);
                if restore.was_stopped {
                    // Commits once without the mark, so that other processes no longer show its lag in place of an
                    // owner.
                    partition.begin();
                }
                self.restores.pop_front();
                self.partitions.insert(number, *partition);
                self.to_seek.insert(number);
                self.mark_restored(number);
            }
            Err(error) => self.contain(number, error)?,
        }
        self.show_partitions();
        Ok(())
    }
}
