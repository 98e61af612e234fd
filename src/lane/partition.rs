//! One partition that this lane owns and has restored: its customers, its clock, and what one batch does to them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::clock_gate::ClockWait;
use super::context::Context;
use super::due::DueIndex;
use super::error::LaneError;
use super::intake::Intake;
use super::output::Place;
use super::plan::{Headers, Out, Part, Plan, Tally, Topic};
use super::ranks::RankWork;
use super::rulebook::{Rulebook, Version};
use super::surge::{Entry, Surges};
use super::survey::Round;
use crate::clock::wall_clock;
use crate::engine::{
    CustomerState, Effect, Observed, RiskEffect, Said, Shard, Slot, Thresholds, Timing, Words, level_name,
};
use crate::event::{Change, ChangeReason, CustomerEvent, Instant, Span};
use crate::metrics::{Fired, Metrics, PartitionMetrics};
use crate::rules::{Cohort, OnCreate, RuleSet};
use crate::store::layout::{changelog, customer_key};
use crate::store::{
    Adopting, Database, InForce, Log, Meta, MetaParts, Overdue, Recorded, StoreError, Surveyed, decode_state,
    encode_meta, encode_state, next_deadline,
};

/// An event at most this old makes its partition live.
const LIVE_EVENT_AGE_MAX: Span = Span(5 * Span::MINUTE.0);

/// Deadlines decided at once, until the lane says how many.
const DECISIONS_DEFAULT: usize = 10_000;
/// Entries of the index looked at for each deadline decided, at most: most of those that come up are not due yet.
const LOOKED_AT_EACH: usize = 4;

/// Stored customers whose places are looked at when a partition is restored: of another partitioner's, nearly all stand
/// elsewhere than murmur2 puts them.
const PLACES_MAX: usize = 100;

/// Recorded inputs held in memory, until a restart has no more need of them: each takes some 200 bytes, and a topic full of
/// records that are refused brings one for each.
const RECORDED_MAX: usize = 50_000;

/// Where a batch began.
struct Checkpoint {
    mark: i64,
    stream_time: Instant,
    began: std::time::Instant,
}

/// A partition that is restored and not yet caught up with.
pub(super) struct Behind {
    since: std::time::Instant,
    /// Read since then. Not the distance of offsets: what producers write in transactions has gaps.
    pub(super) records: u64,
}

/// What deciding deadlines came to.
struct Decided {
    /// Which were decided, in the order of their instants.
    fired: Vec<(Instant, Slot)>,
    /// There are more, at and after this instant; all before it are decided.
    more_from: Option<Instant>,
}

/// One partition's share of what its lane may hold.
pub(super) struct Share {
    /// Of decoded customers.
    pub(super) customer_bytes: usize,
    /// Events whose changes need not be flushed yet; after a crash they are read again.
    pub(super) unflushed_events: i64,
    /// Customers that may be flushed with one plan.
    pub(super) flushes: usize,
}

/// A partition at work. Dropping it loses nothing that is committed: `restore` makes it anew.
pub(super) struct Partition {
    pub(super) number: i32,
    /// The version that decides.
    pub(super) rules: Arc<Version>,
    /// How far the states are those of another version; as of the batch under way.
    pub(super) adopting: Option<Adopting>,
    /// Since when the log was read, by fact.
    pub(super) observed: Observed,
    pub(super) shard: Shard,
    pub(super) database: Database,
    /// As of the last committed batch.
    pub(super) meta: Arc<Meta>,
    /// Its parts as last written.
    parts: MetaParts,
    /// The next offset to take in; ahead of META's while a batch is under way.
    pub(super) next_offset: i64,
    live: bool,
    pub(super) caught_up: bool,
    caught_up_since: Option<std::time::Instant>,
    /// Until it is caught up with for the first time.
    pub(super) behind: Option<Behind>,
    /// Ascending; the first is at or before the oldest change not yet flushed.
    checkpoints: VecDeque<Checkpoint>,
    /// Written to the changelog and still needed by a restore, ascending.
    recorded: VecDeque<(i64, Recorded)>,
    pub(super) members: Vec<u64>,
    pub(super) ranks: RankWork,
    /// The parameters of the model of churn.
    pub(super) model: Option<InForce>,
    pub(super) surveyed: Surveyed,
    /// The week of stream time in which this process began with it.
    pub(super) began_in_week: Option<i64>,
    /// A survey under way.
    pub(super) round: Option<Box<Round>>,
    /// Of whom anything is known.
    customers: u64,
    surges: Surges,
    pub(super) due: DueIndex,
    /// Index entries set again in the batch under way: the database still says where they were.
    rearmed: BTreeMap<Box<str>, Instant>,
    /// The offset of the last end-of-partition signal, if nothing was read since.
    pub(super) end: Option<i64>,
    pub(super) last_advance: std::time::Instant,
    pub(super) last_flush: std::time::Instant,
    pub(super) intake: Intake,
    pub(super) metrics: PartitionMetrics,
    /// The limits in force; META names them, so that what is taken in again is taken in under them.
    pub(super) timing: Timing,
    pub(super) ids_max: u32,
    said: Vec<Said>,
    pub(super) part: Option<Part>,
    new_recorded: Vec<(i64, Recorded)>,
    /// Below this many bytes of customers `shed` finds nothing more.
    shed_above: usize,
    /// More deadlines came up at once than one transaction takes; as of the batch under way.
    overdue: Option<Overdue>,
    /// The wall clock as last trusted.
    pub(super) trusted: Instant,
    /// What the wall clock holds up.
    pub(super) clock: ClockWait,
    /// Deadlines decided at once.
    pub(super) decisions_max: usize,
    /// Bytes of a customer's state that the changelog takes.
    pub(super) state_bytes_max: usize,
}

