//! How often a member was fenced lately, and replacing its consumer.

use std::time::{Duration, Instant as Moment};

use crate::kafka::Consumer;

/// Being fenced more than `TOLERATED_MAX` times within this long is the work of another process.
const WITHIN: Duration = Duration::from_secs(120);

const TOLERATED_MAX: usize = 2;

/// When a member was fenced.
#[derive(Default)]
pub(crate) struct FencingHistory(Vec<Moment>);

impl FencingHistory {
    /// Counts one more; can it still be a delayed request of our own?
    pub(crate) fn is_tolerable(&mut self, now: Moment) -> bool {
        self.0.retain(|then| now.saturating_duration_since(*then) < WITHIN);
        self.0.push(now);
        self.0.len() <= TOLERATED_MAX
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
    use super::{FencingHistory, Moment, WITHIN};

    #[test]
    fn a_member_that_is_fenced_again_and_again_has_a_twin() {
        let mut fences = FencingHistory::default();
        let now = Moment::now();
        assert!(fences.is_tolerable(now) && fences.is_tolerable(now + WITHIN / 2));
        assert!(!fences.is_tolerable(now + WITHIN * 9 / 10));
        assert!(fences.is_tolerable(now + WITHIN * 2));
    }
}
