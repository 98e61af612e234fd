//! How event times move stream time.

use crate::event::{DeadLetterReason, Instant, Span};

/// How event times move the stream time, and which are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Stream time stays this far behind the latest event. [`Timing::MARKS`]: events do not move it.
    pub arrives_within: Span,
    /// An event older than stream time by more than this is refused.
    pub max_lateness: Span,
    /// Events before this are refused.
    pub earliest: Instant,
}

impl Timing {
    /// In place of `arrives_within`, for a gathered log: stream time moves by recorded advances alone.
    pub const MARKS: Span = Span(i64::MAX);

    /// Where an event of this time moves stream time, if it is not further.
    #[must_use]
    pub fn stream_time_at(&self, at: Instant) -> Instant {
        if self.is_moved_by_events() { at - self.arrives_within } else { Instant::MIN }
    }

    /// Do events move stream time?
    #[must_use]
    pub fn is_moved_by_events(&self) -> bool {
        self.arrives_within != Self::MARKS
    }

    /// Is an event of this time refused, by stream time or plausibility?
    #[must_use]
    pub fn refuses(&self, at: Instant, stream_time: Instant) -> Option<DeadLetterReason> {
        if at < self.earliest || at > Instant::LATEST {
            Some(DeadLetterReason::BadTime)
        } else if at < stream_time - self.max_lateness {
            Some(DeadLetterReason::TooLate)
        } else {
            None
        }
    }
}
