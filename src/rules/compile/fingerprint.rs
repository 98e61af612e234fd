//! Fingerprints: of the whole file, of a cohort, of a fact. Spaces and the order of keys do not matter to them.
//!
//! They are stored, and identify the rules that a customer's state was written under. Each is a hash of a canonical
//! text with everything that affects decisions. Names and texts in it are quoted, so that different rules never have
//! the same text, and nothing in it depends on the `Debug` output of a type.

use std::collections::BTreeSet;

use super::Compiler;
use super::canonical::{expression, hash128, quoted};
use super::definitions::definitions_used;
use crate::event::{NameId, PropertyId, Span};
use crate::fact::{FactIx, Names};
use crate::rules::ast::Events;
use crate::rules::document::{Document, Written};
use crate::rules::fact_spec::{FactSpec, Selector};
use crate::rules::ruleset::Cohort;
use crate::rules::selector::{FilterTest, Literal};

/// The canonical text of one cohort: everything that affects its decisions.
pub(super) fn canonical(document: &Document, cohort: &str) -> String {
    let rule = &document.cohorts[cohort];
    let words = |written: Option<&Written>| written.map(|written| expression(&written.text)).unwrap_or_default();
    let span = |span: Option<Span>| span.map(|s| s.0.to_string()).unwrap_or_default();
    let mut lines = vec![
        cohort.to_owned(),
        words(Some(&rule.who)),
        words(rule.stay.as_ref()),
        words(rule.until.as_ref()),
        span(rule.at_least),
        span(rule.at_most),
        span(rule.cooldown),
        format!("{} {}", rule.once, rule.enabled),
    ];
    // Later additions to the language are written only where they are used, so that older fingerprints stay valid.
    lines.extend(rule.group.as_ref().map(|group| format!("{} in {}", group.priority, quoted(&group.name))));
    let named = [Some(&rule.who), rule.stay.as_ref(), rule.until.as_ref()];
    let exprs = named.into_iter().flatten().map(|written| &written.expr);
    lines.extend(definitions_used(document, exprs, &rule.include));
    lines.extend(rule.include.iter().map(|name| format!("include {}", quoted(&name.text))));
    lines.join("\n")
}

/// The shadow cohorts, which are part of the fingerprint because emitted changes are numbered without them.
pub(super) fn canonical_shadows(document: &Document) -> String {
    let shadows = document.cohorts.iter().filter(|(_, rule)| rule.shadow);
    shadows.map(|(name, _)| format!("\n\nshadow {name}")).collect()
}

/// The canonical text of what all cohorts share: time zone, activity, default gaps.
pub(super) fn canonical_frame(document: &Document) -> String {
    let activity = match &document.activity {
        Events::Anything => "anything".to_owned(),
        Events::Named(names) => {
            let names: BTreeSet<String> = names.iter().map(|name| quoted(&name.text)).collect();
            names.into_iter().collect::<Vec<_>>().join(",")
        }
    };
    let gaps: Vec<String> =
        document.usual_gaps.iter().map(|(event, gap)| format!("{}={}", quoted(event), gap.0)).collect();
    format!("{}\n{activity}\n{}", document.time_zone, gaps.join(","))
}

pub(super) fn definition(document: &Document, cohort: &str) -> String {
    let text = format!("{}\n{}", canonical_frame(document), canonical(document, cohort));
    format!("{:016x}", hash128(&text) >> 64)
}

impl Names for Compiler<'_> {
    fn property(&self, id: PropertyId) -> String {
        quoted(&self.properties[usize::from(id.0)])
    }

    fn event(&self, id: NameId) -> String {
        quoted(&self.names[usize::from(id.0)])
    }

    fn selector_of(&self, fact: FactIx) -> String {
        self.selector_in_words(&self.facts[usize::from(fact.0)].selector)
    }

    fn zone(&self) -> &str {
        &self.document.time_zone
    }
}

impl Compiler<'_> {
    /// The meaning of the numbers in a stored state: facts, cohorts and ranks in order. A release that numbers them
    /// differently for the same rules has another fingerprint, and so never takes one fact for another.
    pub(super) fn canonical_layout(&self, cohorts: &[Cohort], facts: &[String]) -> String {
        let cohorts = cohorts.iter().map(|cohort| format!("cohort {}", cohort.name));
        let facts = facts.iter().map(|words| format!("fact {words}"));
        let ranks = self.ranks.iter().map(|rank| format!("rank {} {}", rank.ranking.0, expression(&rank.words)));
        cohorts.chain(facts).chain(ranks).collect::<Vec<_>>().join("\n")
    }

    /// A fact's definition as text, without capacities and the numbers of names, so that it stays valid if these
    /// change.
    pub(super) fn in_words(&self, fact: &FactSpec) -> String {
        let selector = |selector: &Selector| self.selector_in_words(selector);
        let kind = fact.kind.definition(self);
        if let Some(chain) = &fact.chain {
            let steps: Vec<String> = chain.steps.iter().map(selector).collect();
            let without = chain.without.as_ref().map(selector).unwrap_or_default();
            return format!("{kind} of {} without {without}", steps.join(" then "));
        }
        let via = fact.via.as_ref().map(|via| format!(" via {}", selector(via))).unwrap_or_default();
        let other = fact.other.as_ref().map(selector).unwrap_or_default();
        format!("{kind} of {} {other}{via}", selector(&fact.selector))
    }

    fn selector_in_words(&self, selector: &Selector) -> String {
        let sorted = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(", ");
        let names = match &selector.names {
            None => "anything".to_owned(),
            Some(ids) => sorted(ids.iter().map(|id| quoted(&self.names[usize::from(id.0)])).collect()),
        };
        let filters = selector.filters.iter();
        let filters = filters.map(|filter| {
            format!("{} {}", quoted(&self.properties[usize::from(filter.property.0)]), test_in_words(&filter.test))
        });
        format!("({names}) where ({})", sorted(filters.collect()))
    }
}

