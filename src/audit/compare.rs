//! What topics have to do with each other, and with the rules.

use std::collections::{BTreeMap, BTreeSet};

use super::critical::Critical;
use super::guess::Guess;
use super::names::{is_slip, spelling, time_rank};
use super::paths::FieldId;
use super::report::{
    Alike, Better, CriticalReport, EventReport, InCommon, RulesReport, Spelled, TopicReport, TwoTypes, TypeOf,
};
use super::rules_use::RulesUse;
use super::sketch::{Common, HashSample};
use super::topic::Topic;
use super::value::Kind;
use crate::rules::nearest;

/// The customers that each two topics have in common.
pub(super) fn customers_in_common(topics: &[(Topic, Guess)]) -> Vec<InCommon> {
    let mut found = Vec::new();
    for (place, (one, one_guess)) in topics.iter().enumerate() {
        for (other, other_guess) in &topics[place + 1..] {
            let (Some(a), Some(b)) = (&one_guess.customer, &other_guess.customer) else { continue };
            let (Some(first), Some(second)) = (sample(one, a.field), sample(other, b.field)) else { continue };
            let common = first.common(second);
            found.push(InCommon {
                topics: [one.name.clone(), other.name.clone()],
                paths: [a.path.clone(), b.path.clone()],
                shares: [common.of_first(), common.of_second()],
                better: better((one, other), (a.field, b.field), common),
            });
        }
    }
    found
}

/// What is remembered of a field, or of the key.
fn sample(topic: &Topic, field: Option<FieldId>) -> Option<&HashSample> {
    let sample = match field {
        None => &topic.keys.sample,
        Some(field) => &topic.customers.all.iter().find(|own| own.field == field)?.kept.sample,
    };
    (!sample.is_empty()).then_some(sample)
}

/// Two other fields by which clearly more customers are in both topics.
fn better((one, other): (&Topic, &Topic), chosen: (Option<FieldId>, Option<FieldId>), now: Common) -> Option<Better> {
    /// So much more of the smaller side, and so many customers.
    const SHARE_MIN: f64 = 0.1;
    const COUNT_MIN: u64 = 5;
    let smaller = |common: Common| common.of_first().max(common.of_second());
    let fields = |topic: &Topic| -> Vec<Option<FieldId>> {
        topic.customers.all.iter().map(|own| Some(own.field)).chain([None]).collect()
    };
    let path =
        |topic: &Topic, field: Option<FieldId>| field.map_or_else(|| "key".to_owned(), |id| topic.paths.text(id));
    let mut best: Option<(Common, Better)> = None;
    for a in fields(one) {
        for b in fields(other) {
            let (Some(first), Some(second)) = (sample(one, a), sample(other, b)) else { continue };
            let common = first.common(second);
            if (a, b) == chosen || common.both < COUNT_MIN || smaller(common) < smaller(now) + SHARE_MIN {
                continue;
            }
            if best.as_ref().is_none_or(|(known, _)| smaller(common) > smaller(*known)) {
                let better =
                    Better { paths: [path(one, a), path(other, b)], shares: [common.of_first(), common.of_second()] };
                best = Some((common, better));
            }
        }
    }
    best.map(|(_, better)| better)
}

/// Names of events that are spellings of one.
pub(super) fn events_alike(topics: &[TopicReport]) -> Vec<Alike> {
    let mut names = Names::default();
    for topic in topics.iter().filter(|topic| topic.event.is_some()) {
        topic.events.iter().for_each(|event| names.add(&event.event, &topic.topic, event.records));
    }
    names.alike()
}

/// Names of properties that are spellings of one.
pub(super) fn properties_alike(topics: &[(Topic, Guess)]) -> Vec<Alike> {
    let mut names = Names::default();
    for (topic, _) in topics {
        for field in topic.paths.all() {
            let name = topic.paths.names(field).0;
            if !name.is_empty() && topic.field(field).kind().is_some_and(Kind::is_single) {
                names.add(name, &topic.name, topic.field(field).records);
            }
        }
    }
    names.spellings().collect()
}

#[derive(Default)]
struct Names(BTreeMap<String, BTreeMap<String, (BTreeSet<String>, u64)>>);

impl Names {
    fn add(&mut self, name: &str, topic: &str, records: u64) {
        let (topics, count) = self.0.entry(spelling(name)).or_default().entry(name.to_owned()).or_default();
        topics.insert(topic.to_owned());
        *count += records;
    }

    fn spellings(&self) -> impl Iterator<Item = Alike> {
        let several = self.0.values().filter(|names| names.len() > 1);
        several.map(|names| Alike { names: spelled(names), slip: false })
    }

    /// Spellings of one name, and then what is probably a typing error.
    fn alike(&self) -> Vec<Alike> {
        /// Comparing each with each has an end.
        const COMPARED_MAX: usize = 500;
        /// A typing error is so much rarer.
        const RARER: u64 = 20;
        let mut found: Vec<Alike> = self.spellings().collect();
        let all: Vec<Spelled> =
            self.0.values().take(COMPARED_MAX).filter_map(|names| spelled(names).into_iter().next()).collect();
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                let (often, seldom) = if one.records >= other.records { (one, other) } else { (other, one) };
                if often.records >= RARER * seldom.records && is_slip(&one.name, &other.name) {
                    found.push(Alike { names: vec![often.clone(), seldom.clone()], slip: true });
                }
            }
        }
        found
    }
}

