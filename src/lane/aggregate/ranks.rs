//! Ranks in a lane: counting flushed customers, publishing the counters, taking new thresholds up.
//!
//! Counters count customers as they were last flushed. So they change with the database's own writes, a crash leaves both
//! alike, and nothing of them is in the changelog: a copy rebuilt from it counts anew. Before they are published, and
//! before a threshold is taken up, everything is flushed. Then no customer has been decided under a threshold and is to be
//! decided again under another: taking the input in again never crosses one.
//!
//! Whom a new threshold concerns is found by reading through the partition's customers in the order of their ids, a share
//! in each transaction; META says how far that has come. Only the head of each state is decoded, and only those between
//! the old threshold and the new are decided. Meanwhile the lane takes nothing in of that partition: looking through a
//! million customers takes half a second (`cargo bench --bench engine -- ranks`), at most once each `ranks.refresh`, and
//! deciding comes on top.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::clock::wall_clock;
use crate::engine::{Detail, RankMove, Standing, Thresholds};
use crate::event::stored_hash::tie_hash;
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::input::pace::Pace;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;
use crate::rules::RuleSet;
use crate::store::{
    Database, Published, Recorded, Stage, StoreError, TakingUp, decode_counters, encode_counters, places,
};
use crate::summary::Counters;

/// Customers of a lane looked at in one transaction while a threshold is taken up.
const LOOK_MAX: usize = 200_000;
/// Customers of a lane decided in one transaction while a threshold is taken up.
const DECIDE_MAX: usize = 5_000;
/// Partitions that publish, or begin to take thresholds or parameters up, in one turn.
pub(in crate::lane) const PARTITIONS_MAX: usize = 8;
/// How long flushing for that may keep the lane from its other work in one turn.
pub(in crate::lane) const FLUSH_FOR: Duration = Duration::from_millis(200);

/// What a partition knows of ranks, besides the thresholds in force.
pub(in crate::lane) struct RankWork {
    counters: Counters,
    /// Not yet written as they are.
    changed: bool,
    /// New thresholds are in force, and not all customers are decided under them.
    pub(in crate::lane) taking_up: Option<TakingUp>,
    /// When the counters were last published.
    tick: Option<i64>,
    /// What was said of them then.
    stage: Option<Stage>,
    /// Something was counted since, and since the last look at what is counted.
    moved: bool,
    unseen: bool,
    /// When they are published besides.
    pace: Pace,
    /// Customers were brought over to other rules, or are being so: all are counted anew before the next publication.
    stale: bool,
}

/// What is left of a turn for customers whom new thresholds may concern.
struct Budget {
    looks: usize,
    decisions: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.looks == 0 || self.decisions == 0
    }
}

/// Where the ranks of one version of the rules begin.
#[derive(Debug, Clone)]
pub struct RankTold {
    pub(in crate::lane) version: u64,
    pub(in crate::lane) thresholds: Thresholds,
}

impl RankWork {
    /// Under rules that have just been taken up.
    pub(in crate::lane) fn anew(rules: &RuleSet) -> Self {
        Self { stale: true, ..Self::of(Counters::new(rules), true, None) }
    }

    /// As the database has it; what is not counted there is counted now.
    pub(in crate::lane) fn load(
        database: &Database,
        taking_up: Option<TakingUp>,
        rules: &RuleSet,
    ) -> Result<Self, StoreError> {
        let stored = stored_counters(database, rules)?;
        let changed = stored.is_none() && !rules.rankings.is_empty();
        let counters = match stored {
            Some(counters) => counters,
            None => count_all(database, rules)?,
        };
        Ok(Self::of(counters, changed, taking_up))
    }

    fn of(counters: Counters, changed: bool, taking_up: Option<TakingUp>) -> Self {
        Self {
            counters,
            changed,
            taking_up,
            tick: None,
            stage: None,
            moved: false,
            unseen: true,
            pace: Pace::new(Moment::now()),
            stale: false,
        }
    }

    pub(in crate::lane) fn count(&mut self, moves: &[RankMove]) {
        if self.stale {
            return;
        }
        moves.iter().for_each(|moved| self.counters.count(moved));
        self.changed |= !moves.is_empty();
        self.moved |= !moves.is_empty();
        self.unseen |= !moves.is_empty();
    }

    /// The counters' bytes, if they are not those last written; none, where what was written counts no longer.
    pub(in crate::lane) fn unwritten(&mut self, rules: &RuleSet) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut bytes = Vec::new();
        if self.stale {
            return Some(bytes);
        }
        encode_counters(&self.counters, rules, &mut bytes);
        Some(bytes)
    }
}

/// What is counted of a database's customers. `None`: they were counted for other rules, or never.
pub(in crate::lane) fn stored_counters(database: &Database, rules: &RuleSet) -> Result<Option<Counters>, StoreError> {
    if rules.rankings.is_empty() {
        return Ok(Some(Counters::default()));
    }
    let Some(bytes) = database.counters()?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    Ok(decode_counters(&bytes, rules)?)
}

