//! Output records about cohorts: a customer entered or left one.

use super::{ChangeReason, CustomerValue, Instant, Kept, RiskStanding};

/// The two directions of a membership change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    Entered,
    Exited,
}

impl Change {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Entered => "ENTERED",
            Self::Exited => "EXITED",
        }
    }

    /// The word in texts, headers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Exited => "exited",
        }
    }
}

/// The event that caused a change, and where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause<'a> {
    pub event: &'a str,
    pub event_id: Option<&'a str>,
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

/// One part of the rule that decided a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence<T = String> {
    /// The condition as written.
    pub condition: T,
    /// The value that it was evaluated on, as text: a count, a time, `missing`.
    pub value: T,
    pub holds: bool,
}

/// A text in each language of the product; empty where there is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Localized<T = String> {
    pub en: T,
    pub fr: T,
}

/// A record of `cohort-changes`. Field by field as `schemas/cohort-change.avsc`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CohortChange<'a> {
    /// 128 bits in lower-case hex.
    pub event_id: &'a str,
    pub customer_id: &'a str,
    pub cohort: &'a str,
    pub change: Change,
    /// The event time of the change, never the processing time.
    pub occurred_at: Instant,
    pub reason: ChangeReason,
    /// May automation act on it?
    pub automation: bool,
    pub cause: Option<Cause<'a>>,
    pub why: &'a [Evidence<&'a str>],
    pub why_text: Localized<&'a str>,
    /// When this stay began.
    pub entered_at: Instant,
    pub times_entered: u32,
    pub next_change_at: Option<Instant>,
    /// Counts this customer's records on this topic from 1, without gaps.
    pub sequence: u64,
    /// Fingerprint of the cohort's definition, in hex.
    pub definition: &'a str,
    pub action: Option<&'a str>,
    pub owner: Option<&'a str>,
    /// The values that the rule includes, by name; `None`: missing.
    pub properties: &'a [(String, Option<Kept>)],
    /// Where the rules have `[churn]` and the customer has any activity.
    pub risk: Option<RiskStanding<'a>>,
    pub value: Option<CustomerValue<'a>>,
}

/// A record of `cohort-members`; a null value stands for "no longer a member".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortMember<'a> {
    pub customer_id: &'a str,
    pub cohort: &'a str,
    pub entered_at: Instant,
    pub times_entered: u32,
    pub event_id: &'a str,
    pub sequence: u64,
    pub reason: ChangeReason,
    pub definition: &'a str,
}
