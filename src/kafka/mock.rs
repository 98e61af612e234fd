//! librdkafka's in-process broker: for the demo, and for injecting errors.
//!
//! It has no real transactions: aborted and open records are visible, offsets sent in a transaction are dropped,
//! producers are not fenced, a partition keeps some 5 MB. Exactly-once cannot be shown with it.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::failure::{Cause, Failure};

/// Listens on localhost until it is dropped.
pub struct Mock(MockCluster<'static, DefaultProducerContext>);

/// The requests that errors can be injected into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Produce,
    Fetch,
    OffsetFetch,
    InitProducerId,
    AddPartitionsToTxn,
    AddOffsetsToTxn,
    TxnOffsetCommit,
    EndTxn,
}

/// The errors that can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// The connection is closed without an answer.
    Disconnect,
    CoordinatorLoading,
    ConcurrentTransactions,
    IllegalGeneration,
    UnknownMember,
    FencedInstance,
    ProducerFenced,
    InvalidProducerEpoch,
    InvalidTransactionState,
    InvalidProducerIdMapping,
    TransactionalIdDenied,
    TopicDenied,
    MessageTooLarge,
    NotEnoughReplicas,
    /// An answer that no client expects.
    Unknown,
}

impl Mock {
    /// Starts one broker.
    ///
    /// # Errors
    /// `Fatal` if no port can be had.
    pub fn start() -> Result<Self, Failure> {
        let cluster = MockCluster::new(1).map_err(|error| fatal(&error, "starting the broker in this process"))?;
        Ok(Self(cluster))
    }

    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// # Errors
    /// `Fatal` if the topic exists.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), Failure> {
        self.0.create_topic(name, partitions, 1).map_err(|error| fatal(&error, "creating a topic"))
    }

    /// Answers the next requests of this kind, from any client, with these errors in turn.
    pub fn inject(&self, request: Request, errors: &[Injected]) {
        let errors: Vec<_> = errors.iter().map(|error| error.code()).collect();
        self.0.request_errors(request.key(), &errors);
    }

    /// Removes a partition's leader.
    ///
    /// # Errors
    /// `Fatal` if there is no such partition.
    pub fn remove_leader(&self, topic: &str, partition: i32) -> Result<(), Failure> {
        self.set_leader(topic, partition, None)
    }

    /// Gives a partition its leader back.
    ///
    /// # Errors
    /// As [`remove_leader`](Self::remove_leader).
    pub fn restore_leader(&self, topic: &str, partition: i32) -> Result<(), Failure> {
        self.set_leader(topic, partition, Some(1))
    }

    fn set_leader(&self, topic: &str, partition: i32, leader: Option<i32>) -> Result<(), Failure> {
        self.0.partition_leader(topic, partition, leader).map_err(|error| fatal(&error, "changing a leader"))
    }

    /// Delays every answer.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn delay(&self, delay: Duration) -> Result<(), Failure> {
        self.0.broker_round_trip_time(1, delay).map_err(|error| fatal(&error, "delaying"))
    }

    /// Closes all connections and accepts no new ones.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn down(&self) -> Result<(), Failure> {
        self.0.broker_down(1).map_err(|error| fatal(&error, "taking the broker down"))
    }

    /// # Errors
    /// `Fatal`.
    pub fn up(&self) -> Result<(), Failure> {
        self.0.broker_up(1).map_err(|error| fatal(&error, "taking the broker up"))
    }
}

fn fatal(error: &rdkafka::error::KafkaError, what: &str) -> Failure {
    Failure::Fatal(Cause::of(error, what))
}

impl Request {
    fn key(self) -> RDKafkaApiKey {
        match self {
            Self::Produce => RDKafkaApiKey::Produce,
            Self::Fetch => RDKafkaApiKey::Fetch,
            Self::OffsetFetch => RDKafkaApiKey::OffsetFetch,
            Self::InitProducerId => RDKafkaApiKey::InitProducerId,
            Self::AddPartitionsToTxn => RDKafkaApiKey::AddPartitionsToTxn,
            Self::AddOffsetsToTxn => RDKafkaApiKey::AddOffsetsToTxn,
            Self::TxnOffsetCommit => RDKafkaApiKey::TxnOffsetCommit,
            Self::EndTxn => RDKafkaApiKey::EndTxn,
        }
    }
}

impl Injected {
    fn code(self) -> RDKafkaRespErr {
        use RDKafkaRespErr as E;
        match self {
            Self::Disconnect => E::RD_KAFKA_RESP_ERR__TRANSPORT,
            Self::CoordinatorLoading => E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            Self::ConcurrentTransactions => E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
            Self::IllegalGeneration => E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            Self::UnknownMember => E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            Self::FencedInstance => E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
            Self::ProducerFenced => E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
            Self::InvalidProducerEpoch => E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            Self::InvalidTransactionState => E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
            Self::InvalidProducerIdMapping => E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
            Self::TransactionalIdDenied => E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            Self::TopicDenied => E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            Self::MessageTooLarge => E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            Self::NotEnoughReplicas => E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            Self::Unknown => E::RD_KAFKA_RESP_ERR_UNKNOWN,
        }
    }
}
