//! How far the input is read: live, caught up, behind.

use crate::event::{Instant, Span};
use crate::lane::partition::state::Partition;

/// An event at most this old makes its partition live.
pub(in crate::lane) const LIVE_EVENT_AGE_MAX: Span = Span(5 * Span::MINUTE.0);

/// A partition that is restored and not yet caught up with.
pub(in crate::lane) struct Behind {
    pub(in crate::lane) since: std::time::Instant,
    /// Read since then. Not the distance of offsets: what producers write in transactions has gaps.
    pub(in crate::lane) records: u64,
}

impl Partition {
    /// An accepted event was read; near the wall clock it makes the partition live.
    pub(in crate::lane) fn saw(&mut self, at: Instant, now: Instant) {
        if !self.live && now.since(at) <= LIVE_EVENT_AGE_MAX {
            self.live = true;
            tracing::info!(partition = self.number, "Live: its time follows the wall clock from here on.");
        }
    }

    /// Everything readable was read and applied, now.
    pub(in crate::lane) fn is_caught_up(&mut self, live_after: Span) {
        self.caught_up = true;
        if let Some(Behind { since, records }) = self.behind.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(partition = self.number, records, seconds, "Caught up with the input.");
        }
        let since = *self.caught_up_since.get_or_insert_with(std::time::Instant::now);
        let long = u64::try_from(live_after.0).unwrap_or(0);
        if !self.live && since.elapsed() >= std::time::Duration::from_millis(long) {
            self.live = true;
            tracing::info!(partition = self.number, "Live: its time follows the wall clock from here on.");
        }
    }

    /// There is more to read.
    pub(in crate::lane) fn is_behind(&mut self) {
        self.end = None;
        self.caught_up_since = None;
    }

    pub(in crate::lane) fn is_live(&self) -> bool {
        self.live
    }

    pub(in crate::lane) fn was_caught_up(&self) -> bool {
        self.caught_up
    }
}
