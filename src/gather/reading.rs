//! From a record of a source to what is written of it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::sources::{Source, Sources};
use crate::clock::{Ahead, is_ahead};
use crate::codec::{EventEncoder, Framing, SchemaKey, Schemas, SentEvent, WriterSchema};
use crate::event::{DeadLetterReason, Instant, Span, Value};
use crate::kafka::{Record, Timestamp, partition_of, push_header};
use crate::member::dead_letter::{self, Rejected};
use crate::member::schema_waits::Needed;
use crate::sources::{AvroReader, Format, MappedEvent, Outcome, Payload, Place, Record as SourceRecord, Refusal};

/// What a record takes in memory besides its bytes.
const RECORD_OVERHEAD: usize = 200;
/// What Kafka adds to a record, at most: lengths, offset, timestamp, the batch around it.
const FRAMING_BYTES: usize = 100;

/// The topics that gathering writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Events,
    DeadLetters,
    Marks,
}

/// A record to be written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) target: Target,
    pub(super) partition: i32,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    /// As [`push_header`] writes them.
    pub(super) headers: Vec<u8>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Mapped,
    Skipped(&'static str),
    DeadLetter(&'static str),
}

/// What is written of a record.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) fate: Fate,
    pub(super) records: Vec<Written>,
    /// The times of its first and its latest event.
    pub(super) times: Option<(Instant, Instant)>,
    /// What is wrong with it, if it is a dead letter.
    pub(super) detail: Option<String>,
}

impl Content {
    pub(super) fn bytes(&self) -> usize {
        let of = |record: &Written| {
            record.key.as_ref().map_or(0, Vec::len) + record.payload.as_ref().map_or(0, Vec::len) + record.headers.len()
        };
        RECORD_OVERHEAD + self.records.iter().map(of).sum::<usize>()
    }
}

/// What may be written, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of one value that is read.
    pub(super) record: usize,
    /// Of a record of the events.
    pub(super) event: usize,
    /// Of a dead letter.
    pub(super) dead_letter: usize,
}

/// The time against which events are checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) clock: Instant,
    pub(super) max_future_skew: Span,
}

/// Makes events of records. Belongs to one thread.
pub(super) struct Reading {
    pub(super) sources: Arc<Sources>,
    pub(super) schemas: Schemas<WriterSchema>,
    /// By source, schema and whether it is of keys.
    readers: FxHashMap<(usize, SchemaKey, bool), Arc<AvroReader>>,
    encoder: EventEncoder,
    pub(super) limits: Limits,
    /// Of the events, and of the dead letters.
    partitions: u32,
}

/// Why a record is refused.
struct Refused {
    reason: &'static str,
    detail: String,
}

impl Refused {
    fn new(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        Self { reason: reason.as_str(), detail: detail.into() }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason.as_str(), detail: refusal.described() }
    }
}

enum Mapped {
    Events { records: Vec<Written>, first: Instant, last: Instant },
    Skipped(&'static str),
}

impl Reading {
    pub(super) fn new(sources: Arc<Sources>, schemas: Schemas<WriterSchema>, limits: Limits, partitions: u32) -> Self {
        Self { sources, schemas, readers: FxHashMap::default(), encoder: EventEncoder::new(), limits, partitions }
    }

    /// What is written of a record of a topic's partition, now that its schemas are known, or were waited for.
    pub(super) fn read(&mut self, topic: usize, partition: i32, record: &Record<'_>, now: Now) -> Content {
        match self.map(topic, partition, record, now) {
            Ok(Mapped::Events { records, first, last }) => {
                Content { fate: Fate::Mapped, records, times: Some((first, last)), detail: None }
            }
            Ok(Mapped::Skipped(reason)) => {
                Content { fate: Fate::Skipped(reason), records: Vec::new(), times: None, detail: None }
            }
            Err(refused) => self.dead_letter(topic, partition, record, refused),
        }
    }

