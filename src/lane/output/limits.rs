//! How large records may be, by the limits of their topics.

use crate::kafka::Sizes;
use crate::lane::output::record::Topic;
use crate::settings::Topics;

/// Kafka's default limit for a record (`message.max.bytes`).
const RECORD_BYTES_DEFAULT: usize = 1_048_588;
/// Overhead of a record that is sent alone: of its batch, its own lengths, the count of its headers.
const FRAMING: usize = 256;
/// The limit of a record whatever its topic allows: it must fit into the producer's queue and into the memory of every
/// consumer.
const RECORD_BYTES_MAX: usize = 16 << 20;
/// A customer's state is read and written with each of their events: a larger one would stall all others.
const STATE_BYTES_MAX: usize = 4 << 20;

/// Each topic's limit for a record (`max.message.bytes`), as read at start. It applies after compression; records are
/// kept below it before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits([usize; Topic::ALL.len()]);

impl Default for RecordLimits {
    fn default() -> Self {
        Self([RECORD_BYTES_DEFAULT; Topic::ALL.len()])
    }
}

impl RecordLimits {
    /// `bytes` gives the limit of a topic by its name, if it is known.
    #[must_use]
    pub fn of_topics(topics: &Topics, bytes: impl Fn(&str) -> Option<u64>) -> Self {
        let mut limits = Self::default();
        for topic in Topic::ALL {
            if let Some(bytes) = bytes(topic.name(topics)) {
                limits.set(topic, bytes);
            }
        }
        limits
    }

    fn set(&mut self, topic: Topic, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(RECORD_BYTES_MAX);
        self.0[topic as usize] = bytes;
    }

    /// The limit for key, value and headers of one record, so that the topic accepts it however badly it compresses.
    #[must_use]
    pub(in crate::lane) fn of(&self, topic: Topic) -> usize {
        self.0[topic as usize].saturating_sub(FRAMING)
    }

    /// The limit for the bytes of one customer's state.
    #[must_use]
    pub(in crate::lane) fn state(&self) -> usize {
        self.of(Topic::Changelog).saturating_sub(crate::event::CUSTOMER_BYTES_MAX).min(STATE_BYTES_MAX)
    }

    /// The producer's limits: a record that compresses well may be larger than its topic's limit.
    #[must_use]
    pub(in crate::lane) fn sizes(&self) -> Sizes {
        let least = self.0.iter().copied().min().unwrap_or(RECORD_BYTES_DEFAULT);
        let most = self.0.iter().copied().max().unwrap_or(RECORD_BYTES_DEFAULT);
        Sizes { record: most.max(8 << 20), batch: least.saturating_sub(FRAMING) }
    }
}

#[cfg(test)]
mod tests {
    use super::{RecordLimits, Topic};

    #[test]
    fn records_that_travel_together_fit_where_each_of_them_does() {
        let mut limits = RecordLimits::default();
        limits.set(Topic::DeadLetters, 12_000_000);
        limits.set(Topic::Members, 100_000);
        assert!(limits.sizes().batch < 100_000);
        assert!(limits.sizes().record >= 12_000_000);
        assert!(limits.of(Topic::Members) < 100_000 && limits.state() < 1_048_588);
    }
}
