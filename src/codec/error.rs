//! Errors in records and schemas. No text contains a value of a field.

use crate::event::DeadLetterReason;

/// This record cannot be decoded: it goes to the dead letters and reading continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("the record begins with neither a schema id (00) nor a fingerprint (C3 01)")]
    Framing,
    #[error(
        "the record looks like JSON, and Avro is read here, after a schema id (00) or a fingerprint (C3 01): send it in Avro \
         (docs/inputs.md), or read the topic as a source with format = \"json\" (gather.sources, docs/sources.md)"
    )]
    Json,
    #[error("the record ends too early for its schema")]
    Truncated,
    #[error("bytes are left over after the end of the record")]
    Trailing,
    #[error("an integer has more bits than its type")]
    Overflow,
    #[error("a length or count is negative or impossible")]
    Length,
    #[error("a union branch, enum symbol or boolean is out of range")]
    Branch,
    #[error("`{0}` is not UTF-8")]
    NotUtf8(&'static str),
    #[error("records are nested deeper than {} levels", super::reader::MAX_DEPTH)]
    Depth,
    /// In this record, the union of the writer has a type that the field cannot be read from.
    #[error("`{0}` has a type that it cannot be read from")]
    Mismatch(&'static str),
    #[error("`customer_id` is null or empty")]
    NoCustomer,
    #[error("`{0}` is longer than 1,024 bytes")]
    TooLong(&'static str),
    #[error("`occurred_at` is null, local, or beyond the years 1 to 9999")]
    BadTime,
}

impl Undecodable {
    /// Is a single value unusable, while the record was read to its end? Then the next one can be found in a sequence
    /// of records.
    #[must_use]
    pub fn is_of_a_value(self) -> bool {
        match self {
            Self::NotUtf8(_) | Self::Mismatch(_) | Self::NoCustomer | Self::TooLong(_) | Self::BadTime => true,
            Self::Framing
            | Self::Json
            | Self::Truncated
            | Self::Trailing
            | Self::Overflow
            | Self::Length
            | Self::Branch
            | Self::Depth => false,
        }
    }

    /// The reason under which the record becomes a dead letter.
    #[must_use]
    pub fn reason(self) -> DeadLetterReason {
        match self {
            Self::NoCustomer => DeadLetterReason::NoCustomer,
            Self::BadTime => DeadLetterReason::BadTime,
            Self::TooLong(_) => DeadLetterReason::Oversized,
            Self::Framing
            | Self::Json
            | Self::Truncated
            | Self::Trailing
            | Self::Overflow
            | Self::Length
            | Self::Branch
            | Self::NotUtf8(_)
            | Self::Depth
            | Self::Mismatch(_) => DeadLetterReason::Undecodable,
        }
    }
}

/// No record of this writer's schema can be read as a `CustomerEvent`: all go to the dead letters, and a person has to
/// change the schema or the mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    #[error("not an Avro schema: {0}")]
    Schema(String),
    #[error("the schema is a {0}, not a record")]
    NotARecord(&'static str),
    #[error("field `{0}` is missing and has no default")]
    Missing(String),
    #[error("`{field}` is {found}, which cannot be read as {wanted}")]
    Field { field: &'static str, found: String, wanted: &'static str },
    #[error("the type {0} is named but not defined")]
    Undefined(String),
}
