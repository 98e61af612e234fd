//! What is known of one topic, as the report has it.

use std::collections::BTreeMap;

use super::critical::critical;
use super::field::FieldStats;
use super::guess::{ChosenReport, EventName, Guess};
use super::keys::Keys;
use super::moments::{Moments, Slips};
use super::paths::{FieldId, KEY, VALUE};
use super::report::{
    Duplicates, EventReport, FieldReport, HoursReport, KeysReport, SchemaReport, SlipReport, TimeReport, TopicReport,
};
use super::rules_use::RulesUse;
use super::sketch::{Hours, Kept};
use super::topic::Topic;
use super::value::Kind;
use crate::sources::{Preset, header_path};

/// A topic as the report has it.
pub(super) fn topic(topic: &Topic, guess: &Guess, rules: Option<&RulesUse>) -> TopicReport {
    let chosen = |chosen: &Option<super::guess::Chosen>| chosen.as_ref().map(ChosenReport::from);
    let (events, is_exact) = events(topic, guess);
    TopicReport {
        topic: topic.name.clone(),
        partitions: topic.partitions,
        records: topic.records,
        bytes: topic.bytes,
        passed_over: topic.passed_over,
        formats: topic.formats.iter().map(|(format, count)| (format.as_str(), *count)).collect(),
        unreadable: topic.unreadable.iter().map(|(why, count)| (why.as_str(), *count)).collect(),
        schemas: schemas(topic),
        headers: topic.headers.iter().map(|(name, header)| (name.clone(), header.count())).collect(),
        keys: keys(&topic.keys),
        hours: hours(topic, guess),
        customer: chosen(&guess.customer),
        other_customers: guess.other_customers.iter().map(ChosenReport::from).collect(),
        customers: customers(topic, guess),
        time: chosen(&guess.time),
        event: match &guess.event {
            EventName::Field(field) => Some(field.into()),
            EventName::Constant(_) => None,
        },
        id: chosen(&guess.id),
        preset: guess.preset.map(Preset::word),
        events: events.into_iter().map(|(name, kept)| event(name, kept, rules)).collect(),
        more_events: !is_exact,
        times: topic.times.all.iter().filter_map(|own| time(topic, own.field, &own.kept)).collect(),
        duplicates: duplicates(topic, guess),
        fields: fields(topic),
        values_left_out: topic.paths.left_out(),
    }
}

fn schemas(topic: &Topic) -> Vec<SchemaReport> {
    let of = |(id, seen): (&super::record::SchemaId, &super::topic::SchemaSeen)| SchemaReport {
        schema: id.to_string(),
        record: seen.name.clone(),
        records: seen.records,
    };
    topic.schemas.iter().map(of).collect()
}

fn keys(keys: &Keys) -> KeysReport {
    KeysReport {
        none: keys.none,
        text: keys.text,
        json: keys.json,
        avro: keys.avro,
        unreadable: keys.unreadable,
        distinct: keys.sample.distinct(),
        partitioned: keys.partitioned().map(|partitioned| partitioned.as_str()),
        elsewhere: keys.elsewhere,
    }
}

/// Of a topic by the time of writing, which every record has; of files by the time of the events.
fn hours(topic: &Topic, guess: &Guess) -> HoursReport {
    let of = |by: Option<String>, hours: &Hours| HoursReport {
        by,
        width_ms: hours.width().0,
        hours: hours.sorted().iter().map(|hour| (hour.from.0, hour.records, hour.bytes)).collect(),
    };
    if !topic.is_of_files() {
        return of(Some("@timestamp".to_owned()), &topic.written);
    }
    let field = guess.time.as_ref().and_then(|chosen| chosen.field);
    match topic.times.all.iter().find(|own| Some(own.field) == field) {
        Some(own) => of(Some(topic.paths.text(own.field)), &own.kept.hours),
        None => of(None, &Hours::default()),
    }
}

fn customers(topic: &Topic, guess: &Guess) -> u64 {
    match guess.customer.as_ref().map(|chosen| chosen.field) {
        None => 0,
        Some(None) => topic.keys.sample.distinct(),
        Some(Some(field)) => topic.field(field).distinct.count(),
    }
}

/// The names of events with their counts, the most frequent first; and whether these are all.
pub(super) fn events(topic: &Topic, guess: &Guess) -> (Vec<(String, Kept)>, bool) {
    let chosen = match &guess.event {
        EventName::Constant(name) => {
            return (vec![(name.clone(), Kept { count: topic.readable(), bytes: topic.bytes, over: 0 })], true);
        }
        EventName::Field(chosen) => chosen,
    };
    let is_segment = guess.preset == Some(Preset::Segment);
    let (mut names, mut is_exact) = (Vec::new(), true);
    for own in &topic.events.all {
        let path = topic.paths.text(own.field);
        let is_of_names = match is_segment {
            true => path == "event" || path == "type",
            false => Some(own.field) == chosen.field,
        };
        if !is_of_names {
            continue;
        }
        is_exact &= own.kept.is_exact();
        // The calls named `track` have the name of their event in another field.
        let is_call = is_segment && path == "type";
        let is_wanted = |name: &str| !is_call || ["identify", "page", "screen", "group"].contains(&name);
        let found = own.kept.sorted().into_iter().filter(|(name, _)| is_wanted(name));
        names.extend(found.map(|(name, kept)| (name.to_owned(), kept)));
    }
    if guess.preset == Some(Preset::Debezium) && chosen.path == "op" {
        names = as_debezium_says(names);
    }
    names.sort_by(|one: &(String, Kept), other| other.1.count.cmp(&one.1.count).then(one.0.cmp(&other.0)));
    (names, is_exact)
}

