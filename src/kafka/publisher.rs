//! A producer without transactions, for the demo's shop and for tests.

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers::Brokers;
use super::client::Bounded;
use super::config;
use super::delivery_reports::DeliveryReports;
use super::failure::{Cause, Failure};
use super::native::produce::Topics;
use super::native::{self, producing::ProducerClient};
use super::record::Outgoing;
use super::send::send;
use crate::settings::Kafka;

/// How long to wait for a full queue.
const FULL_QUEUE_LIMIT: Duration = Duration::from_secs(30);

/// Writes records in order, each once (idempotent), visible as soon as they are written.
pub struct Publisher {
    /// Of the client, so declared before it.
    topics: Topics,
    client: Bounded<ProducerClient>,
}

impl Publisher {
    /// Does not connect. `queue_bytes` as for [`Producer::new`](super::Producer::new).
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, queue_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        let config = config::plain(settings, queue_bytes);
        let client = ProducerClient::new(&config, DeliveryReports::new(brokers)).map_err(Failure::Fatal)?;
        Ok(Self { topics: Topics::default(), client: Bounded::new(client) })
    }

    /// Queues a record; its bytes are copied. Waits while the queue is full, at most 30 s.
    ///
    /// # Errors
    /// `Retry` for a queue that stays full, `Fatal` for a record that can never be written.
    pub fn send(&self, record: &Outgoing<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let may_wait = || started.elapsed() < FULL_QUEUE_LIMIT;
        send(self.client.client(), &self.topics, record, may_wait).map_err(Cause::passing)
    }

    /// Waits until every record sent is acknowledged, at most `limit`.
    ///
    /// # Errors
    /// The first failure of a record since the last flush, as `Retry` or `Fatal`; `Retry` (`TimedOut`) when the limit
    /// is reached.
    pub fn flush(&self, limit: Duration) -> Result<(), Failure> {
        let flushed = native::flush(self.client.client(), limit);
        if let Some(cause) = self.client.reports().failure() {
            self.client.reports().begin();
            return Err(cause.passing());
        }
        match flushed {
            true => {
                self.client.reports().answered();
                Ok(())
            }
            false => Err(Cause::new(Code::MessageTimedOut, "writing", "").passing()),
        }
    }
}
