//! A record as it comes, before it is mapped.

use super::json::without_prefix;
use super::mapping::AvroReader;
use crate::event::Instant;

/// A record of a topic or a file.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub value: Payload<'a>,
    pub key: Payload<'a>,
    /// Names with values, which may be null.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Where it lies; `None`: in a file.
    pub place: Option<Place<'a>>,
}

/// Where a record of a topic lies.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// The record's own time, if it has one.
    pub timestamp: Option<Instant>,
}

/// A value or a key of a record.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    Null,
    /// Without its framing, with what was compiled of its writer's schema by the same mapping.
    Avro(&'a AvroReader, &'a [u8]),
    /// With or without the prefix of Confluent's JSON Schema.
    Json(&'a [u8]),
    /// One text.
    Text(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// A key that is not known to be Avro: an object of JSON, or a text.
    #[must_use]
    pub fn of_key(key: Option<&'a [u8]>) -> Self {
        match key {
            None => Self::Null,
            Some(bytes) if without_prefix(bytes).trim_ascii_start().starts_with(b"{") => Self::Json(bytes),
            Some(bytes) => Self::Text(bytes),
        }
    }

    /// A record of a file that has nothing else.
    #[must_use]
    pub fn alone(self) -> Record<'a> {
        Record { value: self, key: Payload::Null, headers: &[], place: None }
    }
}