    fn map(&mut self, topic: usize, partition: i32, record: &Record<'_>, now: Now) -> Result<Mapped, Refused> {
        let sources = Arc::clone(&self.sources);
        let (place, source) = (sources.place_of(topic), sources.of_topic(topic));
        let bytes = record.payload().map_or(0, <[u8]>::len);
        if bytes > self.limits.record {
            let detail = format!("the value is larger than batch.max_record_bytes, {} bytes", self.limits.record);
            return Err(Refused::new(DeadLetterReason::Oversized, detail));
        }
        let (value_schema, key_schema) = schemas_of(source, record)?;
        let value_reader = value_schema.map(|(key, _)| self.reader(place, key, source, false)).transpose()?;
        let key_reader = key_schema.map(|(key, _)| self.reader(place, key, source, true)).transpose()?;
        let value = match (&value_reader, value_schema, record.payload()) {
            (Some(reader), Some((_, datum)), _) => Payload::Avro(reader, datum),
            (_, _, None) => Payload::Null,
            (_, _, Some(bytes)) => Payload::Json(bytes),
        };
        let key = match (&key_reader, key_schema) {
            (Some(reader), Some((_, datum))) => Payload::Avro(reader, datum),
            _ => Payload::of_key(record.key()),
        };
        let headers: Vec<(&str, Option<&[u8]>)> = match source.mapping.reads_headers() {
            true => {
                record.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))).collect()
            }
            false => Vec::new(),
        };
        let name = &sources.topics()[topic];
        let timestamp = match record.timestamp() {
            Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) => Some(Instant(millis)),
            Timestamp::NotAvailable => None,
        };
        let lies = Place { topic: name, partition, offset: record.offset(), timestamp };
        let read = SourceRecord { value, key, headers: &headers, place: Some(lies) };
        match source.mapping.map(&read) {
            Outcome::Skipped(reason) => Ok(Mapped::Skipped(reason.as_str())),
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Mapped(events) => self.encode(&events, source.name(), &lies, record.timestamp(), now),
        }
    }

    fn encode(
        &self,
        events: &[MappedEvent<'_>],
        source: &str,
        place: &Place<'_>,
        timestamp: Timestamp,
        now: Now,
    ) -> Result<Mapped, Refused> {
        let mut headers = Vec::with_capacity(120);
        push_header(&mut headers, b"cohortd_source", source.as_bytes());
        push_header(&mut headers, b"cohortd_topic", place.topic.as_bytes());
        push_header(&mut headers, b"cohortd_partition", place.partition.to_string().as_bytes());
        push_header(&mut headers, b"cohortd_offset", place.offset.to_string().as_bytes());
        let (mut first, mut last) = (Instant::MAX, Instant::MIN);
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            let appended = match timestamp {
                Timestamp::LogAppendTime(millis) => Instant(millis),
                Timestamp::CreateTime(_) | Timestamp::NotAvailable => Instant::MIN,
            };
            // The clock was found to be about right before anything was read.
            if is_ahead(event.at, now.clock, appended, Instant::MIN, now.max_future_skew) != Ahead::No {
                let detail =
                    "its time is ahead of the clock by more than time.max_future_skew, or finer than milliseconds";
                return Err(Refused::new(DeadLetterReason::Future, detail));
            }
            (first, last) = (first.min(event.at), last.max(event.at));
            records.push(self.record(event, &headers)?);
        }
        Ok(Mapped::Events { records, first, last })
    }

    fn record(&self, event: &MappedEvent<'_>, headers: &[u8]) -> Result<Written, Refused> {
        let properties: Vec<(&str, Value<'_>)> =
            event.properties.iter().map(|(name, value)| (*name, value.value())).collect();
        let sent = SentEvent {
            id: Some(&event.id),
            customer: &event.customer,
            name: &event.name,
            at: event.at,
            source: Some(event.source),
            properties: &properties,
        };
        let mut payload = Vec::with_capacity(128);
        self.encoder.event(&sent, &mut payload);
        let key = event.customer.as_bytes().to_vec();
        let bytes = payload.len() + key.len() + headers.len() + FRAMING_BYTES;
        if bytes > self.limits.event {
            let detail = format!("its event takes {bytes} bytes, and topics.events accepts {}", self.limits.event);
            return Err(Refused::new(DeadLetterReason::Oversized, detail));
        }
        Ok(Written {
            target: Target::Events,
            partition: partition_of(&key, self.partitions),
            key: Some(key),
            payload: Some(payload),
            headers: headers.to_vec(),
        })
    }

    fn dead_letter(&self, topic: usize, partition: i32, record: &Record<'_>, refused: Refused) -> Content {
        let source = self.sources.of_topic(topic).name();
        let rejected = Rejected {
            topic: &self.sources.topics()[topic],
            partition,
            offset: record.offset(),
            reason: refused.reason,
            detail: &refused.detail,
            extra: &[("cohortd_source", source)],
        };
        let letter = dead_letter::of_record(record, &rejected).fit(self.limits.dead_letter);
        let written = Written {
            target: Target::DeadLetters,
            partition: partition_of(record.key().unwrap_or_default(), self.partitions),
            key: letter.key.map(<[u8]>::to_vec),
            payload: letter.payload.map(<[u8]>::to_vec),
            headers: letter.headers,
        };
        let Refused { reason, detail } = refused;
        Content { fate: Fate::DeadLetter(reason), records: vec![written], times: None, detail: Some(detail) }
    }

    /// The mapping of a source laid over a schema. What it lacks is said once.
    fn reader(
        &mut self,
        place: usize,
        key: SchemaKey,
        source: &Source,
        is_of_keys: bool,
    ) -> Result<Arc<AvroReader>, Refused> {
        if let Some(reader) = self.readers.get(&(place, key, is_of_keys)) {
            return Ok(Arc::clone(reader));
        }
        let schema = match self.schemas.lookup(key).settled(key) {
            Ok(schema) => schema,
            Err((reason, detail)) => return Err(Refused::new(reason, detail)),
        };
        let reader = match is_of_keys {
            true => source.mapping.reader_of_keys(schema),
            false => source.mapping.value_reader(schema),
        };
        for absent in reader.absent() {
            tracing::warn!(source = source.name(), schema = %key, "No `{}`: {}.", absent.path, absent.instead);
        }
        let reader = Arc::new(reader);
        self.readers.insert((place, key, is_of_keys), Arc::clone(&reader));
        Ok(reader)
    }
}

