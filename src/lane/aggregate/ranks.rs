//! Ranks in a lane: publishing the counters of its partitions, and applying new thresholds.
//!
//! Counters count customers as they were last flushed. They are written together with the states in the same database
//! write, so a crash leaves both consistent; the changelog does not hold them, and a copy that is restored from it
//! counts again. Everything is flushed before counters are published and before a threshold is applied, so a replay of
//! the input never crosses a threshold.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::clock::wall_clock;
use crate::event::Instant;
use crate::lane::aggregate::limits::{FLUSH_FOR, PARTITIONS_MAX};
use crate::lane::aggregate::thresholds::Budget;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::lane::partition::publish_schedule::Load;
use crate::lane::partition::rank_state::RankState;
use crate::lane::partition::state::Partition;
use crate::lane::summaries::updates::ThresholdsUpdate;
use crate::store::{Published, Stage, StoreError};

/// Customers of a partition that are counted again in one turn: some 25 ms.
const RECOUNT_MAX: usize = 50_000;

impl Partition {
    /// Are the counters of this tick not published yet, or is another publication due because much has changed?
    fn owes_counters(&self, tick: i64, now: Moment) -> bool {
        let is_settled = self.ranks.published_stage == Some(Stage::Settled);
        let has_news = !is_settled || self.ranks.changed_since_publication || self.residents.shard().dirty_count() > 0;
        self.ranks.published_tick != Some(tick) || (has_news && self.ranks.schedule.is_due(now))
    }

    /// Samples the counters from time to time, to see whether they have changed much.
    fn watch_counters(&mut self, now: Moment) {
        let RankState { schedule, recount, .. } = &self.ranks;
        if !self.rules.rules.rankings.is_empty() && recount.is_none() && schedule.is_sample_due(self.load(), now) {
            self.sample_counters(now);
        }
    }

    fn load(&self) -> Load {
        if self.has_caught_up() { Load::Complete } else { Load::InProgress }
    }

    fn sample_counters(&mut self, now: Moment) {
        let under = (&*self.rules.rules, self.residents.shard().engine().thresholds());
        let load = self.load();
        self.ranks.schedule.sample(&self.ranks.counters, under, load, now);
    }

    /// Once everything is flushed: publishes the counters and puts new thresholds into force, as far as either is due.
    /// True: thresholds have come into force.
    fn start_rank_work(
        &mut self,
        newest: Option<&ThresholdsUpdate>,
        (now, moment): (Instant, Moment),
        context: &Context,
        plan: &mut Plan,
    ) -> Result<bool, StoreError> {
        if !self.is_flushed() {
            return Ok(false);
        }
        let tick = context.tick_of(self.number, now);
        if self.owes_counters(tick, moment) {
            self.publish_counters(tick, context.refresh, plan)?;
        }
        let Some(update) = newest.filter(|update| self.should_apply_thresholds(update)) else { return Ok(false) };
        self.begin_thresholds(&update.thresholds);
        Ok(true)
    }

    /// Adds the counters to the batch, once all customers are counted. Everything must be flushed.
    fn publish_counters(&mut self, tick: i64, refresh: Duration, plan: &mut Plan) -> Result<(), StoreError> {
        let rules = Arc::clone(&self.rules.rules);
        if !self.ranks.continue_recount(self.residents.database(), &rules, RECOUNT_MAX)? {
            return Ok(());
        }
        self.begin();
        let now = Moment::now();
        // The flush has counted customers since the last sample.
        self.sample_counters(now);
        let stage = self.ranks.schedule.stage(now);
        self.ranks.schedule.published(refresh, now);
        (self.ranks.published_tick, self.ranks.published_stage, self.ranks.changed_since_publication) =
            (Some(tick), Some(stage), false);
        let partition = u32::try_from(self.number).unwrap_or_default();
        for (ranking, counters) in self.ranks.counters.rankings.iter().enumerate() {
            let published = Published { partition, ranking, tick, stage, counters: counters.clone() };
            let (key, value) = published.encode(&rules);
            plan.records.push(self.summary(&key, value));
        }
        Ok(())
    }
}

impl Lane {
    /// Every partition publishes its counters once per `ranks.refresh`, and earlier when they have changed much; new
    /// thresholds are applied as they arrive. Both need everything of the partition flushed, which may take several
    /// turns. One turn handles a few partitions and a share of the customers, so that the lane keeps polling.
    pub(in crate::lane) fn refresh_ranks(&mut self) -> Result<(), LaneError> {
        let context = Arc::clone(&self.context);
        let (now, moment) = (wall_clock(), Moment::now());
        self.partitions.values_mut().for_each(|partition| partition.watch_counters(moment));
        let newest = self.newest_thresholds.clone();
        let due = |partition: &Partition| {
            !partition.rules.rules.rankings.is_empty()
                && (partition.owes_counters(context.tick_of(partition.number, now), moment)
                    || newest.as_ref().is_some_and(|update| partition.should_apply_thresholds(update)))
        };
        let idle = |partition: &&Partition| {
            !partition.is_applying_thresholds() && !partition.is_overdue() && !self.is_migrating(partition.number)
        };
        let starting = self.partitions.values().filter(idle).filter(|partition| due(partition));
        let starting: Vec<i32> = starting.map(|partition| partition.number).take(PARTITIONS_MAX).collect();
        if starting.is_empty() && !self.partitions.values().any(Partition::is_applying_thresholds) {
            return Ok(());
        }
        if !starting.is_empty() {
            self.flush_partitions(&starting, FLUSH_FOR)?;
        }
        if self.pending.is_some() {
            return Ok(());
        }
        let (mut plan, mut failed) = (Plan::default(), Vec::new());
        let mut begun = Vec::new();
        for partition in self.partitions.values_mut().filter(|p| starting.contains(&p.number)) {
            match partition.start_rank_work(newest.as_ref(), (now, moment), &context, &mut plan) {
                Ok(true) => begun.push(partition.number),
                Ok(false) => {}
                Err(error) => failed.push((partition.number, error.into())),
            }
        }
        // The input of such a partition waits until all customers are decided under the new thresholds.
        if !begun.is_empty() {
            self.pause_input(&begun)?;
        }
        let mut budget = Budget::of_a_turn();
        let mut done = Vec::new();
        for partition in self.partitions.values_mut().filter(|partition| partition.is_applying_thresholds()) {
            if budget.is_spent() || self.plan_size.is_full(&plan) {
                break;
            }
            if let Err(error) = partition.apply_thresholds(&context, &mut budget, &mut plan) {
                failed.push((partition.number, error.into()));
            } else if !partition.is_applying_thresholds() {
                done.push(partition.number);
            }
        }
        self.to_seek.extend(done);
        self.contain_all(failed, &mut plan)?;
        self.finish(plan)
    }
}
