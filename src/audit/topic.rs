//! Everything that is known of one topic, or of the files that stand for one.

use std::collections::BTreeMap;

use super::field::{FieldStats, customer_hash};
use super::keys::Keys;
use super::moments::{Form, Limits, Moments, Slips, instant};
use super::names::is_planned;
use super::paths::{FieldId, KEY, Paths, VALUE};
use super::record::{Format, Payload, Record, SchemaId, Unreadable};
use super::roles::{CUSTOMERS_MAX, EVENTS_MAX, Fits, Followers, IDS_MAX, TIMES_MAX};
use super::sketch::{Frequent, HashSample, Hours, hash};
use super::value::{Kind, Value};
use super::walk::{Avro, Found, json};
use crate::event::Instant;

/// The most customers, ids and contents that are remembered, of each field that may hold them.
const CUSTOMERS_KEPT: usize = 8_192;
const IDS_KEPT: usize = 16_384;
/// The most names of events, schemas and headers.
const NAMES_MAX: usize = 256;
const SCHEMAS_MAX: usize = 100;
const HEADERS_MAX: usize = 32;
/// The rank of a time that only its type shows.
const BY_TYPE: u8 = 5;

/// The roles of a field, as bits.
const CUSTOMER: u8 = 1;
const TIME: u8 = 2;
const EVENT: u8 = 4;
const ID: u8 = 8;

/// What is looked at, and how.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub limits: Limits,
    /// Of files: records whose time is outside are passed over, as those without one. Of topics the reader sees to it.
    pub from: Option<Instant>,
    pub until: Option<Instant>,
    /// The share of records that is looked at, chosen by their content.
    pub sample: f64,
    pub shows_values: bool,
}

/// A schema, and how many records were written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SchemaSeen {
    pub(super) name: String,
    pub(super) records: u64,
}

/// A field that may hold the customer.
#[derive(Debug)]
pub(super) struct Customers {
    pub(super) sample: HashSample,
    /// Records whose key is the same.
    pub(super) as_key: u64,
}

/// A value of a field that is followed for times; `None`: it is no time.
struct Time {
    field: FieldId,
    at: Option<(Form, Instant)>,
}

/// One topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    /// 0: it is of files.
    pub(super) partitions: u32,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Records outside of the range, and those that are not in the sample.
    pub(super) passed_over: u64,
    pub(super) formats: BTreeMap<Format, u64>,
    pub(super) unreadable: BTreeMap<Unreadable, u64>,
    pub(super) schemas: BTreeMap<SchemaId, SchemaSeen>,
    /// By name.
    pub(super) headers: BTreeMap<String, FieldStats>,
    pub(super) keys: Keys,
    pub(super) paths: Paths,
    pub(super) fields: Vec<FieldStats>,
    /// The roles that each field is followed for.
    roles: Vec<u8>,
    pub(super) customers: Followers<Customers>,
    pub(super) times: Followers<Moments>,
    pub(super) events: Followers<Frequent>,
    pub(super) ids: Followers<HashSample>,
    pub(super) contents: HashSample,
    /// By the time at which records were written.
    pub(super) written: Hours,
    /// Between two times of a record; `None`: the time at which it was written.
    pub(super) slips: BTreeMap<(FieldId, Option<FieldId>), Slips>,
}

impl Topic {
    pub(super) fn new(name: &str, partitions: u32, scope: &Scope) -> Self {
        let mut topic = Self {
            name: name.to_owned(),
            partitions,
            records: 0,
            bytes: 0,
            passed_over: 0,
            formats: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            schemas: BTreeMap::new(),
            headers: BTreeMap::new(),
            keys: Keys::default(),
            paths: Paths::default(),
            fields: Vec::new(),
            roles: Vec::new(),
            customers: Followers::new(CUSTOMERS_MAX),
            times: Followers::new(TIMES_MAX),
            events: Followers::new(EVENTS_MAX),
            ids: Followers::new(IDS_MAX),
            contents: HashSample::new(IDS_KEPT),
            written: Hours::default(),
            slips: BTreeMap::new(),
        };
        topic.follow_new(scope);
        topic
    }

    pub(super) fn field(&self, field: FieldId) -> &FieldStats {
        &self.fields[usize::from(field.0)]
    }

