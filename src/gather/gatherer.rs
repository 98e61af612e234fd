//! A gathering thread: its parts, and its loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Moment};

use super::mapper::Bounds;
use super::merge::Merge;
use super::progress::Progress;
use super::reading::{Content, Limits, Reading};
use super::sources::Sources;
use super::starting::Starting;
use super::topics::SourceTopics;
use crate::backoff::Backoff;
use crate::clock::{Reading as ClockReading, Watch, confirms_leap, is_behind, wall_clock};
use crate::codec::{Schemas, WriterSchema};
use crate::event::Instant;
use crate::kafka::{Brokers, Consumer, Producer, Sizes, Watermarks};
use crate::marks::{Mark, Marks, Place};
use crate::member::dead_letter_log::DeadLetterLog;
use crate::member::error::MemberError;
use crate::member::fencing::FencingHistory;
use crate::member::fresh::Fresh;
use crate::member::schema_waits::SchemaWaits;
use crate::member::transactions::{backoff, init_transactions};
use crate::metrics::{Health, LaneHealth, Metrics, Wait, WaitCause};
use crate::settings::{Kafka, OnStop, Settings};

/// How long a transaction may last, unless the operator sets it. While one is open, lanes read nothing behind it: also when
/// the process that opened it was killed.
const TRANSACTION_TIMEOUT_MS: &str = "3000";
/// How long leaving the group may take.
const LEAVE_FOR: Duration = Duration::from_secs(2);
/// Bytes that a record takes on its way besides its own, about.
const RECORD_BYTES: usize = 1_024;
/// Between two updates of what metrics show.
const FIGURES_EVERY: Duration = Duration::from_secs(2);

/// What a gathering thread is built from.
pub(crate) struct Start {
    /// Among the threads of the process that report their health.
    pub(crate) number: usize,
    /// Those of the process; see [`kafka_of`].
    pub(crate) settings: Settings,
    /// The settings of this thread's clients.
    pub(crate) kafka: Kafka,
    pub(crate) sources: Arc<Sources>,
    pub(crate) topics: Arc<SourceTopics>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) schemas: Schemas<WriterSchema>,
    pub(crate) watermarks: Arc<Watermarks>,
    pub(crate) brokers: Brokers,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    /// Partitions of `topics.events`.
    pub(crate) partitions: u32,
    /// The record limits of `topics.events` and of the dead letters, in bytes.
    pub(crate) limits: (usize, usize),
    pub(crate) stop: Arc<AtomicBool>,
}

/// The settings of the clients of a gathering thread: a group of their own, and ids that no lane has.
#[must_use]
pub(crate) fn kafka_of(settings: &Kafka, number: usize) -> Kafka {
    let mut options = settings.options.clone();
    options.entry("transaction.timeout.ms".to_owned()).or_insert_with(|| TRANSACTION_TIMEOUT_MS.to_owned());
    Kafka {
        group_id: format!("{}.gather", settings.group_id),
        instance_id: format!("{}-{number}", settings.instance_id),
        options,
        ..settings.clone()
    }
}

/// Bytes of records that each client of a gathering thread may queue, and that may be at hand.
pub(super) fn queue_bytes(settings: &Settings) -> usize {
    usize::try_from(settings.memory.gathered() / 3).unwrap_or(usize::MAX) / settings.gather.lanes.max(1)
}

/// Records of one batch: with little memory fewer than are set.
pub(super) fn records_max(settings: &Settings) -> usize {
    settings.batch.max_records.min(queue_bytes(settings) / RECORD_BYTES).max(1)
}

