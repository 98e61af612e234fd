//! When a record was written, as its topic has it.

/// When a record was written, milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    /// By the producer's clock. Anything, also negative: not to be trusted unchecked.
    CreateTime(i64),
    /// By the broker's clock (`message.timestamp.type=LogAppendTime`).
    LogAppendTime(i64),
    NotAvailable,
}

impl Timestamp {
    #[must_use]
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::CreateTime(millis) | Self::LogAppendTime(millis) => Some(millis),
            Self::NotAvailable => None,
        }
    }
}
