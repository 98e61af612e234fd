//! Topics of records of any shape.

use std::ops::Range;

use super::schemas::Schemas;
use super::too_many;
use crate::app::Failure;
use crate::audit::{Audit, Payload, Record, TopicIx, Unreadable};
use crate::cli::arguments::Audit as Asked;
use crate::cli::history::{Place, TopicLog};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{Framing, SchemaKey};
use crate::event::Instant;
use crate::kafka::{self, partition_of};
use crate::settings::Loaded;

/// Reads all topics, up to their ends when the command starts.
///
/// # Errors
/// No broker or topic; a registry that does not answer; more topics than an audit has.
pub(super) fn read(loaded: &Loaded, asked: &Asked, audit: &mut Audit) -> Result<(), Stopped> {
    let mut schemas = Schemas::open(loaded)?;
    let mut logs = Vec::new();
    for name in &asked.topics {
        let log = TopicLog::open(&loaded.settings, name)?;
        let partitions = log.count();
        let topic = audit.topic(name, partitions).ok_or_else(too_many)?;
        let until = asked.until.map_or(Place::Now, Place::Time);
        let ranges: Vec<(i32, Range<i64>)> = (log.partitions())
            .map(|partition| Ok((partition, log.range(partition, asked.from.map(Place::Time), until)?)))
            .collect::<Result<_, Failure>>()?;
        logs.push((log, topic, ranges));
    }
    let records = |range: &Range<i64>| u64::try_from(range.end - range.start).unwrap_or(0);
    let all = logs.iter().flat_map(|(_, _, ranges)| ranges).map(|(_, range)| records(range)).sum();
    let progress = Progress::of_records(all);
    for (log, topic, ranges) in &mut logs {
        let partitions = log.count();
        for (partition, range) in ranges {
            let mut one = One { schemas: &mut schemas, audit, topic: *topic, partitions, partition: *partition };
            log.read(*partition, range.clone(), &progress, |record| one.add(record).map_err(Stopped::from))?;
        }
    }
    progress.finish();
    Ok(())
}

/// The records of one partition.
struct One<'a> {
    schemas: &'a mut Schemas,
    audit: &'a mut Audit,
    topic: TopicIx,
    partitions: u32,
    partition: i32,
}

impl One<'_> {
    fn add(&mut self, record: &kafka::Record<'_>) -> Result<(), Failure> {
        let headers: Vec<_> = record.headers().map(|(name, value)| (String::from_utf8_lossy(name), value)).collect();
        let headers: Vec<(&str, Option<&[u8]>)> = headers.iter().map(|(name, value)| (&**name, *value)).collect();
        for (schema, _) in [record.payload(), record.key()].into_iter().flatten().filter_map(tagged) {
            self.schemas.fetch(schema)?;
        }
        let home = |key| partition_of(key, self.partitions) == self.partition;
        let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
        let record = Record {
            value: record.payload().map_or(Payload::Null, |bytes| value(self.schemas, bytes)),
            key: record.key().map_or(Payload::Null, |bytes| key(self.schemas, bytes)),
            headers: &headers,
            place: self.partition,
            written: record.timestamp().millis().map(Instant),
            at_home: record.key().filter(|_| self.partitions > 1).map(home),
            bytes: size(record.payload()) + size(record.key()),
        };
        self.audit.add(self.topic, &record);
        Ok(())
    }
}

/// The schema that bytes say they have, and the rest of them.
fn tagged(bytes: &[u8]) -> Option<(SchemaKey, &[u8])> {
    Framing::Tagged.split(bytes).ok()
}

fn is_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start(), [b'{' | b'[', ..])
}

fn value<'b>(schemas: &'b Schemas, bytes: &'b [u8]) -> Payload<'b> {
    let tagged = tagged(bytes);
    if let Some((key, datum)) = tagged
        && let Some((id, schema)) = schemas.get(key)
    {
        return Payload::Avro(schema, id, datum);
    }
    // JSON, also with the prefix of Confluent's JSON Schema.
    if is_json(bytes) || tagged.is_some_and(|(key, rest)| matches!(key, SchemaKey::Id(_)) && is_json(rest)) {
        return Payload::Json(bytes);
    }
    if let Some((id, schema)) = schemas.get(SchemaKey::Bare) {
        return Payload::Avro(schema, id, bytes);
    }
    match std::str::from_utf8(bytes) {
        _ if tagged.is_some() => Payload::Unreadable(Unreadable::UnknownSchema, bytes),
        Ok(_) => Payload::Text(bytes),
        Err(_) => Payload::Unreadable(Unreadable::Unknown, bytes),
    }
}

/// A key that is neither Avro of a known schema nor an object is one text, as for sources.
fn key<'b>(schemas: &'b Schemas, bytes: &'b [u8]) -> Payload<'b> {
    match tagged(bytes).and_then(|(key, datum)| Some((schemas.get(key)?, datum))) {
        Some(((id, schema), datum)) => Payload::Avro(schema, id, datum),
        None if is_json(bytes) => Payload::Json(bytes),
        None => Payload::Text(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_json, tagged};
    use crate::codec::SchemaKey;

    #[test]
    fn the_first_bytes_say_what_a_record_is() {
        assert_eq!(tagged(&[0, 0, 0, 1, 2, 9]), Some((SchemaKey::Id(258), [9].as_slice())));
        assert_eq!(tagged(b"{}"), None);
        assert!(is_json(b" {\"a\": 1}") && is_json(b"[]") && !is_json(b"jean") && !is_json(b""));
    }
}
