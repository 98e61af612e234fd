//! Follows the summaries topic on a thread of its own, and sends the results to the lanes.
//!
//! Each partition publishes counters of its customers. The process that owns partition 0 reads those of all partitions
//! and computes the results (`publisher`), which its lane publishes in partition 0; all processes read only these
//! (`results`). So the amount of reading grows with the partitions, not with partitions times processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant as Moment};

use crate::backoff::Backoff;
use crate::kafka::{Brokers, Failure, Follower, FollowerEvent};
use crate::lane::context::Context;
use crate::lane::summaries::publisher::{Publisher, Reread};
use crate::lane::summaries::results::Results;
use crate::lane::summaries::role::PUBLISHER_PARTITION;
use crate::lane::summaries::updates::LaneUpdate;
use crate::lane::versions::rulebook::Version;
use crate::metrics::{Health, Retry, Wait, WaitCause};
use crate::settings::{Kafka, Ranks, Settings};
use crate::store::{Corrupt, SummaryKind};

/// Bytes that are prefetched.
const QUEUE_BYTES: usize = 8 << 20;
/// Most time between two checks of the rules, the role and the updates to send.
const TURN: Duration = Duration::from_millis(200);
/// How long one poll may take: the longest that a stop waits for this thread.
const POLL: Duration = Duration::from_millis(50);
/// Between two tries to read after a failure, doubling from the first to the last.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);
/// How long closing the client may take.
const CLOSE_FOR: Duration = Duration::from_secs(2);

fn backoff() -> Backoff {
    Backoff::new(RETRY_FIRST, RETRY_LAST)
}

/// Follows the topic, on a thread of its own.
pub struct Summaries {
    context: Arc<Context>,
    kafka: Kafka,
    brokers: Brokers,
    health: Arc<Health>,
    ranks: Ranks,
    /// One for each lane.
    lanes: Vec<Sender<LaneUpdate>>,
    /// The next offset of each partition that is followed; none: from its beginning.
    next: BTreeMap<i32, i64>,
    /// Results before this offset of partition 0 are read.
    results_next: i64,
    /// Partitions that are not read to their end yet: their counters may be old.
    unread: BTreeSet<i32>,
    /// Under the newest rules.
    known: Option<ForVersion>,
    /// The newest version of the rules that was seen.
    seen_version: u64,
    backoff: Backoff,
    /// What was warned of once.
    warned: BTreeSet<(i32, SummaryKind)>,
}

struct ForVersion {
    version: Arc<Version>,
    results: Results,
    /// Only in the process that owns partition 0.
    publisher: Option<Publisher>,
}

impl Summaries {
    /// Makes no connection.
    #[must_use]
    pub fn new(
        settings: &Settings,
        context: Arc<Context>,
        brokers: &Brokers,
        health: &Arc<Health>,
        lanes: Vec<Sender<LaneUpdate>>,
    ) -> Self {
        Self {
            kafka: settings.kafka.clone(),
            brokers: brokers.clone(),
            health: Arc::clone(health),
            ranks: settings.ranks.clone(),
            lanes,
            next: BTreeMap::new(),
            results_next: 0,
            unread: BTreeSet::new(),
            known: None,
            seen_version: 0,
            backoff: backoff(),
            warned: BTreeSet::new(),
            context,
        }
    }

