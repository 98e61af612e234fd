//! Partitions of this lane on their way to work, one step of one of them in each turn.

use std::path::PathBuf;
use std::time::Duration;

use crate::kafka::Reader;
use crate::lane::error::LaneError;
use crate::lane::input::reading::retried;
use crate::lane::lane::Lane;
use crate::lane::restore::stages::{Restore, Step, Tools};

/// How long restoring may keep the lane from its other partitions in one turn.
pub(in crate::lane) const RESTORE_STEP: Duration = Duration::from_millis(100);

impl Lane {
    /// A partition is worked on no more, and its database is closed.
    pub(in crate::lane) fn leave_work(&mut self, number: i32) {
        self.partitions.remove(&number);
        self.context.edits.left(number);
        self.schema_waits.forget(number, self.health.lane(self.number));
        self.adrift.remove(&number);
        self.adoption.take_if(|adoption| adoption.partition == number);
        self.restores.retain(|restore| restore.partition != number);
    }

    /// A partition at work cannot go on as it stands. It is read no more until it is restored.
    pub(in crate::lane) fn restore_again(&mut self, number: i32) -> Result<(), LaneError> {
        self.leave_work(number);
        self.health().forget(number);
        self.consumer.pause(&[number]).or_else(retried)?;
        self.begin_restore(number);
        Ok(())
    }

    pub(in crate::lane) fn begin_restore(&mut self, number: i32) {
        self.leave_work(number);
        match self.setbacks.cause(number) {
            // What it failed for is waited for until it is at work again.
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

    /// Goes on restoring the first partition that does not wait for something else; whoever waits lets the others go first.
    pub(in crate::lane) fn restore_some(&mut self) -> Result<(), LaneError> {
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
            &mut Tools {
                consumer: &self.consumer,
                watermarks: &self.watermarks,
                reader,
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
                partition.state_bytes_max = self.state_bytes_max;
                if restore.was_stopped {
                    // Whoever shows its lag in place of an owner is told of this one, also while nothing comes.
                    partition.begin();
                }
                self.restores.pop_front();
                self.partitions.insert(number, *partition);
                self.adrift.insert(number);
                self.is_restored(number);
            }
            Err(error) => self.contain(number, error)?,
        }
        self.show_partitions();
        Ok(())
    }
}
