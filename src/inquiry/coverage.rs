//! Which names in the rules have occurred in events: with a name, a property or a value that never occurs a rule
//! matches nobody, and nothing else would show it.
//!
//! Cheap for the events: in each partition the first ten thousand are checked and then every sixteenth, and none once
//! everything was found. Memory is bounded by the rules: besides a flag for each mention, some values of each property
//! that is compared, and some names of events that no rule uses.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{CustomerEvent, NameId, PropertyId, Value};
use crate::rules::{Literal, Mention, Mentioned, RuleSet, Wanted, nearest, nearest_value};

/// The first events of a partition, which are all checked.
const ALL_OF_THE_FIRST: u64 = 10_000;
/// After those, one in this many.
const ONE_OF: u64 = 16;
/// The maximum number of names, and of values of one property, kept for suggestions.
const KEPT_MAX: usize = 64;
/// Longer ones, in bytes, are neither names nor values that a rule is compared with.
const KEPT_BYTES_MAX: usize = 64;
/// The number of values listed if none is near.
const LISTED: usize = 8;

/// What was found for one version of the rules, by all lanes of a process since it loaded the version.
#[derive(Debug)]
pub struct Coverage {
    rules: Arc<RuleSet>,
    /// By mention.
    found: Vec<AtomicBool>,
    /// The number of mentions not found yet.
    open: AtomicUsize,
    /// The number of events checked.
    events: AtomicU64,
    /// By the number of an event's name: its mention.
    of_names: Vec<Option<u32>>,
    /// By the number of a property.
    of_properties: Vec<OfProperty>,
    /// Names that no rule uses.
    others: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct OfProperty {
    mentions: Vec<u32>,
    /// The types of its values, as bits.
    types: AtomicU8,
    /// Is it compared with values, so that its values are of interest?
    is_compared: bool,
    values: Mutex<BTreeSet<String>>,
}

/// A name in the rules that no checked event has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// Its first position in the rules, such as `cohorts.vip.who`.
    pub key: String,
    pub text: String,
    /// What may have been meant, or what exists.
    pub hint: Option<String>,
}

impl Coverage {
    /// Has an event of this name been checked? `None`: none has been checked at all, or no rule uses the name.
    #[must_use]
    pub fn has_occurred(&self, name: &str) -> Option<bool> {
        let mention = (*self.of_names.get(usize::from(self.rules.vocabulary.name(name).0))?)?;
        let any = self.events.load(Relaxed) > 0;
        any.then(|| self.found[usize::try_from(mention).unwrap_or(usize::MAX)].load(Relaxed))
    }

    #[must_use]
    pub fn new(rules: &Arc<RuleSet>) -> Self {
        let mentions = &rules.mentions;
        let mut of_names = vec![None; rules.vocabulary.names_len()];
        let mut of_properties: Vec<OfProperty> =
            rules.vocabulary.properties().iter().map(|_| OfProperty::default()).collect();
        for (number, mention) in (0_u32..).zip(mentions) {
            match (&mention.what, mention.events.first()) {
                (Mentioned::Event, Some(name)) => of_names[usize::from(name.0)] = Some(number),
                (Mentioned::Event, None) => {}
                (Mentioned::Property(property, _), _) => of_properties[usize::from(property.0)].mentions.push(number),
                (Mentioned::Value { property, .. }, _) => {
                    let of = &mut of_properties[usize::from(property.0)];
                    of.mentions.push(number);
                    of.is_compared = true;
                }
            }
        }
        Self {
            rules: Arc::clone(rules),
            found: mentions.iter().map(|_| AtomicBool::new(false)).collect(),
            open: AtomicUsize::new(mentions.len()),
            events: AtomicU64::new(0),
            of_names,
            of_properties,
            others: Mutex::default(),
        }
    }

