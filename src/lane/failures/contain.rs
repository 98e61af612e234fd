//! What the lane does about a partition that cannot go on; see `setback`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Moment};

use crate::clock::wall_clock;
use crate::lane::commit::pending::Pending;
use crate::lane::commit::plan::Plan;
use crate::lane::error::LaneError;
use crate::lane::input::reading::retried;
use crate::lane::lane::Lane;
use crate::metrics::{Retry, Wait, WaitCause};
use crate::store::{DAMAGES_MAX, StoreError, Trouble, set_aside};

/// A process that is dying lets go of its database sooner. One that lasts this long is a second one on one `state.dir`.
const IN_USE_FOR: Duration = Duration::from_secs(30);

impl Lane {
    /// Takes a partition out of work and restores it again after a backoff: 1 s, doubling with each failure in a row up to
    /// 60 s. Until it is at work again that is declared as a wait for `cause`. Membership and the other partitions are not
    /// touched; what is decided for this one and not known to count is forgotten. `reason`: one sentence without a full
    /// stop, for people.
    ///
    /// # Errors
    /// The consumer cannot be paused, for good.
    pub(in crate::lane) fn restore_later(
        &mut self,
        number: i32,
        cause: WaitCause,
        reason: &str,
    ) -> Result<(), LaneError> {
        let is_planned = |pending: &mut Pending| pending.concerns(number);
        if let Some(pending) = self.pending.take_if(is_planned) {
            // Tried in vain so far, so none of it counts.
            self.forget(&pending)?;
        }
        self.leave_work(number);
        self.consumer.pause(&[number]).or_else(retried)?;
        self.health().forget_but(number, cause);
        let failed = self.setbacks.failed(number, cause, reason, Moment::now());
        self.context.metrics.retries(Retry::Partition).inc();
        if failed.in_a_row.is_power_of_two() {
            tracing::warn!(
                partition = number,
                cause = cause.word(),
                reason,
                again_in = failed.wait.as_secs_f64(),
                failures = failed.in_a_row,
                "The partition is out of work; it is restored again after a wait."
            );
        }
        self.show_waits();
        self.show_partitions();
        Ok(())
    }

    /// Begins to restore the partitions whose backoff is over, and goes on declaring what is waited for.
    pub(in crate::lane) fn restore_due(&mut self) {
        for number in self.setbacks.take_due(Moment::now()) {
            self.begin_restore(number);
        }
        self.show_waits();
    }

    /// A partition is at work again.
    pub(in crate::lane) fn is_restored(&mut self, number: i32) {
        if let Some(cause) = self.setbacks.restored(number, Moment::now()) {
            self.health().resume(cause, Some(number));
        }
    }

    /// Keeps a failure to the partition that it concerns.
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

    /// As `contain`, of partitions that failed while a plan was made. Nothing of theirs stays in it.
    pub(in crate::lane) fn contain_all(
        &mut self,
        failed: Vec<(i32, LaneError)>,
        plan: &mut Plan,
    ) -> Result<(), LaneError> {
        let mut seen = BTreeSet::new();
        for (number, error) in failed {
            plan.forget(number);
            // Its first failure may have led to others.
            if seen.insert(number) {
                self.contain(number, error)?;
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, number: i32, error: &StoreError) -> Result<(), LaneError> {
        // Closes it.
        self.leave_work(number);
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
        let since = self.setbacks.since(number, &reason);
        // Another lane of this process lets go of it once it hears that it has lost the partition.
        let is_ours = matches!(error, StoreError::InUse { by_us: true, .. });
        if !is_ours && since.is_some_and(|since| since.elapsed() > IN_USE_FOR) {
            return Err(LaneError::Configuration(format!("{error}; give each process a state.dir of its own")));
        }
        self.restore_later(number, WaitCause::Disk, &reason)
    }

    fn show_waits(&self) {
        for (number, cause, reason) in self.setbacks.waits() {
            self.health().wait(Wait { cause, partition: Some(number), detail: reason.to_owned() });
        }
    }
}