    /// The records whose values are known.
    pub(super) fn readable(&self) -> u64 {
        let of = |format: Format| self.formats.get(&format).copied().unwrap_or(0);
        self.records - of(Format::Tombstone) - of(Format::Unreadable) - of(Format::Text)
    }

    pub(super) fn is_of_files(&self) -> bool {
        self.partitions == 0
    }

    /// Looks at a record.
    pub(super) fn add(&mut self, record: &Record<'_>, scope: &Scope) {
        let content = match record.value {
            Payload::Null => hash(record.key.content()),
            value => hash(value.content()),
        };
        if !is_in_sample(content, scope.sample) {
            self.passed_over += 1;
            return;
        }
        let mut found = Vec::new();
        let damaged = self.walk(record.value, VALUE, &mut found).err();
        if damaged.is_some() {
            found.clear();
        }
        let of_key = found.len();
        if self.walk(record.key, KEY, &mut found).is_err() {
            found.truncate(of_key);
        }
        self.follow_new(scope);
        let times = self.times_of(&found);
        if !self.is_within(&times, record, scope) {
            self.passed_over += 1;
            return;
        }
        self.records += 1;
        self.bytes += record.bytes;
        self.add_format(record.value, damaged);
        for (name, bytes) in record.headers {
            if self.headers.len() < HEADERS_MAX || self.headers.contains_key(*name) {
                let header = self.headers.entry((*name).to_owned());
                let value = header_value(*bytes);
                let header = header.or_insert_with(|| FieldStats::new(scope.shows_values));
                header.add(&value, value.kind(), self.records, record.bytes);
            }
        }
        if !record.value.content().is_empty() {
            self.contents.add(content);
        }
        if let Some(written) = record.written {
            self.written.add(written, record.bytes);
        }
        let key = self.keys.add(record);
        self.add_values(&found, key, content, record);
        self.add_times(&times, record, &scope.limits);
    }

    /// Counts records that cannot be read at all.
    pub(super) fn add_lost(&mut self, records: u64) {
        self.records = self.records.saturating_add(records);
        for count in [
            self.formats.entry(Format::Unreadable).or_default(),
            self.unreadable.entry(Unreadable::Damaged).or_default(),
        ] {
            *count = count.saturating_add(records);
        }
    }

