//! Which events and properties the rules use.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::NameId;
use crate::rules::ast::Events;
use crate::rules::{Document, Owners, RuleSet, Use, each_use, each_use_of_measure, each_use_of_step};

/// What a rules file needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesUse {
    /// Every event that some rule names.
    pub(super) events: BTreeSet<String>,
    /// Does some rule count events of any name?
    pub(super) counts_any: bool,
    pub(super) properties: BTreeSet<String>,
    /// The events that each cohort names, itself and not by a measure of the file; and `churn`.
    pub(super) of_rules: BTreeMap<String, BTreeSet<String>>,
    pub(super) time_zone: String,
}

impl RulesUse {
    #[must_use]
    pub fn of(document: &Document, rules: &RuleSet) -> Self {
        let vocabulary = &rules.vocabulary;
        let mut all = Self {
            events: vocabulary.names().filter_map(|name| vocabulary.name_of(name)).map(str::to_owned).collect(),
            counts_any: !rules.feeds(NameId::OTHER).is_empty(),
            properties: vocabulary.properties().into_iter().map(str::to_owned).collect(),
            of_rules: BTreeMap::new(),
            time_zone: document.time_zone.clone(),
        };
        for (cohort, _, written) in document.expressions() {
            let events = all.of_rules.entry(format!("cohorts.{cohort}")).or_default();
            each_use(&written.expr, &mut |used| collect(used, events));
        }
        for (name, measure) in &document.measures {
            let events = all.of_rules.entry(format!("measures.{name}")).or_default();
            each_use_of_measure(&measure.measure, &mut |used| collect(used, events));
        }
        if let Some(churn) = &document.churn {
            let events = all.of_rules.entry("churn".to_owned()).or_default();
            each_use_of_step(&churn.on, &mut |used| collect(used, events));
        }
        if let Events::Named(names) = &document.activity {
            all.events.extend(names.iter().map(|name| name.text.clone()));
        }
        all
    }
}

fn collect(used: Use<'_>, events: &mut BTreeSet<String>) {
    match used {
        Use::Event(name) => _ = events.insert(name.text.clone()),
        Use::Property { of: Owners::One(name), .. } => _ = events.insert(name.text.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::RulesUse;
    use crate::rules::load_as_written;

    fn used(text: &str) -> RulesUse {
        let (document, rules) = load_as_written("rules.toml", text).unwrap();
        RulesUse::of(&document, &rules)
    }

    #[test]
    fn events_are_those_of_all_rules_and_each_cohort_has_its_own() {
        let rules = used(
            "activity = [\"visit\"]\n[cohorts.a]\nwho = 'did purchase where amount > 5 in the last 7 days'\n\
             [cohorts.b]\nwho = 'did any of (login, open) in the last 7 days and did purchase ever'\n",
        );
        assert_eq!(rules.events.iter().map(String::as_str).collect::<Vec<_>>(), ["login", "open", "purchase", "visit"]);
        assert_eq!(rules.of_rules["cohorts.a"].len(), 1);
        assert_eq!(rules.of_rules["cohorts.b"].len(), 3);
        assert!(rules.properties.contains("amount") && !rules.counts_any);
        assert_eq!(rules.time_zone, "UTC");
    }

    #[test]
    fn a_rule_about_anything_uses_every_event() {
        assert!(used("[cohorts.a]\nwho = 'did anything in the last 7 days'\n").counts_any);
    }
}
