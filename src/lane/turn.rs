//! The loop: what a lane does in each turn, and how it begins and ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant as Moment};

use super::adopt::{self, Adoption};
use super::answers::answer;
use super::assignment::Control;
use super::context::Context;
use super::disk::Disk;
use super::error::LaneError;
use super::fence::Fences;
use super::identity::ANEW;
use super::intake::{Incoming, TakeInError};
use super::mark::OffsetMark;
use super::memory_gate::{MemoryGate, SIP_BYTES};
use super::model::ModelTold;
use super::ownership::Ownership;
use super::partition::{Partition, Share};
use super::pending::Pending;
use super::plan::Plan;
use super::publish::announce;
use super::ranks::RankTold;
use super::refused::Refused;
use super::restore::{Restore, Step, Tools};
use super::schema_waits::{SchemaGate, SchemaWaits};
use super::setback::Setbacks;
use super::size::PlanSize;
use super::surveying::{Unpublished, WholeDay};
use crate::clock::{Reading, Watch};
use crate::codec::Schemas;
use crate::engine::Slot;
use crate::event::{DeadLetterReason, Properties};
use crate::inquiry::Inbox;
use crate::kafka::{Brokers, Consumer, Ends, Failure, Polled, Producer, Reader, Record, Watermarks};
use crate::metrics::{Health, LaneHealth, Stage};
use crate::settings::{Batch, OnStop, Settings};
use crate::store::{KeyValue, SharedMemory};

/// How long restoring may keep the lane from its other partitions in one turn.
const RESTORE_STEP: Duration = Duration::from_millis(100);
/// Records whose states are brought near together: their way from memory takes longer than deciding one of them.
const LOOK_AHEAD: usize = 32;
/// How long one question to a broker may take in the loop.
const ASK: Duration = Duration::from_secs(1);
/// While a batch waits for records, how often the lane looks at what it is asked.
const ANSWER_EVERY: Duration = Duration::from_millis(5);
/// While records come without a wait, after how many it looks.
const ANSWER_EVERY_RECORDS: usize = 1_024;
/// The longest that a database's memtables wait to be written out.
const STORE_FLUSH_EVERY: Duration = Duration::from_secs(60);
/// How long flushing may take when the process ends; what is left is decided again by the next owner.
const DRAIN_FOR: Duration = Duration::from_secs(5);
/// How long flushing may keep the group waiting for a partition that goes elsewhere.
pub(super) const HAND_OVER_FOR: Duration = Duration::from_secs(2);
/// How long leaving the group may take.
const LEAVE_FOR: Duration = Duration::from_secs(2);

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
    pub(super) number: usize,
    pub(super) settings: Settings,
    pub(super) context: Arc<Context>,
    pub(super) memory: Arc<SharedMemory>,
    schemas: Schemas,
    pub(super) health: Arc<Health>,
    pub(super) inbox: Inbox,
    stop: Arc<AtomicBool>,
    pub(super) consumer: Consumer,
    pub(super) producer: Producer,
    pub(super) watermarks: Arc<Watermarks>,
    pub(super) ends: Arc<Ends>,
    pub(super) ownership: Arc<Ownership>,
    /// There while partitions are restored.
    reader: Option<Reader>,
    /// Marks this lane's commits as its own.
    pub(super) writer: u64,
    /// What it publishes from now on is its last, and its partitions stay with it.
    pub(super) stopped: bool,
    pub(super) partitions: BTreeMap<i32, Partition>,
    pub(super) restores: VecDeque<Restore>,
    /// Partitions that failed, and when each is restored again.
    pub(super) setbacks: Setbacks,
    pub(super) fences: Fences,
    pub(super) schema_waits: SchemaWaits,
    /// Partitions whose next record may not be the next to take in: newly restored, or records of theirs were dropped.
    /// Nothing of them is taken in until they are known to be read from where they stand.
    pub(super) adrift: BTreeSet<i32>,
    /// What the brokers refuse this lane's consumer.
    pub(super) refused: Refused,
    /// A batch that is decided and not yet known to count.
    pub(super) pending: Option<Pending>,
    pub(super) size: PlanSize,
    /// Bytes of a customer's state that the changelog takes.
    pub(super) state_bytes_max: usize,
    told: Receiver<Told>,
    /// Where ranks begin, as last told.
    pub(super) wanted: Option<RankTold>,
    /// The parameters of the model of churn, as last told.
    pub(super) learnt: Option<ModelTold>,
    /// What follows from the counters of all partitions, to be published where partition 0 is.
    pub(super) unpublished: Unpublished,
    pub(super) watch: Watch,
    /// What the clocks said in this turn.
    pub(super) reading: Reading,
    /// A partition that takes up other rules; its input waits.
    pub(super) adoption: Option<Adoption>,
    pub(super) brokers: Brokers,
    pub(super) disk: Disk,
    pub(super) gate: MemoryGate,
    pub(super) last_look: Moment,
    buffer: Properties<'static>,
}

