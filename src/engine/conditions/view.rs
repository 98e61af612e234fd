//! A customer as conditions see them at one instant.

use super::observed::Observed;
use crate::calendar::{Calendar, Unit};
use crate::engine::customer::{Membership, Sparse, Standing};
use crate::engine::model::{Parameters, SolverCache};
use crate::event::Instant;
use crate::fact::{Fact, FactIx, FactKind, Period};
use crate::rules::ast::Edge;
use crate::rules::{CohortIx, RuleSet};

/// Everything that a condition may read. All events applied are at or before `at`, except where a measure looks back.
#[derive(Clone, Copy)]
pub(in crate::engine) struct CustomerView<'a> {
    pub(in crate::engine) rules: &'a RuleSet,
    pub(in crate::engine) calendar: &'a Calendar,
    pub(in crate::engine) facts: &'a Sparse<Fact>,
    pub(in crate::engine) memberships: &'a Sparse<Membership>,
    pub(in crate::engine) known_since: Instant,
    /// The thresholds of ranks.
    pub(in crate::engine) thresholds: &'a [Option<Standing>],
    pub(in crate::engine) tie_hash: u64,
    pub(in crate::engine) observed: &'a Observed,
    /// The churn parameters in force, and what was computed under them.
    pub(in crate::engine) parameters: Option<(&'a Parameters, &'a SolverCache)>,
    pub(in crate::engine) at: Instant,
}

impl<'a> CustomerView<'a> {
    /// `None`: no event has fed it.
    pub(in crate::engine) fn fact(&self, fact: FactIx) -> Option<&'a Fact> {
        self.facts.get(usize::from(fact.0))
    }

    /// Ascending; empty where no event has fed the fact, or it holds more than times.
    pub(in crate::engine) fn times(&self, fact: FactIx) -> &'a [Instant] {
        self.fact(fact).and_then(Fact::times).unwrap_or_default()
    }

    /// Since when the events of a fact have been read.
    pub(in crate::engine) fn observed_from(&self, fact: FactIx) -> Instant {
        self.observed.of(&self.rules.facts[usize::from(fact.0)])
    }

    pub(in crate::engine) fn membership(&self, cohort: CohortIx) -> &Membership {
        &self.memberships[usize::from(cohort.0)]
    }

    /// The first or last time of a fact of times.
    pub(in crate::engine) fn edge(&self, fact: FactIx, edge: Edge) -> Option<Instant> {
        let times = up_to(self.times(fact), self.at);
        if edge == Edge::First { times.first() } else { times.last() }.copied()
    }

    /// The next of a fact's times after `at`, which exists only where a measure looks back; `MAX`: none.
    pub(in crate::engine) fn edge_changes_at(&self, fact: FactIx) -> Instant {
        let times = self.times(fact);
        times.get(up_to(times, self.at).len()).copied().unwrap_or(Instant::MAX)
    }

    /// The beginning of `in the last N periods by calendar`, as of `at`.
    pub(in crate::engine) fn first_midnight(&self, periods: u32, unit: Unit) -> Instant {
        self.calendar.start(self.calendar.period(self.at, unit) + 1 - i64::from(periods), unit)
    }

    pub(in crate::engine) fn kind(&self, fact: FactIx) -> &'a FactKind {
        &self.rules.facts[usize::from(fact.0)].kind
    }

    pub(in crate::engine) fn periods(&self, fact: FactIx) -> &'a [Period] {
        match self.fact(fact) {
            Some(Fact::Periods(periods)) => periods,
            _ => &[],
        }
    }
}

/// The part of ascending times that is not later than an instant.
pub(in crate::engine) fn up_to(times: &[Instant], at: Instant) -> &[Instant] {
    match times.last() {
        Some(last) if *last > at => &times[..times.partition_point(|time| *time <= at)],
        _ => times,
    }
}
