//! Refreshes the leaders of a topic's partitions after a failed request for offsets.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::failure::{Cause, Kind};

/// After a request for offsets of these partitions failed: refreshes the metadata of the topic, which the next request
/// uses. Returns what the failure means. Blocks for at most `timeout`.
///
/// librdkafka treats a partition without a leader as unknown, and refreshes it only minutes later. A broker that was
/// away for a moment leaves that behind.
pub(super) fn look_again<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: &[i32],
    cause: Cause,
    timeout: Duration,
) -> Cause {
    let Ok(metadata) = client.fetch_metadata(Some(topic), timeout) else { return cause };
    let exists = |partition: &i32| {
        let topics = metadata.topics().iter().filter(|found| found.error().is_none_or(may_pass));
        topics.flat_map(|topic| topic.partitions()).any(|found| found.id() == *partition)
    };
    match cause.kind {
        Kind::UnknownTopic if partitions.iter().all(exists) => Cause { kind: Kind::Unreachable, ..cause },
        _ => cause,
    }
}

fn may_pass(error: RDKafkaRespErr) -> bool {
    Kind::of(Code::from(error)) == Kind::Unreachable
}
