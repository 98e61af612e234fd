//! One partition that this lane owns and has restored: its customers and its clock.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::{CustomerEffect, CustomerState, Detail, Observed, Shard, Slot, Thresholds, Timing};
use crate::event::Instant;
use crate::lane::aggregate::ranks::RankWork;
use crate::lane::aggregate::survey::Round;
use crate::lane::commit::plan::{Headers, Out, Part, Plan, Topic};
use crate::lane::context::Context;
use crate::lane::edits::rulebook::{Rulebook, Version};
use crate::lane::error::LaneError;
use crate::lane::input::clock_gate::ClockWait;
use crate::lane::input::intake::Intake;
use crate::lane::partition::due::DueIndex;
use crate::lane::partition::flush::Checkpoint;
use crate::lane::partition::progress::Behind;
use crate::lane::partition::surge::Surges;
use crate::metrics::PartitionMetrics;
use crate::rules::RuleSet;
use crate::store::{
    Adopting, Database, InForce, Meta, MetaParts, Overdue, Recorded, StoreError, Surveyed, decode_state,
};

/// Deadlines decided at once, until the lane says how many.
const DECISIONS_DEFAULT: usize = 10_000;

/// Stored customers whose places are looked at when a partition is restored: of another partitioner's, nearly all stand
/// elsewhere than murmur2 puts them.
const PLACES_MAX: usize = 100;

/// A partition at work. Dropping it loses nothing that is committed: `restore` makes it anew.
pub(in crate::lane) struct Partition {
    pub(in crate::lane) number: i32,
    /// The version that decides.
    pub(in crate::lane) rules: Arc<Version>,
    /// How far the states are those of another version; as of the batch under way.
    pub(in crate::lane) adopting: Option<Adopting>,
    /// Since when the log was read, by fact.
    pub(in crate::lane) observed: Observed,
    pub(in crate::lane) shard: Shard,
    pub(in crate::lane) database: Database,
    /// As of the last committed batch.
    pub(in crate::lane) meta: Arc<Meta>,
    /// Its parts as last written.
    pub(in crate::lane) parts: MetaParts,
    /// The next offset to take in; ahead of META's while a batch is under way.
    pub(in crate::lane) next_offset: i64,
    pub(in crate::lane) live: bool,
    pub(in crate::lane) caught_up: bool,
    pub(in crate::lane) caught_up_since: Option<std::time::Instant>,
    /// Until it is caught up with for the first time.
    pub(in crate::lane) behind: Option<Behind>,
    /// Ascending; the first is at or before the oldest change not yet flushed.
    pub(in crate::lane) checkpoints: VecDeque<Checkpoint>,
    /// Written to the changelog and still needed by a restore, ascending.
    pub(in crate::lane) recorded: VecDeque<(i64, Recorded)>,
    pub(in crate::lane) members: Vec<u64>,
    pub(in crate::lane) ranks: RankWork,
    /// The parameters of the model of churn.
    pub(in crate::lane) model: Option<InForce>,
    pub(in crate::lane) surveyed: Surveyed,
    /// The week of stream time in which this process began with it.
    pub(in crate::lane) began_in_week: Option<i64>,
    /// A survey under way.
    pub(in crate::lane) round: Option<Box<Round>>,
    /// Of whom anything is known.
    pub(in crate::lane) customers: u64,
    pub(in crate::lane) surges: Surges,
    pub(in crate::lane) due: DueIndex,
    /// Index entries set again in the batch under way: the database still says where they were.
    pub(in crate::lane) rearmed: BTreeMap<Box<str>, Instant>,
    /// The offset of the last end-of-partition signal, if nothing was read since.
    pub(in crate::lane) end: Option<i64>,
    pub(in crate::lane) last_advance: std::time::Instant,
    pub(in crate::lane) last_flush: std::time::Instant,
    pub(in crate::lane) intake: Intake,
    pub(in crate::lane) metrics: PartitionMetrics,
    /// The limits in force; META names them, so that what is taken in again is taken in under them.
    pub(in crate::lane) timing: Timing,
    pub(in crate::lane) ids_max: u32,
    pub(in crate::lane) said: Vec<CustomerEffect>,
    pub(in crate::lane) part: Option<Part>,
    pub(in crate::lane) new_recorded: Vec<(i64, Recorded)>,
    /// Below this many bytes of customers `shed` finds nothing more.
    pub(in crate::lane) shed_above: usize,
    /// More deadlines came up at once than one transaction takes; as of the batch under way.
    pub(in crate::lane) overdue: Option<Overdue>,
    /// The wall clock as last trusted.
    pub(in crate::lane) trusted: Instant,
    /// What the wall clock holds up.
    pub(in crate::lane) clock: ClockWait,
    /// Deadlines decided at once.
    pub(in crate::lane) decisions_max: usize,
    /// Bytes of a customer's state that the changelog takes.
    pub(in crate::lane) state_bytes_max: usize,
}

