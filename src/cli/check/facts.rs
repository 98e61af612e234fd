//! Facts in plain words: what is remembered, of which events, for whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::words::{counted, length};
use crate::event::{NameId, PropertyId, Span};
use crate::rules::ast::Events;
use crate::rules::{
    BARRED, DistinctKey, Document, FactIx, FactKind, Feed, Filter, FilterTest, Keep, Literal, Role, RuleSet, TEXT_MAX,
};

/// What the facts of a rule set are called.
pub(super) struct Facts<'a> {
    rules: &'a RuleSet,
    names: BTreeMap<NameId, String>,
    properties: BTreeMap<PropertyId, String>,
}

impl<'a> Facts<'a> {
    /// `document` is what the rules were compiled from.
    pub(super) fn new(document: &Document, rules: &'a RuleSet) -> Self {
        let (mut names, mut properties) = (BTreeMap::new(), BTreeMap::new());
        for word in words_of(document) {
            let name = rules.vocabulary.name(&word);
            if name != NameId::OTHER {
                names.insert(name, word.clone());
            }
            if let Some(property) = rules.vocabulary.property(&word) {
                properties.insert(property, word);
            }
        }
        Self { rules, names, properties }
    }

    /// One phrase, and the cohorts that need it.
    pub(super) fn in_words(&self, fact: usize) -> String {
        let index = FactIx(u16::try_from(fact).expect("facts are numbered in 16 bits"));
        let readers: Vec<&str> =
            self.rules.readers(index).iter().map(|cohort| self.rules.cohort(*cohort).name.as_str()).collect();
        let readers = if readers.is_empty() { vec!["[churn]"] } else { readers };
        format!("{} ({})", self.phrase(index), readers.join(", "))
    }

    fn phrase(&self, fact: FactIx) -> String {
        let events = || self.events(fact, |role| matches_own(role).or_else(|| side(role, Side::A)));
        match &self.rules.facts[usize::from(fact.0)].kind {
            FactKind::Latest { cap: 1, .. } => format!("when last {}", events()),
            FactKind::Earliest { cap: 1 } => format!("when first {}", events()),
            FactKind::Latest { cap, .. } => format!("the latest {cap} times of {}", events()),
            FactKind::Earliest { cap } => format!("the first {cap} times of {}", events()),
            FactKind::Total { property, from } => {
                let since = from.map(|from| format!(" since {from}")).unwrap_or_default();
                match property {
                    Some(property) => {
                        format!("the sum and count of {} of {}{since}", self.property(*property), events())
                    }
                    None => format!("how many {}{since}", events()),
                }
            }
            FactKind::Series { property, exact, horizon, .. } => {
                let with = property.map(|p| format!(" with its {}", self.property(p))).unwrap_or_default();
                let within = horizon.map(|span| format!(" of the last {}", length(span))).unwrap_or_default();
                format!("each {}{with}{within}, the latest {exact} one by one, older ones by day", events())
            }
            FactKind::Distinct { key: DistinctKey::Period(unit), earliest, cap } => {
                let unit = unit.word();
                format!(
                    "the {} {} with {}",
                    order(*earliest),
                    counted(*cap as u64, unit, &format!("{unit}s")),
                    events()
                )
            }
            FactKind::Distinct { key: DistinctKey::Property(property), earliest, cap } => {
                format!("the {} {cap} different {} of {}", order(*earliest), self.property(*property), events())
            }
            FactKind::DistinctAll { key, cap, horizon, .. } => {
                let key = match key {
                    DistinctKey::Property(property) => self.property(*property),
                    DistinctKey::Period(unit) => unit.word(),
                };
                let within = horizon.map(|span| format!(" of the last {}", length(span))).unwrap_or_default();
                format!("each {} with its {key}{within}, the latest {cap}", events())
            }
            FactKind::Extreme { property, greatest, from } => {
                let since = from.map(|from| format!(" since {from}")).unwrap_or_default();
                let which = if *greatest { "greatest" } else { "least" };
                format!("the {which} {} of {}{since}", self.property(*property), events())
            }
            FactKind::Values { property, earliest, cap: 1, .. } => {
                let which = if *earliest { "first" } else { "latest" };
                format!("the {which} {} of {}, of a text {TEXT_MAX} bytes", self.property(*property), events())
            }
            FactKind::Values { property, cap, horizon, .. } => {
                let within = horizon.map(|span| format!(" of the last {}", length(span))).unwrap_or_default();
                let property = self.property(*property);
                format!("each {property} of {}{within}, the latest {cap}, of a text {TEXT_MAX} bytes", events())
            }
            FactKind::Answer { last, .. } => {
                let which = if *last { "last" } else { "first" };
                format!(
                    "when {which} {}, and when first {} from then on",
                    events(),
                    self.events(fact, |role| side(role, Side::B))
                )
            }
            FactKind::Used => format!("the days with {}: how many, first and last", events()),
            FactKind::Bought { amount } => {
                let worth = amount.map(|(_, property)| format!(", and the sum of its {}", self.property(property)));
                format!("the days with {}: how many, first and last{}", events(), worth.unwrap_or_default())
            }
            FactKind::Steps { .. } => {
                let via = self.events(fact, |role| side(role, Side::Via));
                let b = self.events(fact, |role| side(role, Side::B));
                format!("when last {}, how many {via} after it, up to the first {b}", events())
            }
            FactKind::Followed { key, each, keys_max, each_max, .. } => {
                let answer = self.events(fact, |role| side(role, Side::B));
                let which = if *each { format!("the latest {each_max} times of") } else { "when last".to_owned() };
                let per = key.map(|key| format!(", for each of {keys_max} {}", self.property(key))).unwrap_or_default();
                format!("{which} {} without {answer} after it{per}", events())
            }
            FactKind::Chain { within, key, keep, keys_max, links_max } => {
                let per = key.map(|key| format!(", for each of {keys_max} {}", self.property(key))).unwrap_or_default();
                let when = match keep {
                    Keep::Latest => "when it was last complete".to_owned(),
                    Keep::Earliest | Keep::WithinFirst(..) => "when it was first complete".to_owned(),
                    Keep::Spread { .. } => format!("{} times at which it was complete", keep.most()),
                };
                let steps = self.steps(fact, within);
                format!("how far {steps} has come{per}, the latest {links_max} events one by one, and {when}")
            }
            FactKind::Periods { unit, back, .. } => {
                let unit = unit.word();
                format!(
                    "how often {} in each of the last {}",
                    events(),
                    counted(u64::from(*back), unit, &format!("{unit}s"))
                )
            }
        }
    }

