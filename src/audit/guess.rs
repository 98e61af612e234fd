//! Which field is the customer, the time, the event's name and the id of a topic, and why.

use serde::Serialize;

use super::critical::of_topic;
use super::field::FieldStats;
use super::keys::Partitioned;
use super::moments::Form;
use super::names::ANONYMOUS;
use super::paths::FieldId;
use super::roles::Follower;
use super::topic::Topic;
use super::value::Kind;
use crate::event::named;
use crate::sources::Preset;

named! {
    /// Why a field was chosen.
    Why {
        Name = "name",
        /// The record's key is the same.
        Key = "key",
        /// Its type is a timestamp.
        Type = "type",
        /// No other record has the same.
        Unique = "unique",
        /// There are few different ones.
        Few = "few_values",
        /// There is nothing better.
        Only = "nothing_else",
        Preset = "preset",
        /// From the name of the topic or of its records.
        Topic = "topic",
    }
}

/// A field that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    /// `None`: it is no field of a value or key.
    pub(super) field: Option<FieldId>,
    pub(super) path: String,
    /// The share of readable records that have it.
    pub(super) share: f64,
    pub(super) why: Vec<Why>,
}

/// Where the event's name comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum EventName {
    Field(Chosen),
    Constant(String),
}

/// What the records of a topic are taken for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    pub(super) customer: Option<Chosen>,
    /// Other fields that may be the customer, the best first.
    pub(super) other_customers: Vec<Chosen>,
    pub(super) time: Option<Chosen>,
    pub(super) event: EventName,
    pub(super) id: Option<Chosen>,
    pub(super) preset: Option<Preset>,
}

/// How much worse a field is that no record has, in ranks.
const MISSING: f64 = 6.0;
/// The most different names that events have.
const NAMES_MAX: u64 = 200;

impl Guess {
    pub(super) fn of(topic: &Topic) -> Self {
        let preset = preset(topic);
        let mut customers = customers(topic);
        let customer = if customers.is_empty() { key(topic) } else { Some(customers.remove(0)) };
        Self {
            customer,
            other_customers: customers,
            time: time(topic),
            event: event(topic, preset),
            id: id(topic),
            preset,
        }
    }
}

/// Its values can be ids.
fn is_id(field: &FieldStats) -> bool {
    matches!(field.kind(), Some(Kind::Whole | Kind::Text | Kind::Email | Kind::Uuid | Kind::NumberText))
}

fn share(topic: &Topic, records: u64) -> f64 {
    records as f64 / topic.readable().max(1) as f64
}

fn chosen(topic: &Topic, field: FieldId, why: Vec<Why>) -> Chosen {
    Chosen { field: Some(field), path: topic.paths.text(field), share: share(topic, topic.field(field).records), why }
}

/// The fields in the order of their costs.
fn ranked<T>(all: &[Follower<T>], cost: impl Fn(&Follower<T>) -> Option<f64>) -> Vec<&Follower<T>> {
    let mut ranked: Vec<(f64, &Follower<T>)> = all.iter().filter_map(|own| Some((cost(own)?, own))).collect();
    ranked.sort_by(|(one, a), (other, b)| one.total_cmp(other).then(a.field.cmp(&b.field)));
    ranked.into_iter().map(|(_, own)| own).collect()
}

fn customers(topic: &Topic) -> Vec<Chosen> {
    let is_key = |own: &Follower<super::topic::Customers>| {
        let records = topic.field(own.field).records;
        records > 0 && own.kept.as_key as f64 / records as f64 > 0.9
    };
    let ranked = ranked(&topic.customers.all, |own| {
        let field = topic.field(own.field);
        if field.records == 0 || !is_id(field) {
            return None;
        }
        // One value in many records is that of the company.
        let constant = if field.distinct.count() == 1 && field.records > 20 { 10.0 } else { 0.0 };
        let key = if is_key(own) && own.rank < ANONYMOUS { -3.0 } else { 0.0 };
        Some(f64::from(own.rank) + MISSING * (1.0 - share(topic, field.records)) + constant + key)
    });
    let why = |own: &Follower<_>| if is_key(own) { vec![Why::Name, Why::Key] } else { vec![Why::Name] };
    ranked.into_iter().map(|own| chosen(topic, own.field, why(own))).collect()
}

/// The record's key, if it is a text and not the same in all.
fn key(topic: &Topic) -> Option<Chosen> {
    let keys = &topic.keys;
    let is_text = keys.text > 0 && keys.text >= keys.json + keys.avro + keys.unreadable;
    let varies = keys.sample.distinct() > 1 || keys.present() == 1;
    let share = keys.text as f64 / topic.records.max(1) as f64;
    (is_text && varies).then(|| Chosen { field: None, path: "key".to_owned(), share, why: vec![Why::Only] })
}

