//! The machine run forward without events: what changes next if the customer stays silent.

use super::cohort::{Step, step};
use crate::engine::conditions::CustomerView;
use crate::engine::customer::{Membership, Sparse};
use crate::event::{Change, Instant};
use crate::rules::{CohortIx, RuleSet};

/// How many deadlines are looked at before we say that nothing changes.
const DEADLINES_MAX: usize = 64;

/// Room for running forward: a copy of the standings that a cohort rests on. Without events facts do not change, so they
/// are not copied. By the rule set's numbers; deadlines of what a cohort does not rest on are never read.
#[derive(Debug, Default)]
pub(in crate::engine) struct Foresight {
    memberships: Sparse<Membership>,
    deadlines: Vec<Instant>,
}

impl Foresight {
    pub(in crate::engine) fn new(rules: &RuleSet) -> Self {
        let cohorts = rules.cohorts.len();
        Self { memberships: Sparse::new(), deadlines: vec![Instant::MIN; cohorts] }
    }

    /// The next change of a cohort after an instant at which everything it rests on is decided.
    ///
    /// `None`: there is none within the next deadlines of that cohort and those it rests on. Every deadline is computed
    /// anew from there, so that the answer is a function of the state and does not depend on when it was last looked at.
    pub(in crate::engine) fn next_change(
        &mut self,
        now: CustomerView<'_>,
        cohort: CohortIx,
    ) -> Option<(Instant, Change)> {
        let (rules, mut at) = (now.rules, now.at);
        let rests_on = &rules.cohort(cohort).rests_on;
        self.memberships.clear();
        for place in rests_on.iter().map(|index| usize::from(index.0)) {
            if let Some(membership) = now.memberships.get(place) {
                self.memberships.put(place, membership.clone());
            }
            self.deadlines[place] = Instant::MIN;
        }
        // The first round is that of the instant itself: it changes nothing and sets the deadlines.
        for _ in 0..=DEADLINES_MAX {
            let mut earliest = Instant::MAX;
            for index in rests_on {
                let place = usize::from(index.0);
                if !rules.cohorts[place].enabled {
                    continue;
                }
                if self.deadlines[place] <= at
                    && let Some(change) = self.decide(now, *index, at)
                    && *index == cohort
                {
                    return Some((at, change));
                }
                earliest = earliest.min(self.deadlines[place]);
            }
            if earliest == Instant::MAX {
                return None;
            }
            at = earliest;
        }
        None
    }

    /// Runs one cohort's machine until it rests, and sets its deadline.
    fn decide(&mut self, now: CustomerView<'_>, index: CohortIx, at: Instant) -> Option<Change> {
        let (cohort, place) = (now.rules.cohort(index), usize::from(index.0));
        let mut changed = None;
        loop {
            let mut membership = self.memberships.get_mut(place).map(std::mem::take).unwrap_or_default();
            let scene = CustomerView { memberships: &self.memberships, at, ..now };
            let outcome = step(cohort, &mut membership, &scene);
            self.memberships.keep(place, membership);
            match outcome.step {
                Step::Rest | Step::Armed | Step::Wished(_) => {
                    self.deadlines[place] = outcome.deadline;
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