/// What one round of polling brought.
#[derive(Default)]
struct Catch<'c> {
    records: Vec<Record<'c>>,
    /// `(partition, offset)` of end signals, each with the number of records that came before it.
    ends: Vec<(i32, i64, usize)>,
    /// Partitions that wait for a schema from now on.
    held: Vec<i32>,
    control: Option<Control>,
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
    pub(super) fn queue_bytes(&self) -> usize {
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
    fn leave(&self) {
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

    fn work(&mut self) -> Result<(), LaneError> {
        while !self.stop.load(Ordering::Acquire) {
            self.health().beat();
            self.answer();
            if self.pending.is_some() {
                self.settle_pending()?;
                continue;
            }
            if self.gate_disk()? {
                self.hear();
                self.poll_control()?;
                continue;
            }
            self.relieve_write_buffers()?;
            self.restore_due();
            self.restore_some()?;
            self.hear();
            // Before other limits: what was begun under these is finished under them.
            self.refresh_ranks()?;
            if self.pending.is_some() {
                continue;
            }
            self.refresh_model()?;
            if self.pending.is_some() {
                continue;
            }
            self.adopt_limits()?;
            if self.pending.is_none() {
                self.adopt_rules()?;
            }
            if self.pending.is_some() {
                continue;
            }
            self.release_held();
            self.gate_memory()?;
            self.gate_clock();
            self.show_refused()?;
            self.go_on()?;
            if let Some(control) = self.batch()? {
                self.control(control)?;
            }
            self.show_figures();
            self.rejoin_if_asked()?;
        }
        Ok(())
    }

    pub(super) fn health(&self) -> LaneHealth<'_> {
        self.health.lane(self.number)
    }

    fn hear(&mut self) {
        for told in self.told.try_iter() {
            match told {
                Told::Ranks(ranks) => self.wanted = Some(ranks),
                Told::Model(model) => self.learnt = Some(model),
                Told::Result(record) => self.unpublished.put((*record).clone()),
                Told::Whole(whole) => self.unpublished.put_whole(whole),
            }
        }
    }

    /// Is a partition ours, at work or not?
    pub(super) fn holds(&self, number: i32) -> bool {
        self.partitions.contains_key(&number) || self.restoring().any(|restoring| restoring == number)
    }

    /// Every partition that is ours.
    pub(super) fn held(&self) -> BTreeSet<i32> {
        self.partitions.keys().copied().chain(self.restoring()).collect()
    }

    /// Those of them that are not at work.
    fn restoring(&self) -> impl Iterator<Item = i32> {
        self.restores.iter().map(|restore| restore.partition).chain(self.setbacks.out())
    }

    fn answer(&self) {
        answer(&self.inbox, &self.partitions, &self.context);
    }

    pub(super) fn show_partitions(&self) {
        let restoring: BTreeSet<i32> = self.restoring().collect();
        let owned = u32::try_from(self.partitions.len() + restoring.len()).unwrap_or(u32::MAX);
        self.inbox.has(|number| self.partitions.contains_key(&number), |number| restoring.contains(&number));
        self.health().partitions(owned, restoring);
        self.ownership.assigned(self.number, self.consumer.assigned());
    }

    /// Polls, decides, commits, writes: one batch over all partitions at work. Returns what ended it, if not a limit.
    fn batch(&mut self) -> Result<Option<Control>, LaneError> {
        let context = Arc::clone(&self.context);
        let timer = Moment::now();
        let restoring = self.restores.iter().any(Restore::is_due);
        let idle = !restoring && self.adoption.as_ref().is_none_or(Adoption::waits) && !self.is_looking();
        let wait = if idle { self.settings.batch.max_wait } else { Duration::ZERO };
        let decisions = self.size.decisions();
        self.partitions.values_mut().for_each(|partition| partition.decisions_max = decisions);
        let (max_records, max_bytes) = (self.size.events(), self.size.read_bytes());
        let mut limits = Batch { max_records, max_bytes, ..self.settings.batch.clone() };
        if self.gate.is_short() {
            limits.max_bytes = limits.max_bytes.min(SIP_BYTES);
        }
        let taking = self.taking();
        let meanwhile = || answer(&self.inbox, &self.partitions, &context);
        let gate = SchemaGate::new(&mut self.schema_waits, &mut self.schemas, context.framing);
        let Catch { records, ends, held, control } = catch(&self.consumer, taking, &limits, gate, wait, &meanwhile);
        if !records.is_empty() || !ends.is_empty() {
            self.refused.end(self.health.lane(self.number));
        }
        if !records.is_empty() {
            context.metrics.batch_duration(Stage::Poll).observe(timer.elapsed().as_secs_f64());
        }
        let mut plan = Plan::default();
        // Partitions of which records are left that the plan has no room for.
        let mut left = BTreeSet::new();
        let timer = Moment::now();
        let mut ends = ends.into_iter().peekable();
        let mut failed = Vec::new();
        let slots = fetch(&records, &mut self.partitions, &mut failed);
        let now = self.now();
        for (taken, record) in records.iter().enumerate() {
            if taken.is_multiple_of(LOOK_AHEAD) {
                self.warm(&records[taken..], &slots[taken..]);
                self.answer();
            }
            note_ends(&mut ends, taken, &mut self.partitions);
            let Some(partition) = self.partitions.get_mut(&record.partition()) else { continue };
            partition.is_behind();
            if partition.is_overdue() || self.size.is_reached(&plan) || left.contains(&partition.number) {
                left.insert(partition.number);
                continue;
            }
            let outcome = partition.take_in(
                &Incoming { record, slot: slots[taken], now },
                &mut self.schemas,
                &mut self.buffer,
                &context,
                &mut plan,
            );
            if partition.waits_for_clock() {
                left.insert(partition.number);
            }
            if let Err(error) = outcome {
                self.partitions.remove(&record.partition());
                failed.push((record.partition(), explain(error, &context)));
            }
        }
        note_ends(&mut ends, records.len(), &mut self.partitions);
        if !records.is_empty() {
            context.metrics.batch_duration(Stage::Apply).observe(timer.elapsed().as_secs_f64());
        }
        drop(records);
        self.advance(&mut plan, &mut failed);
        let overdue = self.partitions.values().filter(|p| p.is_overdue() && !self.adrift.contains(&p.number));
        left.extend(overdue.map(|partition| partition.number));
        self.read_later(&left)?;
        for partition in self.partitions.values_mut() {
            if self.size.is_reached(&plan) {
                break;
            }
            if let Err(error) = partition.decide_overdue(&context, &mut plan) {
                failed.push((partition.number, error.into()));
            }
        }
        self.look_through(&mut plan, &mut failed);
        self.contain_all(failed, &mut plan)?;
        self.publish_results(&mut plan);
        self.finish(plan)?;
        self.consumer.pause(&held).or_else(retried)?;
        Ok(control)
    }

    /// The partitions of which records are taken in now, each with its next offset.
    fn taking(&self) -> BTreeMap<i32, i64> {
        let waits = |number: &i32| {
            self.schema_waits.holds(*number) || self.adrift.contains(number) || self.input_waits(*number)
        };
        let stands = |partition: &&Partition| partition.is_overdue() || partition.waits_for_clock();
        let partitions = self.partitions.values().filter(|p| !waits(&p.number) && !stands(p));
        partitions.map(|partition| (partition.number, partition.next_offset)).collect()
    }

    /// Begins to bring the states near that the next few records need.
    fn warm(&self, records: &[Record<'_>], slots: &[Option<Slot>]) {
        for (record, slot) in records.iter().zip(slots).take(LOOK_AHEAD) {
            if let (Some(partition), Some(slot)) = (self.partitions.get(&record.partition()), slot) {
                partition.warm(*slot);
            }
        }
    }

    /// Completes the plan of all partitions at work and publishes it.
    pub(super) fn finish(&mut self, mut plan: Plan) -> Result<(), LaneError> {
        let share = self.share();
        let share = Share { flushes: self.size.flushes(&plan).div_ceil(self.partitions.len().max(1)), ..share };
        let mut victims = BTreeMap::new();
        for partition in self.partitions.values_mut() {
            // Memory that is short is made free even while nothing is read.
            let short = self.gate.is_short() && partition.is_over(&share);
            if !partition.is_at_work() && (short || partition.flush_is_due(&self.context, &share)) {
                partition.begin();
            }
            victims.insert(partition.number, partition.finish(&self.context, &share, &mut plan));
        }
        if plan.parts.is_empty() {
            return Ok(());
        }
        self.pending = Some(Pending::new(plan, victims));
        self.publish_pending()
    }

    /// What one partition may hold. The limits are the process's, so that restoring all its partitions takes as long
    /// whatever their number.
    fn share(&self) -> Share {
        // A lane without partitions needs nothing; those with some share.
        let lanes = u64::try_from(self.health.lanes_at_work()).unwrap_or(1).max(1);
        let partitions = self.partitions.len() + self.restores.len() + self.setbacks.out().count();
        let partitions = u64::try_from(partitions).unwrap_or(1).max(1);
        let bytes = usize::try_from(self.settings.memory.customers() / lanes / partitions).unwrap_or(usize::MAX);
        let events = self.settings.state.flush_after_events.div_ceil(lanes * partitions);
        Share {
            customer_bytes: bytes / self.gate.divides_customers_by(),
            unflushed_events: i64::try_from(events).unwrap_or(i64::MAX),
            flushes: usize::MAX,
        }
    }

    /// The transaction counts: the databases follow, then the metrics.
    pub(super) fn committed(&mut self, pending: &Pending, delivered: &[Option<i64>]) -> Result<(), LaneError> {
        let timer = Moment::now();
        let metrics = Arc::clone(&self.context.metrics);
        let mut failed: Vec<(i32, LaneError)> = Vec::new();
        for (part, delivered) in pending.plan.parts.iter().zip(delivered) {
            let Some(partition) = self.partitions.get_mut(&part.partition) else { continue };
            let write = Moment::now();
            // Nothing in the plan is changed: this offset is known only now.
            if let Err(error) = partition.database.write_at(&part.writes, *delivered) {
                // Kafka has it: the copy, which lacks this, is restored from there.
                failed.push((part.partition, error.into()));
                continue;
            }
            metrics.store_write_duration.observe(write.elapsed().as_secs_f64());
            partition.committed(part, &pending.victims[&part.partition], &metrics);
            let input = &partition.metrics.input;
            input.events_applied.inc_by(part.tally.applied);
            part.tally.skipped.iter().for_each(|reason| input.events_skipped(*reason).inc());
            part.tally.dead.iter().for_each(|letter| input.dead_letters(letter.reason).inc());
            input.unusable_values.inc_by(part.tally.unusable_values);
            input.events_elsewhere.inc_by(part.tally.elsewhere);
            self.context.refusals.wrote(&self.context.topics.dead_letters, part.partition, &part.tally.dead);
            for (version, cohort, change) in &part.tally.changes {
                version.counters[usize::from(cohort.0)].of(*change).inc();
            }
            let seconds = |ms: i64| Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
            part.tally.risks.iter().for_each(|level| metrics.risk_changes(level).inc());
            part.tally.lateness_ms.iter().for_each(|ms| metrics.timer_lateness.observe(seconds(*ms)));
            metrics.customers_reweighed.inc_by(part.tally.reweighed);
            metrics.changelog_records.inc_by(part.tally.flushed);
            if partition.last_flush.elapsed() >= STORE_FLUSH_EVERY {
                partition.last_flush = Moment::now();
                if let Err(error) = partition.database.flush(false) {
                    failed.push((part.partition, error.into()));
                }
            }
        }
        metrics.batch_duration(Stage::Write).observe(timer.elapsed().as_secs_f64());
        self.contain_all(failed, &mut Plan::default())
    }

    /// A plan waits for the broker or the group: polls for what the group has to say, then tries again.
    fn settle_pending(&mut self) -> Result<(), LaneError> {
        self.rest()?;
        let pause = self.pending.as_mut().map_or(Duration::ZERO, |pending| pending.backoff.pause());
        let until = Moment::now() + pause;
        while Moment::now() < until {
            self.answer();
            self.poll_control()?;
        }
        if self.pending.is_some() { self.publish_pending() } else { Ok(()) }
    }

    /// Polls for what the group has to say while nothing is taken in.
    fn poll_control(&mut self) -> Result<(), LaneError> {
        let control = match self.consumer.poll(Duration::from_millis(20)) {
            Polled::Assigned(partitions) => Control::Assigned(partitions),
            Polled::Revoked { partitions, lost } => Control::Revoked { partitions, lost },
            Polled::Failed(failure) => Control::Failed(failure),
            Polled::OutOfRange { partition, offset, reason } => Control::OutOfRange { partition, offset, reason },
            // A record that was on its way is read again.
            Polled::Record(_) | Polled::End { .. } | Polled::Nothing => return Ok(()),
        };
        self.control(control)
    }

    /// Stops reading these for a while: what is on its way is dropped.
    fn read_later(&mut self, numbers: &BTreeSet<i32>) -> Result<(), LaneError> {
        let list: Vec<i32> = numbers.iter().copied().collect();
        self.consumer.pause(&list).or_else(retried)?;
        self.adrift.extend(list);
        for number in numbers {
            // An end signal came after what was dropped.
            self.partitions.get_mut(number).into_iter().for_each(Partition::is_behind);
        }
        Ok(())
    }

    /// Stops reading: what is on its way is dropped.
    pub(super) fn rest(&mut self) -> Result<(), LaneError> {
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        // A partition that is leaving cannot be paused; its revocation is on its way.
        self.consumer.pause(&numbers).or_else(retried)?;
        self.adrift.extend(numbers);
        Ok(())
    }

    /// Has partitions that are adrift read from where they stand.
    fn go_on(&mut self) -> Result<(), LaneError> {
        self.adrift.retain(|number| self.partitions.contains_key(number));
        if self.adrift.is_empty() || self.gate.pauses_reading() || self.disk.is_full() {
            return Ok(());
        }
        let at_rest = |number: &&i32| {
            let waits = self.schema_waits.holds(**number) || self.input_waits(**number);
            !waits && !self.partitions[number].is_overdue() && !self.partitions[number].waits_for_clock()
        };
        let places: Vec<(i32, i64)> =
            self.adrift.iter().filter(at_rest).map(|number| (*number, self.partitions[number].next_offset)).collect();
        match self.consumer.read_from(&places, ASK * 5) {
            Ok(()) => places.iter().for_each(|(number, _)| {
                self.adrift.remove(number);
            }),
            Err(failure) => retried(failure)?,
        }
        Ok(())
    }

    /// A partition is worked on no more, and its database is closed.
    pub(super) fn leave_work(&mut self, number: i32) {
        self.partitions.remove(&number);
        self.context.edits.left(number);
        self.schema_waits.forget(number, self.health.lane(self.number));
        self.adrift.remove(&number);
        self.adoption.take_if(|adoption| adoption.partition == number);
        self.restores.retain(|restore| restore.partition != number);
    }

    /// A partition at work cannot go on as it stands. It is read no more until it is restored.
    pub(super) fn restore_again(&mut self, number: i32) -> Result<(), LaneError> {
        self.leave_work(number);
        self.health().forget(number);
        self.consumer.pause(&[number]).or_else(retried)?;
        self.begin_restore(number);
        Ok(())
    }

    pub(super) fn begin_restore(&mut self, number: i32) {
        self.leave_work(number);
        match self.setbacks.cause(number) {
            // What it failed for is waited for until it is at work again.
            Some(cause) => self.health().forget_but(number, cause),
            None => self.health().forget(number),
        }
        let metrics = self.context.metrics.restore(number);
        self.restores.push_back(Restore::new(number, self.path(number), metrics));
        self.show_partitions();
    }

    pub(super) fn path(&self, number: i32) -> PathBuf {
        self.folder().join(format!("{}-{number}", self.settings.topics.input))
    }

    /// Goes on restoring the first partition that does not wait for something else; whoever waits lets the others go first.
    fn restore_some(&mut self) -> Result<(), LaneError> {
        let budget = self.share().customer_bytes;
        let queue = self.queue_bytes();
        if self.restores.is_empty()
            && let Some(reader) = self.reader.take()
        {
            reader.discard();
        }
        let Some(first) = self.restores.iter().position(Restore::is_due) else { return Ok(()) };
        self.restores.rotate_left(first);
        let restore = &mut self.restores[0];
        let number = restore.partition;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::new(&self.settings.kafka, queue / 4, &self.brokers)?),
        };
        let step = restore.step(
            &mut Tools {
                consumer: &self.consumer,
                watermarks: &self.watermarks,
                reader,
                schemas: &mut self.schemas,
                memory: &self.memory,
                context: &self.context,
                start: self.settings.kafka.start,
                budget,
                health: self.health.lane(self.number),
                transaction_timeout: self.producer.transaction_timeout(),
            },
            RESTORE_STEP,
        );
        match step {
            Ok(Step::Going) => return Ok(()),
            Ok(Step::Waiting) => {
                self.restores.rotate_left(1);
                return Ok(());
            }
            Ok(Step::Done(mut partition)) => {
                partition.state_bytes_max = self.state_bytes_max;
                if restore.was_stopped {
                    // Whoever shows its lag in place of an owner is told of this one, also while nothing comes.
                    partition.begin();
                }
                self.restores.pop_front();
                self.partitions.insert(number, *partition);
                self.adrift.insert(number);
                self.is_restored(number);
            }
            Err(error) => self.contain(number, error)?,
        }
        self.show_partitions();
        Ok(())
    }

    /// After a start with other limits: what was decided under the old ones is flushed first, since it could not be decided
    /// again under the new.
    fn adopt_limits(&mut self) -> Result<(), LaneError> {
        let context = Arc::clone(&self.context);
        // What was begun under these limits is finished under them.
        let settled = self.partitions.values_mut().filter(|p| !p.is_taking_up());
        let waiting = settled.filter_map(|p| (!p.adopts_limits(&context)).then_some(p.number));
        let waiting: Vec<i32> = waiting.collect();
        if waiting.is_empty() { Ok(()) } else { self.flush_partitions(&waiting, HAND_OVER_FOR) }
    }

    /// Goes on with the partition that takes up other rules, or begins with the next one that has to.
    fn adopt_rules(&mut self) -> Result<(), LaneError> {
        if self.adoption.is_none() {
            let newest = self.context.rulebook.newest();
            // Thresholds and parameters that are being taken up come first.
            let settled = self.partitions.values().filter(|p| !p.is_taking_up() && !p.is_sweeping() && !p.is_overdue());
            let waiting = settled.into_iter().find_map(|p| Some((p.number, p.wants_rules(newest)?)));
            let Some((number, version)) = waiting else { return Ok(()) };
            let Some(version) = self.context.rulebook.get(version)? else { return Ok(()) };
            self.consumer.pause(&[number]).or_else(retried)?;
            self.schema_waits.forget(number, self.health.lane(self.number));
            let queue = self.queue_bytes();
            let reader = || Reader::new(&self.settings.kafka, queue / 4, &self.brokers);
            let partition = self.partitions.get_mut(&number).expect("found just now");
            partition.is_behind();
            match Adoption::new(partition, version, reader, &self.context) {
                Ok(adoption) => self.adoption = Some(adoption),
                Err(error) => return self.contain(number, error),
            }
        }
        let budget = self.share().customer_bytes;
        let Some(adoption) = &mut self.adoption else { return Ok(()) };
        let number = adoption.partition;
        let Some(partition) = self.partitions.get_mut(&number) else {
            self.adoption = None;
            return Ok(());
        };
        if partition.shard_mut().oldest_dirty().is_some() {
            return self.flush_partitions(&[number], HAND_OVER_FOR);
        }
        if !partition.shard_mut().is_empty() {
            partition.empty();
        }
        let mut plan = Plan::default();
        let mut tools = adopt::Tools {
            context: &self.context,
            watermarks: &self.watermarks,
            schemas: &mut self.schemas,
            memory: &self.memory,
            budget,
            health: self.health.lane(self.number),
        };
        match adoption.step(partition, &mut tools, RESTORE_STEP, &mut plan) {
            Ok(false) => {}
            Ok(true) => {
                self.adoption = None;
                self.adrift.insert(number);
            }
            // Nothing else is in the plan.
            Err(error) => return self.contain(number, error),
        }
        self.finish(plan)
    }

    /// Does its input wait for other rules?
    pub(super) fn takes_up_rules(&self, number: i32) -> bool {
        self.adoption.as_ref().is_some_and(|adoption| adoption.partition == number)
            || self.partitions.get(&number).is_some_and(|partition| partition.adopting.is_some())
    }

    /// Does its input wait until something else is done?
    fn input_waits(&self, number: i32) -> bool {
        self.takes_up_rules(number) || self.partitions.get(&number).is_some_and(Partition::is_taking_up)
    }

    /// Stops reading some partitions; what is on its way is dropped. They read on once they are adrift and nothing waits.
    pub(super) fn pause_input(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        self.consumer.pause(numbers).or_else(retried)?;
        for number in numbers {
            if let Some(partition) = self.partitions.get_mut(number) {
                partition.is_behind();
            }
        }
        Ok(())
    }

    /// Flushes all changes of some partitions, in transactions of bounded size, for about this long.
    pub(super) fn flush_partitions(&mut self, numbers: &[i32], limit: Duration) -> Result<(), LaneError> {
        // What cannot be written here is decided again by the next owner.
        let limit = if self.disk.is_full() { Duration::ZERO } else { limit };
        let started = Moment::now();
        while started.elapsed() < limit {
            let mut plan = Plan::default();
            let mut flushed = 0;
            for number in numbers {
                let left = self.size.records() - flushed;
                if let Some(partition) = self.partitions.get_mut(number).filter(|_| left > 0) {
                    flushed += partition.flush_all(left, &mut plan);
                }
            }
            self.finish(plan)?;
            if flushed == 0 || self.pending.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Partitions whose next record waits for its schema read on when it is there.
    fn release_held(&mut self) {
        self.adrift.extend(self.schema_waits.release(&mut self.schemas, self.health.lane(self.number)));
    }

    /// The end: what is decided counts, what is changed is flushed as far as time allows, files are written out.
    fn drain(&mut self) -> Result<(), LaneError> {
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
            if let Err(error) = partition.database.flush(true) {
                // The next start reads the rest from the changelog.
                tracing::warn!(partition = partition.number, %error, "The local copy is not written out to its end.");
            }
        }
        Ok(())
    }
}

