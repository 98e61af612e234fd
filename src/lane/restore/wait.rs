//! A restore on hold: what it waits for, since when, and when it is tried again. The lane's other restores go on
//! meanwhile.

use std::time::{Duration, Instant as Moment};

use crate::metrics::{LaneHealth, Wait, WaitCause};

/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long the first request to a broker may take, during which the lane stands still; each further one takes up to
/// twice as long, since a broker may be far away.
const ASK: Duration = Duration::from_millis(250);
const ASK_MAX: Duration = Duration::from_secs(1);
/// A broker checks every 10 s for transactions that are older than their time-out, and aborts them. One that is older
/// by this much will not end by itself.
const HANGS_AFTER: Duration = Duration::from_secs(15);

/// Why a restore waits.
#[derive(Debug, Default)]
pub(super) struct Hold {
    cause: Option<WaitCause>,
    since: Option<Moment>,
    again: Option<Moment>,
    tries: u32,
}

impl Hold {
    /// Waits for `cause`, and reports it. The pause before the next try grows.
    pub(super) fn wait(&mut self, cause: WaitCause, partition: i32, detail: String, health: LaneHealth<'_>) {
        if self.cause != Some(cause) {
            self.end(partition, health);
            (self.cause, self.since) = (Some(cause), Some(Moment::now()));
        }
        health.wait(Wait { cause, partition: Some(partition), detail });
        self.pause();
    }

    /// As `wait`, for a transaction of another process. `what` is one sentence about it; `remedy` says how to end it by
    /// hand, which is shown once no broker will end it: then it counts as hanging.
    pub(super) fn wait_for_transaction(
        &mut self,
        timeout: Duration,
        partition: i32,
        (what, remedy): (&str, &str),
        health: LaneHealth<'_>,
    ) {
        let since = match self.cause {
            Some(WaitCause::Transaction | WaitCause::HangingTransaction) => self.since,
            _ => None,
        };
        let lasts = since.map_or(Duration::ZERO, |since| since.elapsed());
        let hangs = lasts >= timeout + HANGS_AFTER;
        let (cause, detail) = match hangs {
            false => (WaitCause::Transaction, what.to_owned()),
            true => (WaitCause::HangingTransaction, format!("{what} for {} s, and hangs; {remedy}", lasts.as_secs())),
        };
        self.wait(cause, partition, detail, health);
        // It is still the same wait.
        self.since = since.or(self.since);
    }

    /// Lets the others go first for a moment, without reporting a wait.
    pub(super) fn pause(&mut self) {
        self.again = Some(Moment::now() + (PAUSE * 2_u32.pow(self.tries.min(8))).min(PAUSE_MAX));
        self.tries += 1;
    }

    /// There is progress: the wait is over.
    pub(super) fn end(&mut self, partition: i32, health: LaneHealth<'_>) {
        if let Some(cause) = self.cause {
            health.resume(cause, Some(partition));
        }
        *self = Self::default();
    }

    /// Is it time for another try?
    pub(super) fn is_over(&self) -> bool {
        self.again.is_none_or(|again| Moment::now() >= again)
    }

    /// How long it has waited for this cause.
    pub(super) fn lasts(&self, cause: WaitCause) -> Duration {
        self.since.filter(|_| self.cause == Some(cause)).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How long the next request to a broker may take.
    pub(super) fn ask(&self) -> Duration {
        (ASK * 2_u32.pow(self.tries.min(8))).min(ASK_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant as Moment};

    use super::{HANGS_AFTER, Hold};
    use crate::metrics::{Health, Metrics, WaitCause};

    #[test]
    fn a_transaction_hangs_once_no_broker_will_end_it() {
        let health = Health::new(1, 0, &Metrics::new("0", "0"));
        let (mut hold, timeout) = (Hold::default(), Duration::from_secs(10));
        let wait = |hold: &mut Hold| hold.wait_for_transaction(timeout, 3, ("x", "y"), health.lane(0));
        wait(&mut hold);
        assert!(!hold.is_over() && hold.cause == Some(WaitCause::Transaction));
        hold.since = Some(Moment::now() - timeout);
        wait(&mut hold);
        assert_eq!(hold.cause, Some(WaitCause::Transaction));
        hold.since = Some(Moment::now() - timeout - HANGS_AFTER);
        wait(&mut hold);
        assert_eq!(hold.cause, Some(WaitCause::HangingTransaction));
        assert!(hold.lasts(WaitCause::HangingTransaction) >= timeout + HANGS_AFTER);
        hold.end(3, health.lane(0));
        assert!(hold.is_over() && hold.cause.is_none());
    }
}
