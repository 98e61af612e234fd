//! The membership machine run forward without events: what changes next by time alone.

use super::cohort::{Step, step};
use crate::engine::conditions::CustomerView;
use crate::engine::customer::{Membership, Sparse};
use crate::event::{Change, Instant};
use crate::rules::{CohortIx, RuleSet};

/// How many deadlines are tried before the lookahead gives up.
const DEADLINES_MAX: usize = 64;

/// Scratch for running forward: a copy of the memberships that a cohort depends on. Facts do not change without events,
/// so they are not copied. By the rule set's numbers; deadlines of other cohorts are never read.
#[derive(Debug, Default)]
pub(in crate::engine) struct Lookahead {
    memberships: Sparse<Membership>,
    deadlines: Vec<Instant>,
}

impl Lookahead {
    pub(in crate::engine) fn new(rules: &RuleSet) -> Self {
        let cohorts = rules.cohorts.len();
        Self { memberships: Sparse::new(), deadlines: vec![Instant::MIN; cohorts] }
    }

    /// The next change of a cohort after an instant at which everything it depends on is decided.
    ///
    /// `None`: there is none within the next deadlines of that cohort and those it depends on. Every deadline is
    /// recomputed, so that the result is a function of the state and does not depend on when it was last evaluated.
    pub(in crate::engine) fn next_change(
        &mut self,
        now: CustomerView<'_>,
        cohort: CohortIx,
    ) -> Option<(Instant, Change)> {
        let (rules, mut at) = (now.rules, now.at);
        let rests_on = &rules.cohort(cohort).rests_on;
        self.memberships.clear();
        for number in rests_on.iter().map(|index| usize::from(index.0)) {
            if let Some(membership) = now.memberships.get(number) {
                self.memberships.put(number, membership.clone());
            }
            self.deadlines[number] = Instant::MIN;
        }
        // The first round is the present instant: it changes nothing and sets the deadlines.
        for _ in 0..=DEADLINES_MAX {
            let mut earliest = Instant::MAX;
            for index in rests_on {
                let number = usize::from(index.0);
                if !rules.cohorts[number].enabled {
                    continue;
                }
                if self.deadlines[number] <= at
                    && let Some(change) = self.decide(now, *index, at)
                    && *index == cohort
                {
                    return Some((at, change));
                }
                earliest = earliest.min(self.deadlines[number]);
            }
            if earliest == Instant::MAX {
                return None;
            }
            at = earliest;
        }
        None
    }

    /// Runs one cohort's machine until nothing more changes at this instant, and sets its deadline.
    fn decide(&mut self, now: CustomerView<'_>, index: CohortIx, at: Instant) -> Option<Change> {
        let (cohort, number) = (now.rules.cohort(index), usize::from(index.0));
        let mut changed = None;
        loop {
            let mut membership = self.memberships.get_mut(number).map(std::mem::take).unwrap_or_default();
            let view = CustomerView { memberships: &self.memberships, at, ..now };
            let outcome = step(cohort, &mut membership, &view);
            self.memberships.set(number, membership);
            match outcome.step {
                Step::Rest | Step::Armed | Step::Deferred(_) => {
                    self.deadlines[number] = outcome.deadline;
                    return changed;
                }
                Step::Changed(change, _) => {
                    changed = Some(change);
                    for dependant in &cohort.dependants {
                        self.deadlines[usize::from(dependant.0)] = Instant::MIN;
                    }
                }
            }
        }
    }
}
