//! How often a member was fenced lately, and replacing its consumer.

use std::time::{Duration, Instant as Moment};

use crate::kafka::Consumer;

/// Being fenced more often than is tolerated within this long is the work of another process.
const WITHIN: Duration = Duration::from_secs(120);

/// How often a member may be fenced by delayed requests of its own.
const TOLERATED_MAX: usize = 2;

/// A member that is fenced so soon after its start has come after the other process, which it fenced first.
const NEWCOMER_FOR: Duration = Duration::from_secs(10);

/// A newcomer waits for the other process to end: in each of several threads, the two fence each other in turns.
const TOLERATED_MAX_OF_NEWCOMER: usize = 5;

/// When a member was fenced.
///
/// Of two processes under one name the older one is to end and the newer one to go on. Each has several members, lanes and
/// a gathering thread, and decides by the first of them that is fenced too often. If the newer one did not tolerate more,
/// both might end within a moment.
pub(crate) struct FencingHistory {
    started: Moment,
    /// Whether the first fence came soon after the start.
    is_newcomer: Option<bool>,
    fences: Vec<Moment>,
}

impl FencingHistory {
    /// Of a member that starts now.
    pub(crate) fn starting(now: Moment) -> Self {
        Self { started: now, is_newcomer: None, fences: Vec::new() }
    }

    /// Counts one more; can it still be a delayed request of our own, or will the other process end?
    pub(crate) fn is_tolerable(&mut self, now: Moment) -> bool {
        let soon = now.saturating_duration_since(self.started) < NEWCOMER_FOR;
        let tolerated = match *self.is_newcomer.get_or_insert(soon) {
            true => TOLERATED_MAX_OF_NEWCOMER,
            false => TOLERATED_MAX,
        };
        self.fences.retain(|then| now.saturating_duration_since(*then) < WITHIN);
        self.fences.push(now);
        self.fences.len() <= tolerated
    }
}

/// How long closing a fenced consumer may take.
const CLOSE_FOR: Duration = Duration::from_secs(1);

/// Puts a consumer that has not joined in the place of one that was fenced.
pub(crate) fn replace_consumer(fenced: &mut Consumer, consumer: Consumer) {
    if !std::mem::replace(fenced, consumer).close(CLOSE_FOR) {
        tracing::debug!(target: "kafka", "A fenced consumer did not close in time and is abandoned.");
    }
}

#[cfg(test)]
mod tests {
    use super::{FencingHistory, Moment, NEWCOMER_FOR, WITHIN};

    #[test]
    fn a_member_that_is_fenced_again_and_again_has_a_twin() {
        let start = Moment::now();
        let mut fences = FencingHistory::starting(start);
        let now = start + NEWCOMER_FOR;
        assert!(fences.is_tolerable(now) && fences.is_tolerable(now + WITHIN / 2));
        assert!(!fences.is_tolerable(now + WITHIN * 9 / 10));
        assert!(fences.is_tolerable(now + WITHIN * 2));
    }

    #[test]
    fn of_two_that_fence_each_other_in_turns_the_older_one_gives_up_first() {
        let start = Moment::now();
        let mut older = FencingHistory::starting(start);
        let came = start + NEWCOMER_FOR * 2;
        let mut newer = FencingHistory::starting(came);
        let rounds = (1..).take_while(|round| {
            let now = came + NEWCOMER_FOR / 20 * *round;
            let goes_on = older.is_tolerable(now);
            assert!(newer.is_tolerable(now), "the newer one would end too");
            goes_on
        });
        assert_eq!(rounds.count(), 2);
    }
}
