//! What a decision says.

use super::state::EventCause;
use crate::event::{Change, ChangeReason, Evidence, Instant};
use crate::rules::CohortIx;

/// A customer entered or left a cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub cohort: CohortIx,
    pub change: Change,
    /// The instant at which it became so.
    pub at: Instant,
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
    /// Counts the customer's changes from 1.
    pub sequence: u64,
    pub entered_at: Instant,
    pub times_entered: u32,
    /// Empty where the caller asked for no words.
    pub why: Vec<Evidence>,
    /// One sentence in English.
    pub why_text: String,
}

/// What taking one event in did besides its effects: counts for the caller to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Deadlines decided.
    pub deadlines: u64,
    /// Ids pushed out of the remembered ones before their time.
    pub ids_pushed_out: u64,
    /// Events folded into day buckets or dropped over a fact's exact capacity.
    pub approximated: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.deadlines += other.deadlines;
        self.ids_pushed_out += other.ids_pushed_out;
        self.approximated += other.approximated;
    }
}
