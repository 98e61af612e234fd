//! What we say of the days to come of a cohort.

use super::Instant;

/// A record of `cohort-forecasts`. Field by field as `schemas/cohort-forecast.avsc`.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortForecast {
    pub cohort: String,
    /// Counted from 1970-01-01, in the rules' time zone.
    pub day: i32,
    pub made_at: Instant,
    /// Members.
    pub size: u64,
    pub entered_last_week: u64,
    pub left_last_week: u64,
    /// Of the next seven days.
    pub week: ExpectedChanges,
    /// The same, day by day.
    pub days: Vec<ExpectedChanges>,
    pub currency: Option<String>,
    /// How far off, in customers, what was foretold a week ago was; and how far off it would have been to say that the week
    /// would be like the one before it.
    pub error_last_week: Option<f64>,
    pub naive_error_last_week: Option<f64>,
    /// Fingerprint of the cohort's definition, in hex.
    pub definition: String,
}

/// Changes of one cohort to come in some time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ExpectedChanges {
    pub exits_if_silent: u64,
    pub entries_if_silent: u64,
    pub exits_expected: f64,
    pub entries_expected: f64,
    pub value_at_stake: Option<f64>,
}
