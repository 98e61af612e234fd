//! What the group assigns to this lane and takes from it.

use crate::kafka::Failure;
use crate::lane::commit::finish::HAND_OVER_FOR;
use crate::lane::error::LaneError;
use crate::lane::input::reading::retried;
use crate::lane::lane::Lane;
use crate::metrics::Rebalance;

/// What came up while polling that ends a batch.
pub(in crate::lane) enum Control {
    Assigned(Vec<i32>),
    Revoked { partitions: Vec<i32>, lost: bool },
    OutOfRange { partition: i32, offset: i64, reason: String },
    Failed(Failure),
}

impl Lane {
    pub(in crate::lane) fn control(&mut self, control: Control) -> Result<(), LaneError> {
        match control {
            Control::Assigned(partitions) => {
                tracing::info!(lane = self.number, ?partitions, "Assigned.");
                self.context.metrics.rebalances(Rebalance::Assigned).inc();
                self.refused.end(self.health.lane(self.number));
                match self.consumer.ack_assign() {
                    Ok(()) => partitions.into_iter().for_each(|number| self.begin_restore(number)),
                    Err(Failure::Retry(_)) => {}
                    Err(failure) => return Err(failure.into()),
                }
                self.show_partitions();
            }
            Control::Revoked { partitions, lost } => self.give_up(&partitions, lost)?,
            Control::OutOfRange { partition, offset, reason } => {
                if self.partitions.contains_key(&partition) {
                    // Retention has passed it, or the topic was made anew: a restore finds out, and says what to do.
                    tracing::warn!(partition, offset, reason, "The input does not hold the next offset to read.");
                    // What could not be read again is written first.
                    if self.pending.is_none() {
                        self.flush_partitions(&[partition], HAND_OVER_FOR)?;
                    }
                    if let Some(pending) = self.pending.take() {
                        self.forget(&pending)?;
                    }
                    self.restore_again(partition)?;
                }
            }
            Control::Failed(Failure::Retry(cause)) => self.polling_failed(cause),
            Control::Failed(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    /// Partitions go to somebody else. What is decided and not yet known to count is published first, if it still can
    /// be; the next owner starts when the revocation is acknowledged.
    fn give_up(&mut self, numbers: &[i32], lost: bool) -> Result<(), LaneError> {
        tracing::info!(lane = self.number, partitions = ?numbers, lost, "Revoked.");
        self.context.metrics.rebalances(if lost { Rebalance::Lost } else { Rebalance::Revoked }).inc();
        if lost {
            // All of it may be somebody else's already.
            if let Some(pending) = self.pending.take() {
                self.forget(&pending)?;
            }
        } else {
            if self.pending.is_some() {
                self.publish_pending()?;
            }
            if let Some(pending) = self.pending.take() {
                self.forget(&pending)?;
            } else {
                self.flush_partitions(numbers, HAND_OVER_FOR)?;
                if let Some(pending) = self.pending.take() {
                    self.forget(&pending)?;
                }
            }
        }
        numbers.iter().for_each(|number| self.let_go(*number));
        self.consumer.ack_revoke(numbers).or_else(retried)?;
        self.show_partitions();
        if lost {
            self.health().left();
        }
        Ok(())
    }

    /// A partition is ours no more.
    pub(in crate::lane) fn let_go(&mut self, number: i32) {
        self.leave_work(number);
        self.setbacks.forget(number);
        self.health().forget(number);
    }

    /// Gives everything back and joins anew, if the group has held other partitions for this lane than it knows of.
    pub(in crate::lane) fn rejoin_if_asked(&mut self) -> Result<(), LaneError> {
        let assigned = self.consumer.assigned();
        if !self.ownership.takes_rejoin(self.number, &assigned) {
            return Ok(());
        }
        tracing::warn!(
            lane = self.number,
            known = ?assigned,
            "The group has other partitions for this lane than it knows of; it joins again."
        );
        self.consumer.rejoin().or_else(retried)
    }
}
