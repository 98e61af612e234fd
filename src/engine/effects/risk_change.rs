//! The churn risk of a customer, as an effect of a decision.

use crate::engine::customer::EventCause;
use crate::event::{ChangeReason, Instant, Span};

/// A customer's risk at the instant of a change of a cohort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskNow {
    /// Index of the level; 0 is the lowest.
    pub level: usize,
    /// Of no activity within the horizon.
    pub probability: f64,
    /// The discounted value of future purchases; `None` without amounts.
    pub value: Option<f64>,
}

/// A customer's risk reached another level.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskEffect {
    /// The instant of the change.
    pub at: Instant,
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
    /// Counts the customer's changes of level from 1.
    pub sequence: u64,
    /// Indices of levels; 0 is the lowest.
    pub level: usize,
    pub previous: usize,
    /// Of no activity within the horizon.
    pub probability: f64,
    /// The expected number of purchases, or active days, within the horizon.
    pub expected: f64,
    /// The probability of being alive, that is of not having left for good; `None` for usage.
    pub alive: Option<f64>,
    /// The discounted value of future purchases; `None` without amounts.
    pub value: Option<f64>,
    /// When the next level begins without further events.
    pub next_level_at: Option<Instant>,
    /// Of the parameters.
    pub version: u32,
    pub provisional: bool,
    /// The factors of the risk, in percent.
    pub factors: Vec<Factor>,
}

impl RiskEffect {
    /// The expected loss: the value times the probability of no activity within the horizon.
    #[must_use]
    pub fn value_at_risk(&self) -> Option<f64> {
        self.value.map(|value| value * self.probability)
    }
}

/// A factor of the risk and its points, which with those of the other factors add up to `churn_risk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    pub cause: RiskCause,
    pub points: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RiskCause {
    /// There was one purchase, or active day, so far.
    Once,
    /// The usual time from one purchase, or active day, to the next.
    Rhythm(Span),
    /// Silent since the last one.
    Silence(Span),
    /// Active on fewer days lately than before.
    Falling,
    /// A signal, by its index in the rules.
    Signal(usize),
}