/// A partition of a source that is gathered here.
pub(super) struct Partition {
    pub(super) place: Place,
    /// The place of its topic.
    pub(super) topic: usize,
    pub(super) topic_id: String,
    /// The next record to write.
    pub(super) next_offset: i64,
    /// The next record to read.
    pub(super) read_offset: i64,
    /// The time of the last event read: a record without one takes its turn with it.
    pub(super) last_at: Instant,
    pub(super) progress: Progress,
    /// As last written, and when.
    pub(super) mark: Option<(Mark, Moment)>,
    /// It is not read for now: enough is at hand.
    pub(super) is_paused: bool,
    /// Whether its topic holds what the mapping wants.
    pub(super) fresh: Fresh<&'static str, String>,
    /// Its broker has answered since it was last sought.
    pub(super) has_answered: bool,
}

/// A gathering thread. Everything in it belongs to one thread.
pub(crate) struct Gatherer {
    pub(super) number: usize,
    pub(super) settings: Settings,
    /// Of this thread's clients.
    pub(super) kafka: Kafka,
    pub(super) sources: Arc<Sources>,
    pub(super) topics: Arc<SourceTopics>,
    pub(super) marks: Arc<Marks>,
    pub(super) watermarks: Arc<Watermarks>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) consumer: Consumer,
    pub(super) producer: Producer,
    pub(super) reading: Reading,
    pub(super) merge: Merge<Content>,
    pub(super) schema_waits: SchemaWaits,
    pub(super) letters: DeadLetterLog<String>,
    pub(super) partitions: BTreeMap<i32, Partition>,
    pub(super) starting: Starting,
    /// Partitions that must not be read on, each waiting for an operator.
    pub(super) held: BTreeSet<i32>,
    /// Topics that an operator has told the group not to wait for.
    pub(super) ignored: Arc<BTreeSet<String>>,
    /// Sources that have said nothing for longer than they should.
    pub(super) quiet: BTreeSet<String>,
    /// Partitions whose consumer must seek to their next offset to read.
    pub(super) to_seek: BTreeSet<i32>,
    clock: Watch,
    /// The clock as read in this turn; `None`: not trusted.
    pub(super) now: Option<Instant>,
    pub(super) backoff: Backoff,
    pub(super) fences: FencingHistory,
    pub(super) brokers: Brokers,
    last_figures: Moment,
}

impl Gatherer {
    /// Joins the group. Connects in the background; nothing is read yet.
    ///
    /// # Errors
    /// Options that librdkafka refuses.
    pub(crate) fn new(start: Start) -> Result<Self, MemberError> {
        let Start { number, settings, kafka, sources, topics, marks, schemas, watermarks, brokers, .. } = start;
        let queue = queue_bytes(&settings);
        let limits = Limits { event: start.limits.0, dead_letter: start.limits.1 };
        let sizes = Sizes { record: limits.event.max(limits.dead_letter), batch: limits.event };
        let consumer = Consumer::outside_several(&kafka, sources.numbering.clone(), queue, &brokers)?;
        consumer.join()?;
        Ok(Self {
            number,
            consumer,
            producer: Producer::new(&kafka, queue, sizes, &brokers)?,
            reading: Reading::new(Arc::clone(&sources), schemas, limits, start.partitions),
            sources,
            topics,
            marks,
            watermarks,
            metrics: start.metrics,
            health: start.health,
            stop: start.stop,
            settings,
            kafka,
            merge: Merge::default(),
            schema_waits: SchemaWaits::default(),
            letters: DeadLetterLog::default(),
            partitions: BTreeMap::new(),
            starting: Starting::default(),
            held: BTreeSet::new(),
            ignored: Arc::default(),
            quiet: BTreeSet::new(),
            to_seek: BTreeSet::new(),
            clock: Watch::new(),
            now: None,
            backoff: backoff(),
            fences: FencingHistory::starting(Moment::now()),
            brokers,
            last_figures: Moment::now(),
        })
    }

