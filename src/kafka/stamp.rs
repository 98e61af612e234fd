//! When a record was written, as its topic has it.

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
