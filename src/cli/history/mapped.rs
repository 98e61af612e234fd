//! The events of a file whose records are in the shape of a source.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codec::{FileError, OwnedEvent, OwnedValue, RecordFile};
use crate::event::Value;
use crate::sources::{AvroReader, MappedEvent, Mapping, Outcome, Payload};

/// The events of one file, in order, as `run` gathers them.
pub(in crate::cli) struct MappedFile {
    records: RecordFile,
    mapping: Arc<Mapping>,
    shape: RecordShape,
    /// Further events of the record that was read last.
    waiting: VecDeque<OwnedEvent>,
    /// Records read.
    number: u64,
    skipped: u64,
}

/// What the records of the file are.
enum RecordShape {
    /// Of an Avro file.
    Avro(AvroReader),
    Json,
    /// Nothing can be read.
    Impossible(Option<String>),
}

/// A record that is not used, or a part of the file that cannot be read.
pub(in crate::cli) enum Unmapped {
    Unread(FileError),
    /// With the place, and without a value.
    Refused(String),
    /// Nothing of the file can be read.
    Impossible(String),
}

/// What became of one record.
enum Fate {
    Events(VecDeque<OwnedEvent>),
    Skipped,
    Refused(String),
}

impl MappedFile {
    pub(in crate::cli) fn new(records: RecordFile, mapping: &Arc<Mapping>) -> Self {
        let shape = match (mapping.is_avro(), records.schema()) {
            (_, None) if records.is_csv() => RecordShape::Json,
            (true, None) => {
                RecordShape::Impossible(Some("the source is in Avro; give an Avro object container file".to_owned()))
            }
            (false, Some(_)) => RecordShape::Impossible(Some("the source is in JSON; give JSON Lines".to_owned())),
            (false, None) => RecordShape::Json,
            (true, Some(schema)) => match mapping.reader(schema) {
                Ok(reader) => RecordShape::Avro(reader),
                Err(problem) => RecordShape::Impossible(Some(format!("its schema: {problem}"))),
            },
        };
        let mapping = Arc::clone(mapping);
        Self { records, mapping, shape, waiting: VecDeque::new(), number: 0, skipped: 0 }
    }

    /// The name of the source.
    pub(in crate::cli) fn source(&self) -> &str {
        &self.mapping.source().name
    }

    /// Records that the source does not want.
    pub(in crate::cli) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next event; `None` at the end.
    pub(in crate::cli) fn next(&mut self) -> Option<Result<OwnedEvent, Unmapped>> {
        if let RecordShape::Impossible(problem) = &mut self.shape {
            let text = format!("{}: {}", self.records.name(), problem.take()?);
            return Some(Err(Unmapped::Impossible(text)));
        }
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(Ok(event));
            }
            let (mapping, shape) = (&self.mapping, &self.shape);
            let read = self.records.next_by(|bytes| match shape {
                RecordShape::Avro(reader) => match reader.length(bytes) {
                    Err(problem) => (bytes.len(), Err(problem)),
                    Ok(length) => (length, Ok(fate(mapping, Payload::Avro(reader, &bytes[..length])))),
                },
                RecordShape::Json | RecordShape::Impossible(_) => {
                    (bytes.len(), Ok(fate(mapping, Payload::Json(bytes))))
                }
            });
            match read {
                Ok(None) => return None,
                Ok(Some(fate)) => {
                    self.number += 1;
                    match fate {
                        Fate::Events(events) => self.waiting = events,
                        Fate::Skipped => self.skipped += 1,
                        Fate::Refused(problem) => {
                            let text = format!("{}, record {}: {problem}", self.records.name(), self.number);
                            return Some(Err(Unmapped::Refused(text)));
                        }
                    }
                }
                Err(error) => {
                    self.number += error.lost().unwrap_or(0);
                    return Some(Err(Unmapped::Unread(error)));
                }
            }
        }
    }
}

fn fate(mapping: &Mapping, payload: Payload<'_>) -> Fate {
    match mapping.map(&payload.alone()) {
        Outcome::Skipped(..) => Fate::Skipped,
        Outcome::Refused(refusal) => {
            let reason = refusal.reason;
            Fate::Refused(format!("{reason}: {}", refusal.described()))
        }
        Outcome::Mapped(events) => Fate::Events(events.iter().map(owned).collect()),
    }
}

fn owned(event: &MappedEvent<'_>) -> OwnedEvent {
    let value = |value: Value<'_>| match value {
        Value::Bool(value) => OwnedValue::Bool(value),
        Value::Number(value) => OwnedValue::Number(value),
        Value::Text(value) => OwnedValue::Text(value.to_owned()),
    };
    let properties = event.properties.iter().map(|(name, found)| ((*name).to_owned(), value(found.value())));
    OwnedEvent {
        customer: event.customer.clone().into_owned(),
        name: event.name.clone().into_owned(),
        at: event.at,
        id: Some(event.id.clone().into_owned()),
        source: Some(event.source.to_owned()),
        record_hash: 0,
        properties: properties
            .chain(event.unusable.iter().map(|name| ((*name).to_owned(), OwnedValue::Unusable)))
            .collect(),
    }
}