fn queue_bytes(settings: &Settings, context: &Context) -> usize {
    // More lanes than partitions never have any.
    let lanes = u64::try_from(settings.lanes).unwrap_or(1).clamp(1, u64::from(context.partitions.max(1)));
    usize::try_from(settings.memory.queues() / lanes).unwrap_or(usize::MAX)
}

/// Ends the other lanes before this one closes its clients and databases, which takes a while: also when it panics. Alone
/// they would go on as half a process.
struct StopOthers(Arc<AtomicBool>);

impl Drop for StopOthers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Polls until a limit of the batch is reached or something else comes up. `taking`: the partitions to take from, each
/// with its next offset. `meanwhile` is called now and then.
fn catch<'c>(
    consumer: &'c Consumer,
    mut taking: BTreeMap<i32, i64>,
    limits: &Batch,
    mut gate: SchemaGate<'_>,
    wait: Duration,
    meanwhile: &dyn Fn(),
) -> Catch<'c> {
    let mut caught = Catch::default();
    let started = Moment::now();
    let bytes_max = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    let mut bytes = 0;
    while caught.records.len() < limits.max_records && bytes < bytes_max {
        let mut polled = consumer.poll(Duration::ZERO);
        // The clock is looked at only where there is time for it.
        if matches!(polled, Polled::Nothing) {
            let left = wait.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            meanwhile();
            polled = consumer.poll(left.min(ANSWER_EVERY));
        }
        match polled {
            Polled::Nothing => {}
            Polled::Record(record) => {
                let number = record.partition();
                // In a rebalance librdkafka may deliver a record once more.
                let Some(next) = taking.get_mut(&number).filter(|next| record.offset() >= **next) else {
                    if gate.looks_ahead(&record) {
                        break;
                    }
                    continue;
                };
                if !gate.admits(&record) {
                    taking.remove(&number);
                    caught.held.push(number);
                    continue;
                }
                *next = record.offset() + 1;
                bytes += record.key().map_or(0, <[u8]>::len) + record.payload().map_or(0, <[u8]>::len);
                caught.records.push(record);
                if caught.records.len().is_multiple_of(ANSWER_EVERY_RECORDS) {
                    meanwhile();
                }
            }
            // A record that waits for its schema, or was dropped, lies before this end.
            Polled::End { partition, .. } if !taking.contains_key(&partition) => {}
            Polled::End { partition, offset } => {
                caught.ends.push((partition, offset, caught.records.len()));
                // Nothing more is there now: what was read need not wait for the rest of the batch.
                if caught.ends.len() >= taking.len() && caught.records.is_empty() {
                    break;
                }
            }
            Polled::Assigned(partitions) => {
                caught.control = Some(Control::Assigned(partitions));
                break;
            }
            Polled::Revoked { partitions, lost } => {
                caught.control = Some(Control::Revoked { partitions, lost });
                break;
            }
            Polled::OutOfRange { partition, offset, reason } => {
                caught.control = Some(Control::OutOfRange { partition, offset, reason });
                break;
            }
            Polled::Failed(failure) => {
                caught.control = Some(Control::Failed(failure));
                break;
            }
        }
    }
    caught
}

