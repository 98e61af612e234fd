//! Looking once at every customer of a partition, a share in each turn: each day for how cohorts stand and what is to come,
//! each week for a sample that the model of churn learns from.
//!
//! Nothing of a partition changes by it, and nothing of it is in the changelog: what a crash cuts off is begun anew. Customers
//! in memory are looked at as they are there, the others as they were last flushed.

use std::ops::ControlFlow;

use rustc_hash::FxHashSet;

use crate::engine::{CustomerState, Engine, Sampling, week_of};
use crate::event::Instant;
use crate::event::stored_hash::tie_hash;
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::partition::state::Partition;
use crate::rules::ast::Unit;
use crate::store::{PublishedSample, StoreError, decode_state, encode_survey};
use crate::summary::Survey;

/// A round through all customers.
pub(in crate::lane) struct Round {
    /// As META counts them.
    day: i64,
    week: i64,
    /// Customers up to this id are done, and so are these, who were not flushed yet.
    through: String,
    early: FxHashSet<Box<str>>,
    survey: Option<Survey>,
    sampling: Option<Sampling>,
    /// Of its own: looking says nothing, and changes nothing of the one that decides.
    engine: Engine,
}

impl Round {
    fn look(&mut self, customer: &str, state: &CustomerState, now: Instant) {
        if let Some(survey) = &mut self.survey {
            survey.count(&mut self.engine, state);
        }
        if let Some(sampling) = &mut self.sampling {
            sampling.add(self.engine.rules(), tie_hash(customer), state, now);
        }
    }
}

impl Partition {
    /// Begins a round where one is owed, or goes on with it. Looks at no more than `most` stored customers, and returns at how
    /// many it has looked.
    pub(in crate::lane) fn survey_on(
        &mut self,
        context: &Context,
        most: usize,
        plan: &mut Plan,
    ) -> Result<usize, StoreError> {
        // Half of the states are those of other rules.
        if self.adopting.is_some() {
            self.round = None;
        }
        if self.is_overdue() {
            return Ok(0);
        }
        let mut round = match self.round.take() {
            Some(round) => round,
            None => {
                let Some(mut round) = self.owed(context).map(Box::new) else { return Ok(0) };
                self.look_at_unstored(&mut round);
                round
            }
        };
        let (looked, done) = self.look(&mut round, most)?;
        if done {
            self.publish(*round, plan);
        } else {
            self.round = Some(round);
        }
        Ok(looked)
    }

    /// Is one under way?
    pub(in crate::lane) fn is_surveying(&self) -> bool {
        self.round.is_some()
    }

    /// What stream time asks for. While much is read that is long past, only the samples of each week.
    fn owed(&mut self, context: &Context) -> Option<Round> {
        let now = self.stream_time();
        if now == Instant::MIN || self.adopting.is_some() || self.is_taking_up() || self.is_sweeping() {
            return None;
        }
        let (day, week) = (self.rules.rules.calendar().period(now, Unit::Day), week_of(now));
        let last = self.surveyed;
        let begun_in = *self.began_in_week.get_or_insert(week);
        let survey = (self.is_live() && day > last.day).then(|| Survey::new(&self.rules.rules, now));
        // Of a log that is read from its beginning the first week has just begun, and may be over in no time.
        let is_ripe = self.is_live() || last.week > i64::MIN || week > begun_in;
        let is_sampled = self.rules.rules.churn.is_some() && is_ripe && week > last.week;
        let sampling = is_sampled.then(|| Sampling::new(now, context.partitions));
        (survey.is_some() || sampling.is_some()).then(|| Round {
            day: if survey.is_some() { day } else { last.day },
            week: if sampling.is_some() { week } else { last.week },
            through: String::new(),
            early: FxHashSet::default(),
            survey,
            sampling,
            engine: self.engine_alike(),
        })
    }

    fn look_at_unstored(&self, round: &mut Round) {
        for slot in self.shard.unstored() {
            let customer = self.shard.customer(slot);
            round.early.insert(customer.into());
            round.look(customer, self.shard.state(slot), self.stream_time());
        }
    }

    /// Looks at the next customers. Returns at how many, and whether that was all.
    fn look(&self, round: &mut Round, most: usize) -> Result<(usize, bool), StoreError> {
        let (shard, rules, now) = (&self.shard, &self.rules.rules, self.stream_time());
        let (mut looked, mut done) = (0, true);
        let from = std::mem::take(&mut round.through);
        self.database.for_each_customer(&from, |customer, state| {
            if looked == most {
                done = false;
                return Ok(ControlFlow::Break(()));
            }
            looked += 1;
            customer.clone_into(&mut round.through);
            if round.early.contains(customer) {
                return Ok(ControlFlow::Continue(()));
            }
            match shard.peek(customer) {
                Some(state) => round.look(customer, state, now),
                None => {
                    let mut state = decode_state(state, rules)?;
                    state.set_customer(customer);
                    round.look(customer, &state, now);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((looked, done))
    }

    fn publish(&mut self, round: Round, plan: &mut Plan) {
        let Round { day, week, survey, sampling, .. } = round;
        let (rules, partition) = (&self.rules.rules, u32::try_from(self.number).unwrap_or_default());
        let survey = survey.map(|survey| encode_survey(partition, &survey, rules));
        let sample = sampling.map(|sampling| PublishedSample { partition, sample: sampling.finish() });
        let sample = sample.and_then(|sample| sample.encode(rules));
        (self.surveyed.day, self.surveyed.week) = (day, week);
        tracing::debug!(partition = self.number, day, week, "All customers were looked through.");
        self.begin();
        for (key, value) in survey.into_iter().flatten().chain(sample) {
            plan.outs.push(self.summary(key, value));
        }
    }
}
