//! The transactional producer: the records and offsets of one batch, atomically.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::brokers::Brokers;
use super::client::{Bounded, call_within};
use super::config::{self, Sizes};
use super::consumer::Membership;
use super::delivery_reports::DeliveryReports;
use super::failure::{Cause, Failure, Kind};
use super::native::produce::{Messages, Topics, queue_together};
use super::native::producing::ProducerClient;
use super::native::{self, TransactionError};
use super::record::Outgoing;
use super::send::{not_queued, send, until_queued};
use crate::settings::Kafka;

/// How often `drain` and `abort` check for failures and deadlines.
const STEP: Duration = Duration::from_millis(100);

/// The pause between retries of a call. librdkafka answers some of them at once.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Batches are not made smaller than this: what is rejected then is rejected for another reason.
const BATCH_BYTES_MIN: usize = 1_024;

/// How long a call may exceed its timeout before it counts as hanging. librdkafka looks up the coordinator again only
/// when a connection opens or closes: if an answer to that is lost, and all connections hold, it waits forever.
const RETURNS_WITHIN: Duration = Duration::from_secs(2);

/// A commit that took longer may have been retried by librdkafka on another connection.
const SLOW_COMMIT: Duration = Duration::from_secs(2);

/// Writes transactions. Owned by one thread; each transaction is
/// [`begin`](Self::begin), [`send`](Self::send)…, [`drain`](Self::drain), [`send_offsets`](Self::send_offsets),
/// [`commit`](Self::commit); or [`abort`](Self::abort) at any point after `begin`.
///
/// Every transaction must include offsets, unchanged ones too: only they let the broker reject a process that has lost
/// its partitions without knowing.
///
/// The transactional id is stable, so that [`init`](Self::init) after a restart ends what the last process left open,
/// and fences a second process.
pub struct Producer {
    config: ClientConfig,
    brokers: Brokers,
    /// Of the client, so declared before it.
    topics: Topics,
    /// `None` only after recreating it failed.
    client: Option<Client>,
    timeout: Duration,
    begun: Instant,
    disconnects: u64,
    suspect: bool,
    /// Begun, and neither committed nor aborted.
    is_open: bool,
    messages: RefCell<Messages>,
}

/// Shared with a thread that makes a call which may not return.
type Client = Arc<Bounded<ProducerClient>>;

/// The outcome of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what was committed must be applied, and what is unknown must be found out"]
pub enum Outcome {
    Committed,
    /// It may have been committed or not: [`Producer::recreate`], [`Producer::init`], then compare the committed
    /// offsets with those sent. Never guess: an error can follow a commit that the broker carried out.
    Indeterminate(Cause),
    /// Another process uses our transactional id. This one must stop; its next start finds out the outcome.
    Fenced(Cause),
}

