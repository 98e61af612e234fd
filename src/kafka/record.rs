//! Records read from and written to a broker.

use super::native::Fetched;
use super::timestamp::Timestamp;

/// A record read from a partition. It borrows the client's memory, without a copy, and keeps the whole fetch response
/// that it came with (up to `fetch.max.bytes`) in memory: drop records when the batch is done.
pub struct Record<'a> {
    /// Of its partition, as the client numbers them.
    number: i32,
    fetched: Fetched<'a>,
}

impl<'a> Record<'a> {
    pub(super) fn new(number: i32, fetched: Fetched<'a>) -> Self {
        Self { number, fetched }
    }

    /// Its number, if the client reads several topics ([`Numbering`](super::Numbering)).
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.number
    }

    #[must_use]
    pub fn offset(&self) -> i64 {
        self.fetched.offset()
    }

    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.fetched.key()
    }

    /// `None` is a tombstone.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.fetched.payload()
    }

    /// Asks for what librdkafka has of the record: another thread wrote it.
    pub fn prefetch(&self) {
        self.fetched.prefetch();
    }

    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.fetched.timestamp()
    }

    /// Names and values in the order written; a name may come twice, a value may be null, a name is UTF-8 only by
    /// convention. Parsed when first asked for.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        (0..).map_while(|index| self.fetched.header(index))
    }
}

/// A record to be written. Its bytes are copied when it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    /// Always explicit: an output goes to the partition of its input record.
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    pub headers: Headers<'a>,
    /// Milliseconds since 1970; `None` is the client's clock.
    pub timestamp: Option<i64>,
    pub report: Report,
}

/// What is remembered of the delivery of a record. Failures always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Nothing.
    Failure,
    /// Its offset, if it is the highest of its partition: see [`Producer::delivered`](super::Producer::delivered).
    Offset,
}

/// The headers of a record to be written, one after another in one buffer: of each the lengths of its name and its value,
/// four bytes each, then both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// `buffer` is empty, or as [`push_header`] writes it.
    #[must_use]
    pub fn read(buffer: &'a [u8]) -> Self {
        Self(buffer)
    }

    /// Names and values in the order written.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (lengths, after) = rest.split_first_chunk::<8>()?;
            let [name, value] = [0, 4].map(|at| {
                let length: [u8; 4] = std::array::from_fn(|byte| lengths[at + byte]);
                u32::from_le_bytes(length) as usize
            });
            let (name, after) = after.split_at_checked(name)?;
            let (value, after) = after.split_at_checked(value)?;
            rest = after;
            Some((name, value))
        })
    }
}

/// Appends a header to a buffer.
pub fn push_header(buffer: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    push_header_name(buffer, name, value.len());
    buffer.extend_from_slice(value);
}

/// Appends a header up to its value, of so many bytes, which must follow. No part of a record has more than 4 GiB.
pub fn push_header_name(buffer: &mut Vec<u8>, name: &[u8], value: usize) {
    let [name_length, value] =
        [name.len(), value].map(|length| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(&name_length);
    buffer.extend_from_slice(&value);
    buffer.extend_from_slice(name);
}