    /// Checks an event, unless it is skipped; `turn` counts those of its partition.
    #[inline]
    pub fn observe(&self, event: &CustomerEvent<'_>, turn: u64) {
        if (turn < ALL_OF_THE_FIRST || turn.is_multiple_of(ONE_OF)) && self.open.load(Relaxed) > 0 {
            self.check(event);
        }
    }

    /// Checks an event of a history that is read for these rules: none of them is skipped.
    pub fn observe_history(&self, event: &CustomerEvent<'_>) {
        if self.open.load(Relaxed) > 0 {
            self.check(event);
        }
    }

    fn check(&self, event: &CustomerEvent<'_>) {
        self.events.fetch_add(1, Relaxed);
        match self.of_names.get(usize::from(event.name_id.0)) {
            Some(mention) => mention.iter().for_each(|mention| self.find(*mention)),
            None => keep(&self.others, || Cow::Borrowed(event.name)),
        }
        for (property, value) in event.properties {
            let Some(of) = self.of_properties.get(usize::from(property.alone().0)) else { continue };
            // Written only if it changes, since all lanes read it.
            if of.types.load(Relaxed) & bit(*value) == 0 {
                of.types.fetch_or(bit(*value), Relaxed);
            }
            for number in &of.mentions {
                let mention = &self.rules.mentions[*number as usize];
                if !self.is_found(*number) && is_of(mention, event.name_id) && matches(&mention.what, *value) {
                    self.find(*number);
                }
            }
            if of.is_compared && of.mentions.iter().any(|mention| !self.is_found(*mention)) {
                match value {
                    Value::Text(text) => keep(&of.values, || Cow::Borrowed(text)),
                    Value::Number(number) => keep(&of.values, || Cow::Owned(number.to_string())),
                    Value::Bool(_) => {}
                }
            }
        }
    }

    fn is_found(&self, mention: u32) -> bool {
        self.found[mention as usize].load(Relaxed)
    }

    fn find(&self, mention: u32) {
        if !self.is_found(mention) && !self.found[mention as usize].swap(true, Relaxed) {
            self.open.fetch_sub(1, Relaxed);
        }
    }

    /// The rules that it is about.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The number of events checked so far. Once everything was found none are.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// The names that no checked event has, in the order of the rules file. For an event that never occurred its
    /// properties are omitted, and for a property its values.
    #[must_use]
    pub fn not_found(&self) -> Vec<NotFound> {
        let numbered = (0_u32..).zip(&self.rules.mentions);
        let open = numbered.filter(|(number, _)| !self.is_found(*number));
        open.filter_map(|(_, mention)| self.in_words(mention)).collect()
    }

    /// Of `not_found`, what the rules before did not ask for: their events are in the history that was read for these.
    #[must_use]
    pub fn not_found_since(&self, before: &RuleSet) -> Vec<NotFound> {
        let numbered = (0_u32..).zip(&self.rules.mentions);
        let open = numbered.filter(|(number, mention)| !self.is_found(*number) && !self.is_known_to(before, mention));
        open.filter_map(|(_, mention)| self.in_words(mention)).collect()
    }

    /// Do other rules, whose names have other numbers, ask for the same?
    fn is_known_to(&self, other: &RuleSet, mention: &Mention) -> bool {
        let there = |name: &NameId| other.vocabulary.name(self.rules.vocabulary.name_of(*name).unwrap_or_default());
        let events: Vec<NameId> = mention.events.iter().map(there).collect();
        let property = |own: &PropertyId| other.vocabulary.property(self.name_of(*own));
        let what = match &mention.what {
            Mentioned::Event => Some(Mentioned::Event),
            Mentioned::Property(own, wanted) => property(own).map(|property| Mentioned::Property(property, *wanted)),
            Mentioned::Value { property: own, value, as_part } => {
                property(own).map(|property| Mentioned::Value { property, value: value.clone(), as_part: *as_part })
            }
        };
        what.is_some_and(|what| other.mentions.iter().any(|known| known.events == events && known.what == what))
    }

