//! Evidence: which parts of a rule decided, and the values that they were evaluated on, as data.

use crate::event::{Instant, Number, Span};
use crate::fact::Counted;
use crate::rules::{CohortIx, ConditionIx};

/// One part of a rule, at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidencePart {
    pub claim: Claim,
    pub found: Finding,
    pub holds: bool,
    /// Without further events `holds` cannot change before this; `MAX`: it never will.
    pub until: Instant,
}

/// What a part of a rule asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A condition as written in the rules file, or, `negated`, its opposite. `between` is two conditions.
    Condition { index: ConditionIx, second: Option<ConditionIx>, words: Box<str>, negated: bool },
    /// `at_most`
    AtMost(Span),
    /// This cohort of the group comes first.
    Excluded { by: CohortIx },
}

/// What a condition was evaluated on, without any of the customer's own texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Nothing to report.
    Nothing,
    /// None in the window; the last one before it was that long ago, where there was one.
    None {
        last: Option<Span>,
    },
    /// So many in the window, the last of them that long ago. `at_least`: no more are remembered, so there may be more.
    Some {
        count: usize,
        at_least: bool,
        of: Counted,
        last: Span,
    },
    /// There is one or more; only the last is remembered.
    Last(Span),
    /// None in the window, which does not count yet, since the customer or the event has not been observed for that
    /// long. `counts_in`: how long until it does; `None`: never, since observation did not begin early enough.
    TooNew {
        counts_in: Option<Span>,
    },
    /// How many, whenever.
    Times(u64),
    /// The window has not begun: the event that it begins with has not happened.
    NotStarted,
    /// There has been no answer for so long.
    Waited(Span),
    /// No answer is overdue.
    NothingOverdue,
    /// A sequence was completed that long ago.
    Complete(Span),
    NotComplete,
    /// So many of the periods pass.
    Passing {
        count: i64,
        of: u32,
    },
    /// So many periods in a row; 0: none.
    InARow(u32),
    /// In a cohort for so long.
    In(Span),
    /// Entered a cohort that long ago.
    Entered(Span),
    /// It happened that long ago.
    Ago(Span),
    /// It happened that long ago, which is not in the window.
    Outside(Span),
    Never,
    Quantity(Quantity),
    /// The customer's value in the ranking, and the threshold of the rank.
    Ranked {
        value: Quantity,
        threshold: Quantity,
    },
    /// The customer is not ranked.
    Unranked,
    /// Nobody is in the rank yet.
    NoThreshold,
    /// A measure and what it is compared with.
    Against {
        value: Quantity,
        other: Quantity,
        usual_gap: bool,
    },
}

/// The value of a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    Missing,
    Number(Number),
    /// A length of time.
    Length(Span),
    /// How long ago something happened.
    Since(Span),
    /// No time passed between two things.
    AtOnce,
    /// By how much it changed.
    More(Number),
    /// By what part of itself it changed: 0.2 is 20 %.
    Percent(Number),
    /// By what length of time it changed; negative: it became shorter.
    Longer(Span),
    Bool(bool),
    /// The name of a level of risk.
    Level(Box<str>),
    /// A text from the customer's events, which is not repeated.
    Text,
}
