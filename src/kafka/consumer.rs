//! A member of the consumer group: its assignment, its records, and its committed offsets.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::config;
use super::failure::{Cause, Failure};
use super::native::{self, Change, Content, Fetched, Group, Queue, Unclosed};
use super::numbering::Numbering;
use super::record::Record;
use crate::settings::Kafka;

/// Poll timeout while leaving the group.
const LEAVE_STEP: Duration = Duration::from_millis(20);
/// How long sending the request to leave may take.
const LEAVE_GRACE: Duration = Duration::from_millis(200);

/// Reads one topic, or several, as a static member of the group, committed records only. Partitions of several topics are
/// numbered over all of them ([`Numbering`]).
///
/// Owned by one thread, which must call [`poll`](Self::poll) at least every `max.poll.interval.ms` (a minute), also
/// while everything is paused: heartbeats are sent in the background, but rebalances only happen in `poll`. An
/// assignment or a revocation waits, and the group with it, until it is acknowledged.
pub struct Consumer {
    queue: Queue,
    client: Bounded<Unclosed<Watch>>,
    topics: Numbering,
    brokers: Brokers,
    /// Returned by `poll` and not acknowledged yet.
    pending: RefCell<Option<Pending>>,
    /// Assigned by the group, and acknowledged.
    assigned: RefCell<BTreeSet<i32>>,
    /// The member id under which they are assigned.
    member: RefCell<String>,
    /// Still assigned, or assigned again, after they were lost: to be returned as a new assignment.
    again: RefCell<Vec<i32>>,
    /// The assigned partitions that librdkafka fetches.
    reading: RefCell<BTreeSet<i32>>,
}

enum Pending {
    Assign(Vec<i32>),
    Revoke(Vec<i32>),
}

/// The result of a poll.
pub enum Polled<'a> {
    /// Nothing within the timeout.
    Nothing,
    Record(Record<'a>),
    /// Everything committed before `offset` has been read, including control records. Returned once for each end
    /// reached. This is the last *stable* offset: an open transaction, or the log end
    /// ([`Watermarks`](super::Watermarks)), may lie further.
    End {
        partition: i32,
        offset: i64,
    },
    /// These partitions are added. Call [`ack_assign`](Consumer::ack_assign); none of their records is delivered before
    /// [`read_from`](Consumer::read_from).
    Assigned(Vec<i32>),
    /// These partitions are revoked. If not `lost`, they are still ours until [`ack_revoke`](Consumer::ack_revoke):
    /// finish the transaction first. If `lost`, another member may have them already: abort, discard, then call it.
    Revoked {
        partitions: Vec<i32>,
        lost: bool,
    },
    /// The next offset to read does not exist: retention has passed it, or the topic was recreated. The partition is
    /// not read on.
    OutOfRange {
        partition: i32,
        offset: i64,
        reason: String,
    },
    /// `Retry`: keep polling, librdkafka retries by itself. `Fatal`: this member cannot be used any more.
    Failed(Failure),
}

/// A partition's committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub partition: i32,
    /// The next offset to read; `None` if the group never committed one, or it expired.
    pub offset: Option<i64>,
    /// The metadata sent with it. Bytes, because any program may have committed.
    pub metadata: Vec<u8>,
}

/// Proof that this consumer was a member of the group when it was taken, for
/// [`Producer::send_offsets`](super::Producer::send_offsets).
pub struct Membership(pub(super) Arc<Group>);

