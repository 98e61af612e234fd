//! Whether a partition is live, and whether it has caught up with its input.

use crate::clock::LIVE_EVENT_AGE_MAX;
use crate::event::{Instant, Span};
use crate::lane::partition::state::{CatchUp, Partition};

impl Partition {
    /// An event was accepted; one near the wall clock makes the partition live.
    pub(in crate::lane) fn note_accepted_event(&mut self, at: Instant, now: Instant) {
        if !self.live && self.timing.is_moved_by_events() && now.since(at) <= LIVE_EVENT_AGE_MAX {
            self.live = true;
            tracing::info!(partition = self.number, "Live: its time follows the wall clock from here on.");
        }
    }

    /// Everything that could be read a moment ago is read and applied.
    pub(in crate::lane) fn note_caught_up(&mut self) {
        let now = self.round().at(self.stream_time());
        self.automation.mark_caught_up(now);
        if let Some(CatchUp { since, records, events }) = self.catch_up.take() {
            let (partition, seconds) = (self.number, since.elapsed().as_secs_f64());
            if records > 0 && events == 0 {
                tracing::warn!(
                    partition,
                    records,
                    events,
                    seconds,
                    "Caught up with the input, but none of its records is an event; each dead letter has its reason."
                );
            } else {
                tracing::info!(partition, records, events, seconds, "Caught up with the input.");
            }
        }
    }

    /// Everything readable is read and applied.
    pub(in crate::lane) fn mark_caught_up(&mut self, live_after: Span) {
        self.note_caught_up();
        let since = *self.caught_up_since.get_or_insert_with(std::time::Instant::now);
        let long = u64::try_from(live_after.0).unwrap_or(0);
        if !self.live && since.elapsed() >= std::time::Duration::from_millis(long) {
            self.live = true;
            tracing::info!(partition = self.number, "Live: its time follows the wall clock from here on.");
        }
    }

    /// There is more to read, or may be.
    pub(in crate::lane) fn mark_behind(&mut self) {
        self.end = None;
        self.caught_up_since = None;
    }

    pub(in crate::lane) fn is_live(&self) -> bool {
        self.live
    }

    pub(in crate::lane) fn has_caught_up(&self) -> bool {
        self.automation.has_caught_up()
    }
}