    /// `a, then b within 2 days, without c between`
    fn steps(&self, fact: FactIx, within: &[Span]) -> String {
        let first = self.events(fact, |role| part(role, 1));
        let next = |(step, span): (usize, &Span)| {
            format!("then {} within {}", self.events(fact, |role| part(role, 2 << step)), length(*span))
        };
        let barred = Some(self.events(fact, |role| part(role, BARRED))).filter(|barred| !barred.is_empty());
        let barred = barred.map(|barred| format!("without {barred} between"));
        let parts = std::iter::once(first).chain(within.iter().enumerate().map(next)).chain(barred);
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The events that feed a fact in one role, with their tests.
    fn events<'s>(&'s self, fact: FactIx, role: impl Fn(&'s Role) -> Option<&'s [Filter]>) -> String {
        let fed_by = |name: NameId| {
            let feed = self.rules.feeds(name).iter().find(|feed: &&Feed| feed.fact == fact)?;
            role(&feed.role)
        };
        if let Some(filters) = fed_by(NameId::OTHER) {
            return format!("any event{}", self.tests(filters));
        }
        let found: Vec<(&str, &[Filter])> =
            self.names.iter().filter_map(|(id, name)| Some((name.as_str(), fed_by(*id)?))).collect();
        let names: BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
        let tests = found.first().map(|(_, filters)| self.tests(filters)).unwrap_or_default();
        format!("{}{tests}", names.into_iter().collect::<Vec<_>>().join(" or "))
    }

    fn tests(&self, filters: &[Filter]) -> String {
        let tests: Vec<String> = filters.iter().map(|filter| self.test(filter)).collect();
        if tests.is_empty() { String::new() } else { format!(" where {}", tests.join(" and ")) }
    }

    fn test(&self, filter: &Filter) -> String {
        let property = self.property(filter.property);
        match &filter.test {
            FilterTest::Eq(value) => format!("{property} = {}", literal(value)),
            FilterTest::Ne(value) => format!("{property} != {}", literal(value)),
            FilterTest::Lt(value) => format!("{property} < {}", literal(value)),
            FilterTest::Le(value) => format!("{property} <= {}", literal(value)),
            FilterTest::Gt(value) => format!("{property} > {}", literal(value)),
            FilterTest::Ge(value) => format!("{property} >= {}", literal(value)),
            FilterTest::Known => format!("{property} is known"),
            FilterTest::Missing => format!("{property} is missing"),
            FilterTest::In(values) => {
                format!("{property} in ({})", values.iter().map(literal).collect::<Vec<_>>().join(", "))
            }
            FilterTest::Contains(value) => format!("{property} contains {}", literal(value)),
        }
    }

    fn property(&self, property: PropertyId) -> &str {
        self.properties.get(&property).map_or("?", String::as_str)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    A,
    B,
    Via,
}

fn matches_own(role: &Role) -> Option<&[Filter]> {
    match role {
        Role::Own(filters) => Some(filters),
        Role::Pair { .. } | Role::Step { .. } | Role::Steps(_) => None,
    }
}

fn side(role: &Role, side: Side) -> Option<&[Filter]> {
    match (role, side) {
        (Role::Pair { a, .. } | Role::Step { a, .. }, Side::A) => a.as_deref(),
        (Role::Pair { b, .. } | Role::Step { b, .. }, Side::B) => b.as_deref(),
        (Role::Step { via, .. }, Side::Via) => via.as_deref(),
        (Role::Pair { .. }, Side::Via) | (Role::Own(_) | Role::Steps(_), _) => None,
    }
}

/// The tests of a sequence's step, or of what must not lie between.
fn part(role: &Role, bit: u16) -> Option<&[Filter]> {
    match role {
        Role::Steps(parts) => parts.iter().find(|(of, _)| *of == bit).map(|(_, filters)| filters.as_slice()),
        Role::Own(_) | Role::Pair { .. } | Role::Step { .. } => None,
    }
}

fn order(earliest: bool) -> &'static str {
    if earliest { "first" } else { "latest" }
}

fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Bool(flag) => flag.to_string(),
        Literal::Number(number) => number.to_string(),
        Literal::Text(text) => format!("\"{text}\""),
    }
}