    fn in_words(&self, mention: &Mention) -> Option<NotFound> {
        let missing = |text: String, hint: Option<String>| Some(NotFound { key: mention.key.clone(), text, hint });
        let has_come = |name: &NameId| self.of_names[usize::from(name.0)].is_none_or(|event| self.is_found(event));
        let events = self.names_of(&mention.events);
        match &mention.what {
            Mentioned::Event => missing(format!("no event is called {events}"), self.nearest_name(mention)),
            _ if !mention.events.is_empty() && !mention.events.iter().any(has_come) => None,
            Mentioned::Property(property, wanted) => {
                let types = self.of_properties[usize::from(property.0)].types.load(Relaxed);
                let name = self.name_of(*property);
                let (kind, hint) = match wanted {
                    Wanted::Anything | Wanted::Presence => ("a property", None),
                    _ if types == 0 => ("a property", None),
                    Wanted::Number => ("a number as", Some(types_in_words(types))),
                    Wanted::Text => ("a text as", Some(types_in_words(types))),
                    Wanted::Bool => ("true or false as", Some(types_in_words(types))),
                };
                missing(format!("no {events} has {kind} `{name}`"), hint)
            }
            Mentioned::Value { property, value, as_part } => {
                let of = &self.of_properties[usize::from(property.0)];
                let (bit, shown) = match value {
                    Literal::Text(text) => (TEXT, format!("\"{text}\"")),
                    Literal::Number(number) => (NUMBER, number.to_string()),
                    Literal::Bool(flag) => (BOOL, flag.to_string()),
                };
                if of.types.load(Relaxed) & bit == 0 {
                    return None;
                }
                let name = self.name_of(*property);
                let text = match as_part {
                    true => format!("no {events} has a `{name}` that contains {shown}"),
                    false => format!("no {events} has the value {shown} for `{name}`"),
                };
                missing(text, near(value, &of.values))
            }
        }
    }

    fn names_of(&self, events: &[NameId]) -> String {
        let names: Vec<String> = events
            .iter()
            .filter_map(|event| self.rules.vocabulary.name_of(*event))
            .map(|name| format!("`{name}`"))
            .collect();
        if names.is_empty() { "event".to_owned() } else { names.join(" or ") }
    }

    fn name_of(&self, property: PropertyId) -> &str {
        self.rules.vocabulary.property_name(property).unwrap_or_default()
    }

    /// The nearest event name that occurred.
    fn nearest_name(&self, mention: &Mention) -> Option<String> {
        let wanted = self.rules.vocabulary.name_of(*mention.events.first()?)?;
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let of_rules = (0_u16..).zip(&self.of_names);
        let came = of_rules.filter(|(_, event)| event.is_some_and(|event| self.is_found(event)));
        let came = came.filter_map(|(number, _)| self.rules.vocabulary.name_of(NameId(number)));
        let near = nearest(wanted, came.chain(others.iter().map(String::as_str)))?;
        Some(format!("did you mean `{near}`?"))
    }
}

const BOOL: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 4;

fn bit(value: Value<'_>) -> u8 {
    match value {
        Value::Bool(_) => BOOL,
        Value::Number(_) => NUMBER,
        Value::Text(_) => TEXT,
    }
}

fn types_in_words(types: u8) -> String {
    let words = [(BOOL, "true or false"), (NUMBER, "a number"), (TEXT, "a text")];
    let there: Vec<&str> = words.into_iter().filter(|(bit, _)| types & bit != 0).map(|(_, word)| word).collect();
    format!("it is {}; a value of another type never passes", there.join(" or "))
}

fn is_of(mention: &Mention, event: NameId) -> bool {
    mention.events.is_empty() || mention.events.contains(&event)
}

