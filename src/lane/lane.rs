//! A lane: its parts, its start and its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant as Moment};

use crate::clock::{Reading, Watch};
use crate::codec::Schemas;
use crate::event::Properties;
use crate::inquiry::Inbox;
use crate::kafka::{Brokers, Consumer, EndOffsets, Producer, Reader, Watermarks};
use crate::lane::aggregate::unpublished::Unpublished;
use crate::lane::commit::pending::PendingBatch;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::failures::denied_access::AccessDenied;
use crate::lane::failures::partition_failures::PartitionFailures;
use crate::lane::group::ownership::Ownership;
use crate::lane::migration::rules_migration::RulesMigration;
use crate::lane::output::offset_mark::OffsetMark;
use crate::lane::output::size::PlanSize;
use crate::lane::partition::state::Partition;
use crate::lane::resources::disk::Disk;
use crate::lane::resources::memory::MemoryGate;
use crate::lane::restore::stages::Restore;
use crate::lane::summaries::updates::LaneUpdate;
use crate::lane::summaries::updates::ParametersUpdate;
use crate::lane::summaries::updates::ThresholdsUpdate;
use crate::member::fencing::FencingHistory;
use crate::member::schema_waits::SchemaWaits;
use crate::member::transactions::init_transactions;
use crate::metrics::{Health, LaneHealth};
use crate::settings::{OnStop, Settings};
use crate::store::SharedMemory;

/// How long leaving the group may take.
const LEAVE_FOR: Duration = Duration::from_secs(2);

/// How long flushing may take when the process stops; the next owner decides the rest again.
const DRAIN_FOR: Duration = Duration::from_secs(5);

/// What a lane is built from.
pub struct Start {
    pub number: usize,
    /// With `kafka.instance_id` as set; the lane appends its number.
    pub settings: Settings,
    pub context: Arc<Context>,
    pub memory: Arc<SharedMemory>,
    pub brokers: Brokers,
    pub watermarks: Arc<Watermarks>,
    pub end_offsets: Arc<EndOffsets>,
    pub ownership: Arc<Ownership>,
    pub schemas: Schemas,
    pub health: Arc<Health>,
    pub inbox: Inbox,
    /// Updates from the summaries of all partitions.
    pub updates: Receiver<LaneUpdate>,
    /// Set when the lane should finish.
    pub stop: Arc<AtomicBool>,
}

/// One lane. Everything in it belongs to one thread.
pub struct Lane {
    pub(in crate::lane) number: usize,
    pub(in crate::lane) settings: Settings,
    pub(in crate::lane) context: Arc<Context>,
    pub(in crate::lane) memory: Arc<SharedMemory>,
    pub(in crate::lane) schemas: Schemas,
    pub(in crate::lane) health: Arc<Health>,
    pub(in crate::lane) inbox: Inbox,
    pub(in crate::lane) stop: Arc<AtomicBool>,
    pub(in crate::lane) consumer: Consumer,
    pub(in crate::lane) producer: Producer,
    pub(in crate::lane) watermarks: Arc<Watermarks>,
    pub(in crate::lane) end_offsets: Arc<EndOffsets>,
    pub(in crate::lane) ownership: Arc<Ownership>,
    /// Exists while partitions are restored.
    pub(in crate::lane) reader: Option<Reader>,
    /// Marks this lane's commits as its own.
    pub(in crate::lane) writer: u64,
    /// The lane is stopping, and its partitions stay assigned to it.
    pub(in crate::lane) stopped: bool,
    pub(in crate::lane) partitions: BTreeMap<i32, Partition>,
    pub(in crate::lane) restores: VecDeque<Restore>,
    /// Partitions that failed, and when each is restored again.
    pub(in crate::lane) failures: PartitionFailures,
    pub(in crate::lane) fences: FencingHistory,
    pub(in crate::lane) schema_waits: SchemaWaits,
    /// Partitions whose consumer position may differ from their next offset: newly restored, or prefetched records were
    /// dropped. Nothing of them is ingested until the consumer has sought to the next offset.
    pub(in crate::lane) to_seek: BTreeSet<i32>,
    /// Whether the brokers deny access to this lane's consumer.
    pub(in crate::lane) denied: AccessDenied,
    /// A batch that is decided and not yet known to be committed.
    pub(in crate::lane) pending: Option<PendingBatch>,
    pub(in crate::lane) plan_size: PlanSize,
    /// Largest state of a customer that the changelog accepts, in bytes.
    pub(in crate::lane) state_bytes_max: usize,
    pub(in crate::lane) updates: Receiver<LaneUpdate>,
    /// The newest thresholds of the ranks.
    pub(in crate::lane) newest_thresholds: Option<ThresholdsUpdate>,
    /// The newest parameters of the churn model.
    pub(in crate::lane) newest_parameters: Option<ParametersUpdate>,
    /// Results of all partitions that are to be published if partition 0 is here.
    pub(in crate::lane) unpublished: Unpublished,
    pub(in crate::lane) clock_watch: Watch,
    /// The clock as read in this turn.
    pub(in crate::lane) clock_reading: Reading,
    /// The migration of a partition to other rules; its input waits.
    pub(in crate::lane) migration: Option<RulesMigration>,
    pub(in crate::lane) brokers: Brokers,
    pub(in crate::lane) disk: Disk,
    pub(in crate::lane) memory_gate: MemoryGate,
    /// When the poll of the last batch ended.
    pub(in crate::lane) last_polled: Moment,
    pub(in crate::lane) last_figures: Moment,
    pub(in crate::lane) buffer: Properties<'static>,
}

