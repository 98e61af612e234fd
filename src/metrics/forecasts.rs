//! The last survey of all cohorts: risk, value, forecasts, and their errors. Shown by the process that publishes it, so
//! that a sum over processes counts it once. Changes if all customers are silent, and expected changes, are two
//! families: a sum of both would count the same customers twice.

use prometheus::{GaugeVec, IntGaugeVec};

use super::NO_LABELS;
use super::adder::Adder;

/// One cohort as last surveyed, in customers.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortFigures<'a> {
    /// Members by level of churn risk; empty without `[churn]`.
    pub risk_levels: Vec<(&'a str, u64)>,
    /// Median and sum of the values of members with a known value.
    pub value: Option<(f64, f64)>,
    /// In the seven days that follow.
    pub entries: Expected,
    pub exits: Expected,
    /// Lifetime value of the customers expected to leave by inactivity, if known.
    pub value_at_stake: Option<f64>,
    /// The error, in changes, of the forecast of the last seven days, and of the one "as in the week before"; `None`:
    /// there was no forecast.
    pub errors: Option<(f64, f64)>,
}

/// Numbers of customers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    pub if_silent: f64,
    pub expected: f64,
}

#[derive(Debug)]
pub(super) struct ForecastSeries {
    /// `cohort_risk_members{cohort,level}`: members of each cohort by their level of churn risk at the last survey,
    /// once a day; customers without a level are not counted. Worry when the risk in an important cohort rises.
    risk: IntGaugeVec,
    /// `cohort_value{cohort}`: the expected total value of each cohort's members, in units of the rules' currency; a
    /// customer in several cohorts counts in each. Worry when it falls while the cohort's size does not.
    value: GaugeVec,
    /// `cohort_value_median{cohort}`: the median of the expected value of a cohort's members. No worry by itself: a few
    /// large customers move the sum, and not this.
    value_median: GaugeVec,
    /// `cohort_forecast_changes{cohort,change}`: customers who are expected to enter or leave each cohort in the seven
    /// days after the last survey. Worry when an important cohort is forecast to lose more than ever before: `/cohorts`
    /// shows which cohort loses what.
    expected: GaugeVec,
    /// `cohort_forecast_changes_if_silent{cohort,change}`: customers who will enter or leave each cohort in those seven
    /// days if no further event comes. No worry by itself.
    if_silent: GaugeVec,
    /// `cohort_forecast_error{cohort}`: the error of the forecast of the last seven days, in changes. Worry when it
    /// stays above `cohort_naive_forecast_error`: the forecast is useless for this cohort.
    error: GaugeVec,
    /// `cohort_naive_forecast_error{cohort}`: the error, in changes, of the forecast "as many as in the week before".
    /// No worry by itself.
    naive_error: GaugeVec,
    /// `cohort_value_at_stake{cohort}`: lifetime value of the customers expected to leave each cohort by inactivity in
    /// these seven days, in units of the rules' currency; a customer in several cohorts counts in each. Worry when it
    /// grows.
    value_at_stake: GaugeVec,
    /// `churn_auc`: area under the ROC curve for the latest week with known outcomes: how well the model separated
    /// customers who came back from those who did not, before correction; from 0.5 for chance to 1. Worry below 0.6.
    auc: GaugeVec,
    /// `churn_brier_score`: for the same week, the mean squared difference between predicted probability and outcome; 0
    /// is best. Worry when it grows.
    brier: GaugeVec,
    /// `churn_calibration_error`: for the same week, the mean difference between predicted probability and observed
    /// share. Worry when it stays above 0.1: predictions do not match outcomes.
    calibration_error: GaugeVec,
}

impl ForecastSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let (cohort, change) = (["cohort"], ["cohort", "change"]);
        Self {
            risk: add.gauges(
                "cohort_risk_members",
                "Members of each cohort by level of churn risk, at the last survey.",
                &["cohort", "level"],
            ),
            value: add.float_gauges(
                "cohort_value",
                "Expected total value of each cohort's members, in units of the currency.",
                &cohort,
            ),
            value_median: add.float_gauges(
                "cohort_value_median",
                "Median expected value of each cohort's members.",
                &cohort,
            ),
            expected: add.float_gauges(
                "cohort_forecast_changes",
                "Customers expected to enter or leave each cohort in the seven days after the last survey.",
                &change,
            ),
            if_silent: add.float_gauges(
                "cohort_forecast_changes_if_silent",
                "Customers who will enter or leave each cohort in those seven days if no further event comes.",
                &change,
            ),
            error: add.float_gauges(
                "cohort_forecast_error",
                "Error of the forecast of the last seven days, in changes.",
                &cohort,
            ),
            naive_error: add.float_gauges(
                "cohort_naive_forecast_error",
                "Error, in changes, of taking the week before as the forecast.",
                &cohort,
            ),
            value_at_stake: add.float_gauges(
                "cohort_value_at_stake",
                "Lifetime value of customers expected to leave each cohort by inactivity, in units of the currency.",
                &cohort,
            ),
            auc: add.float_gauges(
                "churn_auc",
                "Area under the ROC curve of the churn model, for the latest week with known outcomes.",
                &[],
            ),
            brier: add.float_gauges(
                "churn_brier_score",
                "Brier score of the churn model, for the latest week with known outcomes.",
                &[],
            ),
            calibration_error: add.float_gauges(
                "churn_calibration_error",
                "Mean difference between predicted churn probability and observed share, for that week.",
                &[],
            ),
        }
    }

    pub(super) fn show(&self, cohort: &str, figures: &CohortFigures<'_>) {
        for (level, members) in &figures.risk_levels {
            self.risk.with_label_values(&[cohort, level]).set(i64::try_from(*members).unwrap_or(i64::MAX));
        }
        if let Some((median, sum)) = figures.value {
            self.value_median.with_label_values(&[cohort]).set(median);
            self.value.with_label_values(&[cohort]).set(sum);
        }
        for (change, count) in [("entered", figures.entries), ("exited", figures.exits)] {
            self.expected.with_label_values(&[cohort, change]).set(count.expected);
            self.if_silent.with_label_values(&[cohort, change]).set(count.if_silent);
        }
        if let Some(value) = figures.value_at_stake {
            self.value_at_stake.with_label_values(&[cohort]).set(value);
        }
        if let Some((error, naive)) = figures.errors {
            self.error.with_label_values(&[cohort]).set(error);
            self.naive_error.with_label_values(&[cohort]).set(naive);
        }
    }

    pub(super) fn forget(&self) {
        self.risk.reset();
        let of_cohorts = [&self.value, &self.value_median, &self.value_at_stake];
        let of_changes = [&self.expected, &self.if_silent, &self.error, &self.naive_error];
        of_cohorts.into_iter().chain(of_changes).for_each(GaugeVec::reset);
    }

    pub(super) fn quality(&self, auc: Option<f64>, brier: f64, calibration_error: f64) {
        match auc {
            Some(auc) => self.auc.with_label_values(&NO_LABELS).set(auc),
            // It may not exist.
            None => drop(self.auc.remove_label_values(&NO_LABELS)),
        }
        self.brier.with_label_values(&NO_LABELS).set(brier);
        self.calibration_error.with_label_values(&NO_LABELS).set(calibration_error);
    }
}
