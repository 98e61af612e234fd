//! One partition's failure stays that partition's: it leaves work and is restored again after a backoff, while the lane,
//! its membership and its other partitions go on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use crate::backoff::Backoff;
use crate::metrics::WaitCause;

/// Before the first restore after a failure; doubles with each failure in a row.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Damage that comes back, or lies in the changelog, is for a person to end: to try often only reads much for nothing.
const BACKOFF_DAMAGE: Duration = Duration::from_secs(300);
/// A partition that has been at work for so long has recovered: its next failure is the first in a row again.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// The failures of a lane's partitions. Without an entry a partition has none to recover from.
#[derive(Default)]
pub(in crate::lane) struct Setbacks(BTreeMap<i32, Setback>);

struct Setback {
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
    /// Out of work until then.
    Out(Moment),
    Restoring,
    AtWork(Moment),
}

/// What a failure comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) struct Failed {
    pub(in crate::lane) wait: Duration,
    pub(in crate::lane) in_a_row: u32,
}

impl Setbacks {
    /// A partition failed at `now`.
    pub(in crate::lane) fn failed(&mut self, partition: i32, cause: WaitCause, reason: &str, now: Moment) -> Failed {
        let recovered = |setback: &mut Setback| {
            let long = |since| now.saturating_duration_since(since) >= RECOVERED_AFTER;
            matches!(setback.stage, Stage::AtWork(since) if long(since))
        };
        if self.0.get_mut(&partition).is_some_and(recovered) {
            self.0.remove(&partition);
        }
        let setback = self.0.entry(partition).or_insert_with(|| Setback {
            cause,
            reason: String::new(),
            in_a_row: 0,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            since: now,
            stage: Stage::Restoring,
        });
        setback.in_a_row += 1;
        let wait = match cause {
            WaitCause::Damage => Backoff::new(BACKOFF_DAMAGE, BACKOFF_DAMAGE).pause(),
            _ => setback.backoff.pause(),
        };
        (setback.cause, setback.stage) = (cause, Stage::Out(now + wait));
        if setback.reason != reason {
            reason.clone_into(&mut setback.reason);
            setback.since = now;
        }
        Failed { wait, in_a_row: setback.in_a_row }
    }

    /// The partitions whose backoff is over: each is being restored from now on.
    pub(in crate::lane) fn take_due(&mut self, now: Moment) -> Vec<i32> {
        let due = self.0.iter_mut().filter(|(_, setback)| matches!(setback.stage, Stage::Out(until) if until <= now));
        due.map(|(partition, setback)| {
            setback.stage = Stage::Restoring;
            *partition
        })
        .collect()
    }

    /// A partition is at work again; the cause that it waited for.
    pub(in crate::lane) fn restored(&mut self, partition: i32, now: Moment) -> Option<WaitCause> {
        let setback = self.0.get_mut(&partition)?;
        setback.stage = Stage::AtWork(now);
        Some(setback.cause)
    }

    /// A partition is no longer held here.
    pub(in crate::lane) fn forget(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    /// What a partition failed for last, if it has not recovered.
    pub(in crate::lane) fn cause(&self, partition: i32) -> Option<WaitCause> {
        self.0.get(&partition).map(|setback| setback.cause)
    }

    /// Since when a partition has failed again and again for this reason.
    pub(in crate::lane) fn since(&self, partition: i32, reason: &str) -> Option<Moment> {
        self.0.get(&partition).filter(|setback| setback.reason == reason).map(|setback| setback.since)
    }

    /// Partitions out of work that are not being restored yet.
    pub(in crate::lane) fn out(&self) -> impl Iterator<Item = i32> {
        let out = self.0.iter().filter(|(_, setback)| matches!(setback.stage, Stage::Out(_)));
        out.map(|(partition, _)| *partition)
    }

    /// What each partition waits for that has not been at work since it failed.
    pub(in crate::lane) fn waits(&self) -> impl Iterator<Item = (i32, WaitCause, &str)> {
        let waits = self.0.iter().filter(|(_, setback)| !matches!(setback.stage, Stage::AtWork(_)));
        waits.map(|(partition, setback)| (*partition, setback.cause, &*setback.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::{BACKOFF_DAMAGE, BACKOFF_MAX, Duration, Moment, RECOVERED_AFTER, Setbacks, WaitCause};

    #[test]
    fn failures_in_a_row_wait_longer_each_time_until_the_partition_has_recovered() {
        let mut setbacks = Setbacks::default();
        let mut now = Moment::now();
        let fail = |setbacks: &mut Setbacks, now| setbacks.failed(3, WaitCause::Disk, "no room", now).wait;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = fail(&mut setbacks, now);
            let longest = Duration::from_secs(seconds);
            assert!(wait <= longest * 5 / 4 && wait >= longest * 3 / 4, "{wait:?} of {longest:?}");
            assert!(setbacks.out().eq([3]) && setbacks.take_due(now).is_empty());
            now += wait;
            assert_eq!(setbacks.take_due(now), [3]);
            assert_eq!(setbacks.restored(3, now), Some(WaitCause::Disk));
        }
        assert!(fail(&mut setbacks, now + RECOVERED_AFTER / 2) > BACKOFF_MAX / 2);
        setbacks.restored(3, now);
        assert!(fail(&mut setbacks, now + RECOVERED_AFTER) <= Duration::from_secs(1) * 5 / 4);
        assert!(setbacks.since(3, "no room").is_some_and(|since| since > now));
        setbacks.forget(3);
        assert_eq!(setbacks.out().count(), 0);
    }

    #[test]
    fn what_only_a_person_can_end_is_not_tried_often() {
        let mut setbacks = Setbacks::default();
        let wait = setbacks.failed(1, WaitCause::Damage, "again", Moment::now()).wait;
        assert!(wait >= BACKOFF_DAMAGE * 3 / 4);
        assert_eq!(setbacks.waits().collect::<Vec<_>>(), [(1, WaitCause::Damage, "again")]);
    }
}
