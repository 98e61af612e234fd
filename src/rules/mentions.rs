//! What the rules refer to, in the numbers of the vocabulary, to check whether events have it.

use std::collections::BTreeSet;

use super::ast::{Literal as WrittenLiteral, Name};
use super::document::Document;
use super::selector::Literal;
use super::uses::{Owners, Use, ValueUse, Wanted, each_use, each_use_of_measure, each_use_of_step};
use crate::event::{NameId, PropertyId, Vocabulary};

/// A reference that matches nothing unless events have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The key of the first reference, such as `cohorts.vip.who`.
    pub key: String,
    /// The event itself, or the events whose property it is; empty: any.
    pub events: Vec<NameId>,
    pub what: Mentioned,
}

/// What is mentioned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mentioned {
    /// An event of this name.
    Event,
    /// A property with a value of the type that the rule expects.
    Property(PropertyId, Wanted),
    /// A number or a text that the property is compared with; `as_part`: as a part of its text.
    Value { property: PropertyId, value: Literal, as_part: bool },
}

/// Every mention once, in the order of the file. Definitions that no cohort uses are not in the vocabulary, and are
/// left out.
pub(super) fn mentions(document: &Document, vocabulary: &Vocabulary) -> Vec<Mention> {
    let mut all = Mentions { document, vocabulary, found: Vec::new(), known: BTreeSet::new() };
    for (cohort, part, written) in document.expressions() {
        let key = format!("cohorts.{cohort}.{part}");
        each_use(&written.expr, &mut |used| all.add(&key, used));
    }
    for (name, defined) in &document.measures {
        let key = format!("measures.{name}");
        each_use_of_measure(&defined.measure, &mut |used| all.add(&key, used));
    }
    if let Some(churn) = &document.churn {
        each_use_of_step(&churn.on, &mut |used| all.add("churn.on", used));
        if let Some(amount) = &churn.amount {
            let (of, property) = (Owners::One(&amount.event), &amount.property);
            all.add("churn.amount", Use::Property { of, property, wanted: Wanted::Number });
        }
        for signal in &churn.signals {
            each_use(&signal.when.expr, &mut |used| all.add("churn.signals", used));
        }
    }
    all.found
}

struct Mentions<'d> {
    document: &'d Document,
    vocabulary: &'d Vocabulary,
    found: Vec<Mention>,
    known: BTreeSet<(Vec<NameId>, Mentioned)>,
}

impl Mentions<'_> {
    fn add(&mut self, key: &str, used: Use<'_>) {
        match used {
            Use::Event(name) => self.keep(key, std::slice::from_ref(name), Some(Mentioned::Event)),
            Use::Property { wanted: Wanted::Presence, .. } => {}
            Use::Property { of, property, wanted } => {
                let property = self.vocabulary.property(&property.text);
                self.keep(key, of.names(), property.map(|property| Mentioned::Property(property, wanted)));
            }
            Use::Value(used) => self.keep(key, used.of.names(), self.value(used)),
            Use::Compared { measure, with } => {
                let Some((event, property, value)) = self.document.compared(measure, with) else { return };
                self.add(key, Use::Value(ValueUse::whole(event, property, &value, measure.range)));
            }
        }
    }

    /// `None` for booleans, whose values need no check.
    fn value(&self, used: ValueUse<'_>) -> Option<Mentioned> {
        let ValueUse { property, value, as_part, .. } = used;
        let value = match value {
            WrittenLiteral::Bool(_) => return None,
            WrittenLiteral::Number(number) => Literal::Number(*number),
            WrittenLiteral::Text(text) => Literal::Text(text.as_str().into()),
        };
        Some(Mentioned::Value { property: self.vocabulary.property(&property.text)?, value, as_part })
    }

    fn keep(&mut self, key: &str, events: &[Name], what: Option<Mentioned>) {
        let Some(what) = what else { return };
        let events: Vec<NameId> = events.iter().map(|name| self.vocabulary.name(&name.text)).collect();
        if events.contains(&NameId::OTHER) || !self.known.insert((events.clone(), what.clone())) {
            return;
        }
        self.found.push(Mention { key: key.to_owned(), events, what });
    }
}
