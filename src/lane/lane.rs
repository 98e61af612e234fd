//! A lane: what it is made of, how it begins and ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant as Moment};

use crate::clock::{Reading, Watch};
use crate::codec::Schemas;
use crate::event::Properties;
use crate::inquiry::Inbox;
use crate::kafka::{Brokers, Consumer, Ends, Producer, Reader, Watermarks};
use crate::lane::aggregate::model::ModelTold;
use crate::lane::aggregate::ranks::RankTold;
use crate::lane::aggregate::surveying::{Unpublished, WholeDay};
use crate::lane::commit::mark::OffsetMark;
use crate::lane::commit::pending::Pending;
use crate::lane::commit::publish::announce;
use crate::lane::commit::size::PlanSize;
use crate::lane::context::Context;
use crate::lane::edits::adopt::Adoption;
use crate::lane::error::LaneError;
use crate::lane::failures::refused::Refused;
use crate::lane::failures::setback::Setbacks;
use crate::lane::group::fence::Fences;
use crate::lane::group::ownership::Ownership;
use crate::lane::input::schema_waits::SchemaWaits;
use crate::lane::partition::state::Partition;
use crate::lane::resources::disk::Disk;
use crate::lane::resources::memory_gate::MemoryGate;
use crate::lane::restore::stages::Restore;
use crate::metrics::{Health, LaneHealth};
use crate::settings::{OnStop, Settings};
use crate::store::{KeyValue, SharedMemory};

/// How long leaving the group may take.
const LEAVE_FOR: Duration = Duration::from_secs(2);

/// How long flushing may take when the process ends; what is left is decided again by the next owner.
const DRAIN_FOR: Duration = Duration::from_secs(5);

/// What a lane is made of.
pub struct Start {
    pub number: usize,
    /// With `kafka.instance_id` as set; the lane appends its number.
    pub settings: Settings,
    pub context: Arc<Context>,
    pub memory: Arc<SharedMemory>,
    pub brokers: Brokers,
    pub watermarks: Arc<Watermarks>,
    pub ends: Arc<Ends>,
    pub ownership: Arc<Ownership>,
    pub schemas: Schemas,
    pub health: Arc<Health>,
    pub inbox: Inbox,
    /// What is learnt from all partitions.
    pub told: Receiver<Told>,
    /// Set when the lane should finish.
    pub stop: Arc<AtomicBool>,
}

/// What is learnt from what all partitions publish.
#[derive(Debug, Clone)]
pub enum Told {
    Ranks(RankTold),
    Model(ModelTold),
    /// A record that the lane of partition 0 is to publish.
    Result(Arc<KeyValue>),
    /// A day of all partitions, for the same lane.
    Whole(Arc<WholeDay>),
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
    pub(in crate::lane) ends: Arc<Ends>,
    pub(in crate::lane) ownership: Arc<Ownership>,
    /// There while partitions are restored.
    pub(in crate::lane) reader: Option<Reader>,
    /// Marks this lane's commits as its own.
    pub(in crate::lane) writer: u64,
    /// What it publishes from now on is its last, and its partitions stay with it.
    pub(in crate::lane) stopped: bool,
    pub(in crate::lane) partitions: BTreeMap<i32, Partition>,
    pub(in crate::lane) restores: VecDeque<Restore>,
    /// Partitions that failed, and when each is restored again.
    pub(in crate::lane) setbacks: Setbacks,
    pub(in crate::lane) fences: Fences,
    pub(in crate::lane) schema_waits: SchemaWaits,
    /// Partitions whose next record may not be the next to take in: newly restored, or records of theirs were dropped.
    /// Nothing of them is taken in until they are known to be read from where they stand.
    pub(in crate::lane) adrift: BTreeSet<i32>,
    /// What the brokers refuse this lane's consumer.
    pub(in crate::lane) refused: Refused,
    /// A batch that is decided and not yet known to count.
    pub(in crate::lane) pending: Option<Pending>,
    pub(in crate::lane) size: PlanSize,
    /// Bytes of a customer's state that the changelog takes.
    pub(in crate::lane) state_bytes_max: usize,
    pub(in crate::lane) told: Receiver<Told>,
    /// Where ranks begin, as last told.
    pub(in crate::lane) wanted: Option<RankTold>,
    /// The parameters of the model of churn, as last told.
    pub(in crate::lane) learnt: Option<ModelTold>,
    /// What follows from the counters of all partitions, to be published where partition 0 is.
    pub(in crate::lane) unpublished: Unpublished,
    pub(in crate::lane) watch: Watch,
    /// What the clocks said in this turn.
    pub(in crate::lane) reading: Reading,
    /// A partition that takes up other rules; its input waits.
    pub(in crate::lane) adoption: Option<Adoption>,
    pub(in crate::lane) brokers: Brokers,
    pub(in crate::lane) disk: Disk,
    pub(in crate::lane) gate: MemoryGate,
    pub(in crate::lane) last_look: Moment,
    pub(in crate::lane) buffer: Properties<'static>,
}

