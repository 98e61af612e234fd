//! What the last survey of all cohorts found: who is at risk, what members are worth, what is to come, and how good that is.
//! Shown by the process that publishes it, so that adding up over processes counts it once. What the same customers do if all
//! are silent, and what is to be expected of them, are two families: adding those up would count them twice.

use prometheus::{GaugeVec, IntGaugeVec};

use super::{Adder, NO_LABELS};

/// One cohort as last surveyed, in customers.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed<'a> {
    /// Members by level of churn risk; none where churn is not watched.
    pub risk_levels: Vec<(&'a str, u64)>,
    /// Of the members of whom a value is known: the median, and the sum.
    pub value: Option<(f64, f64)>,
    /// In the seven days that follow.
    pub entries: Expected,
    pub exits: Expected,
    /// Lifetime value of those expected to leave by silence, where it is known.
    pub value_at_stake: Option<f64>,
    /// How many changes off the forecast of the last seven days was, and the one "as the seven days before"; `None`: there was
    /// none.
    pub errors: Option<(f64, f64)>,
}

/// How many customers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    pub if_silent: f64,
    pub expected: f64,
}

#[derive(Debug)]
pub(super) struct ForecastSeries {
    /// `cohort_risk_members{cohort,level}`: members of each cohort by their level of churn risk at the last survey, once a day; who
    /// has no level yet is in none. Worry when a cohort that you live by moves up.
    risk: IntGaugeVec,
    /// `cohort_value{cohort}`: what the members of each cohort are expected to bring, together, in units of the rules' currency; who is
    /// in several cohorts counts in each. Worry when it falls while the cohort's size does not.
    value: GaugeVec,
    /// `cohort_value_median{cohort}`: what half of a cohort's members are expected to bring at most. No worry by itself: a few large
    /// customers move the sum, and not this.
    value_median: GaugeVec,
    /// `cohort_forecast_changes{cohort,change}`: customers who are expected to enter or leave each cohort in the seven days after the
    /// last survey. Worry when a cohort that you live by is to lose more than it ever did: `/cohorts` says who loses what.
    expected: GaugeVec,
    /// `cohort_forecast_changes_if_silent{cohort,change}`: customers who will enter or leave each cohort in those seven days if none does
    /// anything. No worry by itself.
    if_silent: GaugeVec,
    /// `cohort_forecast_error{cohort}`: how many changes off the forecast of the last seven days was. Worry when it stays above
    /// `cohort_naive_forecast_error`: the forecast is worth nothing for this cohort.
    error: GaugeVec,
    /// `cohort_naive_forecast_error{cohort}`: how many changes off "as many as in the week before" would have been. No worry by
    /// itself.
    naive_error: GaugeVec,
    /// `cohort_value_at_stake{cohort}`: lifetime value of those expected to leave each cohort by silence in these seven days, in units
    /// of the rules' currency; who is in several cohorts counts in each. Worry when it grows.
    value_at_stake: GaugeVec,
    /// `churn_auc`: of the latest week of which it is known what came, how well the model told those who came back from those who
    /// did not, before correction: from 0.5 for chance to 1. Worry below 0.6.
    auc: GaugeVec,
    /// `churn_brier_score`: of the same week, the mean squared distance between what was said and what came; 0 is best. Worry when
    /// it grows.
    brier: GaugeVec,
    /// `churn_calibration_error`: of the same week, the mean distance between the probability said and the share that came. Worry when
    /// it stays above 0.1: what is said is not what comes.
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
                "What the members of each cohort are expected to bring, in units of the currency.",
                &cohort,
            ),
            value_median: add.float_gauges(
                "cohort_value_median",
                "What half of each cohort's members are expected to bring at most.",
                &cohort,
            ),
            expected: add.float_gauges(
                "cohort_forecast_changes",
                "Customers expected to enter or leave each cohort in the seven days after the last survey.",
                &change,
            ),
            if_silent: add.float_gauges(
                "cohort_forecast_changes_if_silent",
                "Customers who will enter or leave each cohort in those seven days if all are silent.",
                &change,
            ),
            error: add.float_gauges(
                "cohort_forecast_error",
                "How many changes off the forecast of the last seven days was.",
                &cohort,
            ),
            naive_error: add.float_gauges(
                "cohort_naive_forecast_error",
                "How many changes off the week before would have been as a forecast.",
                &cohort,
            ),
            value_at_stake: add.float_gauges(
                "cohort_value_at_stake",
                "Lifetime value of those expected to leave each cohort by silence, in units of the currency.",
                &cohort,
            ),
            auc: add.float_gauges(
                "churn_auc",
                "Area under the ROC curve of the model of churn, of the last week known.",
                &[],
            ),
            brier: add.float_gauges(
                "churn_brier_score",
                "Brier score of the model of churn, of the last week known.",
                &[],
            ),
            calibration_error: add.float_gauges(
                "churn_calibration_error",
                "Mean distance between the probability of churn said and the share seen, of the last week known.",
                &[],
            ),
        }
    }

    pub(super) fn show(&self, cohort: &str, surveyed: &Surveyed<'_>) {
        for (level, members) in &surveyed.risk_levels {
            self.risk.with_label_values(&[cohort, level]).set(i64::try_from(*members).unwrap_or(i64::MAX));
        }
        if let Some((median, sum)) = surveyed.value {
            self.value_median.with_label_values(&[cohort]).set(median);
            self.value.with_label_values(&[cohort]).set(sum);
        }
        for (change, count) in [("entered", surveyed.entries), ("exited", surveyed.exits)] {
            self.expected.with_label_values(&[cohort, change]).set(count.expected);
            self.if_silent.with_label_values(&[cohort, change]).set(count.if_silent);
        }
        if let Some(value) = surveyed.value_at_stake {
            self.value_at_stake.with_label_values(&[cohort]).set(value);
        }
        if let Some((error, naive)) = surveyed.errors {
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
            // It may never have been shown.
            None => drop(self.auc.remove_label_values(&NO_LABELS)),
        }
        self.brier.with_label_values(&NO_LABELS).set(brier);
        self.calibration_error.with_label_values(&NO_LABELS).set(calibration_error);
    }
}