/// The names that the preset gives to the kinds of changes.
fn as_debezium_says(names: Vec<(String, Kept)>) -> Vec<(String, Kept)> {
    let mut all: BTreeMap<String, Kept> = BTreeMap::new();
    for (name, kept) in names {
        let name = match name.as_str() {
            "c" | "r" => "created",
            "u" => "updated",
            "d" => "deleted",
            other => other,
        };
        let sum = all.entry(name.to_owned()).or_default();
        *sum = Kept { count: sum.count + kept.count, bytes: sum.bytes + kept.bytes, over: sum.over + kept.over };
    }
    all.into_iter().collect()
}

fn event(name: String, kept: Kept, rules: Option<&RulesUse>) -> EventReport {
    EventReport {
        records: kept.count,
        bytes: kept.bytes,
        critical: critical(&name).map(|critical| critical.as_str()),
        used: rules.map(|rules| rules.counts_any || rules.events.contains(&name)),
        event: name,
    }
}

fn time(topic: &Topic, field: FieldId, moments: &Moments) -> Option<TimeReport> {
    if moments.count() == 0 {
        return None;
    }
    // Of each two times, each is ahead of the other by the opposite.
    let slip = |((first, second), slips): (&(FieldId, Option<FieldId>), &Slips)| {
        let path =
            |field: Option<FieldId>| field.map_or_else(|| "@timestamp".to_owned(), |field| topic.paths.text(field));
        let (against, sign) = match *first == field {
            true => (path(*second), 1),
            false if *second == Some(field) => (path(Some(*first)), -1),
            false => return None,
        };
        let (hours, share) = slips.found()?;
        Some(SlipReport { against, hours: hours.iter().map(|hours| sign * hours).collect(), share })
    };
    Some(TimeReport {
        path: topic.paths.text(field),
        forms: moments.forms.iter().map(|(form, count)| (form.as_str(), *count)).collect(),
        unclear: moments.unclear,
        first: moments.first.map(|at| at.0),
        last: moments.last.map(|at| at.0),
        future: moments.future,
        late: moments.late,
        too_late: moments.too_late,
        ahead: moments.lags.before,
        lag_median_ms: moments.lags.quantile(0.5).map(|lag| lag.0),
        lag_99_ms: moments.lags.quantile(0.99).map(|lag| lag.0),
        slips: topic.slips.iter().filter_map(slip).collect(),
    })
}

fn duplicates(topic: &Topic, guess: &Guess) -> Duplicates {
    let field = guess.id.as_ref().and_then(|chosen| chosen.field);
    let id = topic.ids.all.iter().find(|own| Some(own.field) == field);
    Duplicates {
        by_id: id.map(|own| own.kept.repeated()),
        by_id_with_other_content: id.map(|own| own.kept.otherwise()),
        by_content: topic.contents.repeated(),
    }
}

/// In the order in which they were met, records without values of their own left out; then the headers.
fn fields(topic: &Topic) -> Vec<FieldReport> {
    let mut fields = Vec::new();
    for id in topic.paths.all() {
        let stats = topic.field(id);
        let is_root = id == VALUE || id == KEY;
        if is_root && !stats.kind().is_some_and(Kind::is_single) {
            continue;
        }
        let path = topic.paths.text(id);
        fields.extend(field(topic, stats, if path.is_empty() { "(value)".to_owned() } else { path }));
    }
    fields.extend(topic.headers.iter().filter_map(|(name, header)| field(topic, header, header_path(name))));
    fields
}

/// `None`: it has no values.
fn field(topic: &Topic, field: &FieldStats, path: String) -> Option<FieldReport> {
    let kinds = field.kinds();
    let (main, _) = kinds.first()?;
    let values = field.values.as_ref().map(|values| {
        let count = |kept: Kept| values.is_exact().then_some(kept.count);
        values.sorted().into_iter().take(3).map(|(text, kept)| (text.to_owned(), count(kept))).collect()
    });
    Some(FieldReport {
        path,
        types: kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
        main_type: main.as_str(),
        share: (field.records as f64 / topic.readable().max(1) as f64).min(1.0),
        distinct: field.distinct.count(),
        distinct_is_exact: field.distinct.is_exact(),
        values,
    })
}
