//! A file whose records are in the shape of a source.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codec::{FileError, OwnedEvent, OwnedValue, RecordFile};
use crate::event::Value;
use crate::sources::{AbsentPath, AvroReader, MappedEvent, Mapping, Outcome, Payload};

/// The records of one file, in order, as `run` maps them.
pub(in crate::cli) struct MappedFile {
    records: RecordFile,
    mapping: Arc<Mapping>,
    /// Of an Avro file.
    reader: Option<AvroReader>,
    /// Further events of the record that was read last.
    waiting: VecDeque<OwnedEvent>,
    /// Records read.
    number: u64,
    skipped: u64,
}

/// A record that is not used, or a part of the file that cannot be read.
pub(in crate::cli) enum Unmapped {
    Unread(FileError),
    /// With the place, and without a value.
    Refused(String),
}

/// What became of one record.
enum Fate {
    Events(VecDeque<OwnedEvent>),
    Skipped,
    Refused(String),
}

impl MappedFile {
    /// # Errors
    /// Why nothing of the file can be mapped.
    pub(in crate::cli) fn new(records: RecordFile, mapping: &Arc<Mapping>) -> Result<Self, String> {
        let impossible = |problem: String| Err(format!("{}: {problem}", records.name()));
        let reader = match (mapping.is_avro(), records.schema()) {
            (_, None) if records.is_csv() => None,
            (true, None) => {
                return impossible("the source is in Avro; give an Avro object container file".to_owned());
            }
            (false, Some(_)) => return impossible("the source is in JSON; give JSON Lines".to_owned()),
            (false, None) => None,
            (true, Some(schema)) => match mapping.reader(schema) {
                Ok(reader) => Some(reader),
                Err(problem) => return impossible(format!("its schema: {problem}")),
            },
        };
        let mapping = Arc::clone(mapping);
        Ok(Self { records, mapping, reader, waiting: VecDeque::new(), number: 0, skipped: 0 })
    }

    pub(in crate::cli) fn name(&self) -> &str {
        self.records.name()
    }

    /// The name of the source.
    pub(in crate::cli) fn source(&self) -> &str {
        &self.mapping.source().name
    }

    /// Paths that the schema does not have.
    pub(in crate::cli) fn absent(&self) -> &[AbsentPath] {
        self.reader.as_ref().map_or(&[], AvroReader::absent)
    }

    /// The number of the next record, from 1.
    pub(in crate::cli) fn next_number(&self) -> u64 {
        self.number + 1
    }

    /// Records that the source does not want.
    pub(in crate::cli) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Passes what becomes of the next record to `take`; `None` at the end.
    ///
    /// # Errors
    /// What cannot be read.
    pub(in crate::cli) fn map_next<R>(&mut self, take: impl FnOnce(Outcome<'_>) -> R) -> Result<Option<R>, FileError> {
        let mapping = &self.mapping;
        let read = self.records.next_by(|bytes| match &self.reader {
            None => (bytes.len(), Ok(take(mapping.map(&Payload::Json(bytes).alone())))),
            Some(reader) => match reader.length(bytes) {
                Err(problem) => (bytes.len(), Err(problem)),
                Ok(length) => (length, Ok(take(mapping.map(&Payload::Avro(reader, &bytes[..length]).alone())))),
            },
        });
        self.number += match &read {
            Ok(read) => u64::from(read.is_some()),
            Err(error) => error.lost().unwrap_or(0),
        };
        read
    }

    /// The next event; `None` at the end.
    pub(in crate::cli) fn next(&mut self) -> Option<Result<OwnedEvent, Unmapped>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(Ok(event));
            }
            match self.map_next(fate) {
                Ok(None) => return None,
                Ok(Some(Fate::Events(events))) => self.waiting = events,
                Ok(Some(Fate::Skipped)) => self.skipped += 1,
                Ok(Some(Fate::Refused(problem))) => {
                    let text = format!("{}, record {}: {problem}", self.name(), self.number);
                    return Some(Err(Unmapped::Refused(text)));
                }
                Err(error) => return Some(Err(Unmapped::Unread(error))),
            }
        }
    }
}

fn fate(outcome: Outcome<'_>) -> Fate {
    match outcome {
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
