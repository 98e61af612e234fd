//! Ranks: thresholds come with the case, as the advances of stream time do.

use cohortd::event::Number;
use cohortd::rules::ast::{Function, Measure, MeasureKind, Rank, RankEnd};

use super::condition::Moment;
use super::log::Threshold;
use super::measure::Worth;
use super::partition::sip;
use super::rules::Rules;

impl Rules<'_> {
    /// A rank by its words in the rules file.
    fn words_of(&self, rank: &Rank) -> &str {
        let same = |(known, _): &&(&Rank, String)| std::ptr::eq(*known, rank);
        self.ranks.iter().find(same).map(|(_, words)| words.as_str()).expect("every rank was listed")
    }
}

impl<'a> Moment<'a> {
    pub(super) fn rank(&self, rank: &'a Rank) -> bool {
        let threshold = self.rules.thresholds.borrow().get(self.rules.words_of(rank)).copied();
        self.is_in(rank, threshold)
    }

    /// Without a threshold nobody is in; else everyone at or beyond it, ties by the hash of the id.
    pub(super) fn is_in(&self, rank: &'a Rank, threshold: Option<Threshold>) -> bool {
        if rank.among.as_ref().is_some_and(|cohort| !self.in_cohort(&cohort.text, None)) {
            return false;
        }
        let (Some(threshold), Some(value)) = (threshold, self.ranked_by(&rank.by)) else { return false };
        let own = (value, tie_hash(self.customer.id));
        match rank.end {
            RankEnd::Highest => own >= threshold,
            RankEnd::Lowest => own <= threshold,
        }
    }

    /// Counts and sums rank above zero only.
    fn ranked_by(&self, measure: &'a Measure) -> Option<Number> {
        let value = match self.worth(measure)? {
            Worth::Number(number) => number,
            Worth::Length(ms) => Number(ms * Number::ONE),
            Worth::Bool(_) | Worth::Text(_) => return None,
        };
        let counts = self.counts(measure);
        (!counts || value > Number::ZERO).then_some(value)
    }

    fn counts(&self, measure: &Measure) -> bool {
        match &measure.kind {
            MeasureKind::Count(..) | MeasureKind::ActiveDays(..) => true,
            MeasureKind::Of { function, .. } => matches!(function, Function::Sum | Function::Distinct),
            MeasureKind::Named(name) => {
                let defined = self.rules.document.measures.get(&name.text);
                defined.is_some_and(|defined| self.counts(&defined.measure))
            }
            _ => false,
        }
    }
}

/// As the engine stores them.
pub(crate) fn tie_hash(customer: &str) -> u64 {
    sip(&[customer.as_bytes(), &[0xff]].concat())
}