fn count_all(database: &Database, rules: &RuleSet) -> Result<Counters, StoreError> {
    let mut counters = Counters::new(rules);
    if rules.rankings.is_empty() {
        return Ok(counters);
    }
    database.for_each_customer("", |customer, state| {
        let (places, _) = places(state, rules.rankings.len())?;
        for (ranking, place) in counters.rankings.iter_mut().zip(places) {
            if let Some(value) = place {
                ranking.add(Standing { value, hash: tie_hash(customer) });
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(counters)
}

/// The steps from one stored state of a customer to another.
pub(in crate::lane) fn moves(
    customer: &str,
    from: Option<&[u8]>,
    to: Option<&[u8]>,
    rules: &RuleSet,
) -> Result<Vec<RankMove>, StoreError> {
    let rankings = rules.rankings.len();
    let read = |state: Option<&[u8]>| match state {
        Some(state) => places(state, rankings).map(|(places, _)| places),
        None => Ok(vec![None; rankings].into()),
    };
    let hash = tie_hash(customer);
    let standing = |value: Option<crate::event::Number>| value.map(|value| Standing { value, hash });
    let steps = read(from)?.into_iter().zip(read(to)?).enumerate();
    Ok(steps
        .filter(|(_, (from, to))| from != to)
        .map(|(ranking, (from, to))| RankMove { ranking, from: standing(from), to: standing(to) })
        .collect())
}

impl Partition {
    /// Do the counters of this tick still have to be published, or again, since much has changed?
    fn owes_counters(&self, tick: i64, now: Moment) -> bool {
        let is_settled = self.ranks.stage == Some(Stage::Settled);
        let has_news = !is_settled || self.ranks.moved || self.shard.dirty_count() > 0;
        self.ranks.tick != Some(tick) || (has_news && self.ranks.pace.is_due(now))
    }

    /// Now and then: has what is counted changed much?
    fn watch_counters(&mut self, now: Moment) {
        let RankWork { pace, stale, unseen, .. } = &self.ranks;
        if !self.rules.rules.rankings.is_empty() && !stale && pace.looks(*unseen, !self.caught_up, now) {
            self.look_at_counters(now);
        }
    }

    fn look_at_counters(&mut self, now: Moment) {
        let under = (&*self.rules.rules, self.shard.engine().thresholds());
        self.ranks.pace.look(&self.ranks.counters, under, !self.caught_up, now);
        self.ranks.unseen = false;
    }

    pub(in crate::lane) fn is_taking_up(&self) -> bool {
        self.ranks.taking_up.is_some()
    }

    /// Adds the counters to the batch. Everything is flushed.
    fn publish_counters(&mut self, tick: i64, refresh: Duration, plan: &mut Plan) -> Result<(), StoreError> {
        let rules = Arc::clone(&self.rules.rules);
        if self.ranks.stale || self.ranks.counters.are_short() {
            self.ranks.counters = count_all(&self.database, &rules)?;
            (self.ranks.changed, self.ranks.stale) = (true, false);
        }
        self.begin();
        let now = Moment::now();
        // Flushing has counted what came since the last look.
        self.look_at_counters(now);
        let stage = self.ranks.pace.stage(now);
        self.ranks.pace.published(refresh, now);
        (self.ranks.tick, self.ranks.stage, self.ranks.moved) = (Some(tick), Some(stage), false);
        let partition = u32::try_from(self.number).unwrap_or_default();
        for (ranking, counters) in self.ranks.counters.rankings.iter().enumerate() {
            let published = Published { partition, ranking, tick, stage, counters: counters.clone() };
            let (key, value) = published.encode(&rules);
            plan.outs.push(self.summary(key, value));
        }
        Ok(())
    }

    /// Begins to take thresholds up, at the present position. Everything is flushed, and every deadline before stream time
    /// is decided under the old ones.
    fn begin_to_take_up(&mut self, thresholds: &Thresholds) {
        self.begin();
        let position = self.next_offset;
        let stream_time = self.stream_time();
        let old = Arc::clone(self.thresholds());
        for (rank, threshold) in (0..).zip(thresholds.iter().copied()) {
            self.record(position, Recorded::Threshold { rank, threshold, stream_time });
        }
        self.shard_mut().set_thresholds(Arc::clone(thresholds));
        self.ranks.taking_up = Some(TakingUp { old: old.to_vec(), through: String::new() });
    }

    /// Decides a share of those whom the new thresholds concern, and flushes them.
    fn take_up(&mut self, context: &Context, budget: &mut Budget, plan: &mut Plan) -> Result<(), StoreError> {
        let Some(TakingUp { old, through }) = self.ranks.taking_up.take() else { return Ok(()) };
        self.begin();
        let old: Thresholds = old.into();
        let (new, stream_time) = (Arc::clone(self.thresholds()), self.stream_time());
        let rules = Arc::clone(&self.rules.rules);
        let (mut concerned, mut looked, mut last): (Vec<Box<str>>, usize, String) = (Vec::new(), 0, through.clone());
        let mut more = false;
        self.database.for_each_customer(&through, |customer, state| {
            if looked == budget.looks || concerned.len() == budget.decisions {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            looked += 1;
            customer.clone_into(&mut last);
            let (places, deadline) = places(state, rules.rankings.len())?;
            let hash = tie_hash(customer);
            let turns = rules.ranks.iter().zip(old.iter().zip(new.iter())).any(|(rank, (old, new))| {
                let place = places[usize::from(rank.ranking.0)];
                let standing = place.map(|value| Standing { value, hash });
                old != new && standing.is_some_and(|it| rank.includes(it, *old) != rank.includes(it, *new))
            });
            // At its deadline a customer may stand elsewhere.
            if turns || deadline <= stream_time {
                concerned.push(customer.into());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        budget.looks -= looked;
        budget.decisions -= concerned.len();
        self.ranks.taking_up = more.then(|| TakingUp { old: old.to_vec(), through: last });
        let missing = concerned.iter().filter(|customer| self.find(customer).is_none()).map(|c| &**c).collect();
        self.fetch(missing)?;
        for customer in &concerned {
            let slot = self.slot(customer);
            self.reconsider(slot, &old);
        }
        self.tell(self.next_offset, Detail::Full, context, plan);
        self.flush_all(usize::MAX, plan);
        Ok(())
    }
}

impl Lane {
    /// Once each `ranks.refresh`, and when much has changed, every partition publishes its counters; and whenever new
    /// thresholds come, they are taken up. Both begin when everything of the partition is flushed, which may take some turns. A few partitions in a turn, and
    /// a share of the customers: in between the lane polls, and the others go on.
    pub(in crate::lane) fn refresh_ranks(&mut self) -> Result<(), LaneError> {
        let context = Arc::clone(&self.context);
        let (now, moment) = (wall_clock(), Moment::now());
        self.partitions.values_mut().for_each(|partition| partition.watch_counters(moment));
        let wanted = self.wanted.clone();
        let differs = |partition: &Partition| {
            wanted.as_ref().is_some_and(|wanted| {
                let differs = *partition.thresholds() != wanted.thresholds;
                differs && wanted.version == partition.rules.number && !partition.is_sweeping()
            })
        };
        let owes = |partition: &Partition| partition.owes_counters(context.tick_of(partition.number, now), moment);
        let needs = |partition: &&Partition| {
            !partition.rules.rules.rankings.is_empty() && (owes(partition) || differs(partition))
        };
        let idle = |partition: &&Partition| {
            !partition.is_taking_up() && !partition.is_overdue() && !self.takes_up_rules(partition.number)
        };
        let at_work = self.partitions.values().filter(idle).filter(needs);
        let busy: Vec<i32> = at_work.map(|partition| partition.number).take(PARTITIONS_MAX).collect();
        if busy.is_empty() && !self.partitions.values().any(Partition::is_taking_up) {
            return Ok(());
        }
        if !busy.is_empty() {
            self.flush_partitions(&busy, FLUSH_FOR)?;
        }
        if self.pending.is_some() {
            return Ok(());
        }
        let (mut plan, mut failed) = (Plan::default(), Vec::new());
        let mut begun = Vec::new();
        for partition in self.partitions.values_mut().filter(|p| busy.contains(&p.number)) {
            if !partition.is_flushed() {
                continue;
            }
            if owes(partition) {
                let tick = context.tick_of(partition.number, now);
                if let Err(error) = partition.publish_counters(tick, context.refresh, &mut plan) {
                    failed.push((partition.number, error.into()));
                    continue;
                }
            }
            if differs(partition)
                && let Some(wanted) = &wanted
            {
                partition.begin_to_take_up(&wanted.thresholds);
                begun.push(partition.number);
            }
        }
        // Until all are decided under the new thresholds, nothing is taken in of such a partition.
        if !begun.is_empty() {
            self.pause_input(&begun)?;
        }
        let mut budget = Budget { looks: LOOK_MAX, decisions: DECIDE_MAX };
        let mut done = Vec::new();
        for partition in self.partitions.values_mut().filter(|partition| partition.is_taking_up()) {
            if budget.is_spent() || self.size.is_reached(&plan) {
                break;
            }
            if let Err(error) = partition.take_up(&context, &mut budget, &mut plan) {
                failed.push((partition.number, error.into()));
            } else if !partition.is_taking_up() {
                done.push(partition.number);
            }
        }
        self.adrift.extend(done);
        self.contain_all(failed, &mut plan)?;
        self.finish(plan)
    }
}
