//! Where partitions begin and end, for tests that ask themselves.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;

/// First offset and end of a partition, as this client may see them. librdkafka remembers for minutes that a partition had no
/// leader for a moment: after a failure it looks up the leader for the next attempt.
pub(crate) fn range(client: &BaseConsumer, topic: &str, partition: i32, timeout: Duration) -> KafkaResult<(i64, i64)> {
    client.fetch_watermarks(topic, partition, timeout).inspect_err(|_| {
        client.fetch_metadata(Some(topic), timeout).ok();
    })
}