/// Is this a mentioned value?
fn matches(what: &Mentioned, value: Value<'_>) -> bool {
    match (what, value) {
        (Mentioned::Event, _) => false,
        (Mentioned::Property(_, Wanted::Anything | Wanted::Presence), _)
        | (Mentioned::Property(_, Wanted::Number), Value::Number(_))
        | (Mentioned::Property(_, Wanted::Text), Value::Text(_))
        | (Mentioned::Property(_, Wanted::Bool), Value::Bool(_)) => true,
        (Mentioned::Property(..), _) => false,
        (Mentioned::Value { value: Literal::Text(part), as_part: true, .. }, Value::Text(text)) => {
            text.contains(&**part)
        }
        (Mentioned::Value { value: Literal::Text(wanted), .. }, Value::Text(text)) => text == &**wanted,
        (Mentioned::Value { value: Literal::Number(wanted), .. }, Value::Number(number)) => number == *wanted,
        (Mentioned::Value { .. }, _) => false,
    }
}

/// Stores a name or a value, if it is short and there is room. If the lock is taken, it is skipped: there will be
/// others.
fn keep<'a>(kept: &Mutex<BTreeSet<String>>, text: impl FnOnce() -> Cow<'a, str>) {
    let Ok(mut kept) = kept.try_lock() else { return };
    if kept.len() >= KEPT_MAX {
        return;
    }
    let text = text();
    if text.len() <= KEPT_BYTES_MAX && !kept.contains(&*text) {
        kept.insert(text.into_owned());
    }
}

