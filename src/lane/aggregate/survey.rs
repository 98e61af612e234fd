//! Surveys: one pass over all customers of a partition, a share in each turn. Each day for the sizes and forecasts of
//! the cohorts, each week for a sample on which the churn model is trained.
//!
//! A survey changes nothing in the partition and is not in the changelog; after a crash it starts again. Customers in
//! memory are counted as they are there, the others as they were last flushed.

use std::ops::ControlFlow;

use rustc_hash::FxHashSet;

use crate::engine::{Sampling, week_of};
use crate::event::Instant;
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::Partition;
use crate::lane::partition::survey_pass::SurveyPass;
use crate::rules::ast::Unit;
use crate::store::{PublishedSample, StoreError, decode_state, encode_survey};
use crate::summary::Survey;

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
                let Some(mut pass) = self.owed(context).map(Box::new) else { return Ok(0) };
                self.count_unstored(&mut pass);
                pass
            }
        };
        let (looked, done) = self.count_some(&mut pass, most)?;
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
            through: String::new(),
            early: FxHashSet::default(),
            survey,
            sampling,
            engine: self.new_engine(),
        })
    }

    /// Counts the customers who were not flushed yet, whom the scan of the database would miss.
    fn count_unstored(&self, pass: &mut SurveyPass) {
        let shard = self.residents.shard();
        for slot in shard.unstored() {
            let customer = shard.customer(slot);
            pass.early.insert(customer.into());
            pass.count(customer, &shard.state(slot), self.stream_time());
        }
    }

    /// Scans the next customers. Returns how many, and whether that was all.
    fn count_some(&self, pass: &mut SurveyPass, most: usize) -> Result<(usize, bool), StoreError> {
        let (shard, rules, now) = (self.residents.shard(), &self.rules.rules, self.stream_time());
        let (mut looked, mut done) = (0, true);
        let from = std::mem::take(&mut pass.through);
        self.residents.database().for_each_customer(&from, |customer, state| {
            if looked == most {
                done = false;
                return Ok(ControlFlow::Break(()));
            }
            looked += 1;
            customer.clone_into(&mut pass.through);
            if pass.early.contains(customer) {
                return Ok(ControlFlow::Continue(()));
            }
            match shard.peek(customer) {
                Some(state) => pass.count(customer, &state, now),
                None => {
                    let mut state = decode_state(state, rules)?;
                    state.set_customer(customer);
                    pass.count(customer, &state, now);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((looked, done))
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
