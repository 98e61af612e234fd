//! Compiled measures, the windows that they are computed over, and the scores of the churn model.

use super::ast::{Edge, Unit};
use crate::event::{Instant, Number, Span};
use crate::fact::FactIx;

/// When an event must be. `T` is the instant at which the rule is evaluated, `t` that of the event. Durations roll
/// exactly; the comparison of instants is defined in rules.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Ever,
    /// `T - D < t <= T`
    Last(Span),
    /// From the first midnight of the last `periods` periods through `T`.
    Calendar {
        periods: u32,
        unit: Unit,
    },
    /// `T - far < t <= T - near`
    Between {
        far: Span,
        near: Span,
    },
    /// `t <= T - D`
    MoreThan(Span),
    /// Later than the first or last time of a fact (at or later: `inclusive`); all, where it has none.
    Since {
        fact: FactIx,
        edge: Edge,
        inclusive: bool,
    },
    /// At or after an instant.
    SinceDate(Instant),
    /// `t_F <= t <= t_F + D`; nothing, where there is no F.
    WithinFirst {
        fact: FactIx,
        span: Span,
    },
}

/// A value or a length of time computed from facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Of all ever, or since a date.
    Total { fact: FactIx, of: Aggregate },
    /// Of those in the window.
    Series { fact: FactIx, window: Window, of: Aggregate },
    /// The least or greatest number ever, or since a date.
    Extreme { fact: FactIx },
    /// How many different keys lie in the window.
    Distinct { fact: FactIx, window: Window },
    /// One of the values in the window, of any type.
    Pick { fact: FactIx, window: Window, pick: Pick },
    /// `T -` the first or last time, in milliseconds.
    TimeSince { fact: FactIx, edge: Edge },
    /// From the first or last A to the first B from then on, in milliseconds.
    TimeFrom { fact: FactIx },
    /// The median of the last eight gaps, in milliseconds.
    UsualGap { fact: FactIx, default: Option<Span> },
    /// How many between the latest A and the first B after it.
    Steps { fact: FactIx },
    /// Of `[churn]`; `fact` has the days that it looks at.
    Score { score: Score, fact: FactIx },
    /// What it is at `T`, less what it was at `T - over`.
    Change { of: Box<Measure>, over: Span },
    /// By what part of what it was at `T - over` it has changed: 0.2 is 20 %. Rounded as a ratio; missing unless it was
    /// above zero.
    Growth { of: Box<Measure>, over: Span },
    /// Rounded half to even to six places.
    Ratio { of: Box<Measure>, to: Box<Measure> },
}

/// An aggregate of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    Sum,
    Average,
    Median,
    Min,
    Max,
}

/// The selection of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// By time; of several at one instant the greatest.
    First,
    Last,
    /// Of several equally common ones the more recent, then the greater.
    MostCommon,
}

impl Measure {
    /// Is it a length of time, in milliseconds?
    #[must_use]
    pub fn is_length(&self) -> bool {
        match self {
            Self::TimeSince { .. } | Self::TimeFrom { .. } | Self::UsualGap { .. } => true,
            Self::Change { of, .. } => of.is_length(),
            Self::Total { .. }
            | Self::Series { .. }
            | Self::Extreme { .. }
            | Self::Distinct { .. }
            | Self::Pick { .. }
            | Self::Steps { .. }
            | Self::Score { .. }
            | Self::Growth { .. }
            | Self::Ratio { .. } => false,
        }
    }

    /// Does time alone change it continuously?
    #[must_use]
    pub fn grows(&self) -> bool {
        match self {
            Self::TimeSince { .. } | Self::Score { score: Score::Risk | Score::Alive, .. } => true,
            Self::Change { of, .. } => of.grows(),
            _ => false,
        }
    }
}

/// What a measure is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparand {
    Number(Number),
    Bool(bool),
    Text(Box<str>),
    /// Another measure times a factor; only numbers can have one other than 1.
    Measure {
        factor: Number,
        measure: Measure,
    },
}

/// A prediction of the churn model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// The probability of not coming back within the horizon, in percent, with the points of the signals: from 0 to
    /// 100.
    Risk,
    /// The name of the level of that probability, without the signals.
    Level,
    /// The probability of being alive, that is of not having left for good.
    Alive,
    /// The discounted value of future purchases, as of the last purchase or the beginning of the level, weighted with
    /// the probability of being alive.
    Value,
    /// The same on condition that the customer is alive.
    ValueIfActive,
    /// The value times the probability of not coming back within the horizon, both as of the same instant.
    ValueAtRisk,
}
