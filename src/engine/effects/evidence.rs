//! Evidence: which parts of a rule decided, and what they looked at, as data.

use crate::event::{Instant, Number, Span};
use crate::fact::Counted;
use crate::rules::{CohortIx, ConditionIx};

/// One part of a rule, at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub claim: Claim,
    pub found: Found,
    pub holds: bool,
    /// If the customer stays silent it cannot hold otherwise before this; `MAX`: never will.
    pub until: Instant,
}

/// What a part of a rule asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A condition in its words in the rules file, or, `denied`, its opposite. `between` is two conditions.
    Condition { index: ConditionIx, second: Option<ConditionIx>, words: Box<str>, denied: bool },
    /// `at_most`
    AtMost(Span),
    /// This cohort of the group comes first.
    Excluded { by: CohortIx },
}

/// What a condition looked at; nothing of the customer's own texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing worth saying.
    Nothing,
    /// None in the window; the last one before it came that long ago, where there was one.
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
    /// None in the window, which does not count yet: of who, or what, was not observed for that long. In how long it will;
    /// never, where it was not from the beginning.
    TooNew {
        counts_in: Option<Span>,
    },
    /// How many, whenever.
    Times(u64),
    /// The window has not begun, as nothing has happened that it begins with.
    NotStarted,
    /// Waited for an answer for so long, in vain.
    Waited(Span),
    /// No answer is overdue.
    NothingOverdue,
    /// A sequence came to its end that long ago.
    Complete(Span),
    NotComplete,
    /// So many of the periods looked at pass.
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
    /// By what a customer is ranked, and where the rank begins.
    Ranked {
        value: Quantity,
        threshold: Quantity,
    },
    /// They have no place in the ranking.
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
    /// A text of the customer's own, which is not repeated.
    Text,
}