impl Consumer {
    /// Subscribes to `topic`. Does not connect: the first polls join the group. `fetch_bytes` (at least 2 MiB) limits
    /// prefetched records, uncompressed; records held by the caller come on top.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn subscribe(settings: &Kafka, topic: &str, fetch_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        let consumer = Self::outside(settings, topic, fetch_bytes, brokers)?;
        consumer.join()?;
        Ok(consumer)
    }

    /// A client that may request the group's offsets and is not a member until it joins.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn outside(settings: &Kafka, topic: &str, fetch_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        Self::outside_several(settings, Numbering::one(topic), fetch_bytes, brokers)
    }

    /// The same of several topics.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn outside_several(
        settings: &Kafka,
        topics: Numbering,
        fetch_bytes: usize,
        brokers: &Brokers,
    ) -> Result<Self, Failure> {
        let what = "creating the consumer";
        let client: BaseConsumer<Watch> = config::member(settings, fetch_bytes)
            .create_with_context(Watch(brokers.clone()))
            .map_err(|error| Failure::Fatal(Cause::of(&error, what)))?;
        let queue = Queue::of_consumer(client.client())
            .ok_or_else(|| Failure::Fatal(Cause::new(Code::UnknownGroup, what, "no group id")))?;
        Ok(Self {
            queue,
            client: Bounded::new(Unclosed::new(client)),
            topics,
            brokers: brokers.clone(),
            pending: RefCell::new(None),
            assigned: RefCell::default(),
            member: RefCell::default(),
            again: RefCell::default(),
            reading: RefCell::default(),
        })
    }

    fn names(&self) -> Vec<&str> {
        self.topics.topics().iter().map(String::as_str).collect()
    }

    /// Subscribes to the topics: the next polls join the group.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses a topic's name.
    pub fn join(&self) -> Result<(), Failure> {
        self.client.subscribe(&self.names()).map_err(|error| Failure::Fatal(Cause::of(&error, "subscribing")))
    }

    /// The next event, waiting at most `timeout` for it; zero never waits. Log lines and connection errors are handled
    /// on the way.
    pub fn poll(&self, timeout: Duration) -> Polled<'_> {
        if self.pending.borrow().is_none() && !self.again.borrow().is_empty() {
            let again = self.again.take();
            if let Some(polled) = self.rebalance(Change::Assign, again) {
                return polled;
            }
        }
        let mut wait = timeout;
        while let Some(event) = self.queue.poll(wait) {
            let polled = match event.content() {
                Content::Record(fetched) => {
                    let record = Record::new(self.number_of(&fetched), fetched);
                    self.brokers.answered();
                    return Polled::Record(record);
                }
                Content::Rebalance { change, partitions } => {
                    let number = |(topic, partition): &(String, i32)| self.topics.number(topic, *partition);
                    self.rebalance(change, partitions.iter().filter_map(number).collect())
                }
                Content::Error(error) => self.error(error),
                Content::Log { level, facility, line } => {
                    self.brokers.log(level, &facility, &line);
                    None
                }
                Content::Statistics(json) => {
                    self.brokers.record_statistics(&json);
                    None
                }
                Content::Other => None,
            };
            if let Some(polled) = polled {
                return polled;
            }
            // Ignored events took some of the time; the caller's loop polls again anyway.
            wait = Duration::ZERO;
        }
        Polled::Nothing
    }

    fn number_of(&self, fetched: &Fetched<'_>) -> i32 {
        if !self.topics.is_several() {
            return fetched.partition();
        }
        self.topics.number(fetched.topic(), fetched.partition()).unwrap_or(-1)
    }

    fn rebalance(&self, change: Change, partitions: Vec<i32>) -> Option<Polled<'static>> {
        self.brokers.answered();
        let stale = self.stale();
        if !stale.is_empty() {
            return Some(self.lose(stale, change, partitions));
        }
        let pending = match change {
            Change::Assign => Pending::Assign(partitions.clone()),
            Change::Revoke => Pending::Revoke(partitions.clone()),
        };
        *self.pending.borrow_mut() = Some(pending);
        if partitions.is_empty() {
            // A rebalance that changes nothing for this member must be acknowledged all the same.
            self.settle();
            return None;
        }
        Some(match change {
            Change::Assign => Polled::Assigned(partitions),
            Change::Revoke => Polled::Revoked { partitions, lost: self.lost() },
        })
    }

    /// Partitions assigned under a membership that has ended.
    ///
    /// A member that was removed from the group and rejoins under another id has lost all its partitions: others may
    /// have processed them meanwhile. librdkafka reports that, except when the member is removed while an earlier
    /// rebalance waits to be acknowledged: then it rejoins and continues as if nothing had happened.
    fn stale(&self) -> BTreeSet<i32> {
        let assigned = self.assigned.borrow();
        if assigned.is_empty() || Group::of(self.client.client()).is_none_or(|group| self.holds_under(&group.member()))
        {
            return BTreeSet::new();
        }
        assigned.clone()
    }

    /// Are the partitions assigned under this member id? An empty id proves nothing.
    fn holds_under(&self, member: &str) -> bool {
        member.is_empty() || self.assigned.borrow().is_empty() || *self.member.borrow() == member
    }

    /// All assigned partitions are lost, whatever this rebalance says; those that it keeps, or adds, are returned as a
    /// new assignment afterwards.
    fn lose(&self, stale: BTreeSet<i32>, change: Change, partitions: Vec<i32>) -> Polled<'static> {
        let named: BTreeSet<i32> = partitions.into_iter().collect();
        let (lost, again): (Vec<i32>, Vec<i32>) = match change {
            Change::Assign => (stale.iter().copied().collect(), stale.union(&named).copied().collect()),
            Change::Revoke => (stale.union(&named).copied().collect(), stale.difference(&named).copied().collect()),
        };
        *self.again.borrow_mut() = again;
        *self.pending.borrow_mut() = Some(Pending::Revoke(lost.clone()));
        Polled::Revoked { partitions: lost, lost: true }
    }

    fn error(&self, error: native::Error) -> Option<Polled<'static>> {
        if error.fatal {
            let (code, text) = self.client.client().fatal_error().unwrap_or((error.code, error.text));
            return Some(Polled::Failed(Failure::Fatal(Cause::new(code, "consuming", &text))));
        }
        let place =
            error.place.and_then(|(partition, offset)| Some((self.topics.number(&error.topic, partition)?, offset)));
        match (error.code, place) {
            (Code::PartitionEOF, Some((partition, offset))) => {
                self.brokers.answered();
                Some(Polled::End { partition, offset })
            }
            (Code::AutoOffsetReset, Some((partition, offset))) => {
                Some(Polled::OutOfRange { partition, offset, reason: error.text })
            }
            // librdkafka skips what it cannot read: data loss, if this member continued as well.
            (Code::BadMessage | Code::BadCompression, _) => {
                Some(Polled::Failed(Failure::Fatal(Cause::new(error.code, "reading a damaged record", &error.text))))
            }
            (code, _) if self.brokers.failed(code, &error.text) => None,
            (code, _) => Some(Polled::Failed(Failure::Retry(Cause::new(code, "consuming", &error.text)))),
        }
    }

    /// Acknowledges an assignment, so that the group can continue. Nothing is fetched yet: a partition is restored
    /// first, and librdkafka learns of it only with the offset to read from. If it started at the end and were moved
    /// later, a late answer about that end would move it again, past records that were never delivered.
    ///
    /// # Errors
    /// `Retry` if the group moved on meanwhile: forget these partitions and go on polling.
    pub fn ack_assign(&self) -> Result<(), Failure> {
        let pending = self.pending.take();
        let none = TopicPartitionList::new();
        self.client.incremental_assign(&none).map_err(|error| retry(&error, "assigning partitions"))?;
        if let Some(Pending::Assign(partitions)) = pending {
            // Before any partition is assigned under it: if the member had been removed, it could not have rejoined
            // yet.
            *self.member.borrow_mut() = Group::of(self.client.client()).map(|group| group.member()).unwrap_or_default();
            self.assigned.borrow_mut().extend(partitions);
        }
        Ok(())
    }

    /// Acknowledges [`Polled::Revoked`]; the next owner starts now.
    ///
    /// # Errors
    /// `Retry` if the group moved on meanwhile; the partitions are gone all the same.
    pub fn ack_revoke(&self, partitions: &[i32]) -> Result<(), Failure> {
        self.pending.take();
        self.assigned.borrow_mut().retain(|partition| !partitions.contains(partition));
        let mut reading = self.reading.borrow_mut();
        let fetched: Vec<i32> = partitions.iter().copied().filter(|partition| reading.remove(partition)).collect();
        let list = self.list(&fetched)?;
        self.client.incremental_unassign(&list).map_err(|error| retry(&error, "unassigning partitions"))
    }

    /// Delivers assigned partitions from these offsets on, wherever they were before: the next record of each is the
    /// first at or after its offset. Usually takes some 100 µs, at most `timeout`, which must not be zero. A paused
    /// partition is resumed.
    ///
    /// # Errors
    /// `Retry` if a partition is just leaving, or the time is up: then it is unknown from where each of them is
    /// delivered, until a later call succeeds.
    pub fn read_from(&self, places: &[(i32, i64)], timeout: Duration) -> Result<(), Failure> {
        let (known, new): (Vec<_>, Vec<_>) =
            places.iter().copied().partition(|(partition, _)| self.reading.borrow().contains(partition));
        if !new.is_empty() {
            let what = "seeking";
            self.client.incremental_assign(&self.places(&new)?).map_err(|error| retry(&error, what))?;
            self.reading.borrow_mut().extend(new.iter().map(|(partition, _)| *partition));
        }
        if !known.is_empty() {
            let what = "seeking";
            let sought = self.client.seek_partitions(self.places(&known)?, timeout);
            each(&sought.map_err(|error| retry(&error, what))?, what)?;
        }
        // A pause survives a revocation: a partition that is assigned again would stay paused.
        self.resume(&places.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
    }

    /// The acknowledged assignment, whether it is read or not.
    #[must_use]
    pub fn assigned(&self) -> BTreeSet<i32> {
        self.assigned.borrow().clone()
    }

    /// Returns all partitions and rejoins: they are revoked by one of the next polls, and then assigned again, here or
    /// elsewhere.
    ///
    /// # Errors
    /// `Retry`.
    pub fn rejoin(&self) -> Result<(), Failure> {
        // librdkafka would wait for the acknowledgement first.
        self.settle();
        self.client.unsubscribe();
        self.client.subscribe(&self.names()).map_err(|error| retry(&error, "joining the group again"))
    }

    /// Leaves the group permanently, so that its partitions are reassigned without waiting for the session timeout;
    /// what is still assigned is unassigned. The consumer cannot be used afterwards. False if that was not done within
    /// `limit`: then the session timeout does it.
    #[must_use]
    pub fn leave(&self, limit: Duration) -> bool {
        // As a static member it does not leave by closing.
        self.client.unsubscribe();
        let started = Instant::now();
        loop {
            match self.poll(LEAVE_STEP) {
                Polled::Assigned(_) | Polled::Revoked { .. } => self.settle(),
                // Once the member id is gone, the request to leave has been queued.
                Polled::Nothing if Group::of(self.client.client()).is_some_and(|group| group.member().is_empty()) => {
                    break;
                }
                _ => {}
            }
            if started.elapsed() >= limit {
                return false;
            }
        }
        // There is no notification that it was sent.
        thread::sleep(LEAVE_GRACE.min(limit.saturating_sub(started.elapsed())));
        true
    }

    /// Was the current assignment lost, because the session or the poll interval timed out? Acknowledging resets it.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.client.assignment_lost()
    }

    /// The membership to commit under, or `None` while there is none: then no transaction may be committed. Takes some
    /// 30 µs; request it once for each transaction.
    ///
    /// librdkafka keeps a generation when the member id is already gone, and a broker does not check offsets sent
    /// without a member: so both are checked here.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        let group = Group::of(self.client.client())?;
        let member = group.member();
        let valid = group.generation() >= 0 && !member.is_empty() && self.holds_under(&member) && !self.lost();
        valid.then(|| Membership(Arc::new(group)))
    }

    /// The committed offsets of the group. Blocks for at most `timeout`; while a transaction with offsets of one of
    /// these partitions is open, in whichever process, the answer waits for its end. This is the barrier with which a
    /// restore begins.
    ///
    /// # Errors
    /// `Retry` (`TimedOut`) if the barrier or a broker did not answer in time: call again, with polls in between.
    pub fn committed(&self, partitions: &[i32], timeout: Duration) -> Result<Vec<Committed>, Failure> {
        let what = "reading committed offsets";
        let list = self.list(partitions)?;
        let list = self.client.committed_offsets(list, timeout).map_err(|e| Cause::of(&e, what).passing())?;
        self.brokers.answered();
        let metadata = native::metadata(&list);
        let elements = list.elements().into_iter().zip(metadata);
        elements
            .filter_map(|(element, metadata)| {
                let number = self.topics.number(element.topic(), element.partition())?;
                Some((number, element, metadata))
            })
            .map(|(partition, element, metadata)| {
                element.error().map_err(|error| Cause::of(&error, what).passing())?;
                let offset = match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                Ok(Committed { partition, offset, metadata })
            })
            .collect()
    }

    /// The end of a partition as its broker last told it with records, or with none; `None`: not yet. Includes records of
    /// open transactions. Asks nobody.
    #[must_use]
    pub fn known_end(&self, number: i32) -> Option<i64> {
        let (topic, partition) = self.topics.place(number)?;
        native::known_end(self.client.client(), &self.topics.topics()[topic], partition)
    }

    /// Stops delivery of these partitions and drops what was read ahead of them.
    ///
    /// # Errors
    /// `Retry` if a partition was never read.
    pub fn pause(&self, partitions: &[i32]) -> Result<(), Failure> {
        if partitions.is_empty() {
            return Ok(());
        }
        let list = self.list(partitions)?;
        self.client.pause(&list).map_err(|error| retry(&error, "pausing"))?;
        each(&list, "pausing")
    }

    /// Resumes delivery, from the record after the last one delivered. In a rebalance that one may be delivered again.
    ///
    /// # Errors
    /// `Retry` if a partition was never read.
    pub fn resume(&self, partitions: &[i32]) -> Result<(), Failure> {
        if partitions.is_empty() {
            return Ok(());
        }
        let list = self.list(partitions)?;
        self.client.resume(&list).map_err(|error| retry(&error, "resuming"))?;
        each(&list, "resuming")
    }

    /// Closes it on another thread, waiting at most `limit`; false if it is still closing then. As a static member it
    /// is expected back until its session times out.
    #[must_use]
    pub fn close(self, limit: Duration) -> bool {
        let Self { queue, client, .. } = self;
        drop(queue);
        client.close(limit)
    }

    /// Acknowledges what is pending, as it is.
    fn settle(&self) {
        let outcome = match self.pending.take() {
            None => return,
            Some(Pending::Assign(_)) => self.ack_assign(),
            Some(Pending::Revoke(partitions)) => self.ack_revoke(&partitions),
        };
        if let Err(failure) = outcome {
            tracing::debug!(target: "kafka", "acknowledging a rebalance: {failure}");
        }
    }

    fn place(&self, list: &mut TopicPartitionList, number: i32, offset: Offset) -> Result<(), Failure> {
        let Some((topic, partition)) = self.topics.place(number) else {
            let cause =
                Cause::new(Code::UnknownPartition, "listing partitions", &format!("there is no number {number}"));
            return Err(Failure::Fatal(cause));
        };
        list.add_partition_offset(&self.topics.topics()[topic], partition, offset)
            .map_err(|error| Failure::Fatal(Cause::of(&error, "listing partitions")))
    }

    fn places(&self, places: &[(i32, i64)]) -> Result<TopicPartitionList, Failure> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (partition, offset) in places {
            self.place(&mut list, *partition, Offset::Offset(*offset))?;
        }
        Ok(list)
    }

    fn list(&self, partitions: &[i32]) -> Result<TopicPartitionList, Failure> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            self.place(&mut list, *partition, Offset::Invalid)?;
        }
        Ok(list)
    }
}

/// Calls on several partitions succeed as a whole and report failures per partition.
fn each(list: &TopicPartitionList, what: &str) -> Result<(), Failure> {
    list.elements().iter().try_for_each(|element| element.error().map_err(|error| retry(&error, what)))
}

fn retry(error: &rdkafka::error::KafkaError, what: &str) -> Failure {
    Failure::Retry(Cause::of(error, what))
}
