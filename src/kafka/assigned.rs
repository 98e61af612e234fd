//! Clients outside the group that read the partitions they are assigned: creating one.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::failure::{Cause, Failure};
use super::native::{Queue, Unclosed};

/// A client, and the queue on which it receives everything. Does not connect. `what`: for the error.
///
/// # Errors
/// `Fatal` when librdkafka refuses an option.
pub(super) fn create(
    config: &ClientConfig,
    what: &str,
    brokers: &Brokers,
) -> Result<(Queue, Bounded<Unclosed<Watch>>), Failure> {
    let client: BaseConsumer<Watch> =
        config.create_with_context(Watch(brokers.clone())).map_err(|error| Failure::Fatal(Cause::of(&error, what)))?;
    let queue = Queue::of_consumer(client.client())
        .ok_or_else(|| Failure::Fatal(Cause::new(Code::UnknownGroup, what, "no group id")))?;
    Ok((queue, Bounded::new(Unclosed::new(client))))
}
