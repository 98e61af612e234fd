//! The transactional producer: one batch's records and offsets, all of them or none.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::brokers::Brokers;
use super::client::{Bounded, call_within};
use super::config::{self, Sizes};
use super::consumer::Membership;
use super::deliveries::Deliveries;
use super::failure::{Cause, Failure, Kind};
use super::native::{self, TransactionError};
use super::record::Outgoing;
use super::send::send;
use crate::settings::Kafka;

/// How long one wait inside `drain` and `abort` lasts before failures and deadlines are looked at.
const STEP: Duration = Duration::from_millis(100);

/// Between two tries of a call that may be retried. librdkafka answers some of them at once.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Batches are not made smaller than this: what is refused then is refused for another reason.
const BATCH_BYTES_MIN: usize = 1_024;

/// How much longer than it should a call may take before it is taken for one that never returns. librdkafka looks for the
/// coordinator again only when some broker's connection comes or goes: where an answer to that is lost, and all
/// connections hold, it waits for ever.
const RETURNS_WITHIN: Duration = Duration::from_secs(2);

/// A commit that took longer may have been repeated by librdkafka on another connection.
const SLOW_COMMIT: Duration = Duration::from_secs(2);

/// Writes transactions. Owned by one thread; each transaction is
/// [`begin`](Self::begin), [`send`](Self::send)…, [`drain`](Self::drain), [`send_offsets`](Self::send_offsets),
/// [`commit`](Self::commit); or [`abort`](Self::abort) at any point after `begin`.
///
/// Every transaction must carry offsets, unchanged ones too: they alone let the broker refuse a process that has lost
/// its partitions without knowing it.
///
/// The transactional id is stable, so that [`init`](Self::init) after a restart ends at once what the last process left
/// open, and shuts out a twin.
pub struct Producer {
    config: ClientConfig,
    brokers: Brokers,
    /// Absent only after a recreation failed.
    client: Option<Client>,
    timeout: Duration,
    begun: Instant,
    disconnects: u64,
    suspect: bool,
    /// Records of the open transaction so far.
    sent: Cell<usize>,
}

/// Shared with the thread that makes a call which may not return.
type Client = Arc<Bounded<ThreadedProducer<Deliveries>>>;

/// How a commit went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what was committed must be applied, and what is unknown must be found out"]
pub enum Outcome {
    Committed,
    /// It may count or not: [`Producer::recreate`], [`Producer::init`], then compare the committed offsets with those
    /// sent. Never guess: an error can follow a commit that the broker carried out.
    Indeterminate(Cause),
    /// Another process uses our transactional id. This one must stop; its next start finds the outcome.
    Fenced(Cause),
}

