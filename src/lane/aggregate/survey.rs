//! Surveys: one pass over all customers of a partition, a share in each turn. Each day for the sizes and forecasts of
//! the cohorts, each week for a sample on which the churn model is trained.
//!
//! A survey changes nothing in the partition and is not in the changelog; after a crash it starts again. Customers in
//! memory are counted as they are there, the others as they were last flushed.

use rustc_hash::FxHashSet;

use crate::engine::{CustomerState, Sampling, Slot, Spares, week_of};
use crate::event::Instant;
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::Partition;
use crate::lane::partition::survey_pass::SurveyPass;
use crate::rules::ast::Unit;
use crate::store::{PublishedSample, StoreError, encode_survey, read_state};
use crate::summary::Survey;

/// Customers in memory that are passed over for each one who was never flushed, at most.
const PASSED_OVER_EACH: usize = 100;

impl Partition {
    /// Starts a survey if one is due, or goes on with it. Scans at most `most` stored customers and returns how many it
    /// scanned.
    pub(super) fn continue_survey(
        &mut self,
        context: &Context,
        most: usize,
        plan: &mut Plan,
    ) -> Result<usize, StoreError> {
        // Part of the states follow other rules.
        if self.migrating.is_some() {
            self.survey_pass = None;
        }
        if self.is_overdue() {
            return Ok(0);
        }
        let mut pass = match self.survey_pass.take() {
            Some(pass) => pass,
            None => {
                let Some(pass) = self.owed(context) else { return Ok(0) };
                Box::new(pass)
            }
        };
        let (looked, done) = match pass.unstored_from {
            Some(from) => (self.count_unstored(&mut pass, from, most), false),
            None => self.count_some(&mut pass, most)?,
        };
        if done {
            self.publish(*pass, plan);
        } else {
            self.survey_pass = Some(pass);
        }
        Ok(looked)
    }

    /// Is a survey under way?
    pub(super) fn is_surveying(&self) -> bool {
        self.survey_pass.is_some()
    }

    /// The survey that is due by stream time. While a history is read only the weekly samples are taken.
    fn owed(&mut self, context: &Context) -> Option<SurveyPass> {
        let now = self.stream_time();
        if now == Instant::MIN || self.migrating.is_some() || self.is_applying_thresholds() || self.is_sweeping() {
            return None;
        }
        let (day, week) = (self.rules.rules.calendar().period(now, Unit::Day), week_of(now));
        let last = self.last_surveys;
        let begun_in = *self.began_in_week.get_or_insert(week);
        let survey = (self.is_live() && day > last.day).then(|| Survey::new(&self.rules.rules, now));
        // The first week of a log that is read from its beginning may be incomplete.
        let is_ripe = self.is_live() || last.week > i64::MIN || week > begun_in;
        let is_sampled = self.rules.rules.churn.is_some() && is_ripe && week > last.week;
        let sampling = is_sampled.then(|| Sampling::new(now, context.partitions));
        (survey.is_some() || sampling.is_some()).then(|| SurveyPass {
            day: if survey.is_some() { day } else { last.day },
            week: if sampling.is_some() { week } else { last.week },
            unstored_from: Some(Slot(0)),
            through: String::new(),
            early: FxHashSet::default(),
            survey,
            sampling,
            engine: self.new_engine(),
            state: CustomerState::new(&self.rules.rules),
            spares: Spares::default(),
        })
    }

    /// Counts the next customers who were not flushed yet, whom the scan of the database would miss. Returns how many
    /// were scanned.
    fn count_unstored(&self, pass: &mut SurveyPass, from: Slot, most: usize) -> usize {
        let shard = self.residents.shard();
        let mut looked = 0;
        let (unstored, next) = shard.unstored_from(from, most, most * PASSED_OVER_EACH);
        for slot in unstored {
            looked += 1;
            let customer = shard.customer(slot);
            if pass.early.insert(customer.into()) {
                shard.copy_state(slot, &mut pass.state, &mut pass.spares);
                pass.count(customer, self.stream_time());
            }
        }
        pass.unstored_from = next;
        // Those passed over take time too.
        looked.max(1)
    }

    /// Scans the next customers. Returns how many, and whether that was all.
    fn count_some(&self, pass: &mut SurveyPass, most: usize) -> Result<(usize, bool), StoreError> {
        let (shard, rules, now) = (self.residents.shard(), &self.rules.rules, self.stream_time());
        let mut through = std::mem::take(&mut pass.through);
        let scanned = self.residents.database().scan_customers(&mut through, most, |customer, state| {
            if pass.early.contains(customer) {
                return Ok(());
            }
            match shard.slot_of(customer) {
                Some(slot) => shard.copy_state(slot, &mut pass.state, &mut pass.spares),
                None => {
                    read_state(state, rules, &mut pass.state, &mut pass.spares)?;
                    pass.state.set_customer(customer);
                }
            }
            pass.count(customer, now);
            Ok(())
        })?;
        pass.through = through;
        Ok(scanned)
    }

    fn publish(&mut self, pass: SurveyPass, plan: &mut Plan) {
        let SurveyPass { day, week, survey, sampling, .. } = pass;
        let (rules, partition) = (&self.rules.rules, u32::try_from(self.number).unwrap_or_default());
        let survey = survey.map(|survey| encode_survey(partition, &survey, rules));
        let sample = sampling.map(|sampling| PublishedSample { partition, sample: sampling.finish() });
        let sample = sample.and_then(|sample| sample.encode(rules));
        (self.last_surveys.day, self.last_surveys.week) = (day, week);
        tracing::debug!(partition = self.number, day, week, "All customers were surveyed.");
        self.begin();
        for (key, value) in survey.into_iter().flatten().chain(sample) {
            plan.records.push(self.summary(&key, value));
        }
    }
}