impl Partition {
    /// A partition whose database stands at `meta`. It still has to take in again the input from `replay_from` on, if
    /// that is not `next_offset`.
    pub(super) fn new(
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
    pub(super) fn forget_surges(&mut self) {
        self.surges.forget();
    }

    pub(super) fn stream_time(&self) -> Instant {
        self.shard.stream_time()
    }

    pub(super) fn shard_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }

    pub(super) fn thresholds(&self) -> &Thresholds {
        self.shard.engine().thresholds()
    }

    /// Is nothing under way, and nothing changed that is not flushed?
    pub(super) fn is_flushed(&mut self) -> bool {
        self.part.is_none() && self.shard.oldest_dirty().is_none()
    }

    /// Decides a customer again, if they stand between thresholds `old` and those in force. What is said waits for `tell`.
    pub(super) fn reconsider(&mut self, slot: Slot, old: &Thresholds) {
        self.shard.reconsider(slot, old, self.next_offset, Words::Full, &mut self.said);
    }

    /// Decides a customer under the parameters in force, if that is still to be done. What is said waits for `tell`.
    pub(super) fn catch_up(&mut self, slot: Slot) {
        self.shard.catch_up(slot, self.next_offset, Words::Full, &mut self.said);
    }

    /// The inputs recorded at and after an offset.
    pub(super) fn recorded_at(&self, position: i64) -> impl Iterator<Item = Recorded> + '_ {
        let start = self.recorded.partition_point(|(at, _)| *at < position);
        self.recorded.range(start..).take_while(move |(at, _)| *at == position).map(|(_, recorded)| *recorded)
    }

    /// The furthest advance recorded from one offset through another.
    pub(super) fn advance_between(&self, from: i64, through: i64) -> Option<Instant> {
        let start = self.recorded.partition_point(|(at, _)| *at < from);
        let advances = self.recorded.range(start..).take_while(|(at, _)| *at <= through);
        advances.filter_map(|(_, r)| if let Recorded::Advance(to) = r { Some(*to) } else { None }).max()
    }

    /// Begins a batch, if none is under way.
    pub(super) fn begin(&mut self) -> &mut Part {
        if self.part.is_none() {
            self.mark();
        }
        self.part.get_or_insert_with(|| Part {
            partition: self.number,
            meta: Arc::clone(&self.meta),
            writes: crate::store::Batch::default(),
            tally: Tally::default(),
        })
    }

    /// What changes from now on is dirty since here.
    pub(super) fn mark(&mut self) {
        let mark = self.next_offset;
        if self.checkpoints.back().is_none_or(|last| last.mark != mark) {
            let (stream_time, began) = (self.shard.stream_time(), std::time::Instant::now());
            self.checkpoints.push_back(Checkpoint { mark, stream_time, began });
        }
        self.shard.begin(mark);
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.part.is_some()
    }

    pub(super) fn tally(&mut self) -> &mut Tally {
        &mut self.begin().tally
    }

    /// The customer's slot, if in memory.
    pub(super) fn find(&mut self, customer: &str) -> Option<Slot> {
        self.shard.find(customer)
    }

    /// Begins to bring a customer's state near.
    pub(super) fn warm(&self, slot: Slot) {
        self.shard.warm(slot);
    }

    /// Reads the states of customers that are not in memory, at once.
    pub(super) fn fetch(&mut self, mut missing: Vec<&str>) -> Result<(), StoreError> {
        missing.sort_unstable();
        missing.dedup();
        let found = self.database.customers(&missing)?;
        for (customer, stored) in missing.into_iter().zip(found) {
            if let Some(stored) = stored {
                let state = decode_state(stored.state(), &self.rules.rules)?;
                let indexed_at = match self.rearmed.get(customer) {
                    Some(at) => *at,
                    None => stored.indexed_at()?,
                };
                self.shard.insert(customer, state, indexed_at);
            }
        }
        Ok(())
    }

    /// The version by which a customer's state is numbered in memory, or as stored, and since when its facts were observed.
    pub(super) fn decided_by(
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
    pub(super) fn look_up(&self, customer: &str, rules: &RuleSet) -> Result<Option<CustomerState>, StoreError> {
        if let Some(state) = self.shard.peek(customer) {
            return Ok(Some(state.clone()));
        }
        let Some(stored) = self.database.customer(customer)? else { return Ok(None) };
        Ok(Some(decode_state(stored.state(), rules)?))
    }

    /// The slot of a customer whose state was fetched, or of whom nothing is stored.
    pub(super) fn slot(&mut self, customer: &str) -> Slot {
        self.shard.find_or_new(customer)
    }

    /// Takes in an accepted event and decides what it makes due. False: a duplicate. `slot`: the customer's, if it was
    /// looked up in this batch.
    pub(super) fn apply(
        &mut self,
        slot: Option<Slot>,
        event: &CustomerEvent<'_>,
        position: i64,
        words: Words,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<bool, StoreError> {
        let slot = slot.unwrap_or_else(|| self.slot(event.customer));
        let is_new = self.shard.state(slot).known_since == Instant::MAX;
        if !self.shard.take_in(slot, event, position, words, &mut self.said) {
            if event.at - self.timing.arrives_within > self.shard.stream_time() {
                self.record(position, Recorded::Duplicate);
            }
            return Ok(false);
        }
        self.customers += u64::from(is_new);
        if context.is_elsewhere(self.number, event.customer, is_new) {
            self.tally().elsewhere += 1;
        }
        self.settle(position, position + 1, words, context, plan)?;
        Ok(true)
    }

    /// As `apply`, while taking the input in again: each customer from its own state's position on.
    pub(super) fn reapply(
        &mut self,
        event: &CustomerEvent<'_>,
        position: i64,
        arrives_within: Span,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let slot = self.slot(event.customer);
        if self.shard.state(slot).as_of > self.meta.log.position(position) {
            // Its effect is in the state; what it did to the clock is not.
            if !self.recorded_at(position).any(|recorded| recorded == Recorded::Duplicate) {
                self.shard.advance(event.at - arrives_within);
            }
        } else {
            self.shard.take_in(slot, event, position, Words::None, &mut self.said);
        }
        self.settle(position, position + 1, Words::None, context, plan)
    }

    /// Notes what decided besides the log.
    pub(super) fn record(&mut self, position: i64, recorded: Recorded) {
        self.new_recorded.push((position, recorded));
    }

    /// Moves stream time by the wall clock, at the present position, and decides what is due then.
    pub(super) fn advance(
        &mut self,
        to: Instant,
        words: Words,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        if to <= self.shard.stream_time() {
            return Ok(());
        }
        let position = self.next_offset;
        self.begin();
        self.shard.advance(to);
        if words == Words::Full {
            self.record(position, Recorded::Advance(to));
        }
        // The event at this position is still to come.
        self.settle(position, position, words, context, plan)
    }

    /// Would moving stream time to `to` decide anything?
    pub(super) fn would_decide(&mut self, to: Instant) -> bool {
        self.due.next_known().min(self.shard.next_due()) < to
    }

    /// Decides the deadlines before stream time, of customers in memory and stored, and turns what is said into records.
    ///
    /// Where there are more than one transaction takes, the earliest are decided and the partition is overdue: it takes
    /// nothing in until `decide_overdue` has decided the others. Deadlines of one instant are as many as there are customers.
    fn settle(
        &mut self,
        position: i64,
        as_of: i64,
        words: Words,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let until = match (words, self.meta.overdue) {
            // Taking the input in again goes as far as it went then: the rest was not decided, or is flushed.
            (Words::None, Some(overdue)) => self.shard.stream_time().min(overdue.decided_to),
            _ => self.shard.stream_time(),
        };
        loop {
            let decided = self.decide_some(until, as_of, words)?;
            self.tell(position, words, context, plan);
            if words == Words::Full && (self.is_overdue() || decided.more_from.is_some()) {
                // Whoever is decided while others are left that came up with them: their states say so from now on, so that
                // a restart decides the others and nobody twice.
                self.begin();
                for (_, slot) in decided.fired {
                    self.flush_one(slot, plan);
                }
                let before = self.overdue.map_or(Instant::MIN, |overdue| overdue.decided_to);
                self.overdue = decided.more_from.map(|at| Overdue { decided_to: at.max(before), position });
                return Ok(());
            }
            if decided.more_from.is_none() {
                return Ok(());
            }
        }
    }

    /// Decides the earliest deadlines before `until`, `decisions_max` at most.
    fn decide_some(&mut self, until: Instant, as_of: i64, words: Words) -> Result<Decided, StoreError> {
        let most = self.decisions_max;
        let mut fired: Vec<(Instant, Slot)> = Vec::new();
        let mut looked_at = 0;
        loop {
            // The entry at which looking stopped: whoever is due before it, and at its instant up to it, is in memory.
            let mut stopped_at = None;
            let mut near = fired.len();
            if self.due.next_known() < until {
                self.begin();
                while let Some((due, customer)) = self.due.pop_before(until, &self.database)? {
                    self.passed(due, &customer)?;
                    (near, looked_at) = (near + 1, looked_at + 1);
                    if near >= most || looked_at >= most * LOOKED_AT_EACH {
                        stopped_at = Some(due);
                        break;
                    }
                }
            }
            let bound = stopped_at.map_or(until, Instant::next);
            fired.extend(self.shard.fire_some(bound, most - fired.len(), as_of, words, &mut self.said));
            if fired.len() >= most {
                return Ok(Decided { more_from: fired.last().map(|(at, _)| *at), fired });
            }
            if stopped_at.is_none() || looked_at >= most * LOOKED_AT_EACH {
                return Ok(Decided { more_from: stopped_at, fired });
            }
        }
    }

    /// Are deadlines left that came up with others, too many for one transaction? Until they are decided nothing is taken
    /// in and nothing else begins.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// Decides more of them.
    pub(super) fn decide_overdue(&mut self, context: &Context, plan: &mut Plan) -> Result<(), StoreError> {
        let Some(Overdue { position, .. }) = self.overdue else { return Ok(()) };
        self.begin();
        self.settle(position, self.next_offset, Words::Full, context, plan)
    }

    /// Turns what is said into records.
    pub(super) fn tell(&mut self, position: i64, words: Words, context: &Context, plan: &mut Plan) {
        let risks = self.shard.take_risks();
        if self.said.is_empty() && risks.is_empty() {
            return;
        }
        let mut said = std::mem::take(&mut self.said);
        if words == Words::Full {
            self.speak(&mut said, risks, position, context, plan);
        }
        said.clear();
        self.said = said;
    }

    /// Stream time has passed an entry of the index. Whoever is due at that instant is decided from memory; an entry that its
    /// customer has left behind is set again at the true deadline, which may have passed as well and then comes next. A customer with changes not yet flushed keeps the old one: a
    /// restore that does not know the changes still finds it.
    fn passed(&mut self, due: Instant, customer: &str) -> Result<(), StoreError> {
        let part = self.part.as_mut().expect("a batch is under way");
        if let Some(slot) = self.shard.find(customer) {
            let clean = self.shard.is_clean(slot);
            if self.shard.indexed_at(slot) == due && clean && self.shard.state(slot).next_deadline > due {
                reindex(&mut self.shard, &mut self.due, part, slot);
            }
            return Ok(());
        }
        let Some(stored) = self.database.customer(customer)? else {
            part.writes.delete_timer(due, customer);
            return Ok(());
        };
        let indexed_at = match self.rearmed.get(customer) {
            Some(at) => *at,
            None => stored.indexed_at()?,
        };
        if indexed_at != due {
            part.writes.delete_timer(due, customer);
            return Ok(());
        }
        let deadline = next_deadline(stored.state())?;
        if deadline <= due {
            let state = decode_state(stored.state(), &self.rules.rules)?;
            self.shard.insert(customer, state, due);
            return Ok(());
        }
        part.tally.rearmed += 1;
        part.writes.delete_timer(due, customer);
        part.writes.put_customer(customer, deadline, stored.state());
        self.rearmed.insert(customer.into(), deadline);
        if deadline < Instant::MAX {
            part.writes.put_timer(deadline, customer);
            self.due.insert(deadline, customer.into());
        }
        Ok(())
    }

    fn speak(
        &mut self,
        said: &mut Vec<Said>,
        risks: Vec<(Slot, RiskEffect)>,
        position: i64,
        context: &Context,
        plan: &mut Plan,
    ) {
        let now = wall_clock();
        let place = Place {
            input: &context.topics.input,
            partition: self.number,
            position,
            stream_time: self.shard.stream_time(),
        };
        self.begin();
        let part = self.part.as_mut().expect("begun just now");
        for Said { slot, effect } in said.drain(..) {
            let customer = self.shard.customer(slot);
            let members = &mut self.members[usize::from(effect.cohort.0)];
            *members = match effect.change {
                Change::Entered => *members + 1,
                Change::Exited => members.saturating_sub(1),
            };
            part.tally.changes.push((Arc::clone(&self.rules), effect.cohort, effect.change));
            part.tally.lateness_ms.extend(lateness(&effect, self.live, &place, now, self.timing.arrives_within));
            let cohort = self.rules.rules.cohort(effect.cohort);
            if cohort.shadow {
                continue;
            }
            let mut automation = may_automate(&effect, cohort, self.caught_up, now, context);
            if effect.change == Change::Entered && context.surge > 0 {
                let place = usize::from(effect.cohort.0);
                if let Entry::OneOfTooMany { first } =
                    self.surges.entered(place, effect.at, context.surge, self.customers)
                {
                    if first {
                        tracing::warn!(
                            partition = self.number,
                            cohort = cohort.name,
                            customers = self.customers,
                            "More enter at once than automation.surge allows; for this hour the rest is not for automation."
                        );
                    }
                    context.metrics.surge_withheld.inc_by(u64::from(automation));
                    automation = false;
                }
            }
            plan.outs.extend(context.speaker.say(&self.rules.rules, customer, effect, automation, &place));
        }
        let rules = Arc::clone(&self.rules.rules);
        for (slot, effect) in risks {
            let customer: Box<str> = self.shard.customer(slot).into();
            self.tell_risk(&rules, &customer, effect, position, context, plan);
        }
    }

    /// Says that a customer's risk reached another level.
    pub(super) fn tell_risk(
        &mut self,
        rules: &RuleSet,
        customer: &str,
        effect: RiskEffect,
        position: i64,
        context: &Context,
        plan: &mut Plan,
    ) {
        let place = Place {
            input: &context.topics.input,
            partition: self.number,
            position,
            stream_time: self.shard.stream_time(),
        };
        let prompt = self.caught_up && wall_clock().since(effect.at) <= context.max_delay;
        // Nobody did anything: the model has other parameters, or the rules were edited.
        let automation =
            prompt && !matches!(effect.reason, ChangeReason::ModelChanged | ChangeReason::DefinitionChanged);
        self.tally().risks.push(level_name(rules, effect.level).into());
        plan.outs.extend(context.speaker.say_risk(rules, customer, effect, automation, &place));
    }

    /// An accepted event was read; near the wall clock it makes the partition live.
    pub(super) fn saw(&mut self, at: Instant, now: Instant) {
        if !self.live && now.since(at) <= LIVE_EVENT_AGE_MAX {
            self.live = true;
            tracing::info!(partition = self.number, "Live: its time follows the wall clock from here on.");
        }
    }

    /// Everything readable was read and applied, now.
    pub(super) fn is_caught_up(&mut self, live_after: Span) {
        self.caught_up = true;
        if let Some(Behind { since, records }) = self.behind.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(partition = self.number, records, seconds, "Caught up with the input.");
        }
        let since = *self.caught_up_since.get_or_insert_with(std::time::Instant::now);
        let long = u64::try_from(live_after.0).unwrap_or(0);
        if !self.live && since.elapsed() >= std::time::Duration::from_millis(long) {
            self.live = true;
            tracing::info!(partition = self.number, "Live: its time follows the wall clock from here on.");
        }
    }

    /// There is more to read.
    pub(super) fn is_behind(&mut self) {
        self.end = None;
        self.caught_up_since = None;
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    pub(super) fn was_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Takes up the limits of the settings, once nothing is left to be taken in again under others. False: there is.
    pub(super) fn adopts_limits(&mut self, context: &Context) -> bool {
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

    /// Do the customers in memory take more than they may?
    pub(super) fn is_over(&self, share: &Share) -> bool {
        self.shard.bytes() > share.customer_bytes
    }

    /// While the input is taken in again: puts customers without unwritten changes out of memory where they are many.
    pub(super) fn shed(&mut self, budget: usize) {
        let bytes = self.shard.bytes();
        if bytes <= budget.max(self.shed_above) {
            return;
        }
        for slot in self.shard.sweep(bytes - budget + budget / 16) {
            if self.shard.is_clean(slot) {
                self.shard.remove(slot);
            }
        }
        // The others must stay; looking at them again so soon would find the same.
        self.shed_above = self.shard.bytes() + budget / 8;
    }

    /// Is a change waiting that should be flushed by now?
    pub(super) fn flush_is_due(&mut self, context: &Context, share: &Share) -> bool {
        self.flush_limit(context, share).zip(self.shard.oldest_dirty()).is_some_and(|(limit, oldest)| oldest <= limit)
    }

    /// Changes of batches that began at or before this mark have waited long enough.
    fn flush_limit(&self, context: &Context, share: &Share) -> Option<i64> {
        let is_much_recorded = self.recorded.len() > RECORDED_MAX;
        if share.unflushed_events == 0 || context.flush_after.is_zero() || is_much_recorded {
            return Some(i64::MAX);
        }
        let by_events = self.next_offset.checked_sub(share.unflushed_events);
        let old = |checkpoint: &&Checkpoint| checkpoint.began.elapsed() >= context.flush_after;
        let by_age = self.checkpoints.iter().take_while(old).last().map(|checkpoint| checkpoint.mark);
        by_events.max(by_age)
    }

    /// Changes not yet flushed, at most this many, are flushed with the batch under way. Returns how many.
    pub(super) fn flush_all(&mut self, most: usize, plan: &mut Plan) -> usize {
        self.begin();
        let mut flushed = 0;
        while flushed < most {
            let Some(slot) = self.shard.take_dirty(i64::MAX) else { break };
            self.flush(slot, plan);
            flushed += 1;
        }
        flushed
    }

    /// Ends the batch: flushes what has waited long enough or must make room, and completes its part of the plan.
    ///
    /// Returns the customers to put out of memory once the batch is committed.
    pub(super) fn finish(&mut self, context: &Context, share: &Share, plan: &mut Plan) -> Vec<Slot> {
        if self.part.is_none() {
            return Vec::new();
        }
        let mut left = share.flushes;
        if let Some(limit) = self.flush_limit(context, share) {
            while left > 0
                && let Some(slot) = self.shard.take_dirty(limit)
            {
                self.flush(slot, plan);
                left -= 1;
            }
        }
        let over = self.shard.bytes().saturating_sub(share.customer_bytes);
        let mut victims = if over > 0 { self.shard.sweep(over + share.customer_bytes / 16) } else { Vec::new() };
        let stream_time = self.shard.stream_time();
        victims.retain(|slot| {
            // Whoever is due and not decided yet is looked for in memory only.
            let stays =
                self.shard.state(*slot).next_deadline < stream_time || (left == 0 && !self.shard.is_clean(*slot));
            left -= usize::from(!stays && !self.shard.is_clean(*slot));
            !stays
        });
        for slot in &victims {
            self.flush_one(*slot, plan);
        }
        self.complete(context, plan);
        victims
    }

    /// Flushes one customer with the batch under way, if there is anything to flush.
    pub(super) fn flush_one(&mut self, slot: Slot, plan: &mut Plan) {
        if self.shard.take_if_dirty(slot) {
            self.flush(slot, plan);
        }
    }

    fn flush(&mut self, slot: Slot, plan: &mut Plan) {
        let mut bytes = Vec::with_capacity(384);
        encode_state(self.shard.state(slot), &mut bytes);
        let shard = &mut self.shard;
        keep_below(self.state_bytes_max, self.number, &mut bytes, |bytes| {
            let shrunk = shard.shrink(slot);
            bytes.clear();
            encode_state(shard.state(slot), bytes);
            shrunk
        });
        let part = self.part.as_mut().expect("a batch is under way");
        let state = self.shard.state(slot);
        let customer = self.shard.customer(slot);
        let (old, deadline) = (self.shard.indexed_at(slot), state.next_deadline);
        // An entry that is still ahead and not too late serves; it is set right when it comes up.
        let serves = old >= self.shard.stream_time() && old <= deadline && old < Instant::MAX;
        let indexed_at = if serves { old } else { deadline };
        if !serves {
            if old < Instant::MAX {
                part.writes.delete_timer(old, customer);
                self.due.remove(old, customer);
            }
            if deadline < Instant::MAX {
                part.writes.put_timer(deadline, customer);
                self.due.insert(deadline, customer.into());
            }
        }
        part.writes.put_customer(customer, indexed_at, &bytes);
        part.tally.flushed += 1;
        let mut key = Vec::with_capacity(1 + customer.len());
        customer_key(customer, &mut key);
        plan.outs.push(Out {
            topic: Topic::Changelog,
            partition: self.number,
            key: Some(key),
            payload: Some(bytes),
            headers: Headers::default(),
        });
        self.shard.set_indexed_at(slot, indexed_at);
        self.ranks.count(&self.shard.take_moves(slot));
    }

    fn complete(&mut self, context: &Context, plan: &mut Plan) {
        let oldest = self.shard.oldest_dirty();
        let replay_from = oldest.unwrap_or(self.next_offset);
        while self.checkpoints.len() > 1 && self.checkpoints[1].mark <= replay_from {
            self.checkpoints.pop_front();
        }
        let began_at = |mark| self.checkpoints.iter().find(|checkpoint| checkpoint.mark == mark);
        let replay_stream_time =
            oldest.and_then(began_at).map_or(self.shard.stream_time(), |checkpoint| checkpoint.stream_time);
        let mut part = self.part.take().expect("a batch is under way");
        for (position, recorded) in std::mem::take(&mut self.new_recorded) {
            let (key, value) = (recorded.key(position), recorded.value());
            part.writes.put_recorded(key.clone(), Some(value.clone()));
            plan.outs.push(self.changelog(key, Some(value)));
            // Advances at one position overwrite each other; the last is the furthest.
            let last = self.recorded.iter().rev().take_while(|(at, _)| *at == position);
            let overwritten = last.map(|(_, known)| same_kind(*known, recorded)).position(|same| same);
            if let Some(from_back) = overwritten {
                self.recorded.remove(self.recorded.len() - 1 - from_back);
            }
            self.recorded.push_back((position, recorded));
        }
        while let Some((position, recorded)) = self.recorded.front().copied() {
            if position >= replay_from {
                break;
            }
            let key = recorded.key(position);
            part.writes.put_recorded(key.clone(), None);
            plan.outs.push(self.changelog(key, None));
            self.recorded.pop_front();
        }
        let meta = Meta {
            cluster_id: context.cluster_id.clone(),
            input: context.topics.input.clone(),
            partitions: context.partitions,
            rules: self.rules.rules.fingerprint.clone(),
            rules_version: self.rules.number,
            adopting: self.adopting.clone(),
            began: self.meta.began,
            observed: self.observed.clone(),
            timing: self.timing,
            ids_max: self.ids_max,
            sequence: self.meta.sequence + 1,
            next_offset: self.next_offset,
            replay_from,
            replay_stream_time,
            stream_time: self.shard.stream_time(),
            live: self.live,
            caught_up: self.caught_up,
            written_at: self.trusted.max(self.meta.written_at),
            members: self.members.clone(),
            thresholds: self.thresholds().to_vec(),
            taking_up: self.ranks.taking_up.clone(),
            customers: self.customers,
            surges: self.surges.rows(),
            model: self.model.clone(),
            surveyed: self.surveyed,
            log: Log { topic_id: context.input_id.clone(), ..self.meta.log },
            overdue: self.overdue,
        };
        if let Some(counters) = self.ranks.unwritten(&self.rules.rules) {
            part.writes.put_counters(counters);
        }
        for (key, value) in self.parts.changed(&meta) {
            part.writes.put_meta_part(key.clone(), value.clone());
            plan.outs.push(self.changelog(key, Some(value)));
        }
        let mut bytes = Vec::with_capacity(256);
        encode_meta(&meta, &mut bytes);
        part.writes.put_meta_bytes(bytes.clone());
        plan.outs.push(self.changelog(vec![changelog::META], Some(bytes)));
        part.meta = Arc::new(meta);
        // Deadlines that are left are found in the index.
        let undecided_from = self.overdue.map_or(Instant::MAX, |overdue| overdue.decided_to);
        part.writes.put_timers_from(replay_stream_time.min(undecided_from));
        plan.parts.push(part);
    }

    fn changelog(&self, key: Vec<u8>, payload: Option<Vec<u8>>) -> Out {
        Out { topic: Topic::Changelog, partition: self.number, key: Some(key), payload, headers: Headers::default() }
    }

    /// A record for the other processes, of what is in this partition.
    pub(super) fn summary(&self, key: Vec<u8>, payload: Vec<u8>) -> Out {
        let (topic, headers) = (Topic::Summaries, Headers::default());
        Out { topic, partition: self.number, key: Some(key), payload: Some(payload), headers }
    }

    /// The batch is committed and written.
    pub(super) fn committed(&mut self, part: &Part, victims: &[Slot], metrics: &Metrics) {
        self.meta = Arc::clone(&part.meta);
        self.due.written();
        self.rearmed.clear();
        for slot in victims {
            self.shard.remove(*slot);
        }
        let counts = self.shard.take_counts();
        metrics.timers_fired(Fired::Decided).inc_by(counts.deadlines);
        metrics.timers_fired(Fired::Rearmed).inc_by(part.tally.rearmed);
        metrics.decisions_approximated.inc_by(counts.approximated);
        metrics.dedupe_ids_evicted.inc_by(counts.ids_pushed_out);
        self.metrics.records_consumed.inc_by(part.tally.consumed);
        self.metrics.set_stream_time(self.meta.stream_time);
        self.metrics.set_cohort_members(&self.members);
        self.metrics.customers_resident.set(self.shard.len() as u64);
        self.metrics.customers_dirty.set(self.shard.dirty_count() as u64);
        if let Some(at) = self.intake.last_event {
            self.metrics.set_last_event(at);
        }
    }

    /// Everything up to META's `next_offset` is taken in again: the index is put in order, nothing is counted.
    pub(super) fn restored(&mut self, context: &Context) -> Result<(), StoreError> {
        // Later batches write that nothing before stream time counts.
        self.settle(self.next_offset, self.next_offset, Words::None, context, &mut Plan::default())?;
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
    fn look_at_places(&self, context: &Context) -> Result<(), StoreError> {
        let mut looked = 0;
        self.database.for_each_customer("", |customer, _| {
            looked += 1;
            let is_known = context.is_elsewhere(self.number, customer, false) || looked == PLACES_MAX;
            Ok(if is_known { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }
}

/// May a change be acted on without anybody looking? What an edit of the rules brings about is no news of the customer,
/// unless its cohort says so.
pub(super) fn may_automate(effect: &Effect, cohort: &Cohort, caught_up: bool, now: Instant, context: &Context) -> bool {
    let news = match effect.reason {
        ChangeReason::DefinitionChanged => cohort.on_create == OnCreate::Emit,
        // Nobody did anything: a limit over all customers moved.
        ChangeReason::Threshold | ChangeReason::ModelChanged => false,
        _ => true,
    };
    caught_up && news && now.since(effect.at) <= context.max_delay
}

/// By how many milliseconds a deadline was decided later than `time.arrives_within` after its instant, if it was decided live:
/// while a backlog or a history is read, an instant long past says nothing about how promptly it is decided.
fn lateness(effect: &Effect, live: bool, place: &Place<'_>, now: Instant, arrives_within: Span) -> Option<i64> {
    let is_deadline = effect.cause.is_none()
        && !matches!(
            effect.reason,
            ChangeReason::DefinitionChanged | ChangeReason::Threshold | ChangeReason::ModelChanged
        );
    let behind = now.since(place.stream_time).0 - arrives_within.0;
    let is_live = live && behind <= LIVE_EVENT_AGE_MAX.0;
    (is_deadline && is_live).then(|| (now.since(effect.at).0 - arrives_within.0).max(0))
}

/// Makes a state smaller until the changelog takes it. What is written is what decides from then on, after a restart too.
/// `shrink` drops some of what is remembered and writes the state's bytes anew; false: nothing is left to drop.
pub(super) fn keep_below(
    limit: usize,
    partition: i32,
    bytes: &mut Vec<u8>,
    mut shrink: impl FnMut(&mut Vec<u8>) -> bool,
) {
    let before = bytes.len();
    if before <= limit {
        return;
    }
    while bytes.len() > limit && shrink(bytes) {}
    // What is forgotten of a customer may have mattered.
    tracing::warn!(
        partition,
        before,
        after = bytes.len(),
        limit,
        "The state of a customer is larger than topics.changelog takes; the oldest of it is forgotten."
    );
}

/// Would the one overwrite the other at the same position?
fn same_kind(a: Recorded, b: Recorded) -> bool {
    a.key(0) == b.key(0)
}

/// Sets a clean customer's index entry at the true deadline.
fn reindex(shard: &mut Shard, due: &mut DueIndex, part: &mut Part, slot: Slot) {
    let (old, deadline) = (shard.indexed_at(slot), shard.state(slot).next_deadline);
    let customer: Box<str> = shard.customer(slot).into();
    let mut bytes = Vec::with_capacity(384);
    encode_state(shard.state(slot), &mut bytes);
    part.tally.rearmed += 1;
    part.writes.delete_timer(old, &customer);
    part.writes.put_customer(&customer, deadline, &bytes);
    if deadline < Instant::MAX {
        part.writes.put_timer(deadline, &customer);
        due.insert(deadline, customer);
    }
    shard.set_indexed_at(slot, deadline);
}

#[cfg(test)]
mod tests {
    use super::{Place, lateness};
    use crate::engine::{Effect, EventCause};
    use crate::event::{Change, ChangeReason, Instant, Span};
    use crate::rules::CohortIx;

    const NOON: Instant = Instant(1_767_614_400_000);
    const ARRIVES_WITHIN: Span = Span(90_000);

    fn deadline(at: Instant) -> Effect {
        Effect {
            cohort: CohortIx(0),
            change: Change::Exited,
            at,
            reason: ChangeReason::Time,
            cause: None,
            sequence: 1,
            entered_at: at - Span::DAY,
            times_entered: 1,
            next_change_at: None,
            properties: Vec::new(),
            risk: None,
            why: Vec::new(),
        }
    }

    fn observed(effect: &Effect, live: bool, stream_time: Instant, now: Instant) -> Option<i64> {
        let place = Place { input: "events", partition: 0, position: 7, stream_time };
        lateness(effect, live, &place, now, ARRIVES_WITHIN)
    }

    #[test]
    fn lateness_leaves_out_the_wait_for_events_that_are_on_their_way() {
        let due = deadline(NOON);
        for late in [0, 1, 250, 120_000] {
            let now = NOON + ARRIVES_WITHIN + Span(late);
            assert_eq!(observed(&due, true, now - ARRIVES_WITHIN, now), Some(late));
        }
        // An event moved stream time further than the wall clock does.
        assert_eq!(observed(&due, true, NOON + Span(1), NOON + Span::SECOND), Some(0));
    }

    #[test]
    fn lateness_is_of_live_deadlines_only() {
        let due = deadline(NOON);
        let now = NOON + Span::DAY;
        assert_eq!(observed(&due, true, NOON + Span(1), now), None, "a backlog is read");
        assert_eq!(observed(&due, true, now - ARRIVES_WITHIN, now), Some(Span::DAY.0 - ARRIVES_WITHIN.0));
        assert_eq!(observed(&due, false, now - ARRIVES_WITHIN, now), None, "its time does not follow the wall clock");
        let event = EventCause { event: "visit".into(), event_id: None, position: 7 };
        let caused = Effect { cause: Some(event), reason: ChangeReason::Event, ..deadline(NOON) };
        assert_eq!(observed(&caused, true, now - ARRIVES_WITHIN, now), None, "an event has no deadline");
        for reason in [ChangeReason::DefinitionChanged, ChangeReason::Threshold, ChangeReason::ModelChanged] {
            let edited = Effect { reason, ..deadline(NOON) };
            assert_eq!(observed(&edited, true, now - ARRIVES_WITHIN, now), None, "{reason:?}");
        }
    }
}
