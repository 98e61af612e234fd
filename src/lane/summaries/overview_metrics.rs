//! The survey of all cohorts as metrics.

use crate::lane::context::Context;
use crate::metrics::{CohortFigures, Expected};
use crate::summary::Overview;

/// Shows the survey of all cohorts as metrics. Only in the process that publishes it: a sum over processes would count
/// it many times.
pub(in crate::lane) fn show(overview: &Overview, context: &Context) {
    context.metrics.forget_forecasts();
    for line in &overview.cohorts {
        let week = &line.next_week;
        let expected = |if_silent: u64, expected| Expected { if_silent: if_silent as f64, expected };
        let detail = overview.detail(&line.cohort);
        let levels = detail.into_iter().flat_map(|detail| &detail.risk_levels);
        let figures = CohortFigures {
            risk_levels: levels.map(|level| (level.level.as_str(), level.members)).collect(),
            value: detail.and_then(|detail| detail.value).map(|value| (value.p50, value.total)),
            entries: expected(week.entries_if_silent, week.entries_expected),
            exits: expected(week.exits_if_silent, week.exits_expected),
            value_at_stake: week.value_at_stake,
            errors: line.last_week.as_ref().map(|last| (last.error, last.naive_error)),
        };
        context.metrics.show_forecast(&line.cohort, &figures);
    }
}
