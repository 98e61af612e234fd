//! The contents of the sample, compared with what the rules use.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::format::{counted, grouped};
use crate::codec::{OwnedEvent, OwnedValue};
use crate::event::Number;
use crate::rules::ast::{Literal, Range};
use crate::rules::{
    Document, Page, Use, ValueUse, Wanted, Warning, each_use, each_use_of_measure, each_use_of_step, nearest,
    nearest_value,
};

/// The maximum number of event names, and of property names of one event; more are not names.
const NAMES_MAX: usize = 10_000;
/// The maximum number of values of one property; more are ids, amounts or free text.
const VALUES_MAX: usize = 500;
/// A type mismatch counts if it occurs in one of this many values: a stray value does not justify a warning.
const STRAY: u64 = 20;

/// Counts by event name and property.
#[derive(Debug, Default)]
pub(super) struct Survey {
    events: BTreeMap<String, Seen>,
    /// Names were dropped, so that nothing is known to be missing.
    overfull: bool,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    properties: BTreeMap<String, Property>,
}

/// One property of one event.
#[derive(Debug, Default)]
struct Property {
    kinds: Kinds,
    texts: BTreeSet<String>,
    numbers: BTreeSet<Number>,
    /// There are more values than are stored, so that nothing is known to be missing.
    overfull: bool,
}

impl Property {
    fn count(&mut self, value: &OwnedValue) {
        // A list counts as the type of its items.
        let first = match value {
            OwnedValue::List { values, .. } => values.first(),
            single => Some(single),
        };
        match first {
            Some(OwnedValue::Bool(_)) => self.kinds.bools += 1,
            Some(OwnedValue::Number(_)) => self.kinds.numbers += 1,
            Some(OwnedValue::Text(_)) => self.kinds.texts += 1,
            Some(OwnedValue::List { .. } | OwnedValue::Unusable) | None => {}
        }
        self.hold(value);
    }

    fn hold(&mut self, value: &OwnedValue) {
        match value {
            OwnedValue::Number(number) => {
                if !self.numbers.contains(number) && self.has_room() {
                    self.numbers.insert(*number);
                }
            }
            OwnedValue::Text(text) => {
                if !self.texts.contains(text.as_str()) && self.has_room() {
                    self.texts.insert(text.clone());
                }
            }
            OwnedValue::List { values, .. } => values.iter().for_each(|value| self.hold(value)),
            OwnedValue::Bool(_) | OwnedValue::Unusable => {}
        }
    }

    /// Can one more value be stored?
    fn has_room(&mut self) -> bool {
        self.overfull |= self.texts.len() + self.numbers.len() == VALUES_MAX;
        !self.overfull
    }
}

/// Occurrences of a property, by type.
#[derive(Debug, Default, Clone, Copy)]
struct Kinds {
    bools: u64,
    numbers: u64,
    texts: u64,
}

impl Kinds {
    fn present(self) -> u64 {
        self.bools + self.numbers + self.texts
    }

    /// Those that are of another type than wanted.
    fn other_than(self, wanted: Wanted) -> u64 {
        match wanted {
            Wanted::Anything | Wanted::Presence => 0,
            Wanted::Bool => self.present() - self.bools,
            Wanted::Number => self.present() - self.numbers,
            Wanted::Text => self.present() - self.texts,
        }
    }

    /// The most common other type.
    fn mostly(self, wanted: Wanted) -> &'static str {
        let kinds = [
            (self.bools, Wanted::Bool, "true or false"),
            (self.numbers, Wanted::Number, "numbers"),
            (self.texts, Wanted::Text, "texts"),
        ];
        let others = kinds.into_iter().filter(|(_, kind, _)| *kind != wanted);
        others.max_by_key(|(count, ..)| *count).map_or("of another type", |(.., words)| words)
    }
}

impl Survey {
    pub(super) fn count(&mut self, event: &OwnedEvent) {
        if !self.events.contains_key(&event.name) {
            if self.events.len() == NAMES_MAX {
                self.overfull = true;
                return;
            }
            self.events.insert(event.name.clone(), Seen::default());
        }
        let seen = self.events.get_mut(&event.name).expect("it was put there if it was missing");
        seen.count += 1;
        for (name, value) in &event.properties {
            if !seen.properties.contains_key(name) {
                if seen.properties.len() == NAMES_MAX {
                    self.overfull = true;
                    continue;
                }
                seen.properties.insert(name.clone(), Property::default());
            }
            seen.properties.get_mut(name).expect("it was put there if it was missing").count(value);
        }
    }