    /// Runs until it is told to stop, or `is_over` says that other sources are in force.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub(crate) fn run(mut self, is_over: &dyn Fn() -> bool) -> Result<(), MemberError> {
        self.health().report_alive();
        init_transactions(&mut self.producer, &|| self.health.lane(self.number).report_alive())?;
        while !self.stop.load(Ordering::Acquire) && !is_over() {
            match self.turn() {
                Err(MemberError::Fenced(reason)) => self.rejoin_after_fencing(reason)?,
                done => done?,
            }
        }
        self.forget_all();
        // Nothing is lost with what is at hand: it is read again.
        let leaves = self.stop.load(Ordering::Acquire) && self.settings.kafka.on_stop == OnStop::Leave;
        if leaves && !self.consumer.leave(LEAVE_FOR) {
            tracing::warn!(
                "A gathering thread did not leave the group in time; the group waits for its session to end."
            );
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), MemberError> {
        self.health().report_alive();
        let is_clock_right = self.gate_clock();
        self.start_partitions()?;
        self.seek(is_clock_right)?;
        if let Some(event) = self.poll(is_clock_right)? {
            self.handle(event)?;
        }
        self.hold_topics()?;
        let batch = self.take();
        if !batch.is_empty() {
            self.write(batch)?;
        }
        self.show_figures();
        Ok(())
    }

    pub(super) fn health(&self) -> LaneHealth<'_> {
        self.health.lane(self.number)
    }

    /// Reads the wall clock. False: it is wrong, so that nothing can be said of the times of events.
    fn gate_clock(&mut self) -> bool {
        let skew = self.settings.time.max_future_skew;
        let known = self.partitions.values().map(|partition| partition.progress.complete_to).max();
        let proven = known.map_or(Instant::MIN, |complete_to| complete_to + self.settings.time.arrives_within);
        self.now = match self.clock.read() {
            ClockReading::Trusted(now) => Some(now),
            ClockReading::Jumped { .. } | ClockReading::Distrusted => None,
        };
        if self.now.is_none() && confirms_leap(proven, wall_clock(), self.clock.without_leap(), skew) {
            tracing::info!("The wall clock was set right.");
            self.clock.trust();
            self.now = Some(wall_clock());
        }
        let now = self.clock_now();
        if is_behind(now, proven, skew) {
            let detail = format!("the wall clock says {now}, which is too early; set it right, and gathering goes on");
            self.health().wait(Wait { cause: WaitCause::Clock, partition: None, detail });
            return false;
        }
        self.health().resume(WaitCause::Clock, None);
        true
    }

    /// The wall clock, without a jump that is not trusted yet.
    fn clock_now(&self) -> Instant {
        self.now.unwrap_or_else(|| self.clock.without_leap())
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds::new(&self.settings, self.clock_now())
    }

    /// Bytes of records that may be at hand of one partition.
    pub(super) fn share(&self) -> usize {
        queue_bytes(&self.settings) / (self.partitions.len() + self.starting.len()).max(1)
    }

    pub(super) fn show_partitions(&self) {
        let owned = u32::try_from(self.partitions.len() + self.starting.len()).unwrap_or(u32::MAX);
        self.health().partitions(owned, self.starting.numbers());
    }

    fn show_figures(&mut self) {
        if self.last_figures.elapsed() < FIGURES_EVERY {
            return;
        }
        self.last_figures = Moment::now();
        if self.partitions.is_empty() && self.starting.len() == 0 && self.consumer.membership().is_some() {
            self.show_partitions();
        }
        for (number, partition) in &self.partitions {
            let (metrics, place) = (&self.sources.of_topic(partition.topic).metrics, &partition.place);
            let end = self.topics.ends(&place.topic).and_then(|ends| ends.known(place.partition));
            let reached = self.merge.read_to_end(*number).unwrap_or(0).max(partition.next_offset);
            metrics.set_lag(&place.topic, place.partition, end.map(|end| (end - reached).max(0)));
            // What is ignored holds nothing back.
            let is_waited_for = !self.ignored.contains(&place.topic);
            let complete_to = is_waited_for.then_some(partition.progress.complete_to.0);
            metrics.set_complete_to(&place.topic, place.partition, complete_to);
        }
    }
}