    /// Runs until `stop` is set. Failures are retried; the lanes go on with their last updates meanwhile.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let Err(failure) = self.follow(stop) else { return };
            let topic = &self.context.topics.summaries;
            self.context.metrics.retries(Retry::Summaries).inc();
            let until = Moment::now() + self.backoff.pause();
            while Moment::now() < until && !stop.load(Ordering::Acquire) {
                self.health.wait(Wait {
                    cause: WaitCause::Summaries,
                    partition: None,
                    detail: format!("{topic} cannot be read ({failure}); ranks and forecasts stay as they are"),
                });
                std::thread::sleep(POLL);
            }
        }
    }

    fn follow(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        let mut follower = Follower::new(&self.kafka, QUEUE_BYTES, &self.brokers)?;
        let outcome = self.follow_with(&mut follower, stop);
        if !follower.close(CLOSE_FOR) {
            tracing::debug!("A client did not close in time and is abandoned.");
        }
        outcome
    }

    fn follow_with(&mut self, follower: &mut Follower, stop: &AtomicBool) -> Result<(), Failure> {
        let mut is_set = false;
        while !stop.load(Ordering::Acquire) {
            if self.follow_rules_and_role() || !is_set {
                let positions = self.positions();
                follower.follow(&self.context.topics.summaries, &positions)?;
                is_set = true;
            }
            if !self.read(follower)? {
                is_set = false;
            }
            self.send_updates();
        }
        Ok(())
    }

    /// Follows changes of the rules and of this process's role. True: other positions are to be read.
    fn follow_rules_and_role(&mut self) -> bool {
        let newest = self.context.rulebook.newest();
        let mut moved = false;
        if newest != std::mem::replace(&mut self.seen_version, newest) {
            match self.context.rulebook.get(newest) {
                Ok(Some(version)) => moved = self.switch_rules(version),
                Ok(None) => self.seen_version = 0,
                // The lanes go on with the version that they have, and so do their ranks.
                Err(error) => {
                    tracing::error!(version = newest, reason = %error, "Summaries of newer rules are skipped.")
                }
            }
        }
        let Some(known) = &mut self.known else { return moved };
        match (self.context.role.is_ours(), known.publisher.is_some()) {
            (true, false) => {
                known.publisher = Some(Publisher::new(Arc::clone(&known.version), &self.ranks, &self.context));
                known.results.reread_all();
                self.next.clear();
                tracing::info!("Partition 0 is held here: reading the summaries of all partitions.");
                true
            }
            (false, true) => {
                known.publisher = None;
                self.next.retain(|partition, _| *partition == PUBLISHER_PARTITION);
                self.context.metrics.forget_forecasts();
                self.context.metrics.forget_ranks();
                self.context.metrics.ranks_held_back.set(0);
                true
            }
            _ => moved,
        }
    }

    fn switch_rules(&mut self, version: Arc<Version>) -> bool {
        let Some(known) = &mut self.known else {
            let results = Results::new(Arc::clone(&version), &self.context);
            self.known = Some(ForVersion { version, results, publisher: None });
            return true;
        };
        known.results.switch_to(Arc::clone(&version), &self.context);
        let reread = known.publisher.as_mut().map(|publisher| publisher.switch_to(&version, &self.context));
        known.version = version;
        match reread {
            None => false,
            Some(Reread::Everything) => {
                self.next.clear();
                true
            }
            Some(Reread::From(positions)) => {
                let moved = !positions.is_empty();
                self.next.extend(positions);
                moved
            }
        }
    }

    /// The partitions to read, each with its next offset.
    fn positions(&mut self) -> Vec<(i32, Option<i64>)> {
        let is_publisher = self.known.as_ref().is_some_and(|known| known.publisher.is_some());
        let last = if is_publisher { i32::try_from(self.context.partitions).unwrap_or(i32::MAX) } else { 1 };
        self.unread = (PUBLISHER_PARTITION..last).collect();
        (PUBLISHER_PARTITION..last).map(|partition| (partition, self.next.get(&partition).copied())).collect()
    }

    /// Reads for at most a turn. False: the positions must be set again.
    fn read(&mut self, follower: &Follower) -> Result<bool, Failure> {
        let started = Moment::now();
        while started.elapsed() < TURN {
            match follower.poll(POLL) {
                FollowerEvent::Record(record) => {
                    let position = (record.partition(), record.offset());
                    if let (Some(key), Some(value)) = (record.key(), record.payload()) {
                        self.take(key, value, position);
                    }
                    self.next.insert(position.0, position.1 + 1);
                }
                FollowerEvent::End { partition, .. } => {
                    self.unread.remove(&partition);
                    if self.unread.is_empty() {
                        self.backoff = backoff();
                        self.health.resume(WaitCause::Summaries, None);
                    }
                }
                FollowerEvent::OutOfRange { partition, reason } => {
                    tracing::warn!(partition, reason, "The summaries of a partition are read from their beginning.");
                    self.next.remove(&partition);
                    if partition == PUBLISHER_PARTITION {
                        self.results_next = 0;
                    }
                    return Ok(false);
                }
                FollowerEvent::Failed(Failure::Retry(cause)) => {
                    tracing::debug!(reason = %cause, "Following the summaries.")
                }
                FollowerEvent::Failed(failure) => return Err(failure),
                FollowerEvent::Nothing => {}
            }
        }
        Ok(true)
    }

    fn take(&mut self, key: &[u8], value: &[u8], position: (i32, i64)) {
        self.context.metrics.summaries_read_bytes.inc_by((key.len() + value.len()) as u64);
        let kind = SummaryKind::of(key);
        let Some(known) = &mut self.known else { return };
        let outcome = match (kind, &mut known.publisher) {
            (SummaryKind::Unknown, _) => Err(Corrupt("kind of a summary")),
            (SummaryKind::Retired, _) => Ok(()),
            (kind, _) if kind.is_result() => {
                if position.0 == PUBLISHER_PARTITION && position.1 >= self.results_next {
                    self.results_next = position.1 + 1;
                    known.results.add(kind, key, value);
                }
                Ok(())
            }
            (kind, Some(publisher)) => publisher.add(kind, (key, value), position, &self.context.rulebook),
            (_, None) => Ok(()),
        };
        if let Err(error) = outcome {
            self.skip(position.0, kind, error);
        }
    }

    /// Counts a record that cannot be read, and warns once per partition and kind. Its partition will publish again.
    fn skip(&mut self, partition: i32, kind: SummaryKind, error: Corrupt) {
        self.context.metrics.summaries_skipped(kind.word()).inc();
        if self.warned.insert((partition, kind)) {
            let topic = &self.context.topics.summaries;
            tracing::warn!(
                topic,
                partition,
                kind = kind.word(),
                %error,
                "A summary cannot be read and is skipped; further ones are only counted."
            );
        }
    }

    fn send_updates(&mut self) {
        let Some(known) = self.known.as_mut().filter(|_| !self.unread.contains(&PUBLISHER_PARTITION)) else { return };
        let mut skipped = Vec::new();
        let mut updates = known.results.updates(&self.context, |kind, error| skipped.push((kind, error)));
        let mut kept = known.results.bytes();
        if let Some(publisher) = known.publisher.as_mut().filter(|_| self.unread.is_empty()) {
            updates.extend(publisher.updates(&known.results, &self.context));
            kept += publisher.bytes();
        }
        let metrics = &self.context.metrics;
        metrics.summaries_kept_bytes.set(i64::try_from(kept).unwrap_or(i64::MAX));
        skipped.into_iter().for_each(|(kind, error)| self.skip(PUBLISHER_PARTITION, kind, error));
        for update in updates {
            for lane in &self.lanes {
                // A lane that has ended ends the process.
                lane.send(update.clone()).ok();
            }
        }
    }
}
