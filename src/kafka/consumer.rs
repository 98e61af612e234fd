//! A member of the consumer group: what it is given to read, what it reads, and where it stands.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::brokers::{self, Brokers};
use super::client::{Bounded, Watch};
use super::config;
use super::failure::{Cause, Failure};
use super::native::{self, Content, Group, Queue, Unclosed};
use super::record::Record;
use crate::settings::Kafka;

/// How long one poll waits while the group is left.
const LEAVE_STEP: Duration = Duration::from_millis(20);
/// How long a request to leave may take to be sent.
const LEAVE_GRACE: Duration = Duration::from_millis(200);

/// Reads one topic as a static member of the group, with the partitions it is assigned, committed records only.
///
/// Owned by one thread, which calls [`poll`](Self::poll) at least every `max.poll.interval.ms` (a minute), also while
/// everything is paused: heartbeats are sent in the background, but rebalances only happen in `poll`. An assignment or
/// a revocation waits, and the group with it, until it is acknowledged.
pub struct Consumer {
    queue: Queue,
    client: Bounded<Unclosed<Watch>>,
    topic: String,
    brokers: Brokers,
    /// What was handed out by `poll` and not acknowledged yet.
    pending: RefCell<Option<Pending>>,
    /// Assigned by the group, and acknowledged.
    assigned: RefCell<BTreeSet<i32>>,
    /// The member id under which those are held.
    member: RefCell<String>,
    /// Assigned still, or again, after they were lost: to be handed out anew.
    again: RefCell<Vec<i32>>,
    /// Of the partitions assigned by the group, those that librdkafka was told to fetch.
    reading: RefCell<BTreeSet<i32>>,
}

enum Pending {
    Assign(Vec<i32>),
    Revoke(Vec<i32>),
}

/// What a poll brings.
pub enum Polled<'a> {
    /// Nothing within the timeout.
    Nothing,
    Record(Record<'a>),
    /// Everything committed before `offset` has been read; control records count. Told once for each end reached. It is
    /// the end of what is *stable*: an open transaction, or the true end ([`Watermarks`](super::Watermarks)), may lie
    /// further.
    End {
        partition: i32,
        offset: i64,
    },
    /// These partitions come in addition. Call [`ack_assign`](Consumer::ack_assign); nothing of them is delivered before
    /// [`read_from`](Consumer::read_from).
    Assigned(Vec<i32>),
    /// These partitions go. If not `lost`, they are still ours until [`ack_revoke`](Consumer::ack_revoke): finish the
    /// transaction first. If `lost`, somebody else may have them already: abort and forget, then call it.
    Revoked {
        partitions: Vec<i32>,
        lost: bool,
    },
    /// The next offset to read does not exist: retention has passed it, or the topic was made anew. The partition stands
    /// still.
    OutOfRange {
        partition: i32,
        offset: i64,
        reason: String,
    },
    /// `Retry`: go on polling, librdkafka tries by itself. `Fatal`: this member is of no more use.
    Failed(Failure),
}

/// A partition's committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub partition: i32,
    /// The next offset to read; `None` if the group never committed one, or it expired.
    pub offset: Option<i64>,
    /// What was sent beside it. Bytes, because any program may have committed.
    pub metadata: Vec<u8>,
}

/// Proof that this consumer was a member of the group when it was taken, for
/// [`Producer::send_offsets`](super::Producer::send_offsets).
pub struct Membership(pub(super) Arc<Group>);

