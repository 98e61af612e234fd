//! A record as it comes to the audit.

use super::walk::Schema;
use crate::event::{Instant, named};

/// A record of a topic or a file.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub value: Payload<'a>,
    pub key: Payload<'a>,
    /// Names and values.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// The number of its partition, or of its file.
    pub place: i32,
    /// When it was written; `None`: it is of a file.
    pub written: Option<Instant>,
    /// Is it in the partition that Kafka's default partitioner chooses for its key? `None`: it is of a file, or has no key,
    /// or there is one partition.
    pub at_home: Option<bool>,
    /// The bytes of key and value, with their framing.
    pub bytes: u64,
}

/// A value or a key.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    Null,
    /// Exactly one record, without framing.
    Avro(&'a Schema, SchemaId, &'a [u8]),
    /// With or without the prefix of Confluent's JSON Schema.
    Json(&'a [u8]),
    Text(&'a [u8]),
    /// Nothing can be said of what is in it.
    Unreadable(Unreadable, &'a [u8]),
}

/// Where the schema of a record of Avro is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemaId {
    /// The id in the registry.
    Id(u32),
    /// Single-object encoding.
    Fingerprint(u64),
    /// The file that it is in, or the schema of all records without framing.
    File,
    Bare,
}

named! {
    /// Why a record cannot be read.
    Unreadable {
        /// Its schema is neither in a file nor in the registry.
        UnknownSchema = "unknown_schema",
        /// It is not what its schema or its first byte says.
        Damaged = "damaged",
        /// Neither JSON nor Avro that says its schema.
        Unknown = "unknown_format",
    }
}

named! {
    /// How values are encoded.
    Format {
        Json = "json",
        JsonSchema = "json_schema",
        Avro = "avro",
        AvroSingleObject = "avro_single_object",
        AvroFile = "avro_file",
        AvroBare = "avro_bare",
        Text = "text",
        Tombstone = "null",
        Unreadable = "unreadable",
    }
}

impl Payload<'_> {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Null => Format::Tombstone,
            Self::Json([0, ..]) => Format::JsonSchema,
            Self::Json(_) => Format::Json,
            Self::Avro(_, SchemaId::Id(_), _) => Format::Avro,
            Self::Avro(_, SchemaId::Fingerprint(_), _) => Format::AvroSingleObject,
            Self::Avro(_, SchemaId::File, _) => Format::AvroFile,
            Self::Avro(_, SchemaId::Bare, _) => Format::AvroBare,
            Self::Text(_) => Format::Text,
            Self::Unreadable(..) => Format::Unreadable,
        }
    }

    /// Its bytes, as far as they tell it from others.
    pub(super) fn content(&self) -> &[u8] {
        match self {
            Self::Null => &[],
            Self::Avro(_, _, bytes) | Self::Json(bytes) | Self::Text(bytes) | Self::Unreadable(_, bytes) => bytes,
        }
    }
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Fingerprint(fingerprint) => write!(f, "fingerprint {fingerprint:016x}"),
            Self::File => f.write_str("file"),
            Self::Bare => f.write_str("bare"),
        }
    }
}