impl Partition {
    /// A partition whose database stands at `meta`. It still has to take in again the input from `replay_from` on, if
    /// that is not `next_offset`.
    pub(in crate::lane) fn new(
        number: i32,
        rules: Arc<Version>,
        mut shard: Shard,
        database: Database,
        meta: Meta,
        recorded: VecDeque<(i64, Recorded)>,
        metrics: PartitionMetrics,
    ) -> Result<Self, StoreError> {
        let now = std::time::Instant::now();
        // Not META's stream time: another process, or a write that a crash cut off, may have set entries again that this
        // copy still holds where they were.
        let timers_from = database.timers_from()?;
        let parts = database.meta_parts()?;
        // States numbered by two versions are counted once all are numbered by one.
        let ranks = match meta.adopting {
            Some(_) => RankWork::anew(&rules.rules),
            None => RankWork::load(&database, meta.taking_up.clone(), &rules.rules)?,
        };
        if meta.thresholds.len() == rules.rules.ranks.len() {
            shard.set_thresholds(meta.thresholds.clone().into());
        }
        if let Some(InForce { parameters, since, .. }) = &meta.model {
            shard.set_parameters(Some(Arc::new(*parameters)), *since);
        }
        Ok(Self {
            number,
            rules,
            adopting: meta.adopting.clone(),
            observed: meta.observed.clone(),
            shard,
            database,
            next_offset: meta.replay_from,
            live: meta.live,
            caught_up: meta.caught_up,
            caught_up_since: None,
            behind: None,
            checkpoints: VecDeque::new(),
            recorded,
            members: meta.members.clone(),
            ranks,
            model: meta.model.clone(),
            surveyed: meta.surveyed,
            began_in_week: None,
            round: None,
            customers: meta.customers,
            surges: Surges::of_rows(&meta.surges),
            due: DueIndex::starting_at(timers_from),
            rearmed: BTreeMap::new(),
            end: None,
            last_advance: now,
            last_flush: now,
            intake: Intake::new(meta.sequence == 0),
            metrics,
            timing: meta.timing,
            ids_max: meta.ids_max,
            said: Vec::new(),
            part: None,
            new_recorded: Vec::new(),
            shed_above: 0,
            overdue: meta.overdue,
            trusted: meta.written_at,
            clock: ClockWait::default(),
            decisions_max: DECISIONS_DEFAULT,
            state_bytes_max: usize::MAX,
            parts,
            meta: Arc::new(meta),
        })
    }

    /// Cohorts have other numbers from now on.
    pub(in crate::lane) fn forget_surges(&mut self) {
        self.surges.forget();
    }

    pub(in crate::lane) fn stream_time(&self) -> Instant {
        self.shard.stream_time()
    }

