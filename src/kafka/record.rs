//! Records read from and written to a broker.

use super::native::Fetched;
use super::timestamp::Timestamp;

/// A record read from a partition. It borrows the client's memory, without a copy, and keeps the whole fetch response
/// that it came with (up to `fetch.max.bytes`) in memory: drop records when the batch is done.
pub struct Record<'a>(Fetched<'a>);

impl<'a> Record<'a> {
    pub(super) fn new(fetched: Fetched<'a>) -> Self {
        Self(fetched)
    }

    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// `None` is a tombstone.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// Names and values in the order written; a name may come twice, a value may be null, a name is UTF-8 only by
    /// convention. Parsed when first asked for.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        (0..).map_while(|index| self.0.header(index))
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
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Milliseconds since 1970; `None` is the client's clock.
    pub timestamp: Option<i64>,
}