impl Consumer {
    /// Subscribes to `topic`. Makes no connection: the first polls join the group. `fetch_bytes` (at least 2 MiB) is
    /// about what this client keeps of records read ahead, uncompressed; records held by the caller come on top.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn subscribe(settings: &Kafka, topic: &str, fetch_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        let consumer = Self::outside(settings, topic, fetch_bytes, brokers)?;
        consumer.join()?;
        Ok(consumer)
    }

    /// A client that may ask for the group's offsets and is no member, until it joins.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn outside(settings: &Kafka, topic: &str, fetch_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        let what = "creating the consumer";
        let client: BaseConsumer<Watch> = config::member(settings, fetch_bytes)
            .create_with_context(Watch(brokers.clone()))
            .map_err(|error| Failure::Fatal(Cause::of(&error, what)))?;
        let queue = Queue::of_consumer(client.client())
            .ok_or_else(|| Failure::Fatal(Cause::new(Code::UnknownGroup, what, "no group id")))?;
        Ok(Self {
            queue,
            client: Bounded::new(Unclosed::new(client)),
            topic: topic.to_owned(),
            brokers: brokers.clone(),
            pending: RefCell::new(None),
            assigned: RefCell::default(),
            member: RefCell::default(),
            again: RefCell::default(),
            reading: RefCell::default(),
        })
    }

    /// Subscribes to the topic: the next polls join the group.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses the topic's name.
    pub fn join(&self) -> Result<(), Failure> {
        self.client.subscribe(&[&self.topic]).map_err(|error| Failure::Fatal(Cause::of(&error, "subscribing")))
    }

    /// The next thing to know, waiting at most `timeout` for it; zero never waits. Log lines and connection errors are
    /// taken care of on the way.
    pub fn poll(&self, timeout: Duration) -> Polled<'_> {
        if self.pending.borrow().is_none() && !self.again.borrow().is_empty() {
            let again = self.again.take();
            if let Some(polled) = self.rebalance(true, again) {
                return polled;
            }
        }
        let mut wait = timeout;
        while let Some(event) = self.queue.poll(wait) {
            let polled = match event.content() {
                Content::Record(record) => {
                    self.brokers.answered();
                    return Polled::Record(record);
                }
                Content::Rebalance { assign, partitions } => self.rebalance(assign, partitions),
                Content::Error(error) => self.error(error),
                Content::Log { level, facility, line } => {
                    brokers::log(level, &facility, &line);
                    None
                }
                Content::Statistics(json) => {
                    self.brokers.counted(&json);
                    None
                }
                Content::Other => None,
            };
            if let Some(polled) = polled {
                return polled;
            }
            // What was silent took some of the time; the caller's loop comes back anyway.
            wait = Duration::ZERO;
        }
        Polled::Nothing
    }

    fn rebalance(&self, assign: bool, partitions: Vec<i32>) -> Option<Polled<'static>> {
        self.brokers.answered();
        let stale = self.stale();
        if !stale.is_empty() {
            return Some(self.lose(stale, assign, partitions));
        }
        let pending = match assign {
            true => Pending::Assign(partitions.clone()),
            false => Pending::Revoke(partitions.clone()),
        };
        *self.pending.borrow_mut() = Some(pending);
        if partitions.is_empty() {
            // A round that changes nothing for this member still waits for its word.
            self.settle();
            return None;
        }
        Some(match assign {
            true => Polled::Assigned(partitions),
            false => Polled::Revoked { partitions, lost: self.lost() },
        })
    }

    /// What is held under a membership that is over.
    ///
    /// A member that the group has put out, and that joins again under another id, has lost all it held: others may have
    /// worked on it meanwhile. librdkafka says so, except when it is put out while an earlier rebalance waits to be
    /// acknowledged: then it joins again and goes on as if it had never been away.
    fn stale(&self) -> BTreeSet<i32> {
        let assigned = self.assigned.borrow();
        if assigned.is_empty() || Group::of(self.client.client()).is_none_or(|group| self.holds_under(&group.member()))
        {
            return BTreeSet::new();
        }
        assigned.clone()
    }

    /// Whether what is held is held under this member id; none proves nothing yet.
    fn holds_under(&self, member: &str) -> bool {
        member.is_empty() || self.assigned.borrow().is_empty() || *self.member.borrow() == member
    }

    /// Everything held is lost, whatever this rebalance says; what it leaves here, or adds, is handed out anew afterwards.
    fn lose(&self, stale: BTreeSet<i32>, assign: bool, partitions: Vec<i32>) -> Polled<'static> {
        let named: BTreeSet<i32> = partitions.into_iter().collect();
        let (lost, again): (Vec<i32>, Vec<i32>) = match assign {
            true => (stale.iter().copied().collect(), stale.union(&named).copied().collect()),
            false => (stale.union(&named).copied().collect(), stale.difference(&named).copied().collect()),
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
        match (error.code, error.place) {
            (Code::PartitionEOF, Some((partition, offset))) => {
                self.brokers.answered();
                Some(Polled::End { partition, offset })
            }
            (Code::AutoOffsetReset, Some((partition, offset))) => {
                Some(Polled::OutOfRange { partition, offset, reason: error.text })
            }
            // librdkafka goes on after what it could not read: a loss, if this member went on as well.
            (Code::BadMessage | Code::BadCompression, _) => {
                Some(Polled::Failed(Failure::Fatal(Cause::new(error.code, "reading a damaged record", &error.text))))
            }
            (code, _) if self.brokers.failed(code, &error.text) => None,
            (code, _) => Some(Polled::Failed(Failure::Retry(Cause::new(code, "consuming", &error.text)))),
        }
    }

    /// Takes an assignment, so that the group can go on. Nothing is fetched yet: a partition is restored first, and
    /// librdkafka is told of it only with the offset to read from. Were it told to start at the end and moved
    /// later, an answer about that end, when late, would move it again, past records that were never delivered.
    ///
    /// # Errors
    /// `Retry` if the group moved on meanwhile: forget these partitions and go on polling.
    pub fn ack_assign(&self) -> Result<(), Failure> {
        let pending = self.pending.take();
        let none = TopicPartitionList::new();
        self.client.incremental_assign(&none).map_err(|error| retry(&error, "taking partitions"))?;
        if let Some(Pending::Assign(partitions)) = pending {
            // Before anything is held under it: had the group put this member out, it could not have joined again yet.
            *self.member.borrow_mut() = Group::of(self.client.client()).map(|group| group.member()).unwrap_or_default();
            self.assigned.borrow_mut().extend(partitions);
        }
        Ok(())
    }

    /// Lets go of the partitions of [`Polled::Revoked`]; the next owner starts now.
    ///
    /// # Errors
    /// `Retry` if the group moved on meanwhile; the partitions are gone all the same.
    pub fn ack_revoke(&self, partitions: &[i32]) -> Result<(), Failure> {
        self.pending.take();
        self.assigned.borrow_mut().retain(|partition| !partitions.contains(partition));
        let mut reading = self.reading.borrow_mut();
        let fetched: Vec<i32> = partitions.iter().copied().filter(|partition| reading.remove(partition)).collect();
        let list = self.list(&fetched)?;
        self.client.incremental_unassign(&list).map_err(|error| retry(&error, "letting partitions go"))
    }

    /// Delivers assigned partitions from these offsets on, wherever they were before: the next record of each is the
    /// first at or after its offset. Usually some 100 µs, at most `timeout`, which must not be zero. A paused partition
    /// goes on.
    ///
    /// # Errors
    /// `Retry` if a partition is just leaving, or the time is up: then it is unknown from where each of them is
    /// delivered, until a later call succeeds.
    pub fn read_from(&self, places: &[(i32, i64)], timeout: Duration) -> Result<(), Failure> {
        let (known, new): (Vec<_>, Vec<_>) =
            places.iter().copied().partition(|(partition, _)| self.reading.borrow().contains(partition));
        if !new.is_empty() {
            let what = "beginning to read";
            self.client.incremental_assign(&self.places(&new)?).map_err(|error| retry(&error, what))?;
            self.reading.borrow_mut().extend(new.iter().map(|(partition, _)| *partition));
        }
        if !known.is_empty() {
            let what = "seeking";
            let sought = self.client.seek_partitions(self.places(&known)?, timeout);
            each(&sought.map_err(|error| retry(&error, what))?, what)?;
        }
        // A pause outlives a revocation: a partition that comes back would stay silent.
        self.resume(&places.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
    }

    /// What the group assigned and was acknowledged, whether it is read or not.
    #[must_use]
    pub fn assigned(&self) -> BTreeSet<i32> {
        self.assigned.borrow().clone()
    }

    /// Gives everything back and joins anew: what is assigned is revoked by one of the next polls, and then assigned again,
    /// here or elsewhere.
    ///
    /// # Errors
    /// `Retry`.
    pub fn rejoin(&self) -> Result<(), Failure> {
        // librdkafka would wait for its acknowledgement first.
        self.settle();
        self.client.unsubscribe();
        self.client.subscribe(&[&self.topic]).map_err(|error| retry(&error, "joining the group again"))
    }

    /// Leaves the group for good, so that it shares out what this member had without waiting for the end of its session;
    /// what is still assigned is let go. Nothing else may be done with it afterwards. False if that was not done within
    /// `limit`: then the session's end does it.
    #[must_use]
    pub fn leave(&self, limit: Duration) -> bool {
        // As a static member it would not leave by being closed.
        self.client.unsubscribe();
        let started = Instant::now();
        loop {
            match self.poll(LEAVE_STEP) {
                Polled::Assigned(_) | Polled::Revoked { .. } => self.settle(),
                // Without a member id the request to leave is on its way.
                Polled::Nothing if Group::of(self.client.client()).is_some_and(|group| group.member().is_empty()) => {
                    break;
                }
                _ => {}
            }
            if started.elapsed() >= limit {
                return false;
            }
        }
        // Nobody tells when it has been sent.
        thread::sleep(LEAVE_GRACE.min(limit.saturating_sub(started.elapsed())));
        true
    }

    /// Whether the current assignment was lost: the session or the poll interval ran out. Acknowledging resets it.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.client.assignment_lost()
    }

    /// The membership to commit under, or `None` while there is none: then no transaction may be committed. Costs some
    /// 30 µs; take it once for each transaction.
    ///
    /// librdkafka keeps a generation when the member id is already gone, and a broker does not check offsets that come
    /// without a member: so all of it is checked here.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        let group = Group::of(self.client.client())?;
        let member = group.member();
        let valid = group.generation() >= 0 && !member.is_empty() && self.holds_under(&member) && !self.lost();
        valid.then(|| Membership(Arc::new(group)))
    }

    /// The group's committed offsets. Blocks for at most `timeout`; while a transaction with offsets of one of these
    /// partitions is open, of whichever process, the answer waits for its end. This is the barrier that a restore
    /// begins with.
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
            .map(|(element, metadata)| {
                element.error().map_err(|error| Cause::of(&error, what).passing())?;
                let offset = match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                Ok(Committed { partition: element.partition(), offset, metadata })
            })
            .collect()
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

    /// Delivers again, from the record after the last one delivered. In a rebalance that one may come once more.
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

    /// Ends it on another thread, waiting at most `limit`; false if it has not ended by then, which the end of the process
    /// will cut short. As a static member this one is expected back until its session times out.
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

    fn place(&self, list: &mut TopicPartitionList, partition: i32, offset: Offset) -> Result<(), Failure> {
        list.add_partition_offset(&self.topic, partition, offset)
            .map_err(|error| Failure::Fatal(Cause::of(&error, "naming a partition")))
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

/// Calls on several partitions succeed as a whole and tell the failure of each beside it.
fn each(list: &TopicPartitionList, what: &str) -> Result<(), Failure> {
    list.elements().iter().try_for_each(|element| element.error().map_err(|error| retry(&error, what)))
}

fn retry(error: &rdkafka::error::KafkaError, what: &str) -> Failure {
    Failure::Retry(Cause::of(error, what))
}
