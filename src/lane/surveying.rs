//! What the surveys of all partitions say together, and who publishes it.

use std::sync::Arc;

use super::context::Context;
use super::plan::Plan;
use super::rulebook::Version;
use super::turn::Lane;
use crate::summary::{Overview, Survey, Surveys};

/// Whose lane publishes what is to come of all cohorts.
const PUBLISHER: i32 = 0;

/// The surveys for one version of the rules, as far as they were read.
pub(super) struct Surveying {
    version: Arc<Version>,
    surveys: Surveys,
    /// Something came since the last look.
    is_fresh: bool,
    /// The last day told of.
    told: Option<i64>,
}

impl Surveying {
    pub(super) fn new(version: Arc<Version>, partitions: u32) -> Self {
        Self { version, surveys: Surveys::new(partitions), is_fresh: false, told: None }
    }

    pub(super) fn take(&mut self, partition: u32, survey: Survey) {
        self.surveys.take(partition, survey);
        self.is_fresh = true;
    }

    /// Once for each day that all partitions have looked at.
    pub(super) fn overview(&mut self, context: &Context) -> Option<Arc<Overview>> {
        if !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let overview = Arc::new(self.surveys.overview(&self.version.rules)?);
        if self.told.is_some_and(|told| told >= overview.day_number) {
            return None;
        }
        self.told = Some(overview.day_number);
        show(&overview, context);
        context.board.put(Arc::clone(&overview));
        Some(overview)
    }
}

fn show(overview: &Overview, context: &Context) {
    context.metrics.forget_forecasts();
    for line in &overview.cohorts {
        let week = &line.next_week;
        context.metrics.forecast(
            &line.cohort,
            [week.exits_if_silent as f64, week.exits_expected],
            [week.entries_if_silent as f64, week.entries_expected],
        );
        if let Some(value) = week.value_at_stake {
            context.metrics.value_at_stake(&line.cohort, value);
        }
        if let Some(last) = &line.last_week {
            context.metrics.forecast_errors(&line.cohort, last.error, last.naive_error);
        }
    }
}

impl Lane {
    /// Publishes what is to come of all cohorts, once a day, where partition 0 is ours.
    pub(super) fn foretell(&mut self, plan: &mut Plan) {
        let Some(partition) = self.partitions.get_mut(&PUBLISHER) else { return };
        let Some(overview) = self.overview.take() else { return };
        if overview.day_number <= partition.surveyed.foretold || partition.adopting.is_some() {
            return;
        }
        partition.begin();
        partition.surveyed.foretold = overview.day_number;
        let say = |forecast| self.context.speaker.say_forecast(&forecast, &overview.day, PUBLISHER);
        plan.outs.extend(overview.forecasts().map(say));
    }
}