    fn has(&self, event: &str) -> bool {
        self.events.contains_key(event)
    }

    /// What the rules use and the sample lacks or has in another type; each once, at its first position.
    pub(super) fn warnings(&self, page: &Page<'_>) -> Vec<Warning> {
        if self.events.is_empty() || self.overfull {
            return Vec::new();
        }
        let mut found: Vec<Warning> = Vec::new();
        let mut reported = BTreeSet::new();
        let mut once = |problem: Option<(Range, String, String)>,
                        warning: &mut dyn FnMut(Range, String, &str) -> Option<Warning>| {
            let Some((range, message, hint)) = problem else { return };
            if reported.insert(message.clone()) {
                found.extend(warning(range, message, &hint));
            }
        };
        let document = page.document;
        for place in document.expressions() {
            let mut warn = |range, message, hint: &str| Some(page.warning(place, range, message, hint));
            each_use(&place.2.expr, &mut |used| once(self.problem(document, used), &mut warn));
        }
        for (name, defined) in &document.measures {
            let mut warn = |range, message, hint: &str| page.warning_of_measure(name, range, message, hint);
            each_use_of_measure(&defined.measure, &mut |used| once(self.problem(document, used), &mut warn));
        }
        if let Some(churn) = &document.churn {
            let mut warn = |range, message, hint: &str| page.warning_of_coming_back(range, message, hint);
            each_use_of_step(&churn.on, &mut |used| once(self.problem(document, used), &mut warn));
            if let Some(amount) = &churn.amount {
                let of = self.property(vec![&amount.event.text], &amount.property.text, Wanted::Number);
                let problem = of.map(|(message, hint)| (amount.property.range, message, hint));
                once(problem, &mut |range, message, hint| page.warning_of_amount(range, message, hint));
            }
            for signal in &churn.signals {
                let mut warn =
                    |range, message, hint: &str| Some(page.warning_of_signal(&signal.when, range, message, hint));
                each_use(&signal.when.expr, &mut |used| once(self.problem(document, used), &mut warn));
            }
        }
        found
    }

    /// The position of a mention, with a message and a hint, if the sample lacks it.
    fn problem(&self, document: &Document, used: Use<'_>) -> Option<(Range, String, String)> {
        let (range, problem) = match used {
            Use::Value(used) => return self.value(used),
            Use::Compared { measure, with } => {
                let (of, property, value) = document.compared(measure, with)?;
                return self.value(ValueUse::whole(of, property, &value, measure.range));
            }
            Use::Event(name) => (name.range, self.event(&name.text)),
            Use::Property { of, property, wanted } => {
                let events = of.names().iter().map(|name| name.text.as_str()).collect();
                (property.range, self.property(events, &property.text, wanted))
            }
        };
        problem.map(|(message, hint)| (range, message, hint))
    }

    /// A value that no event has, where all values are known.
    fn value(&self, used: ValueUse<'_>) -> Option<(Range, String, String)> {
        let ValueUse { of, property, value, as_part, range } = used;
        let events: Vec<&str> = of.names().iter().map(|name| name.text.as_str()).collect();
        let seen = self.events.iter().filter(|(name, _)| events.is_empty() || events.contains(&name.as_str()));
        let found: Vec<&Property> = seen.filter_map(|(_, seen)| seen.properties.get(&property.text)).collect();
        // A missing property, or another type, has a warning of its own.
        let of_type = |one: &&Property| match value {
            Literal::Text(_) => one.kinds.texts > 0,
            Literal::Number(_) => one.kinds.numbers > 0,
            Literal::Bool(_) => false,
        };
        if !found.iter().any(of_type) || found.iter().any(|one| one.overfull) {
            return None;
        }
        let texts = || found.iter().flat_map(|one| &one.texts);
        let (shown, hint) = match value {
            Literal::Bool(_) => return None,
            Literal::Number(number) if found.iter().any(|one| one.numbers.contains(number)) => return None,
            Literal::Number(number) => {
                let all: BTreeSet<String> = found.iter().flat_map(|one| &one.numbers).map(Number::to_string).collect();
                (number.to_string(), listed(&all))
            }
            Literal::Text(text) if texts().any(|seen| seen == text || (as_part && seen.contains(text.as_str()))) => {
                return None;
            }
            Literal::Text(text) => {
                let all: BTreeSet<String> = texts().cloned().collect();
                let near = nearest_value(text, all.iter().map(String::as_str));
                let hint = near.map_or_else(|| listed(&all), |near| format!("nearest: \"{near}\""));
                (format!("\"{text}\""), hint)
            }
        };
        let name = &property.text;
        let message = match as_part {
            true => format!("no event of the sample has a `{name}` that contains {shown}"),
            false => format!("no event of the sample has the value {shown} for `{name}`"),
        };
        Some((range, message, hint))
    }

