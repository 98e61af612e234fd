//! One pass over the customers of a partition: a survey of the cohorts, a sample for the churn model, or both.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::engine::{CustomerState, Engine, Sampling, Slot, Spares};
use crate::event::Instant;
use crate::event::stored_hash::tie_hash;
use crate::residents::Flushed;
use crate::store::read_state;
use crate::summary::Survey;

/// A pass over all customers of a partition.
pub(in crate::lane) struct SurveyPass {
    /// Day and week as META counts them.
    pub(in crate::lane) day: i64,
    pub(in crate::lane) week: i64,
    /// The customers in memory from this slot on are still to be searched for those who were never flushed, which comes
    /// first; `None`: that is done.
    pub(in crate::lane) unstored_from: Option<Slot>,
    /// Stored customers up to this id are done.
    pub(in crate::lane) through: String,
    /// Customers who were counted before they were stored.
    pub(in crate::lane) early: FxHashSet<Box<str>>,
    pub(in crate::lane) survey: Option<Survey>,
    pub(in crate::lane) sampling: Option<Sampling>,
    /// An engine of its own: the survey must not change the one that decides.
    pub(in crate::lane) engine: Engine,
    /// The customer being counted, whose memory the next one takes.
    pub(in crate::lane) state: CustomerState,
    pub(in crate::lane) spares: Spares,
}

impl SurveyPass {
    /// A customer is flushed: if for the first time, the scan of the database may have passed their id.
    pub(in crate::lane) fn flushed(&mut self, flushed: &Flushed<'_>, now: Instant) {
        if flushed.is_first && !self.early.contains(flushed.customer) {
            let rules = Arc::clone(self.engine.rules());
            let read = read_state(&flushed.state, &rules, &mut self.state, &mut self.spares);
            read.expect("these bytes were written just now, under the same rules");
            self.state.set_customer(flushed.customer);
            self.count(flushed.customer, now);
            self.early.insert(flushed.customer.into());
        }
    }

    /// Counts one customer, in `state`.
    pub(in crate::lane) fn count(&mut self, customer: &str, now: Instant) {
        let Self { survey, sampling, engine, state, .. } = self;
        if let Some(survey) = survey {
            survey.count(engine, state);
        }
        if let Some(sampling) = sampling {
            sampling.add(engine.rules(), tie_hash(customer), state, now);
        }
    }
}
