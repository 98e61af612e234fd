//! How event times move stream time.

use crate::event::{DeadLetterReason, Instant, Span};

/// How event times move the stream time, and which are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Stream time stays this far behind the latest event.
    pub arrives_within: Span,
    /// An event older than stream time by more than this is refused.
    pub max_lateness: Span,
    /// Events before this are refused.
    pub earliest: Instant,
}

impl Timing {
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
