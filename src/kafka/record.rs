//! Records as they come from a broker and as they go to one.

use super::native::Fetched;

/// A record read from a partition. It lives in the client's memory, without a copy, and keeps the whole answer of the
/// broker it came with (up to `fetch.max.bytes`) from being freed: drop records when the batch is done.
pub struct Record<'a>(Fetched<'a>);

/// When a record was written, milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// By the producer's clock. Anything, also negative: not to be trusted unchecked.
    Created(i64),
    /// By the broker's clock (`message.timestamp.type=LogAppendTime`).
    Appended(i64),
    Missing,
}

impl Stamp {
    #[must_use]
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::Created(millis) | Self::Appended(millis) => Some(millis),
            Self::Missing => None,
        }
    }
}

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
    pub fn stamp(&self) -> Stamp {
        self.0.stamp()
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
    /// Always explicit: an output goes to the partition of its input.
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Milliseconds since 1970; `None` is the client's clock.
    pub timestamp: Option<i64>,
}