impl Producer {
    /// Does not connect; call [`init`](Self::init) next. `queue_bytes` (at least 1 MiB) limits the queued records,
    /// uncompressed; `sizes` the size of batches. The limit of a topic (`max.message.bytes`) applies to compressed
    /// batches, and is checked by the brokers.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, queue_bytes: usize, sizes: Sizes, brokers: &Brokers) -> Result<Self, Failure> {
        let (config, timeout) = config::transactional(settings, queue_bytes, sizes);
        let client = Some(create(&config, brokers)?);
        let (brokers, begun) = (brokers.clone(), Instant::now());
        let topics = Topics::default();
        let messages = RefCell::default();
        let (disconnects, suspect, is_open) = (0, false, false);
        Ok(Self { config, brokers, topics, client, timeout, begun, disconnects, suspect, is_open, messages })
    }

    /// The transaction timeout, counted from its first record.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        self.timeout
    }

    /// Initializes this producer: transactions that an earlier one with the same id left open are aborted or, if the
    /// commit was decided, completed; later requests of that one are rejected. Takes some 50 ms, half a second or more
    /// if something was open; at most `limit`.
    ///
    /// # Errors
    /// `Retry`: call again, it goes on where it was. `Resolve`: [`recreate`](Self::recreate) first. `Fatal`: the id may
    /// not be used, or the settings are wrong.
    pub fn init(&mut self, limit: Duration) -> Result<(), Failure> {
        let what = format!("initializing the producer {}", self.config.get("transactional.id").unwrap_or_default());
        self.begun = Instant::now();
        let outcome = self.client(&what)?.init_transactions(limit);
        match outcome {
            Ok(()) => {
                self.brokers.answered();
                self.suspect = false;
                Ok(())
            }
            Err(error) => match self.failure_of(&error, &what) {
                // There is no open transaction yet that could be aborted.
                Failure::Retry(cause) | Failure::Abort(cause) => {
                    self.brokers.no_answer(&cause.text);
                    Err(Failure::Retry(cause))
                }
                failure => Err(failure),
            },
        }
    }

    /// Discards the client, with all that it has not written, and creates a new one with the same id; call
    /// [`init`](Self::init) next. Blocks for about 0.1 s, at most some seconds.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn recreate(&mut self) -> Result<(), Failure> {
        self.discard_client();
        self.client = Some(create(&self.config, &self.brokers)?);
        Ok(())
    }

    fn discard_client(&mut self) {
        self.is_open = false;
        self.topics = Topics::default();
        self.client = None;
    }

    /// As [`recreate`](Self::recreate), with a client that sends each record in a batch of its own, so that a report is
    /// about one record only. Slow: a transaction that is to be committed should begin with a new client; see
    /// [`needs_recreation`](Self::needs_recreation).
    ///
    /// # Errors
    /// `Fatal`.
    pub fn recreate_for_singles(&mut self) -> Result<(), Failure> {
        self.discard_client();
        let mut config = self.config.clone();
        config.set("batch.num.messages", "1");
        self.client = Some(create(&config, &self.brokers)?);
        Ok(())
    }

    /// Halves the batch size of the next client; false if it cannot be smaller.
    pub fn halve_batches(&mut self) -> bool {
        let bytes: usize = self.config.get("batch.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(1_000_000);
        if bytes <= BATCH_BYTES_MIN {
            return false;
        }
        self.config.set("batch.size", (bytes / 2).to_string());
        self.suspect = true;
        true
    }

    /// The next transaction begins with a new client, because the cached topics and permissions of this one are
    /// outdated.
    pub fn mark_for_recreation(&mut self) {
        self.suspect = true;
    }

    /// Should the next transaction begin with [`recreate`](Self::recreate)? Since the last `init` a commit was slow or
    /// a connection broke while a transaction was open. With the older transaction protocol, the only one that
    /// librdkafka implements, brokers can otherwise apply a delayed copy of the end of one transaction to the next one.
    #[must_use]
    pub fn needs_recreation(&self) -> bool {
        self.suspect
    }

    /// Begins a transaction. Local, immediate, unless one is open: that one is aborted first.
    ///
    /// # Errors
    /// `Resolve` or `Fatal`.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.abort_open()?;
        let what = "beginning a transaction";
        let client = self.client(what)?;
        client.reports().begin();
        let outcome = client.begin_transaction();
        self.begun = Instant::now();
        self.disconnects = self.disconnects();
        self.is_open = outcome.is_ok();
        outcome.map_err(|error| match self.failure_of(&error, what) {
            Failure::Retry(cause) | Failure::Abort(cause) => Failure::Resolve(cause),
            failure => failure,
        })
    }

    /// Queues a record; its bytes are copied. Immediate unless the queue is full: then it waits, until the transaction
    /// times out.
    ///
    /// # Errors
    /// `Abort`; with [`Kind::TooLarge`] the record is larger than this producer takes.
    pub fn send(&self, record: &Outgoing<'_>) -> Result<(), Failure> {
        let client = self.client("writing")?;
        send(client.client(), &self.topics, record, || !self.left().is_zero()).map_err(Failure::Abort)
    }

    /// Queues records of one topic and partition, in their order, for less than one by one; their bytes are copied.
    /// `numbers` has one for each, by which [`too_large`](Self::too_large) names it. They get the time of the call.
    /// Immediate unless the queue is full: then it waits, until the transaction times out.
    ///
    /// # Errors
    /// As [`send`](Self::send), with the number of the record. Records after it may be queued or not.
    pub fn send_together(&self, records: &[Outgoing<'_>], numbers: &[usize]) -> Result<(), (usize, Failure)> {
        let number_of = |position: usize| numbers.get(position).copied().unwrap_or_default();
        let client = self.client("writing").map_err(|failure| (number_of(0), failure))?;
        let mut queued = 0;
        let outcome = until_queued(
            || !self.left().is_zero(),
            || {
                let (records, numbers) = (&records[queued..], &numbers[queued..]);
                let messages = &mut self.messages.borrow_mut();
                let outcome = queue_together(client.client(), &self.topics, records, numbers, messages);
                outcome.map_err(|(position, code)| {
                    queued += position;
                    code
                })
            },
        );
        outcome.map_err(|code| (number_of(queued), Failure::Abort(not_queued(code, &records[queued]))))
    }

    /// The numbers of the records of this transaction that a topic rejected because of their size, or the size of their
    /// batch; as far as reported. Of those sent one by one 0.
    #[must_use]
    pub fn too_large(&self) -> Vec<usize> {
        self.client.as_ref().map_or_else(Vec::new, |client| client.reports().too_large())
    }

    /// Waits until each record of the transaction is acknowledged or rejected. False: the transaction times out first.
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

    /// Waits until every record of the transaction is acknowledged; milliseconds, at most the transaction timeout. Call
    /// it before [`send_offsets`](Self::send_offsets) and [`commit`](Self::commit), which would wait in steps of 100
    /// ms, and before [`abort`](Self::abort), which can fail for good while the first record is in flight.
    ///
    /// # Errors
    /// `Abort` with the first failure of a record: missing topic, no permission, too large, too late. A permission
    /// refused is remembered by the client for up to 5 minutes; one from [`recreate`](Self::recreate) asks again.
    pub fn drain(&self) -> Result<(), Failure> {
        while !self.drain_some()? {}
        Ok(())
    }

    /// As [`drain`](Self::drain), for at most 100 ms. True: every record is acknowledged.
    ///
    /// # Errors
    /// As there.
    pub fn drain_some(&self) -> Result<bool, Failure> {
        let client = self.client("writing")?;
        let drained = native::flush(client.client(), STEP.min(self.left()));
        if let Some(cause) = client.reports().failure() {
            return Err(self.first_failure(client, cause));
        }
        if drained {
            self.brokers.answered();
        }
        if !drained && self.left().is_zero() {
            let cause = Cause::new(Code::MessageTimedOut, "writing", "the transaction is too old");
            return Err(Failure::Abort(cause));
        }
        Ok(drained)
    }

    /// Why the transaction failed, given the reported failure of a record. If the transaction itself failed first, its
    /// records are only purged from the queue; then every new operation is rejected with the reason.
    fn first_failure(&self, client: &Client, reported: Cause) -> Failure {
        if reported.kind != Kind::Purged {
            return Failure::Abort(reported);
        }
        match client.begin_transaction() {
            // The transaction itself has not failed.
            Err(error) if error.code == Code::State => Failure::Abort(reported),
            Err(error) => self.failure_of(&error, "writing"),
            Ok(()) => Failure::Abort(reported),
        }
    }

    /// The first failure of a record of this transaction, as far as reported.
    #[must_use]
    pub fn failure(&self) -> Option<Cause> {
        self.client.as_ref().and_then(|client| client.reports().failure())
    }

    /// The highest offset of a record of this transaction in a partition, of those sent with [`Report::Offset`](super::Report), without
    /// control records; complete after [`drain`](Self::drain). `None` if none was written there (or, after a retry, none was reported): a lower bound.
    #[must_use]
    pub fn delivered(&self, topic: &str, partition: i32) -> Option<i64> {
        self.client.as_ref().and_then(|client| client.reports().highest(topic, partition))
    }

    /// Adds the next offsets to read to the transaction, each with metadata of at most 4096 bytes
    /// (`offset.metadata.max.bytes`). The broker checks the membership. Blocks for a round trip, at most for the rest
    /// of the transaction timeout; retriable errors are retried.
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
                .map_err(|error| Failure::Fatal(Cause::of(&error, "listing offsets")))?;
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
            match self.failure_of(&error, what) {
                Failure::Retry(_) if !self.left().is_zero() => thread::sleep(RETRY_PAUSE),
                Failure::Retry(cause) => return Err(Failure::Abort(cause)),
                failure => return Err(failure),
            }
        }
    }

    /// Commits the transaction. Milliseconds after a [`drain`](Self::drain); at most about twice the transaction
    /// timeout, while the coordinator is away.
    pub fn commit(&mut self) -> Outcome {
        self.is_open = false;
        let what = "committing";
        let started = Instant::now();
        let error = loop {
            let limit = self.timeout * 2 + RETURNS_WITHIN;
            let outcome = match self.client(what) {
                Ok(client) => call_within(client, limit, |client| client.commit_transaction()),
                Err(failure) => return Outcome::Indeterminate(failure.cause().clone()),
            };
            let error = match outcome {
                Some(Ok(())) => break None,
                Some(Err(error)) => error,
                None => break Some(Failure::Resolve(stuck(what))),
            };
            // The end may have been sent: from here on only the same call may follow, never an abort.
            match self.failure_of(&error, what) {
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

    /// Aborts the transaction. Milliseconds; at most about twice the transaction timeout, while brokers are away. Never
    /// call it after [`commit`](Self::commit).
    ///
    /// # Errors
    /// `Resolve`: [`recreate`](Self::recreate) and [`init`](Self::init) abort it as well. `Fatal`.
    pub fn abort(&mut self) -> Result<(), Failure> {
        self.is_open = false;
        let outcome = self.try_abort();
        // What cannot be aborted now is by the next client.
        self.suspect |= outcome.is_err();
        outcome
    }

    fn try_abort(&mut self) -> Result<(), Failure> {
        let what = "aborting";
        let started = Instant::now();
        let client = self.client(what)?;
        // One acknowledged record proves that the coordinator knows the transaction; an end that overtakes the first
        // record causes a fatal error.
        while started.elapsed() < self.timeout && !native::flush(client.client(), STEP) {}
        while let Err(error) = client.abort_transaction(STEP) {
            match self.failure_of(&error, what) {
                Failure::Retry(_) if started.elapsed() < self.timeout * 2 => thread::sleep(RETRY_PAUSE),
                Failure::Retry(cause) | Failure::Abort(cause) => return Err(Failure::Resolve(cause)),
                failure => return Err(failure),
            }
        }
        self.brokers.answered();
        self.suspect |= self.disconnects() != self.disconnects;
        Ok(())
    }

    /// Is a transaction open: begun, and neither committed nor aborted?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Aborts the transaction, if one is open: it was begun for what will not be committed.
    ///
    /// # Errors
    /// As [`abort`](Self::abort).
    pub fn abort_open(&mut self) -> Result<(), Failure> {
        if self.is_open { self.abort() } else { Ok(()) }
    }

    fn client(&self, what: &str) -> Result<&Client, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::Resolve(Cause::new(Code::State, what, "no producer")))
    }

    fn disconnects(&self) -> u64 {
        self.client.as_ref().map_or(0, |client| client.reports().disconnects())
    }

    /// The remaining time of the open transaction.
    fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed())
    }

    fn failure_of(&self, error: &TransactionError, what: &str) -> Failure {
        let cause = Cause::new(error.code, what, &error.text);
        match error.code {
            // The broker expires an id that is unused for a week. librdkafka would recover by itself, in a way that
            // Kafka gave up because it can break exactly-once.
            Code::InvalidProducerIdMapping | Code::UnknownProducerId => Failure::Resolve(cause),
            _ if error.retriable => Failure::Retry(cause),
            // An open transaction that timed out was aborted by the broker, which then answers as if this producer were
            // fenced: the epoch was raised. Only a younger transaction proves another process.
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
    Cause::new(Code::OperationTimedOut, what, "the call did not return")
}

fn create(config: &ClientConfig, brokers: &Brokers) -> Result<Client, Failure> {
    let client = ProducerClient::new(config, DeliveryReports::new(brokers)).map_err(Failure::Fatal)?;
    Ok(Arc::new(Bounded::new(client)))
}