fn time(topic: &Topic) -> Option<Chosen> {
    let ranked = ranked(&topic.times.all, |own| {
        let times = own.kept.count();
        if times == 0 {
            return None;
        }
        let form = own.kept.form();
        let by_form = match form {
            Some(Form::Timestamp) => -0.5,
            Some(Form::Date) => 3.0,
            Some(Form::LocalText | Form::LocalTimestamp) => 0.25,
            _ => 0.0,
        };
        Some(f64::from(own.rank) + MISSING * (1.0 - share(topic, times).min(1.0)) + by_form)
    });
    let found = ranked.first().filter(|own| topic.is_of_files() || share(topic, own.kept.count()) >= 0.5);
    match found {
        Some(own) => {
            let form = own.kept.form();
            let typed = matches!(form, Some(Form::Timestamp | Form::LocalTimestamp));
            let why = if typed { vec![Why::Name, Why::Type] } else { vec![Why::Name] };
            let mut chosen = chosen(topic, own.field, why);
            chosen.share = share(topic, own.kept.count());
            Some(chosen)
        }
        None if !topic.is_of_files() => {
            let chosen = Chosen { field: None, path: "@timestamp".to_owned(), share: 1.0, why: vec![Why::Only] };
            Some(chosen)
        }
        None => None,
    }
}

fn event(topic: &Topic, preset: Option<Preset>) -> EventName {
    let ranked = ranked(&topic.events.all, |own| {
        let field = topic.field(own.field);
        let distinct = field.distinct.count();
        let is_text = field.kind() == Some(Kind::Text);
        // Under a vague name there must be few values that come again and again, or it may name people.
        let is_vague = own.rank >= 2 && (distinct > 50 || field.records < 20 * distinct);
        if !is_text || distinct > NAMES_MAX || is_vague || topic.paths.is_of_key(own.field) {
            return None;
        }
        let missing = 1.0 - share(topic, field.records);
        (missing < 0.5 || preset.is_some()).then(|| f64::from(own.rank) + MISSING * missing)
    });
    match ranked.first() {
        Some(own) => EventName::Field(chosen(topic, own.field, vec![Why::Name, Why::Few])),
        None => {
            let record = topic.schemas.values().max_by_key(|seen| seen.records).map_or("", |seen| seen.name.as_str());
            EventName::Constant(of_topic(&topic.name, record))
        }
    }
}

fn id(topic: &Topic) -> Option<Chosen> {
    let ranked = ranked(&topic.ids.all, |own| {
        let field = topic.field(own.field);
        let missing = 1.0 - share(topic, field.records);
        // What comes again with something else is the id of an order with several events, and not of an event.
        let is_of_more = own.rank > 0 && own.kept.otherwise() > 0.02;
        (is_id(field) && missing < 0.5 && own.kept.repeated() < 0.3 && !is_of_more)
            .then(|| f64::from(own.rank) + MISSING * (missing + own.kept.repeated()))
    });
    ranked.first().map(|own| {
        let why = if own.kept.repeated() == 0.0 { vec![Why::Name, Why::Unique] } else { vec![Why::Name] };
        chosen(topic, own.field, why)
    })
}

/// The preset whose fields a topic has.
fn preset(topic: &Topic) -> Option<Preset> {
    let has =
        |path: &str| topic.paths.all().any(|field| topic.paths.text(field) == path && topic.field(field).records > 0);
    let is_json = topic.schemas.is_empty();
    if is_json && has("messageId") && has("type") && (has("userId") || has("anonymousId")) {
        return Some(Preset::Segment);
    }
    if has("op") && (has("after") || has("before")) && (has("source.ts_ms") || has("ts_ms")) {
        return Some(Preset::Debezium);
    }
    let binary = topic.headers.contains_key("ce_type") && topic.headers.contains_key("ce_id");
    (is_json && (binary || has("specversion") && has("type") && has("source"))).then_some(Preset::CloudEvents)
}

/// A choice as the report has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChosenReport {
    pub path: String,
    pub share: f64,
    pub why: Vec<&'static str>,
}

impl From<&Chosen> for ChosenReport {
    fn from(chosen: &Chosen) -> Self {
        Self {
            path: chosen.path.clone(),
            share: chosen.share,
            why: chosen.why.iter().map(|why| why.as_str()).collect(),
        }
    }
}

/// Are the keys customers, where murmur2 puts them, so that the topic could be read as it is?
pub(super) fn is_keyed_by_customer(topic: &Topic, guess: &Guess) -> bool {
    let by_key = guess.customer.as_ref().is_some_and(|chosen| chosen.field.is_none() || chosen.why.contains(&Why::Key));
    by_key && matches!(topic.keys.partitioned(), None | Some(Partitioned::Murmur2))
}