    /// Adds the values of a value or key; of what is no record there are none.
    fn walk<'a>(&mut self, payload: Payload<'a>, root: FieldId, found: &mut Vec<Found<'a>>) -> Result<(), Unreadable> {
        match payload {
            Payload::Json(text) => json(&mut self.paths, root, text, found).map_err(|_| Unreadable::Damaged),
            Payload::Avro(schema, _, bytes) => {
                Avro::new(schema, bytes).read(&mut self.paths, root, found).map_err(|_| Unreadable::Damaged)
            }
            Payload::Unreadable(why, _) => Err(why),
            Payload::Null | Payload::Text(_) => Ok(()),
        }
    }

    /// Follows the fields that are new for what their names fit.
    fn follow_new(&mut self, scope: &Scope) {
        for field in self.paths.all().skip(self.fields.len()) {
            self.fields.push(FieldStats::new(scope.shows_values));
            let fits = Fits::of(&self.paths, field);
            let mut roles = 0;
            if let Some(rank) = fits.customer {
                roles |= CUSTOMER;
                let kept = || Customers { sample: HashSample::new(CUSTOMERS_KEPT), as_key: 0 };
                self.customers.offer(field, rank, kept);
            }
            if let Some(rank) = fits.time {
                roles |= TIME;
                self.times.offer(field, rank, Moments::default);
            }
            if let Some(rank) = fits.event {
                roles |= EVENT;
                self.events.offer(field, rank, || Frequent::new(NAMES_MAX));
            }
            if let Some(rank) = fits.id {
                roles |= ID;
                self.ids.offer(field, rank, || HashSample::new(IDS_KEPT));
            }
            self.roles.push(roles);
        }
    }

    /// The first value of each followed field in a record, and the time that it is. A field that only its type shows to be
    /// a time is followed from now on.
    fn times_of(&mut self, found: &[Found<'_>]) -> Vec<Time> {
        let mut times: Vec<Time> = Vec::new();
        for (field, value, kind) in found {
            let is_followed = self.roles[usize::from(field.0)] & TIME != 0;
            let is_typed = matches!(kind, Kind::Moment | Kind::TimeText);
            if !is_followed && (!is_typed || self.paths.is_several(*field)) {
                continue;
            }
            if !is_followed {
                self.roles[usize::from(field.0)] |= TIME;
                if !is_planned(self.paths.names(*field).0) {
                    self.times.offer(*field, BY_TYPE, Moments::default);
                }
            }
            if kind.is_single()
                && times.len() < TIMES_MAX
                && !times.iter().any(|known| known.field == *field)
                && self.times.of(*field).is_some()
            {
                times.push(Time { field: *field, at: instant(value) });
            }
        }
        times
    }

    /// Of files the best time of a record decides.
    fn is_within(&self, times: &[Time], record: &Record<'_>, scope: &Scope) -> bool {
        if record.written.is_some() || scope.from.is_none() && scope.until.is_none() {
            return true;
        }
        let rank = |time: &&Time| self.times.all.iter().find(|own| own.field == time.field).map(|own| own.rank);
        let best = times.iter().filter(|time| time.at.is_some()).min_by_key(rank);
        let Some((_, at)) = best.and_then(|time| time.at) else { return false };
        scope.from.is_none_or(|from| at >= from) && scope.until.is_none_or(|until| at < until)
    }

    fn add_format(&mut self, value: Payload<'_>, damaged: Option<Unreadable>) {
        let format = if damaged.is_some() { Format::Unreadable } else { value.format() };
        *self.formats.entry(format).or_default() += 1;
        if let Some(why) = damaged {
            *self.unreadable.entry(why).or_default() += 1;
        }
        if let Payload::Avro(schema, id, _) = value {
            if !self.schemas.contains_key(&id) && self.schemas.len() >= SCHEMAS_MAX {
                return;
            }
            let seen = || SchemaSeen { name: schema.name().to_owned(), records: 0 };
            self.schemas.entry(id).or_insert_with(seen).records += 1;
        }
    }

    fn add_values(&mut self, found: &[Found<'_>], key: Option<u64>, content: u64, record: &Record<'_>) {
        for (field, value, kind) in found {
            let place = usize::from(field.0);
            let hashed = self.fields[place].add(value, *kind, self.records, record.bytes);
            let roles = self.roles[place];
            let Some(plain) = hashed.filter(|_| roles & !TIME != 0 && kind.is_single()) else { continue };
            if roles & CUSTOMER != 0
                && let Some(follower) = self.customers.of(*field)
            {
                follower.kept.sample.add(customer_hash(value, plain));
                follower.kept.as_key += u64::from(key == Some(plain));
            }
            if roles & ID != 0
                && let Some(follower) = self.ids.of(*field)
            {
                follower.kept.add_with(plain, content);
            }
            if roles & EVENT != 0
                && let Value::Text(text) = value
                && let Some(follower) = self.events.of(*field)
            {
                follower.kept.add(text, record.bytes);
            }
        }
    }

    fn add_times(&mut self, times: &[Time], record: &Record<'_>, limits: &Limits) {
        for (place, time) in times.iter().enumerate() {
            let Some(follower) = self.times.of(time.field) else { continue };
            let Some((form, at)) = time.at else {
                follower.kept.unclear += 1;
                continue;
            };
            follower.kept.add((form, at), record.place, record.bytes, limits);
            // Dates have no hours that could be wrong.
            if form == Form::Date {
                continue;
            }
            if let Some(written) = record.written {
                follower.kept.lags.add(written.since(at), limits.future_skew);
                self.slips.entry((time.field, None)).or_default().add(at, written);
            }
            for other in &times[place + 1..] {
                if let Some((form, later)) = other.at
                    && form != Form::Date
                {
                    self.slips.entry((time.field, Some(other.field))).or_default().add(at, later);
                }
            }
        }
    }
}

/// A text, as for sources.
fn header_value(bytes: Option<&[u8]>) -> Value<'_> {
    let Some(bytes) = bytes else { return Value::Null };
    std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), |text| Value::Text(text.into()))
}

/// Is a record looked at, by the hash of its content? Equal records are looked at together.
fn is_in_sample(content: u64, share: f64) -> bool {
    share >= 1.0 || (content >> 11) as f64 / (1_u64 << 53) as f64 <= share
}
