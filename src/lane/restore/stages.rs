//! From an assignment to a partition at work: the changelog's tail into the database, then the input again from where
//! nothing was left unwritten.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use rustc_hash::FxHashMap;

use crate::clock::wall_clock;
use crate::codec::{SchemaKey, Schemas};
use crate::engine::{Detail, Engine, Observed, Shard};
use crate::event::Instant;
use crate::kafka::{Cause, Committed, Consumer, Failure, Kind, Read, Reader, Record, Watermarks};
use crate::lane::aggregate::ranks::{moves, stored_counters};
use crate::lane::commit::mark::OffsetMark;
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::edits::rulebook::Version;
use crate::lane::error::LaneError;
use crate::lane::input::intake::Retaken;
use crate::lane::input::schema_waits::Obstacle;
use crate::lane::partition::state::Partition;
use crate::lane::restore::hold::Hold;
use crate::lane::restore::identity;
use crate::metrics::{LaneHealth, RestoreMetrics, WaitCause};
use crate::rules::RuleSet;
use crate::settings;
use crate::store::layout::changelog;
use crate::store::{
    Batch, Corrupt, Database, KeyValue, Log, Meta, SharedMemory, StoreError, Surveyed, decode_meta, encode_counters,
    next_deadline,
};
use crate::summary::Counters;

/// Bytes of customers gathered from the changelog before they are written to the database: of each only the last record
/// counts. A small part of the least budget for write buffers, since they all go in at once.
const GATHER_BYTES: usize = 4 << 20;
/// Write buffers that a restored database may keep.
const FLUSH_ABOVE: u64 = 256 << 10;
/// Records of the input taken in again at once: their customers' states are read together.
const TAKE_RECORDS: usize = 10_000;
/// How long one question to a broker may take; the group is polled in between.
const ASK: Duration = Duration::from_secs(1);
/// How long another lane of this process, or one that is just ending, may take to close the database before the partition
/// waits longer for it.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);
/// Between two words on how far a restore is.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A partition of which nothing came for so long lets the others go first.
const SILENT_MAX: Duration = Duration::from_secs(2);
/// How long an input may end before the state does, until that is believed.
const SHORT_FOR: Duration = Duration::from_secs(15);
/// How long a version of the rules may be on its way that another process has taken up.
const RULES_WITHIN: Duration = Duration::from_secs(60);
/// Wipes of one partition's copy before it is given up.
const WIPES_MAX: u32 = 3;

/// A partition being restored. One at a time is worked on in a lane; work is done in steps, with polls in between. One that
/// waits lets the others go first.
pub(in crate::lane) struct Restore {
    pub(in crate::lane) partition: i32,
    /// Its last owner said that it stops.
    pub(in crate::lane) was_stopped: bool,
    path: PathBuf,
    stage: Stage,
    started: Moment,
    wipes: u32,
    records: u64,
    metrics: RestoreMetrics,
    told: Moment,
    /// What it waits for.
    hold: Hold,
    /// The lane's reader reads for this one.
    reading: bool,
    /// When something was read for it last.
    heard: Moment,
}

enum Stage {
    /// Waiting until no transaction with offsets of this partition is open.
    Barrier,
    Changelog(Box<Changelog>),
    Input(Box<Input>),
}

struct Changelog {
    committed: Committed,
    database: Database,
    /// Read and not yet written; `None`: gone.
    customers: FxHashMap<Box<str>, Option<Vec<u8>>>,
    recorded: Batch,
    bytes: usize,
    end: i64,
    next: i64,
    /// A transaction is open at this offset.
    blocked_at: Option<i64>,
    meta: Option<Meta>,
    /// Its record, as it was read last and is not written yet.
    meta_bytes: Option<Vec<u8>>,
    /// Parts of META of which the record itself is still to come: neither is written without the other.
    meta_parts: Vec<KeyValue>,
    /// Of the customers in the database, by the rules that they are numbered by; none: they are counted at the end.
    counters: Option<(Counters, Arc<RuleSet>)>,
    /// A rebuild has emptied the partition: the database must not say where it stood.
    emptied: bool,
    /// What the database has counted counts no longer: states came that are numbered by other rules.
    uncounted: bool,
}

