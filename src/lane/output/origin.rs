//! Where a change was decided, as its record says.

use crate::engine::EventCause;
use crate::event::{Cause, Instant};

/// Where a change was decided.
pub(in crate::lane) struct Origin<'a> {
    pub(in crate::lane) input: &'a str,
    pub(in crate::lane) partition: i32,
    /// The input offset at which the change was caused or its deadline became due.
    pub(in crate::lane) position: i64,
    pub(in crate::lane) stream_time: Instant,
}

impl<'a> Origin<'a> {
    pub(super) fn cause(&self, cause: &'a EventCause) -> Cause<'a> {
        Cause {
            event: &cause.event,
            event_id: cause.event_id.as_deref(),
            topic: self.input,
            partition: self.partition,
            offset: cause.position,
        }
    }
}