type Framed<'r> = Option<(SchemaKey, &'r [u8])>;

/// The schemas of a record's value and key, and the bytes after them. None: it needs none.
fn schemas_of<'r>(source: &Source, record: &'r Record<'_>) -> Result<(Framed<'r>, Framed<'r>), Refused> {
    let framing = match source.mapping.source().format {
        Format::Json => return Ok((None, None)),
        Format::Avro => Framing::Tagged,
        Format::Bare => Framing::Bare,
    };
    let Some(payload) = record.payload() else { return Ok((None, None)) };
    let value = framing.split(payload).map_err(|error| Refused::new(error.reason(), error.to_string()))?;
    // A key is Avro if it looks like it.
    let key = record.key().filter(|_| source.mapping.reads_keys()).and_then(|key| Framing::Tagged.split(key).ok());
    Ok((Some(value), key))
}

/// The schemas without which a record cannot be read.
pub(super) fn needed(sources: &Sources, record: &Record<'_>) -> Needed {
    let Some((topic, _)) = sources.numbering.place(record.partition()) else { return [None, None] };
    match schemas_of(sources.of_topic(topic), record) {
        Ok((value, key)) => [value.map(|(schema, _)| schema), key.map(|(schema, _)| schema)],
        Err(_) => [None, None],
    }
}
