//! How far one partition has been gathered, and when its time follows the wall clock. The rules are those of a lane's
//! partition that reads a topic directly (`docs/rules.md`): live once an event is not old, or it has been at its end for
//! `time.live_after`.

use std::time::{Duration, Instant as Moment};

use crate::clock::LIVE_EVENT_AGE_MAX;
use crate::event::{Instant, Span};
use crate::marks::Mark;

/// How far one partition has been gathered. Times never go back.
#[derive(Debug)]
pub(super) struct Progress {
    /// As in the mark.
    pub(super) complete_to: Instant,
    pub(super) read_to: Instant,
    pub(super) caught_up: bool,
    pub(super) live: bool,
    /// The wall clock when the latest record was read.
    pub(super) heard_at: Instant,
    at_end_since: Option<Moment>,
}

impl Progress {
    pub(super) fn of(mark: &Mark) -> Self {
        Self {
            complete_to: Instant(mark.complete_to),
            read_to: Instant(mark.read_to),
            caught_up: mark.caught_up,
            live: mark.live,
            heard_at: Instant(mark.heard_at),
            at_end_since: None,
        }
    }

    /// An event was read.
    pub(super) fn read(&mut self, at: Instant, now: Instant) {
        self.read_to = self.read_to.max(at);
        self.live |= now.since(at) <= LIVE_EVENT_AGE_MAX;
    }

    /// An event was written, with everything before it.
    pub(super) fn wrote(&mut self, at: Instant, arrives_within: Span) {
        self.complete_to = self.complete_to.max(at - arrives_within);
    }

    /// A record was read: there are some that are not written.
    pub(super) fn leave_end(&mut self, now: Instant) {
        self.heard_at = self.heard_at.max(now);
        self.at_end_since = None;
    }

    /// Everything that the partition holds was written; `now`: the wall clock, if it can be trusted.
    pub(super) fn at_end(&mut self, now: Option<Instant>, arrives_within: Span, live_after: Span) {
        self.caught_up = true;
        let since = *self.at_end_since.get_or_insert_with(Moment::now);
        let long = Duration::from_millis(u64::try_from(live_after.0).unwrap_or(0));
        self.live |= since.elapsed() >= long;
        if let Some(now) = now.filter(|_| self.live) {
            self.complete_to = self.complete_to.max(now - arrives_within);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Mark, Progress, Span};

    const NOW: Instant = Instant(1_800_000_000_000);

    #[test]
    fn silence_is_complete_only_where_time_follows_the_clock() {
        let minute = Span::MINUTE;
        let mut progress = Progress::of(&Mark::new("g", "", 0));
        progress.read(NOW - Span::DAY, NOW);
        progress.wrote(NOW - Span::DAY, minute);
        assert_eq!(progress.complete_to, NOW - Span::DAY - minute);
        progress.at_end(Some(NOW), minute, Span::HOUR);
        assert!(progress.caught_up && !progress.live);
        assert_eq!(progress.complete_to, NOW - Span::DAY - minute, "it may be a pause while a history is loaded");
        progress.read(NOW - minute, NOW);
        progress.wrote(NOW - minute, minute);
        progress.at_end(None, minute, Span::HOUR);
        assert_eq!((progress.live, progress.complete_to), (true, NOW - minute - minute), "the clock is not trusted");
        progress.at_end(Some(NOW), minute, Span::HOUR);
        assert_eq!(progress.complete_to, NOW - minute);
        progress.wrote(NOW - Span::HOUR, minute);
        assert_eq!((progress.complete_to, progress.read_to), (NOW - minute, NOW - minute), "a late one moves nothing");
        progress.at_end(Some(NOW), Span(0), Span(0));
        assert_eq!(progress.complete_to, NOW);
    }
}