/// The nearest of the values seen; or some of them.
fn near(wanted: &Literal, values: &Mutex<BTreeSet<String>>) -> Option<String> {
    let values = values.lock().unwrap_or_else(PoisonError::into_inner);
    if let Literal::Text(text) = wanted
        && let Some(near) = nearest_value(text, values.iter().map(String::as_str))
    {
        return Some(format!("nearest: \"{near}\""));
    }
    let some: Vec<&str> = values.iter().take(LISTED).map(String::as_str).collect();
    let more = if values.len() > LISTED { ", ..." } else { "" };
    (!some.is_empty()).then(|| format!("there: {}{more}", some.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::event::{Instant, Number};
    use crate::rules;

    fn coverage(who: &str) -> Coverage {
        Coverage::new(&Arc::new(rules::load("r.toml", &format!("[cohorts.a]\nwho = '{who}'\n")).unwrap()))
    }

    fn event<'a>(coverage: &Coverage, name: &'a str, properties: &'a [(PropertyId, Value<'a>)]) -> CustomerEvent<'a> {
        CustomerEvent {
            customer: "c",
            name,
            name_id: coverage.rules.vocabulary.name(name),
            at: Instant(0),
            id: None,
            source: None,
            record_hash: 0,
            unusable_values: 0,
            properties,
        }
    }

    fn missing(coverage: &Coverage) -> Vec<String> {
        let line = |found: NotFound| format!("{}; {}", found.text, found.hint.unwrap_or_default());
        coverage.not_found().into_iter().map(line).collect()
    }

    #[test]
    fn a_value_that_never_occurred_is_reported_with_the_nearest_until_it_occurs() {
        let coverage = coverage("did purchase where country = \"FR\" in the last 3 days");
        let country = coverage.rules.vocabulary.property("country").unwrap();
        let lower = [(country, Value::Text("fr"))];
        coverage.observe(&event(&coverage, "purchase", &lower), 0);
        assert_eq!(missing(&coverage), ["no `purchase` has the value \"FR\" for `country`; nearest: \"fr\""]);
        let upper = [(country, Value::Text("FR"))];
        coverage.observe(&event(&coverage, "visit", &upper), 1);
        assert_eq!(coverage.not_found().len(), 1, "of another event");
        coverage.observe(&event(&coverage, "purchase", &upper), 2);
        assert_eq!((coverage.not_found(), coverage.events()), (vec![], 3));
        coverage.observe(&event(&coverage, "purchase", &upper), 3);
        assert_eq!(coverage.events(), 3, "all was found, and nothing more is looked at");
    }

    #[test]
    fn a_name_that_never_occurred_is_reported_with_the_nearest_and_its_properties_are_not() {
        let coverage = coverage("sum(purchas.amount in the last 3 days) > 5");
        coverage.observe(&event(&coverage, "purchase", &[]), 0);
        assert_eq!(missing(&coverage), ["no event is called `purchas`; did you mean `purchase`?"]);
    }

    #[test]
    fn of_an_edit_only_what_it_asks_for_first_is_reported() {
        let before = coverage("did visit in the last 3 days and did refund in the last 3 days");
        // Its names have other numbers, and one of them never came before the edit either.
        let edited = coverage("did purchas in the last 3 days or did refund in the last 3 days");
        edited.observe_history(&event(&edited, "purchase", &[]));
        let said: Vec<String> = edited.not_found_since(before.rules()).into_iter().map(|found| found.text).collect();
        assert_eq!(said, ["no event is called `purchas`"]);
        let wider = coverage("did visit where page = \"a\" in the last 3 days");
        let page = wider.rules.vocabulary.property("page").unwrap();
        wider.observe_history(&event(&wider, "visit", &[(page, Value::Text("b"))]));
        let said: Vec<String> = wider.not_found_since(before.rules()).into_iter().map(|found| found.text).collect();
        assert_eq!(said, ["no `visit` has the value \"a\" for `page`"]);
        assert_eq!(wider.not_found_since(&wider.rules), []);
    }

    #[test]
    fn every_event_of_a_history_is_looked_at() {
        let coverage = coverage("did purchase in the last 3 days");
        let other = event(&coverage, "visit", &[]);
        (0..ALL_OF_THE_FIRST + 10).for_each(|_| coverage.observe_history(&other));
        assert_eq!(coverage.events(), ALL_OF_THE_FIRST + 10);
    }

    #[test]
    fn a_number_that_comes_as_text_is_reported_as_text() {
        let coverage = coverage("sum(purchase.amount in the last 3 days) > 5");
        let amount = coverage.rules.vocabulary.property("amount").unwrap();
        coverage.observe(&event(&coverage, "purchase", &[]), 0);
        assert_eq!(missing(&coverage), ["no `purchase` has a property `amount`; "]);
        coverage.observe(&event(&coverage, "purchase", &[(amount, Value::Text("12.5"))]), 1);
        assert_eq!(
            missing(&coverage),
            ["no `purchase` has a number as `amount`; it is a text; a value of another type never passes"]
        );
    }

    #[test]
    fn the_values_of_a_list_count_each() {
        let coverage = coverage("did purchase where tag = \"sale\" in the last 3 days");
        let tag = coverage.rules.vocabulary.property("tag").unwrap().in_a_list();
        let tags = [(tag, Value::Text("new")), (tag, Value::Text("sale"))];
        coverage.observe(&event(&coverage, "purchase", &tags), 0);
        assert_eq!(missing(&coverage), [""; 0]);
    }

    #[test]
    fn what_is_kept_to_compare_with_is_bounded() {
        let coverage = coverage("did purchase where size = 1 in the last 3 days");
        let size = coverage.rules.vocabulary.property("size").unwrap();
        for n in 10..10_000 {
            let sizes = [(size, Value::Number(Number::from_integer(n)))];
            coverage.observe(&event(&coverage, &format!("other{n}"), &sizes), 0);
        }
        let kept = coverage.of_properties[usize::from(size.0)].values.lock().unwrap().len();
        assert_eq!((kept, coverage.others.lock().unwrap().len()), (KEPT_MAX, KEPT_MAX));
    }

    #[test]
    fn after_the_first_events_of_a_partition_one_of_several_is_looked_at() {
        let coverage = coverage("did purchase in the last 3 days");
        let other = event(&coverage, "visit", &[]);
        (0..ALL_OF_THE_FIRST + 10 * ONE_OF).for_each(|turn| coverage.observe(&other, turn));
        assert_eq!(coverage.events(), ALL_OF_THE_FIRST + 10);
    }
}
