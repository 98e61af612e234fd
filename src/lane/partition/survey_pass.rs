//! One pass over the customers of a partition: a survey of the cohorts, a sample for the churn model, or both.

use rustc_hash::FxHashSet;

use crate::engine::{CustomerState, Engine, Sampling};
use crate::event::Instant;
use crate::event::stored_hash::tie_hash;
use crate::summary::Survey;

/// A pass over all customers of a partition.
pub(in crate::lane) struct SurveyPass {
    /// Day and week as META counts them.
    pub(in crate::lane) day: i64,
    pub(in crate::lane) week: i64,
    /// Customers up to this id are done.
    pub(in crate::lane) through: String,
    /// Customers who were counted at the start, since they were not flushed yet.
    pub(in crate::lane) early: FxHashSet<Box<str>>,
    pub(in crate::lane) survey: Option<Survey>,
    pub(in crate::lane) sampling: Option<Sampling>,
    /// An engine of its own: the survey must not change the one that decides.
    pub(in crate::lane) engine: Engine,
}

impl SurveyPass {
    /// Counts one customer.
    pub(in crate::lane) fn count(&mut self, customer: &str, state: &CustomerState, now: Instant) {
        if let Some(survey) = &mut self.survey {
            survey.count(&mut self.engine, state);
        }
        if let Some(sampling) = &mut self.sampling {
            sampling.add(self.engine.rules(), tie_hash(customer), state, now);
        }
    }
}
