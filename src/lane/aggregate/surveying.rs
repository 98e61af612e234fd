//! Publishing what follows from the counters of all partitions, in the lane of partition 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::group::role::PUBLISHER;
use crate::lane::lane::Lane;
use crate::metrics::{Expected, Surveyed};
use crate::store::KeyValue;
use crate::summary::Overview;

/// The surveys of all partitions of one day, added up.
#[derive(Debug)]
pub struct WholeDay {
    /// The version of the rules.
    pub(in crate::lane) version: u64,
    /// Counted from 1970-01-01.
    pub(in crate::lane) day: i64,
    pub(in crate::lane) overview: Overview,
    /// For the summaries.
    pub(in crate::lane) records: Vec<KeyValue>,
}

/// What is to be published and is not yet: of each key the newest record.
#[derive(Default)]
pub(in crate::lane) struct Unpublished {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    whole: Option<Arc<WholeDay>>,
}

impl Unpublished {
    pub(in crate::lane) fn put(&mut self, (key, value): KeyValue) {
        self.records.insert(key, value);
    }

    pub(in crate::lane) fn put_whole(&mut self, whole: Arc<WholeDay>) {
        self.whole = Some(whole);
    }
}

/// The survey of all cohorts, in the process that publishes it: added up over processes it would count many times.
pub(in crate::lane) fn show(overview: &Overview, context: &Context) {
    context.metrics.forget_forecasts();
    for line in &overview.cohorts {
        let week = &line.next_week;
        let expected = |if_silent: u64, expected| Expected { if_silent: if_silent as f64, expected };
        let detail = overview.detail(&line.cohort);
        let levels = detail.into_iter().flat_map(|detail| &detail.risk_levels);
        let surveyed = Surveyed {
            risk_levels: levels.map(|level| (level.level.as_str(), level.members)).collect(),
            value: detail.and_then(|detail| detail.value).map(|value| (value.p50, value.total)),
            entries: expected(week.entries_if_silent, week.entries_expected),
            exits: expected(week.exits_if_silent, week.exits_expected),
            value_at_stake: week.value_at_stake,
            errors: line.last_week.as_ref().map(|last| (last.error, last.naive_error)),
        };
        context.metrics.surveyed(&line.cohort, &surveyed);
    }
}

impl Lane {
    /// Publishes what follows from the counters of all partitions, where partition 0 is at work here. Of a day once, with
    /// its forecasts.
    pub(in crate::lane) fn publish_results(&mut self, plan: &mut Plan) {
        let holds = self.holds(PUBLISHER);
        self.context.role.set(self.number, holds);
        if !holds {
            // Whoever holds it now knows better.
            self.unpublished = Unpublished::default();
            return;
        }
        let Some(partition) = self.partitions.get_mut(&PUBLISHER) else { return };
        let Unpublished { records, whole } = std::mem::take(&mut self.unpublished);
        let mut records: Vec<KeyValue> = records.into_iter().collect();
        if let Some(whole) = whole {
            let is_later = partition.adopting.is_some() || partition.rules.number < whole.version;
            if is_later {
                self.unpublished.whole = Some(whole);
            } else if partition.rules.number == whole.version && whole.day > partition.surveyed.foretold {
                partition.begin();
                partition.surveyed.foretold = whole.day;
                let say = |forecast| self.context.speaker.say_forecast(&forecast, &whole.overview.day, PUBLISHER);
                plan.outs.extend(whole.overview.forecasts().map(say));
                records.extend(whole.records.iter().cloned());
            }
        }
        if records.is_empty() {
            return;
        }
        partition.begin();
        for (key, value) in records {
            plan.outs.push(partition.summary(key, value));
        }
    }
}
