//! A customer's membership in one cohort.

use crate::event::{Change, ChangeReason, Instant};

/// A customer's membership in one cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub member: bool,
    /// May enter. Every customer starts armed.
    pub armed: bool,
    /// Start of the present or last stay; `MIN` before the first.
    pub entered_at: Instant,
    /// End of the last stay; `MIN` before the first.
    pub exited_at: Instant,
    /// `MIN` before the first.
    pub first_entered_at: Instant,
    pub times_entered: u32,
    /// The last 16 changes, ascending, true for an entry; kept only where a rule asks for them.
    pub history: Vec<(Instant, bool)>,
    /// A change that is due at an instant at which it is not allowed; applied at the next millisecond.
    pub pending: Option<Box<PendingChange>>,
}

/// The reason and cause of a change that must wait a millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingChange {
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
}

/// The event that caused a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCause {
    pub event: String,
    pub event_id: Option<String>,
    /// Its log position.
    pub position: i64,
}

impl Membership {
    /// Changes of membership that are remembered.
    pub const HISTORY_MAX: usize = 16;

    #[must_use]
    pub const fn new() -> Self {
        Self {
            member: false,
            armed: true,
            entered_at: Instant::MIN,
            exited_at: Instant::MIN,
            first_entered_at: Instant::MIN,
            times_entered: 0,
            history: Vec::new(),
            pending: None,
        }
    }

    /// Is it as at first? Then it is not kept.
    #[must_use]
    pub fn is_new(&self) -> bool {
        // Members and former members have entered at least once.
        self.armed && self.times_entered == 0 && self.pending.is_none()
    }
}

impl Membership {
    pub(super) fn heap_bytes(&self) -> usize {
        let text = |cause: &EventCause| cause.event.capacity() + cause.event_id.as_ref().map_or(0, String::capacity);
        let pending = self
            .pending
            .as_ref()
            .map_or(0, |pending| size_of::<PendingChange>() + pending.cause.as_ref().map_or(0, text));
        self.history.capacity() * size_of::<(Instant, bool)>() + pending
    }

    /// Adds a change to the history; over capacity the oldest is dropped.
    pub(in crate::engine) fn remember(&mut self, at: Instant, change: Change) {
        if self.history.len() == Self::HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push((at, change == Change::Entered));
    }
}

impl Default for Membership {
    fn default() -> Self {
        Self::new()
    }
}
