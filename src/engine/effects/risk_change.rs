//! What a decision says of the risk that a customer does not come back.

use crate::engine::customer::EventCause;
use crate::event::{ChangeReason, Instant, Span};

/// A customer's risk at the instant of a change of a cohort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskNow {
    /// The place among the levels; 0 is the lowest.
    pub level: usize,
    /// Of nothing within the horizon.
    pub probability: f64,
    /// The discounted value of what is to come; `None` without amounts.
    pub value: Option<f64>,
}

/// A customer's risk reached another level.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskEffect {
    /// The instant at which it became so.
    pub at: Instant,
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
    /// Counts the customer's changes of level from 1.
    pub sequence: u64,
    /// Places among the levels; 0 is the lowest.
    pub level: usize,
    pub previous: usize,
    /// Of nothing within the horizon.
    pub probability: f64,
    /// How often the customer is expected to come within the horizon.
    pub expected: f64,
    /// The probability of not being gone for good; `None` of use.
    pub alive: Option<f64>,
    /// The discounted value of what is to come; `None` without amounts.
    pub value: Option<f64>,
    /// When the next level begins if the customer stays silent.
    pub next_level_at: Option<Instant>,
    /// Of the parameters.
    pub version: u32,
    pub provisional: bool,
    /// What makes up the risk, in percent.
    pub factors: Vec<Factor>,
}

impl RiskEffect {
    /// What is lost if the customer does not come back, as likely as that is.
    #[must_use]
    pub fn value_at_risk(&self) -> Option<f64> {
        self.value.map(|value| value * self.probability)
    }
}

/// A part of the risk and its points, which with those of the others come to `churn_risk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    pub cause: Cause,
    pub points: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Came once so far.
    Once,
    /// The usual time from one coming to the next.
    Rhythm(Span),
    /// Silent since the last one.
    Silence(Span),
    /// Active on fewer days lately than before.
    Falling,
    /// By its place in the rules.
    Signal(usize),
}
