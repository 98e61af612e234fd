//! What is remembered of a customer's standing in one cohort.

use crate::event::{ChangeReason, Instant};

/// A customer's standing in one cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub member: bool,
    /// May enter. Everyone starts armed.
    pub armed: bool,
    /// Start of the present or last stay; `MIN` before the first.
    pub entered_at: Instant,
    /// End of the last stay; `MIN` before the first.
    pub exited_at: Instant,
    /// `MIN` before the first.
    pub first_entered_at: Instant,
    pub times_entered: u32,
    /// The last 16 changes, ascending; kept only where a rule asks for them. True: entered.
    pub history: Vec<(Instant, bool)>,
    /// A change that was wanted at an instant at which it is not allowed; decided at the next millisecond.
    pub wish: Option<Box<Wish>>,
}

/// Why a change is wanted that must wait a millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
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
            wish: None,
        }
    }

    /// As at first: then it is not kept.
    #[must_use]
    pub fn is_new(&self) -> bool {
        // Who has left or is a member has entered before.
        self.armed && self.times_entered == 0 && self.wish.is_none()
    }
}

impl Membership {
    pub(super) fn heap_bytes(&self) -> usize {
        let text = |cause: &EventCause| cause.event.capacity() + cause.event_id.as_ref().map_or(0, String::capacity);
        let wish = self.wish.as_ref().map_or(0, |wish| size_of::<Wish>() + wish.cause.as_ref().map_or(0, text));
        self.history.capacity() * size_of::<(Instant, bool)>() + wish
    }

    /// Adds a change to the history; over capacity the oldest goes.
    pub(in crate::engine) fn remember(&mut self, at: Instant, entered: bool) {
        if self.history.len() == Self::HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push((at, entered));
    }
}

impl Default for Membership {
    fn default() -> Self {
        Self::new()
    }
}
