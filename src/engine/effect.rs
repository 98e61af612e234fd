//! What a decision says.

use super::state::EventCause;
use super::why::{Language, Part, in_english, sentence};
use crate::event::{Change, ChangeReason, Evidence, Instant};
use crate::rules::{CohortIx, RuleSet};

/// A customer entered or left a cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub cohort: CohortIx,
    pub change: Change,
    /// The instant at which it became so.
    pub at: Instant,
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
    /// Counts the customer's emitted changes from 1. A change in the shadow has the number of the last one before it.
    pub sequence: u64,
    pub entered_at: Instant,
    pub times_entered: u32,
    /// When this standing changes next if the customer stays silent; `None`: not by time alone, as far as was looked
    /// ahead, or the caller asked for no words.
    pub next_change_at: Option<Instant>,
    /// Which parts of the rule decided. Empty where the caller asked for no words.
    pub why: Vec<Part>,
}

impl Effect {
    /// The parts of the rule that decided, as the wire has them: in English.
    #[must_use]
    pub fn evidence(&self, rules: &RuleSet) -> Vec<Evidence> {
        in_english(&self.why, rules)
    }

    /// One sentence that says why.
    #[must_use]
    pub fn sentence(&self, rules: &RuleSet, language: Language) -> String {
        sentence(rules.cohort(self.cohort), self.change, &self.why, rules, language)
    }
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