    fn event(&self, name: &str) -> Option<(String, String)> {
        if self.has(name) {
            return None;
        }
        let message = format!("the sample has no event `{name}`");
        Some((message, nearest_or_all(name, self.events.keys())))
    }

    /// `events`: whose property it is; none: of any.
    fn property(&self, events: Vec<&str>, property: &str, wanted: Wanted) -> Option<(String, String)> {
        let of: Vec<(&String, &Seen)> =
            self.events.iter().filter(|(name, _)| events.is_empty() || events.contains(&name.as_str())).collect();
        let total: u64 = of.iter().map(|(_, seen)| seen.count).sum();
        if total == 0 {
            // Missing events have a warning of their own.
            return None;
        }
        let names = if events.is_empty() { "event".to_owned() } else { format!("`{}`", events.join("` or `")) };
        let mut kinds = Kinds::default();
        for found in of.iter().filter_map(|(_, seen)| seen.properties.get(property)) {
            kinds.bools += found.kinds.bools;
            kinds.numbers += found.kinds.numbers;
            kinds.texts += found.kinds.texts;
        }
        let present = kinds.present();
        if present == 0 {
            let known = of.iter().flat_map(|(_, seen)| seen.properties.keys()).collect::<BTreeSet<_>>();
            let message = format!("no {names} in the sample has a property `{property}`");
            return Some((message, nearest_or_all(property, known)));
        }
        let other = kinds.other_than(wanted);
        if other > 0 && other * STRAY >= present {
            let taken = match wanted {
                Wanted::Number => "a number",
                Wanted::Text => "a text",
                _ => "true or false",
            };
            let message = format!(
                "the rule takes `{property}` for {taken}, and {} of {} in the sample are {}",
                grouped(other),
                counted(present, "value", "values"),
                kinds.mostly(wanted)
            );
            let hint = match wanted {
                Wanted::Text => "write a number without quotes",
                _ => "a value of another type never passes; write the rule, or the source, for one type",
            };
            return Some((message, hint.to_owned()));
        }
        // Keys and filters that few events have are often intended; a summed number that few have is not.
        let half = wanted != Wanted::Presence && (total - present) * 2 >= total;
        half.then(|| {
            let message = format!(
                "`{property}` is missing in {} of {} {names} in the sample",
                grouped(total - present),
                grouped(total)
            );
            (message, "an event without it passes no test on it and adds nothing".to_owned())
        })
    }
}

/// At most a helpful number of names.
fn listed(all: &BTreeSet<String>) -> String {
    const LISTED: usize = 12;
    let some: Vec<&str> = all.iter().take(LISTED).map(String::as_str).collect();
    match all.len() - some.len() {
        0 => format!("there: {}", some.join(", ")),
        more => format!("there: {} and {} more", some.join(", "), grouped(more as u64)),
    }
}

/// The nearest name, or else the existing names.
fn nearest_or_all<'a>(name: &str, known: impl IntoIterator<Item = &'a String> + Clone) -> String {
    /// The maximum number of names that help.
    const LISTED: usize = 12;
    if let Some(near) = nearest(name, known.clone().into_iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<&str> = known.into_iter().map(String::as_str).collect();
    match all.len() {
        0 => "the sample's events have no properties".to_owned(),
        1..=LISTED => format!("there: {}", all.join(", ")),
        more => format!("there: {} and {} more", all[..LISTED].join(", "), more - LISTED),
    }
}