/// The most frequent first.
fn spelled(names: &BTreeMap<String, (BTreeSet<String>, u64)>) -> Vec<Spelled> {
    let of = |(name, (topics, records)): (&String, &(BTreeSet<String>, u64))| Spelled {
        name: name.clone(),
        topics: topics.iter().cloned().collect(),
        records: *records,
    };
    let mut names: Vec<Spelled> = names.iter().map(of).collect();
    names.sort_by(|one, other| other.records.cmp(&one.records).then(one.name.cmp(&other.name)));
    names
}

/// Names that say so little that two fields of one name need not be one property.
const VAGUE: [&str; 16] = [
    "id",
    "name",
    "type",
    "value",
    "key",
    "statu",
    "status",
    "code",
    "label",
    "title",
    "data",
    "version",
    "number",
    "description",
    "op",
    "index",
];

/// Names whose values are of one type here, and of another there, or of both in one field.
pub(super) fn two_types(topics: &[(Topic, Guess)]) -> Vec<TwoTypes> {
    /// Fewer values of another type are single errors of a field.
    const SHARE_MIN: f64 = 0.001;
    let mut of_names: BTreeMap<String, Vec<(String, TypeOf)>> = BTreeMap::new();
    let mut in_one = Vec::new();
    for (topic, _) in topics {
        for id in topic.paths.all() {
            let (field, name) = (topic.field(id), topic.paths.names(id).0);
            if name.is_empty() || time_rank(name).is_some() {
                continue;
            }
            let mut classes: BTreeMap<&'static str, u64> = BTreeMap::new();
            for (kind, count) in field.kinds() {
                if let Some(class) = kind.class() {
                    *classes.entry(class.as_str()).or_default() += count;
                }
            }
            let all: u64 = classes.values().sum();
            let path = topic.paths.text(id);
            let of = |(class, records): (&'static str, u64)| TypeOf {
                of: class,
                topic: topic.name.clone(),
                path: path.clone(),
                records,
            };
            classes.retain(|_, count| *count as f64 / all.max(1) as f64 >= SHARE_MIN);
            let mut types: Vec<TypeOf> = classes.into_iter().map(of).collect();
            types.sort_by_key(|one| std::cmp::Reverse(one.records));
            if types.len() > 1 {
                in_one.push(TwoTypes { name: name.to_owned(), types });
            } else if !VAGUE.contains(&spelling(name).as_str()) {
                of_names.entry(spelling(name)).or_default().extend(types.into_iter().map(|of| (name.to_owned(), of)));
            }
        }
    }
    for (_, mut types) in of_names {
        let first = types.first().map(|(_, of)| of.of);
        if types.iter().all(|(_, of)| Some(of.of) == first) {
            continue;
        }
        types.sort_by_key(|(_, of)| std::cmp::Reverse(of.records));
        let name = types[0].0.clone();
        in_one.push(TwoTypes { name, types: types.into_iter().map(|(_, of)| of).collect() });
    }
    in_one
}

/// Under which names the five events are there that decisions begin with.
pub(super) fn critical_events(topics: &[TopicReport]) -> Vec<CriticalReport> {
    let of = |critical: &Critical| {
        let mut names: BTreeMap<String, (BTreeSet<String>, u64)> = BTreeMap::new();
        for topic in topics {
            for event in
                topic.events.iter().filter(|event| event.critical == Some(critical.as_str()) && event.records > 0)
            {
                let (in_topics, records) = names.entry(event.event.clone()).or_default();
                in_topics.insert(topic.topic.clone());
                *records += event.records;
            }
        }
        CriticalReport { event: critical.as_str(), names: spelled(&names) }
    };
    Critical::ALL.iter().map(of).collect()
}

/// Events and rules that do not meet.
pub(super) fn with_rules(topics: &[TopicReport], rules: &RulesUse) -> RulesReport {
    let events = || topics.iter().flat_map(|topic| &topic.events);
    let mut unused: BTreeMap<&str, EventReport> = BTreeMap::new();
    for event in events().filter(|event| event.used == Some(false) && event.records > 0) {
        let sum = unused.entry(&event.event).or_insert_with(|| EventReport { records: 0, bytes: 0, ..event.clone() });
        sum.records += event.records;
        sum.bytes += event.bytes;
    }
    let mut unused_events: Vec<EventReport> = unused.into_values().collect();
    unused_events.sort_by(|one, other| other.bytes.cmp(&one.bytes).then(one.event.cmp(&other.event)));
    let there: BTreeSet<&str> = events().filter(|event| event.records > 0).map(|event| event.event.as_str()).collect();
    // Where some names are not known, one that is not found may be there.
    let all_are_known = topics.iter().all(|topic| !topic.more_events);
    let is_missing = |name: &&String| all_are_known && !there.contains(name.as_str());
    let near = |name: &str| {
        let alike = there.iter().find(|known| spelling(known) == spelling(name)).copied();
        alike.or_else(|| nearest(name, there.iter().copied())).map(str::to_owned)
    };
    let named: BTreeSet<&String> = rules.of_rules.values().flatten().collect();
    let unfed =
        rules.of_rules.iter().filter(|(_, events)| !events.is_empty() && events.iter().all(|name| is_missing(&name)));
    RulesReport {
        rules: rules.of_rules.values().filter(|events| !events.is_empty()).count(),
        unused_records: unused_events.iter().map(|event| event.records).sum(),
        unused_bytes: unused_events.iter().map(|event| event.bytes).sum(),
        unused_events,
        missing_events: named.into_iter().filter(is_missing).map(|name| (name.clone(), near(name))).collect(),
        unfed_events: unfed
            .clone()
            .flat_map(|(_, events)| events)
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        unfed: unfed.map(|(rule, _)| rule.clone()).collect(),
    }
}
