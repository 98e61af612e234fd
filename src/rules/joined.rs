//! Events that have been read only since some instant, because their source joined later.

use std::collections::BTreeMap;

use super::ruleset::{Cohort, RuleSet};
use crate::event::{Instant, NameId};
use crate::fact::FactIx;

/// Since when the events of a name have been read. Those of other names always have been, as far as the log goes back.
pub type JoinedEvents = BTreeMap<String, Instant>;

impl RuleSet {
    /// The facts whose events all have names that joined later. One of several names begins with the first of them.
    #[must_use]
    pub fn joined_facts(&self, joined: &JoinedEvents) -> Vec<(FactIx, Instant)> {
        let since: BTreeMap<NameId, Instant> = joined
            .iter()
            .map(|(name, at)| (self.vocabulary.name(name), *at))
            .filter(|(name, _)| *name != NameId::OTHER)
            .collect();
        if since.is_empty() {
            return Vec::new();
        }
        let of_names = |names: &Option<Vec<NameId>>| -> Option<Instant> {
            let at: Option<Vec<Instant>> = names.as_ref()?.iter().map(|name| since.get(name).copied()).collect();
            at?.into_iter().min()
        };
        let facts = (0..).map(FactIx).zip(&self.facts);
        facts.filter_map(|(number, fact)| Some((number, of_names(&fact.selector.names)?))).collect()
    }

    /// Does a cohort read one of these facts, itself or through a cohort that it refers to?
    #[must_use]
    pub fn rests_on_any(&self, cohort: &Cohort, facts: &[FactIx]) -> bool {
        let reads = |cohort: &Cohort| {
            let mut conditions = Vec::new();
            cohort.nodes().for_each(|node| node.leaves(&mut conditions));
            let mut read = conditions.iter().flat_map(|condition| self.conditions[usize::from(condition.0)].facts());
            read.any(|fact| facts.contains(&fact))
        };
        cohort.rests_on.iter().any(|other| reads(self.cohort(*other)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, JoinedEvents};
    use crate::rules::load;

    #[test]
    fn only_facts_of_events_that_all_joined_later_begin_later() {
        let text = "\
            [cohorts.lapsed]\nwho = 'did not purchase in the last 30 days'\n\
            [cohorts.quiet]\nwho = 'did not any of (purchase, visit) in the last 30 days'\n\
            [cohorts.both]\nwho = 'did not any of (purchase, refund) in the last 30 days'\n\
            [cohorts.seen]\nwho = 'did visit ever and in lapsed'\n\
            [cohorts.other]\nwho = 'did visit ever'\n";
        let rules = load("r.toml", text).unwrap();
        let joined: JoinedEvents =
            [("purchase", 20), ("refund", 30), ("nobody", 1)].map(|(name, at)| (name.to_owned(), Instant(at))).into();
        let found = rules.joined_facts(&joined);
        assert_eq!(found.iter().map(|(_, at)| at.0).collect::<Vec<_>>(), [20, 20]);
        let facts: Vec<_> = found.into_iter().map(|(fact, _)| fact).collect();
        let mut concerned: Vec<&str> = (rules.cohorts.iter())
            .filter(|cohort| rules.rests_on_any(cohort, &facts))
            .map(|cohort| cohort.name.as_str())
            .collect();
        concerned.sort_unstable();
        assert_eq!(concerned, ["both", "lapsed", "seen"]);
        assert!(rules.joined_facts(&JoinedEvents::new()).is_empty());
    }
}