struct Input {
    partition: Partition,
    /// Advances recorded before this offset are applied.
    advanced: i64,
    to: i64,
    /// The schema of the next record, while it is waited for.
    missing: Option<SchemaKey>,
}

/// What a step came to.
pub(in crate::lane) enum Step {
    /// Call again.
    Going,
    /// Nothing can be done now: call again once it is due, and another one meanwhile.
    Waiting,
    Done(Box<Partition>),
}

/// What a restore works with.
pub(in crate::lane) struct Tools<'a> {
    pub(in crate::lane) consumer: &'a Consumer,
    pub(in crate::lane) watermarks: &'a Watermarks,
    pub(in crate::lane) reader: &'a mut Reader,
    pub(in crate::lane) schemas: &'a mut Schemas,
    pub(in crate::lane) memory: &'a SharedMemory,
    pub(in crate::lane) context: &'a Context,
    pub(in crate::lane) start: settings::Start,
    /// Bytes of decoded customers that the partition may keep.
    pub(in crate::lane) budget: usize,
    pub(in crate::lane) health: LaneHealth<'a>,
    /// Of this group's transactions; after it a broker ends them.
    pub(in crate::lane) transaction_timeout: Duration,
}

impl Restore {
    pub(in crate::lane) fn new(partition: i32, path: PathBuf, metrics: RestoreMetrics) -> Self {
        Self {
            metrics,
            partition,
            was_stopped: false,
            path,
            stage: Stage::Barrier,
            started: Moment::now(),
            wipes: 0,
            records: 0,
            told: Moment::now(),
            hold: Hold::default(),
            reading: false,
            heard: Moment::now(),
        }
    }

    /// Can a step come to something? Not while it waits.
    pub(in crate::lane) fn is_due(&self) -> bool {
        self.hold.is_over()
    }

    /// Works for about `budget`.
    pub(in crate::lane) fn step(&mut self, tools: &mut Tools<'_>, budget: Duration) -> Result<Step, LaneError> {
        let until = Moment::now() + budget;
        let stage = std::mem::replace(&mut self.stage, Stage::Barrier);
        match stage {
            Stage::Barrier => self.barrier(tools),
            Stage::Changelog(changelog) => self.changelog(changelog, tools, until),
            Stage::Input(input) => self.input(input, tools, until),
        }
    }

    /// The database, once it is open.
    pub(in crate::lane) fn database(&self) -> Option<&Database> {
        match &self.stage {
            Stage::Barrier => None,
            Stage::Changelog(changelog) => Some(&changelog.database),
            Stage::Input(input) => Some(&input.partition.database),
        }
    }

