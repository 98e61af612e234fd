//! From a record of a source to what is written of it.

use std::sync::Arc;

use super::mapper::{self, Bounds, Mapper, RecordOf, Refused};
use super::sources::Sources;
use crate::codec::{EventEncoder, Schemas, SentEvent, WriterSchema};
use crate::event::{DeadLetterReason, Digits, Instant, Value};
use crate::kafka::{Record, partition_of, push_header};
use crate::member::dead_letter::{self, Rejected};
use crate::member::schema_waits::Needed;
use crate::sources::{MappedEvent, Outcome, Place};

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
    /// The times of its first and its latest event; of a skipped record its own, so that a source is as far as it was
    /// read, however little of it is wanted.
    pub(super) times: Option<(Instant, Instant)>,
    /// What is wrong with it, if it is a dead letter.
    pub(super) wrong: Option<Wrong>,
}

/// What is wrong with a record, as [`Refused`] has it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) detail: String,
    pub(super) kind: String,
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
    /// Of a record of the events.
    pub(super) event: usize,
    /// Of a dead letter.
    pub(super) dead_letter: usize,
}

/// Makes events of records. Belongs to one thread.
pub(super) struct Reading {
    pub(super) sources: Arc<Sources>,
    pub(super) schemas: Schemas<WriterSchema>,
    mapper: Mapper,
    pub(super) encoding: Encoding,
}

/// Makes records of events.
pub(super) struct Encoding {
    encoder: EventEncoder,
    pub(super) limits: Limits,
    /// Of the events, and of the dead letters.
    partitions: u32,
}

enum Mapped {
    Events {
        records: Vec<Written>,
        first: Instant,
        last: Instant,
    },
    /// With its time, if that is known.
    Skipped(&'static str, Option<Instant>),
}

impl Reading {
    pub(super) fn new(sources: Arc<Sources>, schemas: Schemas<WriterSchema>, limits: Limits, partitions: u32) -> Self {
        let encoding = Encoding { encoder: EventEncoder::new(), limits, partitions };
        Self { sources, schemas, mapper: Mapper::default(), encoding }
    }

    /// What is written of a record of a topic's partition, now that its schemas are known, or were waited for.
    pub(super) fn read(&mut self, topic: usize, partition: i32, record: &Record<'_>, bounds: Bounds) -> Content {
        match self.map(topic, partition, record, bounds) {
            Ok(Mapped::Events { records, first, last }) => {
                Content { fate: Fate::Mapped, records, times: Some((first, last)), wrong: None }
            }
            Ok(Mapped::Skipped(reason, at)) => {
                let times = at.map(|at| (at, at));
                Content { fate: Fate::Skipped(reason), records: Vec::new(), times, wrong: None }
            }
            Err(refused) => self.dead_letter(topic, partition, record, refused),
        }
    }

    fn map(&mut self, topic: usize, partition: i32, record: &Record<'_>, bounds: Bounds) -> Result<Mapped, Refused> {
        let Self { sources, schemas, mapper, encoding } = self;
        let source = sources.of_topic(topic);
        let (topic, number) = (sources.topics()[topic].as_str(), sources.place_of(topic));
        let of = RecordOf { source: number, mapping: &source.mapping, topic, partition };
        mapper.map(of, schemas, record, bounds, |outcome, lies| match outcome {
            Outcome::Skipped(reason, at) => {
                // One ahead of the clock says nothing of how far the source is.
                let at = at.filter(|at| !bounds.is_passed_by(*at, Instant::MIN));
                Ok(Mapped::Skipped(reason.as_str(), at))
            }
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Mapped(events) => encoding.encode(&events, source.name(), lies),
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
        let letter = dead_letter::of_record(record, &rejected).fit(self.encoding.limits.dead_letter);
        let written = Written {
            target: Target::DeadLetters,
            partition: partition_of(record.key().unwrap_or_default(), self.encoding.partitions),
            key: letter.key.map(<[u8]>::to_vec),
            payload: letter.payload.map(<[u8]>::to_vec),
            headers: letter.headers,
        };
        let Refused { reason, detail, kind } = refused;
        let wrong = Some(Wrong { detail, kind });
        Content { fate: Fate::DeadLetter(reason), records: vec![written], times: None, wrong }
    }
}

impl Encoding {
    fn encode(&self, events: &[MappedEvent<'_>], source: &str, place: &Place<'_>) -> Result<Mapped, Refused> {
        let mut headers = Vec::with_capacity(160);
        push_header(&mut headers, b"cohortd_source", source.as_bytes());
        push_header(&mut headers, b"cohortd_source_topic", place.topic.as_bytes());
        push_header(&mut headers, b"cohortd_source_partition", Digits::of(place.partition.into()).as_bytes());
        push_header(&mut headers, b"cohortd_source_offset", Digits::of(place.offset).as_bytes());
        let (mut first, mut last) = (Instant::MAX, Instant::MIN);
        let mut records = Vec::with_capacity(events.len());
        for (number, event) in (1..).zip(events) {
            (first, last) = (first.min(event.at), last.max(event.at));
            // Most records become one event.
            let own = if number == events.len() { std::mem::take(&mut headers) } else { headers.clone() };
            records.push(self.record(event, own)?);
        }
        Ok(Mapped::Events { records, first, last })
    }

    fn record(&self, event: &MappedEvent<'_>, headers: Vec<u8>) -> Result<Written, Refused> {
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
            headers,
        })
    }
}

/// The schemas without which a record cannot be read.
pub(super) fn needed(sources: &Sources, record: &Record<'_>) -> Needed {
    let Some((topic, _)) = sources.numbering.place(record.partition()) else { return [None, None] };
    mapper::needed(&sources.of_topic(topic).mapping, record)
}