impl Lane {
    /// Joins the group. Connects in the background; nothing is read yet.
    ///
    /// # Errors
    /// Options that librdkafka refuses.
    pub fn new(start: Start) -> Result<Self, LaneError> {
        let Start { number, mut settings, context, memory, brokers, watermarks, end_offsets, ownership, .. } = start;
        let (schemas, health, inbox, updates, stop) =
            (start.schemas, start.health, start.inbox, start.updates, start.stop);
        settings.kafka.instance_id = format!("{}-{number}", settings.kafka.instance_id);
        let queue = queue_bytes(&settings, &context);
        Ok(Self {
            number,
            consumer: Consumer::subscribe(&settings.kafka, &settings.topics.input, queue / 2, &brokers)?,
            producer: Producer::new(&settings.kafka, queue / 4, context.limits.sizes(), &brokers)?,
            watermarks,
            end_offsets,
            ownership,
            reader: None,
            plan_size: PlanSize::new(&settings),
            state_bytes_max: context.limits.state(),
            settings,
            context,
            memory,
            schemas,
            health,
            inbox,
            stop,
            writer: OffsetMark::draw_writer(),
            stopped: false,
            partitions: BTreeMap::new(),
            restores: VecDeque::new(),
            failures: PartitionFailures::default(),
            fences: FencingHistory::starting(Moment::now()),
            schema_waits: SchemaWaits::default(),
            to_seek: BTreeSet::new(),
            denied: AccessDenied::default(),
            pending: None,
            updates,
            newest_thresholds: None,
            newest_parameters: None,
            unpublished: Unpublished::default(),
            clock_watch: Watch::new(),
            clock_reading: Reading::Trusted(crate::clock::wall_clock()),
            migration: None,
            brokers,
            disk: Disk::default(),
            memory_gate: MemoryGate::new(),
            last_polled: Moment::now(),
            last_figures: Moment::now(),
            buffer: Properties::new(),
        })
    }

    /// Bytes of records that this lane's clients may queue: half for the consumer, a quarter for restores, a quarter
    /// for the producer.
    pub(in crate::lane) fn queue_bytes(&self) -> usize {
        queue_bytes(&self.settings, &self.context)
    }

    /// Runs until it is told to stop, then flushes, commits and closes.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub fn run(mut self) -> Result<(), LaneError> {
        let ended = StopOthers(Arc::clone(&self.stop));
        self.health().report_alive();
        init_transactions(&mut self.producer, &|| self.health.lane(self.number).report_alive())?;
        while let Err(error) = self.work() {
            match error {
                LaneError::Fenced(reason) => self.rejoin_after_fencing(reason)?,
                error => return Err(error),
            }
        }
        match self.drain() {
            // The member that took the place decides the rest again.
            Err(LaneError::Fenced(reason)) => {
                tracing::warn!(lane = self.number, reason, "The lane stops without committing its last batch.")
            }
            drained => drained?,
        }
        drop(ended);
        // Databases first: the next owner may open them.
        self.partitions.clear();
        self.leave();
        Ok(())
    }

    /// Leaves the group, or has it keep this lane's partitions until the session ends, as the settings say.
    fn leave(&self) {
        let held = self.consumer.assigned();
        match self.settings.kafka.on_stop {
            OnStop::Leave if !self.consumer.leave(LEAVE_FOR) => {
                tracing::warn!(
                    lane = self.number,
                    "The lane did not leave the group in time; the group waits for its session to end."
                );
            }
            OnStop::Stay if !held.is_empty() => tracing::info!(
                lane = self.number,
                partitions = ?held,
                "The group keeps these partitions for this lane until its session ends (kafka.on_stop)."
            ),
            OnStop::Leave | OnStop::Stay => {}
        }
    }

    pub(in crate::lane) fn health(&self) -> LaneHealth<'_> {
        self.health.lane(self.number)
    }

    /// Takes the updates that the summaries thread has sent.
    pub(in crate::lane) fn receive_updates(&mut self) {
        for updates in self.updates.try_iter() {
            match updates {
                LaneUpdate::Thresholds(ranks) => self.newest_thresholds = Some(ranks),
                LaneUpdate::Parameters(model) => self.newest_parameters = Some(model),
                LaneUpdate::Record(record) => self.unpublished.put((*record).clone()),
                LaneUpdate::DailySurvey(whole) => self.unpublished.put_whole(whole),
            }
        }
    }

    /// Ends the work: commits the pending batch, flushes changes as far as time allows, and flushes the databases.
    pub(in crate::lane) fn drain(&mut self) -> Result<(), LaneError> {
        let started = Moment::now();
        while self.pending.is_some() && started.elapsed() < DRAIN_FOR {
            self.settle_pending()?;
        }
        if self.pending.is_none() {
            let numbers: Vec<i32> = self.partitions.keys().copied().collect();
            // Partitions that stay assigned to this lane are marked, so that another process shows their lag.
            self.stopped = self.settings.kafka.on_stop == OnStop::Stay;
            self.flush_partitions(&numbers, DRAIN_FOR)?;
        }
        for partition in self.partitions.values() {
            if let Err(error) = partition.residents.database().flush() {
                // The next start restores the rest from the changelog.
                tracing::warn!(partition = partition.number, %error, "The local copy could not be flushed completely.");
            }
        }
        Ok(())
    }
}

pub(in crate::lane) fn queue_bytes(settings: &Settings, context: &Context) -> usize {
    // Lanes beyond the number of partitions get none.
    let lanes = u64::try_from(settings.lanes).unwrap_or(1).clamp(1, u64::from(context.partitions.max(1)));
    usize::try_from(settings.memory.queues() / lanes).unwrap_or(usize::MAX)
}

/// Stops the other lanes before this one closes its clients and databases, which takes a while; also on a panic, so
/// that the process does not go on with half of its lanes.
pub(in crate::lane) struct StopOthers(Arc<AtomicBool>);

impl Drop for StopOthers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