    fn going(&mut self, stage: Stage, remaining: i64, tools: &Tools<'_>) -> Step {
        self.stage = stage;
        self.hold.end(self.partition, tools.health);
        self.metrics.set_remaining(remaining);
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Moment::now();
            tracing::info!(partition = self.partition, remaining, done = self.records, "Restoring.");
        }
        Step::Going
    }

    /// Goes on with `stage` when what is waited for may be over.
    fn wait(&mut self, stage: Stage, cause: WaitCause, detail: String, tools: &Tools<'_>) -> Step {
        self.hold.wait(cause, self.partition, detail, tools.health);
        self.rest(stage)
    }

    /// The lane's reader is for others now.
    fn rest(&mut self, stage: Stage) -> Step {
        (self.stage, self.reading) = (stage, false);
        Step::Waiting
    }

    /// Goes on with `stage` after a question to a broker failed.
    fn retry(&mut self, stage: Stage, cause: Cause, tools: &Tools<'_>) -> Step {
        self.wait(stage, WaitCause::Kafka, cause.text, tools)
    }

    /// Has the lane's reader read `topic` from `from` to `to`, unless it does. `Some`: it cannot now.
    fn read(&mut self, topic: &str, from: i64, to: i64, tools: &mut Tools<'_>) -> Result<Option<Cause>, LaneError> {
        if self.reading {
            return Ok(None);
        }
        match tools.reader.start(topic, self.partition, from, to) {
            Ok(()) => {
                (self.reading, self.heard) = (true, Moment::now());
                Ok(None)
            }
            Err(Failure::Retry(cause)) => Ok(Some(cause)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Committed offsets first, the changelog's end after: whatever a predecessor could commit lies before that end.
    fn barrier(&mut self, tools: &mut Tools<'_>) -> Result<Step, LaneError> {
        let committed = match tools.consumer.committed(&[self.partition], self.hold.ask()).map_err(Failure::at_work) {
            Ok(mut list) if list.len() == 1 => list.remove(0),
            Err(Failure::Retry(cause)) if cause.kind == Kind::TimedOut => {
                let what = format!("the committed offset of {} is in an open transaction", self.name(tools));
                let remedy = "find it with kafka-transactions.sh find-hanging --topic __consumer_offsets, and end it with \
                              its command abort";
                self.hold.wait_for_transaction(
                    tools.transaction_timeout,
                    self.partition,
                    (&what, remedy),
                    tools.health,
                );
                return Ok(self.rest(Stage::Barrier));
            }
            Err(Failure::Retry(cause)) => return Ok(self.retry(Stage::Barrier, cause, tools)),
            Ok(_) => return Ok(self.pause(Stage::Barrier)),
            Err(failure) => return Err(failure.into()),
        };
        let topic = &tools.context.topics.changelog;
        let range = match tools.watermarks.range(topic, self.partition, self.hold.ask()).map_err(Failure::at_work) {
            Ok(range) => range,
            Err(Failure::Retry(cause)) => return Ok(self.retry(Stage::Barrier, cause, tools)),
            Err(failure) => return Err(failure.into()),
        };
        let Some(database) = self.open(tools)? else { return Ok(self.pause(Stage::Barrier)) };
        let (meta, next) = local(&database)?;
        let next = match (&meta, next) {
            (Some(meta), Some(_)) if wall_clock().since(meta.written_at) > tools.context.local_age_max => {
                return self.wipe(database, "the local copy is too old", tools);
            }
            (Some(meta), Some(_)) if meta.cluster_id != tools.context.cluster_id => {
                return self.wipe(database, "the local copy is of another cluster", tools);
            }
            (_, Some(next)) if next > range.end || next < range.start => {
                return self.wipe(database, "the changelog does not reach to the local copy", tools);
            }
            (_, Some(next)) => next,
            (_, None) => range.start,
        };
        self.reading = false;
        let decided_by = match meta.as_ref().filter(|meta| meta.adopting.is_none()) {
            Some(meta) => tools.context.rulebook.of_state(meta.rules_version, &meta.rules)?,
            None => None,
        };
        let counters = match decided_by {
            Some(version) => {
                stored_counters(&database, &version.rules)?.map(|found| (found, Arc::clone(&version.rules)))
            }
            None => None,
        };
        let stage = Changelog {
            committed,
            database,
            customers: FxHashMap::default(),
            recorded: Batch::default(),
            bytes: 0,
            end: range.end,
            next,
            blocked_at: None,
            meta,
            emptied: false,
            meta_bytes: None,
            meta_parts: Vec::new(),
            uncounted: false,
            counters,
        };
        Ok(self.going(Stage::Changelog(Box::new(stage)), range.end - next, tools))
    }

    /// `None`: somebody is just closing it.
    fn open(&mut self, tools: &Tools<'_>) -> Result<Option<Database>, LaneError> {
        match Database::open(&self.path, tools.memory) {
            Ok(database) => Ok(Some(database)),
            Err(StoreError::InUse { .. }) if self.started.elapsed() < CLOSES_WITHIN => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn count_wipe(&mut self, reason: &str) -> Result<(), LaneError> {
        self.wipes += 1;
        if self.wipes > WIPES_MAX {
            return Err(LaneError::Later {
                cause: WaitCause::Damage,
                reason: format!("the local copy was made anew {WIPES_MAX} times in vain: {reason}"),
            });
        }
        Ok(())
    }

    /// Throws the local copy away; everything is in the changelog.
    fn wipe(&mut self, database: Database, reason: &str, tools: &Tools<'_>) -> Result<Step, LaneError> {
        tracing::warn!(partition = self.partition, reason, "The local copy is made anew from the changelog.");
        drop(database);
        self.count_wipe(reason)?;
        Database::remove(&self.path)?;
        Ok(self.going(Stage::Barrier, 0, tools))
    }

    fn changelog(
        &mut self,
        mut stage: Box<Changelog>,
        tools: &mut Tools<'_>,
        until: Moment,
    ) -> Result<Step, LaneError> {
        let topic = &tools.context.topics.changelog;
        if let Some(at) = stage.blocked_at {
            match tools.reader.stable_end(topic, self.partition, self.hold.ask()).map_err(Failure::at_work) {
                Ok(stable) if stable > at => stage.blocked_at = None,
                Ok(_) => return Ok(self.blocked(stage, at, tools)),
                Err(Failure::Retry(_)) => return Ok(self.blocked(stage, at, tools)),
                Err(failure) => return Err(failure.into()),
            }
        }
        if let Some(cause) = self.read(topic, stage.next, stage.end, tools)? {
            return Ok(self.retry(Stage::Changelog(stage), cause, tools));
        }
        let done = loop {
            if Moment::now() >= until {
                break false;
            }
            match tools.reader.poll(Duration::from_millis(20)) {
                Read::Record(record) => {
                    self.heard = Moment::now();
                    let key = record.key().unwrap_or_default();
                    let at = |error| unreadable(error, record.offset(), self.partition, tools.context);
                    stage.take_in(key, record.payload()).map_err(at)?;
                    stage.next = record.offset() + 1;
                    self.records += 1;
                    tools.context.metrics.restore_records.inc();
                    if stage.bytes >= GATHER_BYTES {
                        stage.write()?;
                    }
                }
                Read::Done => break true,
                Read::Waiting { at } => {
                    // What waits, may wait long: its customers are no longer kept in memory.
                    stage.write()?;
                    return Ok(self.blocked(stage, at, tools));
                }
                Read::OutOfRange { reason, .. } => {
                    let Changelog { database, .. } = *stage;
                    return self.wipe(database, &reason, tools);
                }
                Read::Failed(Failure::Retry(cause)) => {
                    stage.write()?;
                    return Ok(self.retry(Stage::Changelog(stage), cause, tools));
                }
                Read::Nothing if self.heard.elapsed() > SILENT_MAX => {
                    stage.write()?;
                    let detail = format!("nothing comes of {topic}[{}], which is to be restored from", self.partition);
                    return Ok(self.wait(Stage::Changelog(stage), WaitCause::Kafka, detail, tools));
                }
                Read::Nothing => {}
                Read::Failed(failure) => return Err(failure.into()),
            }
        };
        if done {
            stage.next = stage.end;
            stage.write()?;
            if stage.database.memtable_bytes() > FLUSH_ABOVE {
                // A quiet partition would keep them until it has something to write.
                stage.database.flush(false)?;
            }
            // With its parts, which are records of their own.
            stage.meta = stage.database.meta()?;
            return self.begin_input(stage, tools);
        }
        let remaining = stage.end - stage.next;
        Ok(self.going(Stage::Changelog(stage), remaining, tools))
    }

    /// A transaction of somebody else is open in the changelog, and what it may commit comes before the end.
    fn blocked(&mut self, mut stage: Box<Changelog>, at: i64, tools: &Tools<'_>) -> Step {
        stage.blocked_at = Some(at);
        let (topic, partition) = (&tools.context.topics.changelog, self.partition);
        let what = format!("a transaction of another process is open in {topic}[{partition}] at offset {at}");
        let remedy = format!(
            "look at it with kafka-transactions.sh find-hanging --topic {topic} --partition {partition}, and end it with \
             kafka-transactions.sh abort --topic {topic} --partition {partition} --start-offset {at}"
        );
        self.hold.wait_for_transaction(tools.transaction_timeout, partition, (&what, &remedy), tools.health);
        self.rest(Stage::Changelog(stage))
    }

    /// Lets others go first for a moment.
    fn pause(&mut self, stage: Stage) -> Step {
        self.hold.pause();
        self.rest(stage)
    }

    fn name(&self, tools: &Tools<'_>) -> String {
        format!("{}[{}]", tools.context.topics.input, self.partition)
    }

    fn begin_input(&mut self, stage: Box<Changelog>, tools: &mut Tools<'_>) -> Result<Step, LaneError> {
        let context = tools.context;
        let mark = OffsetMark::read(&stage.committed.metadata);
        let begins_anew = mark.is_some_and(OffsetMark::begins_anew);
        self.was_stopped = mark.is_some_and(|mark| mark.stopped);
        let (meta, rules) = match (&stage.meta, stage.committed.offset) {
            (Some(meta), _) => {
                let held = tools.watermarks.range(&context.topics.input, self.partition, self.hold.ask());
                let held = match held.map_err(Failure::at_work) {
                    Ok(held) => held,
                    Err(Failure::Retry(cause)) => return Ok(self.retry(Stage::Changelog(stage), cause, tools)),
                    Err(failure) => return Err(failure.into()),
                };
                // A broker that has just taken a partition over may be behind, and a topic just made anew is noticed soon.
                if held.end < meta.next_offset && self.hold.lasts(WaitCause::Kafka) < SHORT_FOR {
                    let detail =
                        format!("{} ends at {} and was read up to {}", self.name(tools), held.end, meta.next_offset);
                    return Ok(self.wait(Stage::Changelog(stage), WaitCause::Kafka, detail, tools));
                }
                identity::check(meta, &stage.committed, &held, context)?;
                let Some(rules) = self.rules_of(meta, context)? else {
                    let detail =
                        format!("the newest version of the rules has not come from {} yet", context.topics.rules);
                    return Ok(self.wait(Stage::Changelog(stage), WaitCause::Rules, detail, tools));
                };
                (meta.clone(), rules)
            }
            (None, Some(_)) if !begins_anew => {
                return Err(identity::stateless(self.partition, &stage.committed, context));
            }
            (None, _) => match self.first_offset(tools).map_err(Failure::at_work) {
                Ok(offset) => {
                    let rules = newest(context)?;
                    (fresh(offset, observed_from(tools.start), &rules, context), rules)
                }
                Err(Failure::Retry(cause)) => return Ok(self.retry(Stage::Changelog(stage), cause, tools)),
                Err(failure) => return Err(failure.into()),
            },
        };
        let Changelog { database, .. } = *stage;
        let recorded = VecDeque::from(database.recorded()?);
        let engine = Engine::new(Arc::clone(&rules.rules), meta.timing.max_lateness, meta.ids_max as usize)
            .observing(meta.observed.clone());
        let shard = Shard::new(engine, meta.timing, meta.replay_stream_time).shifted(meta.log.shift);
        let names = rules.rules.cohorts.iter().map(|cohort| cohort.name.as_str());
        let metrics = context.metrics.partition(&context.topics.input, self.partition, names);
        let (from, to) = (meta.replay_from, meta.next_offset);
        let partition = Partition::new(self.partition, Arc::clone(&rules), shard, database, meta, recorded, metrics)?;
        self.reading = false;
        Ok(self.going(Stage::Input(Box::new(Input { partition, advanced: from, to, missing: None })), to - from, tools))
    }

    /// The rules that decided the state, and those that it is taking up. `None`: another process took up a version that
    /// this one has not read yet.
    fn rules_of(&self, meta: &Meta, context: &Context) -> Result<Option<Arc<Version>>, LaneError> {
        let needed = meta.adopting.as_ref().map_or(meta.rules_version, |adopting| adopting.version);
        if needed > context.rulebook.newest() {
            if context.rulebook.is_behind() || self.hold.lasts(WaitCause::Rules) < RULES_WITHIN {
                return Ok(None);
            }
            return Err(LaneError::Configuration(format!(
                "partition {} is decided by version {needed} of the rules, and {} ends with {}; restore that topic, or stop \
                 all processes and decide everything anew by the newest rules with `cohortd reset --rebuild --yes`",
                self.partition,
                context.topics.rules,
                context.rulebook.newest()
            )));
        }
        match context.rulebook.of_state(meta.rules_version, &meta.rules)? {
            Some(rules) => Ok(Some(rules)),
            None => Err(LaneError::Configuration(format!(
                "the rules file is not the one that this state was decided by, and {} does not hold that one either; go on \
                 with the old file, by one start with --accept-rules, or stop all processes and decide everything anew by the \
                 newest rules with `cohortd reset --rebuild --yes` (fingerprint then {})",
                context.topics.rules, meta.rules
            ))),
        }
    }

    /// Where reading begins in a partition of which nothing was read.
    fn first_offset(&self, tools: &Tools<'_>) -> Result<i64, Failure> {
        let topic = &tools.context.topics.input;
        match tools.start {
            settings::Start::Earliest => tools.watermarks.range(topic, self.partition, ASK).map(|range| range.start),
            settings::Start::Latest => tools.watermarks.range(topic, self.partition, ASK).map(|range| range.end),
            settings::Start::At(at) => tools.watermarks.at_time(topic, self.partition, at.0, ASK),
        }
    }

    fn input(&mut self, mut stage: Box<Input>, tools: &mut Tools<'_>, until: Moment) -> Result<Step, LaneError> {
        let topic = &tools.context.topics.input;
        if let Some(Obstacle { cause, detail }) = stage.missing.and_then(|schema| Obstacle::to(schema, tools.schemas)) {
            let detail = format!("{detail}; it is needed to read again what was read before");
            return Ok(self.wait(Stage::Input(stage), cause, detail, tools));
        }
        stage.missing = None;
        if let Some(cause) = self.read(topic, stage.partition.next_offset, stage.to, tools)? {
            return Ok(self.retry(Stage::Input(stage), cause, tools));
        }
        let (mut done, mut failed) = (false, None);
        while !done && failed.is_none() && Moment::now() < until {
            let mut records = Vec::new();
            while records.len() < TAKE_RECORDS {
                let wait = if records.is_empty() { Duration::from_millis(20) } else { Duration::ZERO };
                match tools.reader.poll(wait) {
                    Read::Record(record) => records.push(record),
                    Read::Done => {
                        done = true;
                        break;
                    }
                    Read::OutOfRange { offset, .. } => {
                        tracing::debug!(partition = self.partition, offset, "Retention overtakes the reading.");
                        let held = tools.watermarks.range(topic, self.partition, ASK);
                        let from = held.map_or(offset + 1, |held| held.start);
                        return Err(identity::passed(&stage.partition.meta, from, self.partition, tools.context));
                    }
                    Read::Failed(Failure::Retry(cause)) => {
                        failed = Some(cause);
                        break;
                    }
                    Read::Waiting { .. } | Read::Nothing => break,
                    Read::Failed(failure) => return Err(failure.into()),
                }
            }
            if !records.is_empty() {
                self.heard = Moment::now();
            }
            let taken = stage.take_again(&records, tools.schemas, tools.context, tools.budget)?;
            self.records += records.len() as u64;
            tools.context.metrics.restore_records.inc_by(records.len() as u64);
            if let Retaken::SchemaMissing(schema) = taken {
                // It is only now being asked for: worth a look soon, and no word yet.
                stage.missing = Some(schema);
                self.hold.pause();
                return Ok(self.rest(Stage::Input(stage)));
            }
        }
        if done {
            return self.finish(*stage, tools);
        }
        if let Some(cause) = failed {
            return Ok(self.retry(Stage::Input(stage), cause, tools));
        }
        if self.heard.elapsed() > SILENT_MAX {
            let detail = format!("nothing comes of {topic}[{}], which is to be read again", self.partition);
            return Ok(self.wait(Stage::Input(stage), WaitCause::Kafka, detail, tools));
        }
        let remaining = stage.to - stage.partition.next_offset;
        Ok(self.going(Stage::Input(stage), remaining, tools))
    }

    fn finish(&mut self, stage: Input, tools: &Tools<'_>) -> Result<Step, LaneError> {
        let Input { mut partition, advanced, to, .. } = stage;
        self.hold.end(self.partition, tools.health);
        partition.next_offset = to;
        if let Some(advance) = partition.advance_between(advanced, to) {
            partition.advance(advance, Detail::None, tools.context, &mut Plan::default())?;
        }
        let (now, then) = (partition.stream_time(), partition.meta.stream_time);
        if now != then {
            // A local copy may be at fault. If none is, the partition waits, and the others go on.
            let reason = format!(
                "reading {} again gave stream time {now} and not {then} as recorded: the log does not fit its state; if it \
                 stays so, stop all processes, and decide everything anew with `cohortd reset --rebuild --yes`",
                self.name(tools)
            );
            return self.wipe(partition.database, &reason, tools);
        }
        partition.restored(tools.context)?;
        tracing::info!(
            partition = self.partition,
            records = self.records,
            seconds = self.started.elapsed().as_secs_f64(),
            offset = to,
            "Restored."
        );
        Ok(Step::Done(Box::new(partition)))
    }
}

impl Input {
    /// Takes records in again, as far as their schemas are known. What is said meanwhile has been said.
    fn take_again(
        &mut self,
        records: &[Record<'_>],
        schemas: &mut Schemas,
        context: &Context,
        budget: usize,
    ) -> Result<Retaken, LaneError> {
        let Self { partition, advanced, .. } = self;
        let mut silence = Plan::default();
        partition.mark();
        let customers = records.iter().filter_map(|record| std::str::from_utf8(record.key()?).ok());
        let missing = customers.filter(|customer| partition.find(customer).is_none()).collect();
        partition.fetch(missing)?;
        for (number, record) in records.iter().enumerate() {
            if let Some(to) = partition.advance_between(*advanced, record.offset()) {
                partition.advance(to, Detail::None, context, &mut silence)?;
            }
            *advanced = record.offset() + 1;
            let retaken = partition.retake(record, schemas, context, &mut silence)?;
            if let Retaken::SchemaMissing(_) = retaken {
                // Those of the records after it are asked for at the same time.
                for later in &records[number..] {
                    if let Some((schema, _)) = partition.read_before(later, context) {
                        schemas.lookup(schema);
                    }
                }
                return Ok(retaken);
            }
        }
        partition.shed(budget);
        Ok(Retaken::Done)
    }
}

impl Changelog {
    fn take_in(&mut self, key: &[u8], payload: Option<&[u8]>) -> Result<(), Corrupt> {
        match (key.first().copied(), payload) {
            (Some(changelog::CUSTOMER), payload) => {
                let customer = std::str::from_utf8(&key[1..]).map_err(|_| Corrupt("customer id"))?;
                payload.map_or(Ok(Instant::MAX), next_deadline)?;
                self.bytes += key.len() + payload.map_or(0, <[u8]>::len);
                match self.customers.get_mut(customer) {
                    Some(known) => {
                        self.bytes -= key.len() + known.as_ref().map_or(0, Vec::len);
                        *known = payload.map(<[u8]>::to_vec);
                    }
                    None => {
                        self.customers.insert(customer.into(), payload.map(<[u8]>::to_vec));
                    }
                }
            }
            (Some(changelog::INPUT), value) => self.recorded.put_recorded(key.to_vec(), value.map(<[u8]>::to_vec)),
            (Some(changelog::PART), Some(value)) => self.meta_parts.push((key.to_vec(), value.to_vec())),
            (Some(changelog::PART), None) => self.recorded.put_recorded(key.to_vec(), None),
            (Some(changelog::META), Some(value)) => {
                let meta = decode_meta(value)?;
                self.meta_bytes = Some(value.to_vec());
                for (key, value) in self.meta_parts.drain(..) {
                    self.recorded.put_meta_part(key, value);
                }
                let alike =
                    |(_, rules): &(Counters, Arc<RuleSet>)| meta.adopting.is_none() && meta.rules == rules.fingerprint;
                let counted = self.counters.is_some();
                self.counters = self.counters.take().filter(alike);
                self.uncounted |= counted && self.counters.is_none();
                self.meta = Some(meta);
            }
            (Some(changelog::META), None) => {
                (self.meta, self.counters, self.emptied) = (None, None, true);
                (self.meta_bytes, self.meta_parts) = (None, Vec::new());
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let mut batch = std::mem::take(&mut self.recorded);
        self.bytes = 0;
        self.count()?;
        for (customer, state) in self.customers.drain() {
            let Some(state) = state else {
                batch.delete_customer(&customer);
                continue;
            };
            // An older entry in the index is left: it is told by the value's own place in it.
            let deadline = next_deadline(&state)?;
            batch.put_customer(&customer, deadline, &state);
            if deadline < Instant::MAX {
                batch.put_timer(deadline, &customer);
            }
        }
        batch.put_changelog_next(self.next);
        if std::mem::take(&mut self.emptied) {
            batch.delete_meta();
        }
        if let Some(bytes) = self.meta_bytes.take() {
            batch.put_meta_bytes(bytes);
        }
        let mut bytes = Vec::new();
        match &self.counters {
            Some((counters, rules)) if !counters.rankings.is_empty() => {
                encode_counters(counters, rules, &mut bytes);
                batch.put_counters(bytes);
            }
            None if self.uncounted => batch.put_counters(bytes),
            _ => {}
        }
        self.database.write(&batch)
    }

    /// Counts the steps from the states in the database to those about to be written.
    fn count(&mut self) -> Result<(), StoreError> {
        let Some((counters, rules)) = self.counters.as_mut().filter(|(counters, _)| !counters.rankings.is_empty())
        else {
            return Ok(());
        };
        let mut customers: Vec<&str> = self.customers.keys().map(|customer| &**customer).collect();
        customers.sort_unstable();
        for (customer, before) in customers.iter().zip(self.database.customers(&customers)?) {
            let after = self.customers[*customer].as_deref();
            let before = before.as_ref().map(crate::store::StoredCustomer::state);
            moves(customer, before, after, rules)?.iter().for_each(|moved| counters.count(moved));
        }
        Ok(())
    }
}

/// A record of the changelog that cannot be read: no copy is at fault, and a new one would hold it again.
fn unreadable(error: Corrupt, offset: i64, partition: i32, context: &Context) -> LaneError {
    let topic = &context.topics.changelog;
    LaneError::Later {
        cause: WaitCause::Damage,
        reason: format!(
            "{topic}[{partition}] cannot be read at offset {offset} ({error}); if no newer release wrote it, restore that topic"
        ),
    }
}

fn local(database: &Database) -> Result<(Option<Meta>, Option<i64>), StoreError> {
    Ok((database.meta()?, database.changelog_next()?))
}

/// A log that is not read from its beginning says nothing of what came before.
fn observed_from(start: settings::Start) -> Instant {
    match start {
        settings::Start::Earliest => Instant::MIN,
        settings::Start::Latest => wall_clock(),
        settings::Start::At(at) => at,
    }
}

/// Nothing was read of this partition yet.
fn fresh(offset: i64, observed_from: Instant, rules: &Version, context: &Context) -> Meta {
    Meta {
        cluster_id: context.cluster_id.clone(),
        input: context.topics.input.clone(),
        partitions: context.partitions,
        rules: rules.rules.fingerprint.clone(),
        rules_version: rules.number,
        adopting: None,
        began: offset,
        observed: Observed { from: observed_from, ..Observed::ALWAYS },
        timing: context.timing,
        ids_max: context.ids_max,
        sequence: 0,
        next_offset: offset,
        replay_from: offset,
        replay_stream_time: Instant::MIN,
        stream_time: Instant::MIN,
        live: false,
        caught_up: false,
        written_at: wall_clock(),
        members: vec![0; rules.rules.cohorts.len()],
        thresholds: Vec::new(),
        taking_up: None,
        customers: 0,
        surges: Vec::new(),
        model: None,
        surveyed: Surveyed::NEVER,
        log: Log { topic_id: context.input_id.clone(), ..Log::default() },
        overdue: None,
    }
}

fn newest(context: &Context) -> Result<Arc<Version>, LaneError> {
    let found = context.rulebook.get(context.rulebook.newest())?;
    found.ok_or_else(|| LaneError::Stopped("there are no rules".to_owned()))
}