    pub(in crate::lane) fn shard_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }

    pub(in crate::lane) fn thresholds(&self) -> &Thresholds {
        self.shard.engine().thresholds()
    }

    /// Is nothing under way, and nothing changed that is not flushed?
    pub(in crate::lane) fn is_flushed(&mut self) -> bool {
        self.part.is_none() && self.shard.oldest_dirty().is_none()
    }

    /// Decides a customer again, if they stand between thresholds `old` and those in force. What is said waits for `tell`.
    pub(in crate::lane) fn reconsider(&mut self, slot: Slot, old: &Thresholds) {
        self.shard.reevaluate_ranks(slot, old, self.next_offset, Detail::Full, &mut self.said);
    }

    /// Decides a customer under the parameters in force, if that is still to be done. What is said waits for `tell`.
    pub(in crate::lane) fn catch_up(&mut self, slot: Slot) {
        self.shard.apply_parameters(slot, self.next_offset, Detail::Full, &mut self.said);
    }

    /// The inputs recorded at and after an offset.
    pub(in crate::lane) fn recorded_at(&self, position: i64) -> impl Iterator<Item = Recorded> + '_ {
        let start = self.recorded.partition_point(|(at, _)| *at < position);
        self.recorded.range(start..).take_while(move |(at, _)| *at == position).map(|(_, recorded)| *recorded)
    }

    /// The furthest advance recorded from one offset through another.
    pub(in crate::lane) fn advance_between(&self, from: i64, through: i64) -> Option<Instant> {
        let start = self.recorded.partition_point(|(at, _)| *at < from);
        let advances = self.recorded.range(start..).take_while(|(at, _)| *at <= through);
        advances.filter_map(|(_, r)| if let Recorded::Advance(to) = r { Some(*to) } else { None }).max()
    }

    /// The version by which a customer's state is numbered in memory, or as stored, and since when its facts were observed.
    pub(in crate::lane) fn decided_by(
        &self,
        customer: &str,
        rulebook: &Rulebook,
    ) -> Result<(Arc<Version>, Observed), LaneError> {
        let taken_up = self.meta.adopting.as_ref().filter(|adopting| customer <= adopting.through.as_str());
        if let Some(adopting) = taken_up
            && let Some(version) = rulebook.get(adopting.version)?
        {
            return Ok((version, adopting.observed.clone()));
        }
        Ok((Arc::clone(&self.rules), self.observed.clone()))
    }

    /// A copy of a customer's state, from memory or as stored; nothing is changed by looking.
    pub(in crate::lane) fn look_up(
        &self,
        customer: &str,
        rules: &RuleSet,
    ) -> Result<Option<CustomerState>, StoreError> {
        if let Some(state) = self.shard.peek(customer) {
            return Ok(Some(state.clone()));
        }
        let Some(stored) = self.database.customer(customer)? else { return Ok(None) };
        Ok(Some(decode_state(stored.state(), rules)?))
    }

    /// Takes up the limits of the settings, once nothing is left to be taken in again under others. False: there is.
    pub(in crate::lane) fn adopts_limits(&mut self, context: &Context) -> bool {
        if self.timing == context.timing && self.ids_max == context.ids_max {
            return true;
        }
        if self.part.is_some() || self.shard.oldest_dirty().is_some() || self.is_overdue() {
            return false;
        }
        (self.timing, self.ids_max) = (context.timing, context.ids_max);
        self.shard.set_timing(self.timing, self.ids_max as usize);
        true
    }

    /// A record for the other processes, of what is in this partition.
    pub(in crate::lane) fn summary(&self, key: Vec<u8>, payload: Vec<u8>) -> Out {
        let (topic, headers) = (Topic::Summaries, Headers::default());
        Out { topic, partition: self.number, key: Some(key), payload: Some(payload), headers }
    }

    /// Everything up to META's `next_offset` is taken in again: the index is put in order, nothing is counted.
    pub(in crate::lane) fn restored(&mut self, context: &Context) -> Result<(), StoreError> {
        // Later batches write that nothing before stream time counts.
        self.settle(self.next_offset, self.next_offset, Detail::None, context, &mut Plan::default())?;
        if let Some(part) = self.part.take() {
            self.database.write(&part.writes)?;
        }
        self.metrics.set_cohort_members(&self.members);
        self.due.written();
        self.rearmed.clear();
        self.shard.take_counts();
        self.new_recorded.clear();
        self.metrics.customers_resident.set(self.shard.len() as u64);
        self.metrics.customers_dirty.set(self.shard.dirty_count() as u64);
        self.behind = Some(Behind { since: std::time::Instant::now(), records: 0 });
        self.look_at_places(context)
    }

    /// Are its customers where Kafka's default partitioner puts them? Of a process that has just started whoever asks for a
    /// customer must know it, too.
    pub(in crate::lane) fn look_at_places(&self, context: &Context) -> Result<(), StoreError> {
        let mut looked = 0;
        self.database.for_each_customer("", |customer, _| {
            looked += 1;
            let is_known = context.is_elsewhere(self.number, customer, false) || looked == PLACES_MAX;
            Ok(if is_known { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }
}