impl Producer {
    /// Makes no connection; call [`init`](Self::init) next. `queue_bytes` (at least 1 MiB) bounds the records that wait
    /// to be written, uncompressed; `sizes` what is sent at once. A topic's own limit (`max.message.bytes`) is for
    /// compressed batches, and the brokers' to check.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, queue_bytes: usize, sizes: Sizes, brokers: &Brokers) -> Result<Self, Failure> {
        let (config, timeout) = config::transactional(settings, queue_bytes, sizes);
        let client = Some(create(&config, brokers)?);
        let (brokers, begun) = (brokers.clone(), Instant::now());
        Ok(Self { config, brokers, client, timeout, begun, disconnects: 0, suspect: false, sent: Cell::new(0) })
    }

    /// How long a transaction may be open, from its first record.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        self.timeout
    }

    /// Announces this producer: what an earlier one with the same id left open is aborted, or, if its commit was
    /// decided, completed; what that one still sends is refused from now on. Some
    /// 50 ms, half a second or more if something was open; at most `limit`.
    ///
    /// # Errors
    /// `Retry`: call again, it goes on where it was. `Resolve`: [`recreate`](Self::recreate) first. `Fatal`: the id may
    /// not be used, or the settings are wrong.
    pub fn init(&mut self, limit: Duration) -> Result<(), Failure> {
        let what = format!("announcing the producer {}", self.config.get("transactional.id").unwrap_or_default());
        self.begun = Instant::now();
        let outcome = self.client(&what)?.init_transactions(limit);
        match outcome {
            Ok(()) => {
                self.brokers.answered();
                self.suspect = false;
                Ok(())
            }
            Err(error) => match self.classify(&error, &what) {
                // Nothing is open yet that could be aborted.
                Failure::Retry(cause) | Failure::Abort(cause) => {
                    self.brokers.doubted(&cause.text);
                    Err(Failure::Retry(cause))
                }
                failure => Err(failure),
            },
        }
    }

    /// Throws the client away, with all that it has not written, and makes a new one under the same id; call
    /// [`init`](Self::init) next. Blocks for about 0.1 s, at most some seconds.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn recreate(&mut self) -> Result<(), Failure> {
        self.client = None;
        self.client = Some(create(&self.config, &self.brokers)?);
        Ok(())
    }

    /// As [`recreate`](Self::recreate), with a client that sends each record by itself, so that a report tells of one
    /// record only. Slow: the next transaction that is to count should begin with a new one; see
    /// [`is_suspect`](Self::is_suspect).
    ///
    /// # Errors
    /// `Fatal`.
    pub fn recreate_for_singles(&mut self) -> Result<(), Failure> {
        self.client = None;
        let mut config = self.config.clone();
        config.set("batch.num.messages", "1");
        self.client = Some(create(&config, &self.brokers)?);
        Ok(())
    }

    /// The next client sends half as much at once; false if that is as little as makes sense.
    pub fn halve_batches(&mut self) -> bool {
        let bytes: usize = self.config.get("batch.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(1_000_000);
        if bytes <= BATCH_BYTES_MIN {
            return false;
        }
        self.config.set("batch.size", (bytes / 2).to_string());
        self.suspect = true;
        true
    }

    /// The next transaction begins with a new client: what this one remembers of topics and permissions is out of date.
    pub fn distrust(&mut self) {
        self.suspect = true;
    }

    /// Whether the next transaction should begin with [`recreate`](Self::recreate): since the last `init` a commit was
    /// slow or a connection broke while a transaction was open. Brokers without the newer transaction protocol (which
    /// librdkafka does not speak) can otherwise apply a delayed copy of one transaction's end to the next one.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Opens a transaction. Local, immediate.
    ///
    /// # Errors
    /// `Resolve` or `Fatal`.
    pub fn begin(&mut self) -> Result<(), Failure> {
        let what = "beginning a transaction";
        let client = self.client(what)?;
        client.context().begin();
        let outcome = client.begin_transaction();
        self.begun = Instant::now();
        self.sent.set(0);
        self.disconnects = self.disconnects();
        outcome.map_err(|error| match self.classify(&error, what) {
            Failure::Retry(cause) | Failure::Abort(cause) => Failure::Resolve(cause),
            failure => failure,
        })
    }

    /// Queues a record; its bytes are copied. Immediate, except while the queue is full: then it waits, until the
    /// transaction is too old.
    ///
    /// # Errors
    /// `Abort`; with [`Kind::TooLarge`] the record is larger than this producer takes.
    pub fn send(&self, record: &Outgoing<'_>) -> Result<(), Failure> {
        let client = self.client("writing")?;
        let number = self.sent.replace(self.sent.get() + 1);
        send(client, record, number, self.left()).map_err(Failure::Abort)
    }

    /// The numbers, in the order sent and from 0, of the records of this transaction that a topic refused for their size, or for that of what they
    /// travelled with; as far as reported.
    #[must_use]
    pub fn too_large(&self) -> Vec<usize> {
        self.client.as_ref().map_or_else(Vec::new, |client| client.context().too_large())
    }

    /// Waits until each record of the transaction was taken or refused. False: the transaction is too old first.
    #[must_use]
    pub fn drain_all(&self) -> bool {
        let Ok(client) = self.client("writing") else { return false };
        while !self.left().is_zero() {
            if native::flush(client.client(), STEP.min(self.left())) {
                return true;
            }
        }
        false
    }

    /// Waits until every record of the transaction is acknowledged; milliseconds, at most the transaction timeout.
    /// Call it before [`send_offsets`](Self::send_offsets) and [`commit`](Self::commit), which would wait in steps of
    /// 100 ms, and before [`abort`](Self::abort), which can fail for good while the first record is on its way.
    ///
    /// # Errors
    /// `Abort` with the first failure of a record: missing topic, no permission, too large, too late. A permission
    /// refused is remembered by the client for up to 5 minutes; one from [`recreate`](Self::recreate) asks again.
    pub fn drain(&self) -> Result<(), Failure> {
        while !self.drain_some()? {}
        Ok(())
    }

    /// As [`drain`](Self::drain), for 100 ms at most. True: every record is acknowledged.
    ///
    /// # Errors
    /// As there.
    pub fn drain_some(&self) -> Result<bool, Failure> {
        let client = self.client("writing")?;
        let drained = native::flush(client.client(), STEP.min(self.left()));
        if let Some(cause) = client.context().failure() {
            return Err(self.first_failure(client, cause));
        }
        if !drained && self.left().is_zero() {
            let cause = Cause::new(Code::MessageTimedOut, "writing", "the transaction is too old");
            return Err(Failure::Abort(cause));
        }
        Ok(drained)
    }

    /// Why the transaction failed, `reported` of a record. Where the transaction itself failed first, its records are only
    /// taken out of the queue; then every call that begins something is refused with the reason.
    fn first_failure(&self, client: &Client, reported: Cause) -> Failure {
        if reported.kind != Kind::Purged {
            return Failure::Abort(reported);
        }
        match client.begin_transaction() {
            Err(KafkaError::Transaction(error)) => match TransactionError::from(&error) {
                // It has not failed by itself.
                error if error.code == Code::State => Failure::Abort(reported),
                error => self.judge(&error, "writing"),
            },
            _ => Failure::Abort(reported),
        }
    }

    /// The first failure of a record of this transaction, as far as reported.
    #[must_use]
    pub fn failure(&self) -> Option<Cause> {
        self.client.as_ref().and_then(|client| client.context().failure())
    }

    /// The highest offset that a record of this transaction got in a partition, control records not counted; complete
    /// after [`drain`](Self::drain). `None` if none was written there (or, after a retry, none was told): a lower bound.
    #[must_use]
    pub fn delivered(&self, topic: &str, partition: i32) -> Option<i64> {
        self.client.as_ref().and_then(|client| client.context().highest(topic, partition))
    }

    /// Adds the next offsets to read, each with a text of at most 4096 bytes (`offset.metadata.max.bytes`), to the
    /// transaction. The broker checks the membership. Blocks for a round trip, at most for the rest of the transaction
    /// timeout; what may be retried is.
    ///
    /// # Errors
    /// `Abort`, with [`Kind::StaleMember`] when the partitions may belong to somebody else now: stay in the group and
    /// go on polling. `Resolve`, `Fatal`.
    pub fn send_offsets(&self, offsets: &[(&str, i32, i64, &str)], membership: &Membership) -> Result<(), Failure> {
        let what = "sending offsets";
        let client = self.client(what)?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (topic, partition, offset, metadata) in offsets {
            let mut element = list.add_partition(topic, *partition);
            element
                .set_offset(Offset::Offset(*offset))
                .map_err(|error| Failure::Fatal(Cause::of(&error, "naming an offset")))?;
            element.set_metadata(metadata);
        }
        loop {
            let (list, group) = (list.clone(), Arc::clone(&membership.0));
            let sent = call_within(client, self.left() + RETURNS_WITHIN, move |client| {
                native::send_offsets(client.client(), &list, &group)
            });
            let error = match sent {
                Some(Ok(())) => {
                    self.brokers.answered();
                    return Ok(());
                }
                Some(Err(error)) => error,
                None => return Err(Failure::Resolve(stuck(what))),
            };
            match self.judge(&error, what) {
                Failure::Retry(_) if !self.left().is_zero() => thread::sleep(RETRY_PAUSE),
                Failure::Retry(cause) => return Err(Failure::Abort(cause)),
                failure => return Err(failure),
            }
        }
    }

    /// Makes the transaction count. Milliseconds after a [`drain`](Self::drain); at most about twice the transaction
    /// timeout, while the coordinator is away.
    pub fn commit(&mut self) -> Outcome {
        let what = "committing";
        let started = Instant::now();
        let error = loop {
            let limit = self.timeout * 2 + RETURNS_WITHIN;
            let outcome = match self.client(what) {
                Ok(client) => call_within(client, limit, |client| client.commit_transaction(Timeout::Never)),
                Err(failure) => return Outcome::Indeterminate(failure.cause().clone()),
            };
            let error = match outcome {
                Some(Ok(())) => break None,
                Some(Err(error)) => error,
                None => break Some(Failure::Resolve(stuck(what))),
            };
            // The end may have been sent: from here on only the same call may follow, never an abort.
            match self.classify(&error, what) {
                Failure::Retry(_) if started.elapsed() < self.timeout => thread::sleep(RETRY_PAUSE),
                failure => break Some(failure),
            }
        };
        self.suspect |= started.elapsed() >= SLOW_COMMIT || self.disconnects() != self.disconnects;
        match error {
            None => {
                self.brokers.answered();
                Outcome::Committed
            }
            Some(Failure::Fatal(cause)) if cause.kind == Kind::Fenced => Outcome::Fenced(cause),
            Some(failure) => Outcome::Indeterminate(failure.cause().clone()),
        }
    }

    /// Makes the transaction not count. Milliseconds; at most about the transaction timeout twice, while brokers are
    /// away. Never call it after [`commit`](Self::commit).
    ///
    /// # Errors
    /// `Resolve`: [`recreate`](Self::recreate) and [`init`](Self::init) abort it as well. `Fatal`.
    pub fn abort(&mut self) -> Result<(), Failure> {
        let what = "aborting";
        let started = Instant::now();
        let client = self.client(what)?;
        // One acknowledged record proves that the coordinator knows of the transaction; an end that overtakes the
        // first record is answered with a fatal error.
        while started.elapsed() < self.timeout && !native::flush(client.client(), STEP) {}
        loop {
            let Err(error) = client.abort_transaction(Timeout::After(STEP)) else { break };
            match self.classify(&error, what) {
                Failure::Retry(_) if started.elapsed() < self.timeout * 2 => thread::sleep(RETRY_PAUSE),
                Failure::Retry(cause) | Failure::Abort(cause) => return Err(Failure::Resolve(cause)),
                failure => return Err(failure),
            }
        }
        self.brokers.answered();
        self.suspect |= self.disconnects() != self.disconnects;
        Ok(())
    }

    fn client(&self, what: &str) -> Result<&Client, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::Resolve(Cause::new(Code::State, what, "no producer")))
    }

    fn disconnects(&self) -> u64 {
        self.client.as_ref().map_or(0, |client| client.context().disconnects())
    }

    /// What is left of the open transaction.
    fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed())
    }

    fn classify(&self, error: &KafkaError, what: &str) -> Failure {
        match error {
            KafkaError::Transaction(error) => self.judge(&TransactionError::from(error), what),
            // Only a commit flushes. Its end was not sent; reading the outcome is right all the same.
            other => Failure::Resolve(Cause::of(other, what)),
        }
    }

    fn judge(&self, error: &TransactionError, what: &str) -> Failure {
        let cause = Cause::new(error.code, what, &error.text);
        match error.code {
            // The broker forgets an id that rests for a week. librdkafka would recover by itself, in a way that Kafka
            // gave up because it can break exactly-once.
            Code::InvalidProducerIdMapping | Code::UnknownProducerId => Failure::Resolve(cause),
            _ if error.retriable => Failure::Retry(cause),
            // An open transaction that grew too old was aborted by the broker, which then answers as if there were a
            // twin: the epoch was raised. Only a younger one proves another process.
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => match self.left().is_zero() {
                true => Failure::Resolve(cause),
                false => Failure::Fatal(cause),
            },
            _ if error.abortable => Failure::Abort(cause),
            Code::InvalidTransactionalState => Failure::Resolve(cause),
            _ => Failure::Fatal(cause),
        }
    }
}

fn stuck(what: &str) -> Cause {
    Cause::new(Code::OperationTimedOut, what, "the client does not come back from it")
}

fn create(config: &ClientConfig, brokers: &Brokers) -> Result<Client, Failure> {
    config
        .create_with_context(Deliveries::new(brokers))
        .map(|client| Arc::new(Bounded::new(client)))
        .map_err(|error| Failure::Fatal(Cause::of(&error, "creating the producer")))
}