fn test_in_words(test: &FilterTest) -> String {
    let with = |sign: &str, literal: &Literal| format!("{sign} {}", literal_in_words(literal));
    match test {
        FilterTest::Eq(value) => with("=", value),
        FilterTest::Ne(value) => with("!=", value),
        FilterTest::Lt(value) => with("<", value),
        FilterTest::Le(value) => with("<=", value),
        FilterTest::Gt(value) => with(">", value),
        FilterTest::Ge(value) => with(">=", value),
        FilterTest::Known => "is known".to_owned(),
        FilterTest::Missing => "is missing".to_owned(),
        FilterTest::In(values) => {
            format!("in ({})", values.iter().map(literal_in_words).collect::<Vec<_>>().join(", "))
        }
        FilterTest::Contains(value) => with("contains", value),
    }
}

fn literal_in_words(literal: &Literal) -> String {
    match literal {
        Literal::Bool(flag) => flag.to_string(),
        // In millionths.
        Literal::Number(number) => number.0.to_string(),
        Literal::Text(text) => quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::{RuleSet, load};

    fn rules(text: &str) -> RuleSet {
        load("r.toml", text).unwrap_or_else(|errors| panic!("{}", errors[0]))
    }

    fn differ(one: &str, other: &str) {
        let (one, other) = (rules(one), rules(other));
        assert_ne!(one.fingerprint, other.fingerprint);
    }

    #[test]
    fn a_measure_or_attribute_named_only_in_a_signal_is_part_of_the_fingerprint() {
        let text = "[profile]\nplan = 'signup.plan'\n[measures]\nspent = 'sum(buy.amount)'\n\
                    [churn]\non = 'buy'\nsignals = [{ when = 'spent > 5 and plan = pro', points = 8, because = 'x' }]\n\
                    [cohorts.c]\nwho = 'churn_risk > 50'\n[cohorts.d]\nwho = 'did visit ever'";
        for (from, to) in [("sum(buy.amount)", "sum(buy.total)"), ("signup.plan", "signup.offer")] {
            let other = text.replace(from, to);
            differ(text, &other);
            let (one, other) = (rules(text), rules(&other));
            // Only the risk and the cohorts that use it change.
            assert_ne!(one.churn.unwrap().definition, other.churn.unwrap().definition, "{to}");
            let definitions = |rules: &RuleSet| rules.cohorts.iter().map(|c| c.definition.clone()).collect::<Vec<_>>();
            let changed = |name: &str| {
                let of = |rules: &RuleSet| {
                    let index = rules.cohorts.iter().position(|cohort| cohort.name == name).unwrap();
                    definitions(rules)[index].clone()
                };
                of(&rules(text)) != of(&rules(&text.replace(from, to)))
            };
            assert!(changed("c") && !changed("d"), "{to}");
        }
    }

    #[test]
    fn spaces_within_a_text_are_part_of_the_fingerprint_and_others_are_not() {
        let text = "[cohorts.c]\nwho = 'did buy where shop = \"north  side\" ever'";
        differ(text, &text.replace("north  side", "north side"));
        assert_eq!(rules(text).fingerprint, rules(&text.replace("did buy", " did \t buy")).fingerprint);
    }

    #[test]
    fn names_with_commas_and_signs_in_them_are_not_taken_for_several() {
        let cohort = "[cohorts.c]\nwho = 'silent for 3 days and time since last a > 2 x usual gap of a'\n";
        let cohort = &cohort.replace(" a ", " e ").replace("of a'", "of e'");
        differ(&format!("activity = ['a,b']\n{cohort}"), &format!("activity = ['a', 'b']\n{cohort}"));
        let gaps = |gaps: &str| format!("[defaults.usual_gap]\n{gaps}\n{cohort}");
        differ(&gaps("'e=86400000,f' = '2 days'"), &gaps("e = '1 day'\nf = '2 days'"));
        let facts = |text: &str| rules(text).facts.iter().map(|fact| fact.id).collect::<Vec<_>>();
        let distinct = |by: &str| format!("[cohorts.c]\nwho = 'did e {by} in the last 3 days'");
        assert_ne!(
            facts(&distinct("with at least 2 different \"Day in UTC\"")),
            facts(&distinct("on at least 2 different days"))
        );
    }

    /// Stored, so a change here is a change of the state's format.
    #[test]
    fn the_id_of_a_fact_and_the_fingerprint_are_the_same_in_every_release() {
        let rules = rules(
            "[cohorts.c]\nwho = 'did buy where amount >= 2.5, shop in (\"n\", \"s\") at least 2 times in the last 3 days \
             or a1 then b1 within 1 day per key'",
        );
        let ids: Vec<String> = rules.facts.iter().map(|fact| format!("{:016x}", fact.id)).collect();
        assert_eq!(
            (ids, rules.fingerprint.as_str()),
            (vec!["a77bba092630d449".to_owned(), "08fcebef9ec197d9".to_owned()], "628024d1d35a0e1e4fb1589e22914a0e")
        );
    }
}
