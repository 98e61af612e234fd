//! What every client here shares: where its log lines and errors go, and how it is closed.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::brokers::{self, Brokers};

/// The context of the clients that only read or ask.
pub(super) struct Watch(pub(super) Brokers);

/// Takes an error that belongs to no call.
pub(super) fn global_error(brokers: &Brokers, error: &KafkaError, reason: &str) {
    if let Some(code) = error.rdkafka_error_code()
        && !brokers.failed(code, reason)
    {
        tracing::warn!(target: "kafka", "{error}: {reason}");
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        brokers::log(level as i32, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        global_error(&self.0, &error, reason);
    }
}

impl ConsumerContext for Watch {
    /// Only reached while rdkafka closes a consumer: as long as it is open, its events are polled from the queue by
    /// this room. A rebalance that nobody acknowledges would make the closing wait for ever. Everything that is read goes,
    /// which need not be everything that the group assigned.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, _: &mut TopicPartitionList) {
        let acknowledged = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                consumer.incremental_assign(&TopicPartitionList::new())
            }
            _ => consumer.assignment().and_then(|read| consumer.incremental_unassign(&read)),
        };
        // A client that assigned by itself has no rebalance protocol to be incremental in.
        if let Err(error) = acknowledged.or_else(|_| consumer.unassign()) {
            tracing::debug!(target: "kafka", "acknowledging a rebalance while closing: {error}");
        }
    }
}

/// Drops a client on a thread of its own and waits at most `limit` for it; false when it is still closing. Closing talks
/// to the brokers and can hang while they are away. A client left behind dies with the process.
pub(super) fn drop_within<T: Send + 'static>(client: T, limit: Duration) -> bool {
    let (closed, wait) = mpsc::channel::<()>();
    let spawned = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(client);
        drop(closed);
    });
    // The channel is never written: it disconnects when the client is gone.
    spawned.is_ok() && wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Disconnected)
}
