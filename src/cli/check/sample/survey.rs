//! What there is in the sample, beside what the rules look for.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::words::{counted, grouped};
use crate::codec::{OwnedEvent, OwnedValue};
use crate::rules::ast::Range;
use crate::rules::{Page, Use, Wanted, Warning, each_use, each_use_of_measure, each_use_of_step, nearest};

/// Different names of events, and of properties of one event, that are looked at; more are no names.
const NAMES_MAX: usize = 10_000;
/// A type is another one when it is so in one of so many values: a stray value is no reason for a warning.
const STRAY: u64 = 20;

/// Counts by event name and property.
#[derive(Debug, Default)]
pub(super) struct Survey {
    events: BTreeMap<String, Seen>,
    /// Names were left out, so that nothing is certain to be missing.
    overfull: bool,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    properties: BTreeMap<String, Kinds>,
}

/// How often a property is there, by type.
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

    /// What most of the others are.
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
                seen.properties.insert(name.clone(), Kinds::default());
            }
            let kinds = seen.properties.get_mut(name).expect("it was put there if it was missing");
            match value {
                OwnedValue::Bool(_) => kinds.bools += 1,
                OwnedValue::Number(_) => kinds.numbers += 1,
                OwnedValue::Text(_) => kinds.texts += 1,
                OwnedValue::Unusable => {}
            }
        }
    }

    fn has(&self, event: &str) -> bool {
        self.events.contains_key(event)
    }

    /// What the rules look for that is not there, or not as they take it; each once, where it first stands.
    pub(super) fn warnings(&self, page: &Page<'_>) -> Vec<Warning> {
        if self.events.is_empty() || self.overfull {
            return Vec::new();
        }
        let mut found: Vec<Warning> = Vec::new();
        let mut said = BTreeSet::new();
        let mut once = |warning: &mut dyn FnMut(String, &str) -> Option<Warning>, (message, hint): (String, String)| {
            if said.insert(message.clone()) {
                found.extend(warning(message, &hint));
            }
        };
        for place in page.document.expressions() {
            each_use(&place.2.expr, &mut |used| {
                if let Some((range, message, hint)) = self.problem(used) {
                    once(&mut |message, hint| Some(page.warning(place, range, message, hint)), (message, hint));
                }
            });
        }
        for (name, defined) in &page.document.measures {
            each_use_of_measure(&defined.measure, &mut |used| {
                if let Some((range, message, hint)) = self.problem(used) {
                    once(&mut |message, hint| page.warning_of_measure(name, range, message, hint), (message, hint));
                }
            });
        }
        if let Some(churn) = &page.document.churn {
            each_use_of_step(&churn.on, &mut |used| {
                if let Some((range, message, hint)) = self.problem(used) {
                    once(&mut |message, hint| page.warning_of_coming_back(range, message, hint), (message, hint));
                }
            });
            if let Some(amount) = &churn.amount
                && let Some(problem) = self.property(vec![&amount.event.text], &amount.property.text, Wanted::Number)
            {
                let range = amount.property.range;
                once(&mut |message, hint| page.warning_of_amount(range, message, hint), problem);
            }
            for signal in &churn.signals {
                each_use(&signal.when.expr, &mut |used| {
                    if let Some((range, message, hint)) = self.problem(used) {
                        let warning = |message, hint: &str| page.warning_of_signal(&signal.when, range, message, hint);
                        once(&mut |message, hint| Some(warning(message, hint)), (message, hint));
                    }
                });
            }
        }
        found
    }

    /// Where something is mentioned that is not there, or not so.
    fn problem(&self, used: Use<'_>) -> Option<(Range, String, String)> {
        let (range, problem) = match used {
            Use::Event(name) => (name.range, self.event(&name.text)),
            Use::Property { of, property, wanted } => {
                let events = of.names().iter().map(|name| name.text.as_str()).collect();
                (property.range, self.property(events, &property.text, wanted))
            }
        };
        problem.map(|(message, hint)| (range, message, hint))
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
            // That the events are missing is said of them.
            return None;
        }
        let names = if events.is_empty() { "event".to_owned() } else { format!("`{}`", events.join("` or `")) };
        let mut kinds = Kinds::default();
        for found in of.iter().filter_map(|(_, seen)| seen.properties.get(property)) {
            kinds.bools += found.bools;
            kinds.numbers += found.numbers;
            kinds.texts += found.texts;
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
        // A key or filter that few events carry is often meant; a number to add up in few is not.
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

/// What may have been meant, or else what there is.
fn nearest_or_all<'a>(name: &str, known: impl IntoIterator<Item = &'a String> + Clone) -> String {
    /// More names than this are no help.
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
