//! Who leads a topic's partitions, asked again when a question about offsets has failed.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::failure::{Cause, Kind};

/// After a question about offsets of these partitions failed: asks who leads the topic, which the next question goes by.
/// Returns what the failure means. Blocks for at most `timeout`.
///
/// librdkafka takes a partition without a leader for one that never had any and never will: it calls it unknown, and looks
/// again only minutes later. A broker that was away for a moment leaves that behind.
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
