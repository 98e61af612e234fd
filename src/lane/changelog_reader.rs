//! Is META of a transaction in the changelog?

use std::time::Duration;

use crate::kafka::{Brokers, Failure, Isolation, Reader, Record, Watermarks};
use crate::lane::context::Context;
use crate::settings::Kafka;
use crate::store::decode_meta;
use crate::store::layout::changelog;

/// How long one request to a broker may take.
const ASK: Duration = Duration::from_secs(1);

/// Bytes that such a client may queue: it exists for moments.
const FETCH_BYTES: usize = 4 << 20;

/// Reads by clients of its own: the lane's may be in the middle of a restore.
pub(in crate::lane) struct ChangelogReader<'a> {
    kafka: &'a Kafka,
    brokers: &'a Brokers,
    watermarks: &'a Watermarks,
    topic: &'a str,
}

impl<'a> ChangelogReader<'a> {
    pub(in crate::lane) fn new(
        kafka: &'a Kafka,
        brokers: &'a Brokers,
        watermarks: &'a Watermarks,
        context: &'a Context,
    ) -> Self {
        Self { kafka, brokers, watermarks, topic: &context.topics.changelog }
    }

    /// Is META with this number among the records of a partition, committed or all? `from`: where to begin, given the end.
    ///
    /// # Errors
    /// `Retry` while no broker answers or a transaction is open; `Fatal` where the changelog may not be read.
    pub(in crate::lane) fn has_meta(
        &self,
        isolation: Isolation,
        partition: i32,
        from: impl FnOnce(i64) -> i64,
        sequence: u64,
        report_alive: &dyn Fn(),
    ) -> Result<bool, Failure> {
        let held = self.watermarks.range(self.topic, partition, ASK)?;
        let is_meta = |record: &Record<'_>| {
            let meta = record.payload().filter(|_| record.key() == Some(&[changelog::META]));
            meta.and_then(|value| decode_meta(value).ok()).is_some_and(|meta| meta.sequence == sequence)
        };
        let mut reader = Reader::isolated(self.kafka, isolation, FETCH_BYTES, self.brokers)?;
        let found =
            reader.holds(self.topic, partition, from(held.end).max(held.start)..held.end, is_meta, report_alive);
        reader.discard();
        found
    }
}