/// Every word of the rules, quoted ones without their quotes: among them all names of events and properties. The
/// vocabulary itself only goes from words to numbers.
fn words_of(document: &Document) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    if let Events::Named(names) = &document.activity {
        words.extend(names.iter().map(|name| name.text.clone()));
    }
    for attribute in document.profile.values() {
        words.extend([attribute.event.text.clone(), attribute.property.text.clone()]);
    }
    for defined in document.measures.values() {
        collect_words(&defined.text, &mut words);
    }
    if let Some(churn) = &document.churn {
        collect_words(&churn.on_text, &mut words);
        let amount = churn.amount.iter().flat_map(|amount| [&amount.event, &amount.property]);
        words.extend(amount.map(|name| name.text.clone()));
        churn.signals.iter().for_each(|signal| collect_words(&signal.when.text, &mut words));
    }
    for rule in document.cohorts.values() {
        for written in [Some(&rule.who), rule.stay.as_ref(), rule.until.as_ref()].into_iter().flatten() {
            collect_words(&written.text, &mut words);
        }
    }
    words
}

fn collect_words(text: &str, words: &mut BTreeSet<String>) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut word = String::new();
        if c == '"' {
            while let Some(c) = chars.next().filter(|c| *c != '"') {
                word.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
            }
        } else if c.is_alphanumeric() || c == '_' {
            word.push(c);
            while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(c);
            }
        }
        words.insert(word);
    }
}

#[cfg(test)]
mod tests {
    use super::Facts;
    use crate::rules::{compile, read};

    #[test]
    fn facts_are_said_in_plain_words() {
        let text = r#"
            [cohorts.c]
            who = '''did "Order Completed" where total > 5 at least 2 times in the last 3 days
                and did visit on at least 2 different days in the last 7 days
                and a_started then no b where step = 2 within 2 hours
                and sum(purchase.amount in the last 30 days) > 1 and silent for 3 days and did visit for the first time
                and a_started then any of (b, d) where step = 3 within 2 days then e within 1 hour per plan without x1 between
                and did visit at least 2 times a week in at least 3 of the last 4 weeks
                and did visit every week for at least 6 weeks in a row'''
        "#;
        let document = read("r.toml", text).unwrap();
        let rules = compile("r.toml", text, &document).unwrap();
        let facts = Facts::new(&document, &rules);
        let words: Vec<String> = (0..rules.facts.len()).map(|fact| facts.in_words(fact)).collect();
        let expected = [
            "the latest 2 times of Order Completed where total > 5 (c)",
            "the latest 2 days with visit (c)",
            "when last a_started without b where step = 2 after it (c)",
            "each purchase with its amount of the last 30 days, the latest 256 one by one, older ones by day (c)",
            "when last any event (c)",
            "when first visit (c)",
            "how far a_started, then b or d where step = 3 within 2 days, then e within 1 hour, without x1 between has come, \
             for each of 64 plan, the latest 256 events one by one, and when it was last complete (c)",
            "how often visit in each of the last 6 weeks (c)",
        ];
        assert_eq!(words, expected);
    }
}
