//! Output records with the forecast of a cohort.

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
    /// The next seven days together.
    pub week: ExpectedChanges,
    /// The same by day.
    pub days: Vec<ExpectedChanges>,
    pub currency: Option<String>,
    /// The error, in customers, of the forecast made a week ago, and of the naive forecast that repeats the week
    /// before.
    pub error_last_week: Option<f64>,
    pub naive_error_last_week: Option<f64>,
    /// Fingerprint of the cohort's definition, in hex.
    pub definition: String,
}

/// The forecast changes of one cohort in some period.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ExpectedChanges {
    pub exits_if_silent: u64,
    pub entries_if_silent: u64,
    pub exits_expected: f64,
    pub entries_expected: f64,
    pub value_at_stake: Option<f64>,
}