/// Reads the missing states of a batch's customers, and finds for each record the slot of its customer, unless new. A
/// partition whose database cannot be read goes to `failed`.
fn fetch(
    records: &[Record<'_>],
    partitions: &mut BTreeMap<i32, Partition>,
    failed: &mut Vec<(i32, LaneError)>,
) -> Vec<Option<Slot>> {
    let mut missing: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    let mut slots = Vec::with_capacity(records.len());
    for record in records {
        let number = record.partition();
        let known = partitions.get_mut(&number).zip(record.key().and_then(|key| std::str::from_utf8(key).ok()));
        slots.push(known.and_then(|(partition, customer)| {
            let slot = partition.find(customer);
            if slot.is_none() {
                missing.entry(number).or_default().push(customer);
            }
            slot
        }));
    }
    for (number, missing) in missing {
        let outcome = partitions.get_mut(&number).map_or(Ok(()), |partition| partition.fetch(missing));
        if let Err(error) = outcome {
            partitions.remove(&number);
            failed.push((number, error.into()));
        }
    }
    slots
}

/// End signals that came before the record about to be taken in.
fn note_ends(
    ends: &mut std::iter::Peekable<impl Iterator<Item = (i32, i64, usize)>>,
    taken: usize,
    partitions: &mut BTreeMap<i32, Partition>,
) {
    while let Some((number, offset, _)) = ends.next_if(|(_, _, before)| *before <= taken) {
        if let Some(partition) = partitions.get_mut(&number) {
            partition.end = Some(offset);
        }
    }
}

/// A call on a partition that is just leaving: its revocation is on its way.
pub(super) fn retried(failure: Failure) -> Result<(), LaneError> {
    match failure {
        Failure::Retry(cause) => {
            tracing::debug!(reason = %cause, "The assignment is changing.");
            Ok(())
        }
        failure => Err(failure.into()),
    }
}

fn explain(error: TakeInError, context: &Context) -> LaneError {
    match error {
        TakeInError::Store(error) => error.into(),
        error @ TakeInError::Miskeyed { .. } => LaneError::Configuration(format!(
            "{error}; key the records of {} by customer id, all with one partitioner, and begin anew with {ANEW}",
            context.topics.input
        )),
        error @ TakeInError::Foreign { reason: DeadLetterReason::UnknownSchema, .. } => {
            LaneError::Configuration(format!(
                "{error}; name the registry of the producers of {} in schemas.registry, or put the schema into schemas.dir",
                context.topics.input
            ))
        }
        error @ TakeInError::Foreign { .. } => LaneError::Configuration(format!(
            "{error}; name the topic of customer events in topics.input in place of {}, mend its source, or begin after \
             these records with kafka.start",
            context.topics.input
        )),
    }
}
