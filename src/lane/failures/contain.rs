//! What the lane does about a partition that cannot go on; see `partition_failures`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Moment};

use crate::clock::wall_clock;
use crate::lane::commit::pending::PendingBatch;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::member::error::ignore_retriable;
use crate::metrics::{Retry, Wait, WaitCause};
use crate::store::{DAMAGES_MAX, StoreError, Trouble, set_aside};

/// A process that is ending releases its database sooner. One that holds it this long is a second one on the same
/// `state.dir`.
const IN_USE_FOR: Duration = Duration::from_secs(30);

impl Lane {
    /// Closes a partition and restores it again after a backoff: 1 s, doubling with each failure in a row up to 60 s.
    /// Until it is running again a wait for `cause` is reported. Membership and the other partitions are not touched; a
    /// pending batch of this partition is discarded. `reason`: one sentence without a full stop.
    ///
    /// # Errors
    /// The consumer cannot be paused, for good.
    fn restore_later(&mut self, number: i32, cause: WaitCause, reason: &str) -> Result<(), LaneError> {
        let is_planned = |pending: &mut PendingBatch| pending.concerns(number);
        if let Some(pending) = self.pending.take_if(is_planned) {
            // No try has succeeded, so none of it is committed.
            self.discard(&pending)?;
        }
        self.close_partition(number);
        self.consumer.pause(&[number]).or_else(ignore_retriable)?;
        self.health().forget_but(number, cause);
        let failed = self.failures.record(number, cause, reason, Moment::now());
        self.context.metrics.retries(Retry::Partition).inc();
        if failed.in_a_row.is_power_of_two() {
            tracing::warn!(
                partition = number,
                cause = cause.word(),
                reason,
                again_in = failed.wait.as_secs_f64(),
                failures = failed.in_a_row,
                "The partition failed; it is restored again after a pause."
            );
        }
        self.show_waits();
        self.show_partitions();
        Ok(())
    }

    /// Starts to restore the partitions whose backoff is over, and goes on reporting the waits of the others.
    pub(in crate::lane) fn start_due_restores(&mut self) {
        for number in self.failures.take_due(Moment::now()) {
            self.begin_restore(number);
        }
        self.show_waits();
    }

    /// A partition is running again.
    pub(in crate::lane) fn mark_restored(&mut self, number: i32) {
        if let Some(cause) = self.failures.restored(number, Moment::now()) {
            self.health().resume(cause, Some(number));
        }
    }

    /// Contains a failure to the partition that it concerns.
    ///
    /// # Errors
    /// What concerns the whole lane.
    pub(in crate::lane) fn contain(&mut self, number: i32, error: LaneError) -> Result<(), LaneError> {
        match error {
            LaneError::Later { cause, reason } => self.restore_later(number, cause, &reason),
            LaneError::Store(error) => match error.trouble() {
                Trouble::Damage => self.set_aside(number, &error),
                Trouble::Disk => self.restore_later(number, WaitCause::Disk, &error.to_string()),
                Trouble::InUse => self.wait_for_release(number, &error),
            },
            error @ (LaneError::Configuration(_)
            | LaneError::Denied(_)
            | LaneError::Fenced(_)
            | LaneError::Stopped(_)) => Err(error),
        }
    }

    /// As `contain`, for partitions that failed while a plan was made; they are removed from it.
    pub(in crate::lane) fn contain_all(
        &mut self,
        failed: Vec<(i32, LaneError)>,
        plan: &mut Plan,
    ) -> Result<(), LaneError> {
        let mut seen = BTreeSet::new();
        for (number, error) in failed {
            plan.remove_partition(number);
            // Later failures of a partition follow from its first.
            if seen.insert(number) {
                self.contain(number, error)?;
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, number: i32, error: &StoreError) -> Result<(), LaneError> {
        // Closes it.
        self.close_partition(number);
        let aside = match set_aside(&self.path(number), wall_clock()) {
            Ok(aside) => aside,
            Err(refused) => {
                let reason = format!("the local copy is damaged ({error}) and cannot be set aside: {refused}");
                return self.restore_later(number, WaitCause::Disk, &reason);
            }
        };
        self.context.metrics.copies_set_aside.inc();
        tracing::error!(
            partition = number,
            %error,
            kept_as = %aside.path.display(),
            times = aside.times,
            "The local copy is damaged; it is set aside, and the partition is restored from the changelog."
        );
        if aside.times < DAMAGES_MAX {
            return self.restore_again(number);
        }
        let reason = format!(
            "the local copy was damaged {} times within an hour, last: {error}; the disk or the changelog is at fault",
            aside.times
        );
        self.restore_later(number, WaitCause::Damage, &reason)
    }

    fn wait_for_release(&mut self, number: i32, error: &StoreError) -> Result<(), LaneError> {
        let reason = error.to_string();
        let since = self.failures.since(number, &reason);
        // Another lane of this process closes it once it handles its revocation.
        let is_ours = matches!(error, StoreError::InUse { by_us: true, .. });
        if !is_ours && since.is_some_and(|since| since.elapsed() > IN_USE_FOR) {
            return Err(LaneError::Configuration(format!("{error}; give each process a state.dir of its own")));
        }
        self.restore_later(number, WaitCause::Disk, &reason)
    }

    fn show_waits(&self) {
        for (number, cause, reason) in self.failures.waits() {
            self.health().wait(Wait { cause, partition: Some(number), detail: reason.to_owned() });
        }
    }
}
