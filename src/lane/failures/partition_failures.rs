//! Failed partitions: each is restored again after a backoff, while the lane, its membership and its other partitions
//! go on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use crate::backoff::Backoff;
use crate::metrics::WaitCause;

/// Before the first restore after a failure; doubles with each failure in a row.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Damage that comes back, or that is in the changelog, needs a person: frequent tries would only read much for
/// nothing.
const BACKOFF_DAMAGE: Duration = Duration::from_secs(300);
/// A partition that has been running for this long has recovered: its next failure is the first in a row again.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// The failures of a lane's partitions; no entry: nothing to recover from.
#[derive(Default)]
pub(in crate::lane) struct PartitionFailures(BTreeMap<i32, FailureRecord>);

struct FailureRecord {
    cause: WaitCause,
    reason: String,
    in_a_row: u32,
    backoff: Backoff,
    /// The first in a row for this reason.
    since: Moment,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waiting until then.
    Waiting(Moment),
    Restoring,
    Running(Moment),
}

/// When a failed partition is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextTry {
    pub(super) wait: Duration,
    pub(super) in_a_row: u32,
}

impl PartitionFailures {
    /// Records that a partition failed at `now`.
    pub(super) fn record(&mut self, partition: i32, cause: WaitCause, reason: &str, now: Moment) -> NextTry {
        let recovered = |failure: &mut FailureRecord| {
            let long = |since| now.saturating_duration_since(since) >= RECOVERED_AFTER;
            matches!(failure.stage, Stage::Running(since) if long(since))
        };
        if self.0.get_mut(&partition).is_some_and(recovered) {
            self.0.remove(&partition);
        }
        let failure = self.0.entry(partition).or_insert_with(|| FailureRecord {
            cause,
            reason: String::new(),
            in_a_row: 0,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            since: now,
            stage: Stage::Restoring,
        });
        failure.in_a_row += 1;
        let wait = match cause {
            WaitCause::Damage => Backoff::new(BACKOFF_DAMAGE, BACKOFF_DAMAGE).pause(),
            _ => failure.backoff.pause(),
        };
        (failure.cause, failure.stage) = (cause, Stage::Waiting(now + wait));
        if failure.reason != reason {
            reason.clone_into(&mut failure.reason);
            failure.since = now;
        }
        NextTry { wait, in_a_row: failure.in_a_row }
    }

    /// The partitions whose backoff is over: each is being restored from now on.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<i32> {
        let due =
            self.0.iter_mut().filter(|(_, failure)| matches!(failure.stage, Stage::Waiting(until) if until <= now));
        due.map(|(partition, failure)| {
            failure.stage = Stage::Restoring;
            *partition
        })
        .collect()
    }

    /// A partition is running again; the cause that it waited for.
    pub(in crate::lane) fn restored(&mut self, partition: i32, now: Moment) -> Option<WaitCause> {
        let failure = self.0.get_mut(&partition)?;
        failure.stage = Stage::Running(now);
        Some(failure.cause)
    }

    /// A partition is no longer assigned here.
    pub(in crate::lane) fn forget(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    /// The cause of a partition's last failure, if it has not recovered.
    pub(in crate::lane) fn cause(&self, partition: i32) -> Option<WaitCause> {
        self.0.get(&partition).map(|failure| failure.cause)
    }

    /// Since when a partition has failed repeatedly for this reason.
    pub(in crate::lane) fn since(&self, partition: i32, reason: &str) -> Option<Moment> {
        self.0.get(&partition).filter(|failure| failure.reason == reason).map(|failure| failure.since)
    }

    /// Failed partitions that are not being restored yet.
    pub(in crate::lane) fn waiting(&self) -> impl Iterator<Item = i32> {
        let out = self.0.iter().filter(|(_, failure)| matches!(failure.stage, Stage::Waiting(_)));
        out.map(|(partition, _)| *partition)
    }

    /// What each partition waits for that has not been running since it failed.
    pub(super) fn waits(&self) -> impl Iterator<Item = (i32, WaitCause, &str)> {
        let waits = self.0.iter().filter(|(_, failure)| !matches!(failure.stage, Stage::Running(_)));
        waits.map(|(partition, failure)| (*partition, failure.cause, &*failure.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::{BACKOFF_DAMAGE, BACKOFF_MAX, Duration, Moment, PartitionFailures, RECOVERED_AFTER, WaitCause};

    #[test]
    fn failures_in_a_row_wait_longer_each_time_until_the_partition_has_recovered() {
        let mut failures = PartitionFailures::default();
        let mut now = Moment::now();
        let fail = |failures: &mut PartitionFailures, now| failures.record(3, WaitCause::Disk, "no room", now).wait;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = fail(&mut failures, now);
            let longest = Duration::from_secs(seconds);
            assert!(wait <= longest * 5 / 4 && wait >= longest * 3 / 4, "{wait:?} of {longest:?}");
            assert!(failures.waiting().eq([3]) && failures.take_due(now).is_empty());
            now += wait;
            assert_eq!(failures.take_due(now), [3]);
            assert_eq!(failures.restored(3, now), Some(WaitCause::Disk));
        }
        assert!(fail(&mut failures, now + RECOVERED_AFTER / 2) > BACKOFF_MAX / 2);
        failures.restored(3, now);
        assert!(fail(&mut failures, now + RECOVERED_AFTER) <= Duration::from_secs(1) * 5 / 4);
        assert!(failures.since(3, "no room").is_some_and(|since| since > now));
        failures.forget(3);
        assert_eq!(failures.waiting().count(), 0);
    }

    #[test]
    fn what_only_a_person_can_end_is_not_tried_often() {
        let mut failures = PartitionFailures::default();
        let wait = failures.record(1, WaitCause::Damage, "again", Moment::now()).wait;
        assert!(wait >= BACKOFF_DAMAGE * 3 / 4);
        assert_eq!(failures.waits().collect::<Vec<_>>(), [(1, WaitCause::Damage, "again")]);
    }
}
