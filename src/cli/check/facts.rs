//! Facts in plain words: what is stored, from which events, for which cohorts.

use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::Unit;
use crate::cli::format::{counted, length};
use crate::event::{NameId, PropertyId, Span};
use crate::fact::{FactIx, Parts, Phrases};
use crate::rules::ast::Events;
use crate::rules::{Document, Feed, Filter, FilterTest, Input, Literal, Machine, RuleSet};

/// Descriptions of the facts of a rule set.
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
        let reader = |machine: &Machine| match machine {
            Machine::Cohort(cohort) => self.rules.cohort(*cohort).name.as_str(),
            Machine::Risk => "[churn]",
            Machine::Ranking(_) => "a rank",
        };
        let mut readers: Vec<&str> = self.rules.readers.of(Input::Fact(index)).iter().map(reader).collect();
        readers.dedup();
        let readers = if readers.is_empty() { vec!["include"] } else { readers };
        format!("{} ({})", self.phrase(index), readers.join(", "))
    }

    fn phrase(&self, fact: FactIx) -> String {
        self.rules.facts[usize::from(fact.0)].kind.describe(&OfFact { facts: self, fact })
    }

    /// The events that feed a part of a fact, with their tests.
    fn events(&self, fact: FactIx, part: Parts) -> String {
        let fed_by = |name: NameId| {
            let feed = self.rules.feeds(name).iter().find(|feed: &&Feed| feed.fact == fact)?;
            feed.role.filters(part)
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

/// The description of one fact.
struct OfFact<'a> {
    facts: &'a Facts<'a>,
    fact: FactIx,
}

impl Phrases for OfFact<'_> {
    fn events(&self, part: Parts) -> String {
        self.facts.events(self.fact, part)
    }

    fn property(&self, id: PropertyId) -> &str {
        self.facts.property(id)
    }

    fn length(&self, span: Span) -> String {
        length(span)
    }

    fn counted(&self, count: u64, unit: Unit) -> String {
        counted(count, unit.word(), &format!("{}s", unit.word()))
    }
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
    fn facts_are_described_in_plain_words() {
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
