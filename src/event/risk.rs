//! Output records about churn risk: a customer's risk reached another level.

use super::{Cause, ChangeReason, Instant, Localized};

/// The risk of a customer at the instant of a change of a cohort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskStanding<'a> {
    pub level: &'a str,
    /// Of no activity within the horizon.
    pub probability: f64,
    pub horizon_days: u32,
}

/// The expected value of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CustomerValue<'a> {
    pub clv: f64,
    pub currency: Option<&'a str>,
}

/// A factor of a risk, with its points of 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskFactor<'a> {
    pub text: Localized<&'a str>,
    pub points: i64,
}

/// A record of `churn-risk-changes`. Field by field as `schemas/churn-risk-change.avsc`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChurnRiskChange<'a> {
    /// 128 bits in lower-case hex.
    pub event_id: &'a str,
    pub customer_id: &'a str,
    pub level: &'a str,
    pub previous_level: &'a str,
    /// The event time of the change, never the processing time.
    pub occurred_at: Instant,
    pub reason: ChangeReason,
    /// May automation act on it?
    pub automation: bool,
    pub cause: Option<Cause<'a>>,
    pub why_text: Localized<&'a str>,
    pub factors: &'a [RiskFactor<'a>],
    /// Of no activity within the horizon.
    pub probability: f64,
    pub horizon_days: u32,
    /// The expected number of purchases within the horizon.
    pub expected_purchases: f64,
    /// The probability of being alive, that is of not having left for good.
    pub alive: Option<f64>,
    pub value: Option<CustomerValue<'a>>,
    /// The value times the probability, in units of the currency.
    pub value_at_risk: Option<f64>,
    pub next_level_at: Option<Instant>,
    pub model: &'a str,
    /// The version of the parameters.
    pub parameters: u32,
    pub provisional: bool,
    /// Counts this customer's records on this topic from 1, without gaps.
    pub sequence: u64,
    /// Fingerprint of `[churn]` in the rules, in hex.
    pub definition: &'a str,
}
