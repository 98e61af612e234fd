//! A copy of a customer's state, and its explanation.

use std::sync::Arc;

use super::{json, text};
use crate::engine::{
    CustomerState, Detail, Engine, Explanation, Language, Observed, Parameters, RiskEffect, Thresholds, explain,
};
use crate::event::{Instant, Span};
use crate::rules::{CohortIx, RuleSet, nearest};

/// A copy of one customer's state, and what it was decided with.
#[derive(Debug)]
pub struct Found {
    pub customer: String,
    pub partition: i32,
    /// Other partitions that know a customer of this id: producers have split them.
    pub also_in: Vec<i32>,
    pub rules: Arc<RuleSet>,
    /// The rank thresholds of the partition.
    pub thresholds: Thresholds,
    pub observed: Observed,
    /// The churn parameters, and since when they are in force.
    pub parameters: Option<(Parameters, Instant)>,
    pub state: CustomerState,
    /// The stream time of the partition.
    pub stream_time: Instant,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For programs, in both languages.
    Json,
    /// For people.
    Text(Language),
}

impl Form {
    /// Text in the language of this code.
    #[must_use]
    pub fn text_in(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Self::Text(Language::English)),
            "fr" => Some(Self::Text(Language::French)),
            _ => None,
        }
    }
}

impl Found {
    /// The instant up to which everything is decided: stream time or, if that is later, the customer's clock.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.stream_time.max(self.state.clock)
    }

    /// The number of a cohort.
    ///
    /// # Errors
    /// There is none of this name: the nearest one, if any is near.
    pub fn cohort(&self, name: &str) -> Result<CohortIx, Option<String>> {
        let names = || self.rules.cohorts.iter().map(|cohort| cohort.name.as_str());
        match names().zip(0..).find(|(known, _)| *known == name) {
            Some((_, index)) => Ok(CohortIx(index)),
            None => Err(nearest(name, names()).map(str::to_owned)),
        }
    }

    /// Explains these cohorts, all if `None`, after the deadlines up to the instant, which may not be decided yet; and
    /// the churn risk.
    fn explanations(&mut self, cohort: Option<CohortIx>) -> (Vec<Explanation>, Option<RiskEffect>) {
        let (at, rules, observed) = (self.at(), &self.rules, &self.observed);
        // Only deadlines are decided here, to which no limit on events applies.
        let mut engine = Engine::new(Arc::clone(rules), Span(0), 0).observing(observed.clone());
        // In the middle of a migration those in force may belong to the other rules.
        if self.thresholds.len() == rules.ranks.len() {
            engine.set_thresholds(Arc::clone(&self.thresholds));
        }
        if let Some((parameters, since)) = self.parameters {
            engine.set_parameters(Some(Arc::new(parameters)), since);
        }
        self.state.set_customer(&self.customer);
        self.state.forget_deadlines();
        engine.apply_parameters(&mut self.state, Detail::None, &mut Vec::new());
        engine.fire(&mut self.state, at.next(), Detail::None, &mut Vec::new());
        let all = (0..rules.cohorts.len()).map(|index| CohortIx(u16::try_from(index).unwrap_or(u16::MAX)));
        let asked = all.filter(|index| cohort.is_none_or(|asked| asked == *index));
        let explanations = asked.map(|index| explain(&engine, &self.state, index, at)).collect();
        (explanations, engine.risk(&self.state, at))
    }

    /// The full explanation of one cohort, as by `cohortd explain`.
    #[must_use]
    pub fn explanation(mut self, cohort: CohortIx, form: Form) -> String {
        let (found, _) = self.explanations(Some(cohort));
        let (rules, customer, at) = (&self.rules, &self.customer, self.at());
        written(|out| match form {
            Form::Json => json::write(rules, (customer, &self.also_in), at, &found, out),
            Form::Text(language) => text::write(rules, (customer, &self.also_in), at, &found, language, out),
        })
    }

    /// The churn risk, and a few lines on each cohort.
    #[must_use]
    pub fn standings(mut self, form: Form) -> String {
        let (found, risk) = self.explanations(None);
        let (rules, customer, at) = (&self.rules, &self.customer, self.at());
        written(|out| match form {
            Form::Json => json::write_standings(rules, (customer, &self.also_in), at, &found, risk.as_ref(), out),
            Form::Text(language) => {
                text::write_standings(rules, (customer, &self.also_in), at, &found, risk.as_ref(), language, out)
            }
        })
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("writing to memory cannot fail");
    String::from_utf8(out).expect("texts are written")
}