impl Lane {
    /// Joins the group. Connects in the background; nothing is read yet.
    ///
    /// # Errors
    /// Options that librdkafka refuses.
    pub fn new(start: Start) -> Result<Self, LaneError> {
        let Start { number, mut settings, context, memory, brokers, watermarks, ends, ownership, .. } = start;
        let (schemas, health, inbox, told, stop) = (start.schemas, start.health, start.inbox, start.told, start.stop);
        settings.kafka.instance_id = format!("{}-{number}", settings.kafka.instance_id);
        let queue = queue_bytes(&settings, &context);
        Ok(Self {
            number,
            consumer: Consumer::subscribe(&settings.kafka, &settings.topics.input, queue / 2, &brokers)?,
            producer: Producer::new(&settings.kafka, queue / 4, context.limits.sizes(), &brokers)?,
            watermarks,
            ends,
            ownership,
            reader: None,
            size: PlanSize::new(&settings),
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
            setbacks: Setbacks::default(),
            fences: Fences::default(),
            schema_waits: SchemaWaits::default(),
            adrift: BTreeSet::new(),
            refused: Refused::default(),
            pending: None,
            told,
            wanted: None,
            learnt: None,
            unpublished: Unpublished::default(),
            watch: Watch::new(),
            reading: Reading::Trusted(crate::clock::wall_clock()),
            adoption: None,
            brokers,
            disk: Disk::default(),
            gate: MemoryGate::new(),
            last_look: Moment::now(),
            buffer: Properties::new(),
        })
    }

    /// Bytes of records that this lane's clients may hold: half for reading ahead, a quarter for restoring, a quarter for what
    /// is being written.
    pub(in crate::lane) fn queue_bytes(&self) -> usize {
        queue_bytes(&self.settings, &self.context)
    }

    /// Works until told to stop, then flushes, commits and closes.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub fn run(mut self) -> Result<(), LaneError> {
        let ended = StopOthers(Arc::clone(&self.stop));
        self.health().beat();
        announce(&mut self.producer, &|| self.health.lane(self.number).beat())?;
        while let Err(error) = self.work() {
            match error {
                LaneError::Fenced(reason) => self.join_anew(reason)?,
                error => return Err(error),
            }
        }
        match self.drain() {
            // What is not written is decided again by whoever took the place.
            Err(LaneError::Fenced(reason)) => {
                tracing::warn!(lane = self.number, reason, "It stops without its last batch.")
            }
            drained => drained?,
        }
        drop(ended);
        // Databases first: whoever comes next may open them.
        self.partitions.clear();
        self.leave();
        Ok(())
    }

    /// The group shares out what this lane had at once, or keeps it until the session ends: as the settings say.
    pub(in crate::lane) fn leave(&self) {
        let held = self.consumer.assigned();
        match self.settings.kafka.on_stop {
            OnStop::Leave if !self.consumer.leave(LEAVE_FOR) => {
                tracing::warn!(lane = self.number, "The group was not left in time; it waits for the session to end.");
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

    pub(in crate::lane) fn hear(&mut self) {
        for told in self.told.try_iter() {
            match told {
                Told::Ranks(ranks) => self.wanted = Some(ranks),
                Told::Model(model) => self.learnt = Some(model),
                Told::Result(record) => self.unpublished.put((*record).clone()),
                Told::Whole(whole) => self.unpublished.put_whole(whole),
            }
        }
    }

    /// The end: what is decided counts, what is changed is flushed as far as time allows, files are written out.
    pub(in crate::lane) fn drain(&mut self) -> Result<(), LaneError> {
        let started = Moment::now();
        while self.pending.is_some() && started.elapsed() < DRAIN_FOR {
            self.settle_pending()?;
        }
        if self.pending.is_none() {
            let numbers: Vec<i32> = self.partitions.keys().copied().collect();
            // Partitions that stay with this lane while it is away are marked: somebody else shows how far they are behind.
            self.stopped = self.settings.kafka.on_stop == OnStop::Stay;
            self.flush_partitions(&numbers, DRAIN_FOR)?;
        }
        for partition in self.partitions.values() {
            if let Err(error) = partition.database.flush() {
                // The next start reads the rest from the changelog.
                tracing::warn!(partition = partition.number, %error, "The local copy is not written out to its end.");
            }
        }
        Ok(())
    }
}

pub(in crate::lane) fn queue_bytes(settings: &Settings, context: &Context) -> usize {
    // More lanes than partitions never have any.
    let lanes = u64::try_from(settings.lanes).unwrap_or(1).clamp(1, u64::from(context.partitions.max(1)));
    usize::try_from(settings.memory.queues() / lanes).unwrap_or(usize::MAX)
}

/// Ends the other lanes before this one closes its clients and databases, which takes a while: also when it panics. Alone
/// they would go on as half a process.
pub(in crate::lane) struct StopOthers(Arc<AtomicBool>);

impl Drop for StopOthers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
