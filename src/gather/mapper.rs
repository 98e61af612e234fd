//! A record of a topic, laid before the mapping of its source.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::clock::{Ahead, is_ahead};
use crate::codec::{Framing, SchemaKey, Schemas, WriterSchema};
use crate::event::{DeadLetterReason, Instant, Span};
use crate::kafka::{Record, Timestamp};
use crate::member::schema_waits::Needed;
use crate::settings::Settings;
use crate::sources::{AvroReader, Format, Mapping, Outcome, Payload, Place, Record as SourceRecord, Refusal};

/// Why a record is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    /// What is wrong, and where. Holds no value of the record.
    pub(crate) detail: String,
    /// What is wrong alone: the same for all records that are wrong in this way.
    pub(crate) kind: String,
}

impl Refused {
    pub(super) fn new(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { reason: reason.as_str(), kind: detail.clone(), detail }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason.as_str(), detail: refusal.described(), kind: refusal.detail }
    }
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordOf<'a> {
    /// The number of its source: mappings are told apart by it.
    pub(crate) source: usize,
    pub(crate) mapping: &'a Mapping,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

/// What a record and its events must not exceed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of a value.
    record_bytes: usize,
    /// The wall clock.
    pub(super) clock: Instant,
    max_future_skew: Span,
    earliest: Instant,
}

impl Bounds {
    /// Those of the settings, at a time.
    #[must_use]
    pub(crate) fn new(settings: &Settings, clock: Instant) -> Self {
        Self {
            record_bytes: usize::try_from(settings.batch.max_record_bytes).unwrap_or(usize::MAX),
            clock,
            max_future_skew: settings.time.max_future_skew,
            earliest: settings.time.earliest,
        }
    }

    /// Refuses an event's time that cannot be right, of a record that a broker `appended` then.
    fn check(self, at: Instant, appended: Instant) -> Result<(), Refused> {
        if at < self.earliest {
            let detail = "its time is before time.earliest, or in seconds where milliseconds are expected";
            return Err(Refused::new(DeadLetterReason::BadTime, detail));
        }
        if self.is_passed_by(at, appended) {
            let detail = "its time is ahead of the clock by more than time.max_future_skew, or finer than milliseconds";
            return Err(Refused::new(DeadLetterReason::Future, detail));
        }
        Ok(())
    }

    /// Is a time ahead of the clock?
    pub(super) fn is_passed_by(self, at: Instant, appended: Instant) -> bool {
        // The clock was found to be about right before anything was read.
        is_ahead(at, self.clock, appended, Instant::MIN, self.max_future_skew) != Ahead::No
    }
}

/// Mappings laid over the schemas of records; each once.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    /// By source, schema and whether it is of keys.
    readers: FxHashMap<(usize, SchemaKey, bool), Arc<AvroReader>>,
}

impl Mapper {
    /// Maps a record whose schemas are known, or were waited for, and passes on what became of it.
    ///
    /// # Errors
    /// Why the record is refused before it can be mapped; and what `take` refuses.
    pub(crate) fn map<R>(
        &mut self,
        from: RecordOf<'_>,
        schemas: &mut Schemas<WriterSchema>,
        record: &Record<'_>,
        bounds: Bounds,
        take: impl FnOnce(Outcome<'_>, &Place<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let mapping = from.mapping;
        if record.payload().is_some_and(|payload| payload.len() > bounds.record_bytes) {
            let detail = format!("the value is larger than batch.max_record_bytes, {} bytes", bounds.record_bytes);
            return Err(Refused::new(DeadLetterReason::Oversized, detail));
        }
        let (value_schema, key_schema) = schemas_of(mapping, record)?;
        let mut reader = |key, is_of_keys| self.reader(from, key, is_of_keys, schemas);
        let value_reader = value_schema.map(|(key, _)| reader(key, false)).transpose()?;
        let key_reader = key_schema.map(|(key, _)| reader(key, true)).transpose()?;
        let value = match (&value_reader, value_schema, record.payload()) {
            (Some(reader), Some((_, datum)), _) => Payload::Avro(reader, datum),
            (_, _, None) => Payload::Null,
            (_, _, Some(bytes)) => Payload::Json(bytes),
        };
        let key = match (&key_reader, key_schema) {
            (Some(reader), Some((_, datum))) => Payload::Avro(reader, datum),
            _ => Payload::of_key(record.key()),
        };
        let headers: Vec<(&str, Option<&[u8]>)> = match mapping.reads_headers() {
            true => {
                record.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))).collect()
            }
            false => Vec::new(),
        };
        let (timestamp, appended) = match record.timestamp() {
            Timestamp::CreateTime(millis) => (Some(Instant(millis)), Instant::MIN),
            Timestamp::LogAppendTime(millis) => (Some(Instant(millis)), Instant(millis)),
            Timestamp::NotAvailable => (None, Instant::MIN),
        };
        let place = Place { topic: from.topic, partition: from.partition, offset: record.offset(), timestamp };
        let outcome = mapping.map(&SourceRecord { value, key, headers: &headers, place: Some(place) });
        if let Outcome::Mapped(events) = &outcome {
            events.iter().try_for_each(|event| bounds.check(event.at, appended))?;
        }
        take(outcome, &place)
    }

    /// The mapping laid over each schema of values and keys so far.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &AvroReader> {
        self.readers.values().map(|reader| &**reader)
    }

    /// The mapping of a source laid over a schema. What it lacks is said once.
    fn reader(
        &mut self,
        from: RecordOf<'_>,
        key: SchemaKey,
        is_of_keys: bool,
        schemas: &mut Schemas<WriterSchema>,
    ) -> Result<Arc<AvroReader>, Refused> {
        if let Some(reader) = self.readers.get(&(from.source, key, is_of_keys)) {
            return Ok(Arc::clone(reader));
        }
        let schema = match schemas.lookup(key).settled(key) {
            Ok(schema) => schema,
            Err((reason, detail)) => return Err(Refused::new(reason, detail)),
        };
        let reader = match is_of_keys {
            true => from.mapping.reader_of_keys(schema),
            false => from.mapping.value_reader(schema),
        };
        for absent in reader.absent() {
            let source = &from.mapping.source().name;
            tracing::warn!(source, schema = %key, "No `{}`: {}.", absent.path, absent.instead);
        }
        let reader = Arc::new(reader);
        self.readers.insert((from.source, key, is_of_keys), Arc::clone(&reader));
        Ok(reader)
    }
}

type Framed<'r> = Option<(SchemaKey, &'r [u8])>;

/// The schemas of a record's value and key, and the bytes after them. None: it needs none.
fn schemas_of<'r>(mapping: &Mapping, record: &'r Record<'_>) -> Result<(Framed<'r>, Framed<'r>), Refused> {
    let framing = match mapping.source().format {
        Format::Json => return Ok((None, None)),
        Format::Avro => Framing::Tagged,
        Format::Bare => Framing::Bare,
    };
    let Some(payload) = record.payload() else { return Ok((None, None)) };
    let value = framing.split(payload).map_err(|error| Refused::new(error.reason(), error.to_string()))?;
    // A key is Avro if it looks like it.
    let key = record.key().filter(|_| mapping.reads_keys()).and_then(|key| Framing::Tagged.split(key).ok());
    Ok((Some(value), key))
}

/// The schemas without which a record cannot be mapped.
pub(crate) fn needed(mapping: &Mapping, record: &Record<'_>) -> Needed {
    match schemas_of(mapping, record) {
        Ok((value, key)) => [value.map(|(schema, _)| schema), key.map(|(schema, _)| schema)],
        Err(_) => [None, None],
    }
}
