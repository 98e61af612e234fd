//! What the group assigns to this lane and takes from it.

use crate::kafka::Failure;
use crate::lane::commit::finish::HAND_OVER_FOR;
use crate::lane::error::LaneError;
use crate::lane::input::poll::ConsumerEvent;
use crate::lane::lane::Lane;
use crate::member::error::ignore_retriable;
use crate::metrics::Rebalance;

impl Lane {
    /// Handles an event that ended a batch.
    pub(in crate::lane) fn handle_event(&mut self, event: ConsumerEvent) -> Result<(), LaneError> {
        match event {
            ConsumerEvent::Assigned(partitions) => {
                tracing::info!(lane = self.number, ?partitions, "Assigned.");
                self.context.metrics.rebalances(Rebalance::Assigned).inc();
                self.denied.end(self.health.lane(self.number));
                match self.consumer.ack_assign() {
                    Ok(()) => partitions.into_iter().for_each(|number| self.begin_restore(number)),
                    Err(Failure::Retry(_)) => {}
                    Err(failure) => return Err(failure.into()),
                }
                self.show_partitions();
            }
            ConsumerEvent::Revoked { partitions, lost: false } => self.revoke(&partitions)?,
            ConsumerEvent::Revoked { partitions, lost: true } => self.lose(&partitions)?,
            ConsumerEvent::OutOfRange { partition, offset, reason } => {
                if self.partitions.contains_key(&partition) {
                    // Retention has deleted it, or the topic was recreated: a restore finds out, and says what to do.
                    tracing::warn!(partition, offset, reason, "The input does not hold the next offset to read.");
                    // Changes that could not be replayed are flushed first.
                    if self.pending.is_none() {
                        self.flush_partitions(&[partition], HAND_OVER_FOR)?;
                    }
                    self.discard_pending()?;
                    self.restore_again(partition)?;
                }
            }
            ConsumerEvent::Failed(Failure::Retry(cause)) => self.note_poll_failure(cause),
            ConsumerEvent::Failed(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    /// Partitions are revoked. The pending batch is published first, if it still can be; the next owner starts once the
    /// revocation is acknowledged.
    fn revoke(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        tracing::info!(lane = self.number, partitions = ?numbers, lost = false, "Revoked.");
        self.context.metrics.rebalances(Rebalance::Revoked).inc();
        if self.pending.is_some() {
            self.publish_pending()?;
        }
        if self.pending.is_none() {
            self.flush_partitions(numbers, HAND_OVER_FOR)?;
        }
        self.discard_pending()?;
        self.release_all(numbers)
    }

    /// Partitions are lost: they may belong to another member already.
    fn lose(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        tracing::info!(lane = self.number, partitions = ?numbers, lost = true, "Revoked.");
        self.context.metrics.rebalances(Rebalance::Lost).inc();
        self.discard_pending()?;
        self.release_all(numbers)?;
        self.health().left();
        Ok(())
    }

    /// Discards the pending batch, if there is one.
    fn discard_pending(&mut self) -> Result<(), LaneError> {
        match self.pending.take() {
            Some(pending) => self.discard(&pending),
            None => Ok(()),
        }
    }

    fn release_all(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        numbers.iter().for_each(|number| self.release(*number));
        self.consumer.ack_revoke(numbers).or_else(ignore_retriable)?;
        self.show_partitions();
        Ok(())
    }

    /// A partition is no longer ours.
    pub(in crate::lane) fn release(&mut self, number: i32) {
        self.close_partition(number);
        self.failures.forget(number);
        self.health().forget(number);
    }
}
