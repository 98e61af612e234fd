//! Migrating customers to the new rules, some thousands in each transaction.

use std::sync::Arc;

use crate::clock::wall_clock;
use crate::engine::{Detail, Effect, LogCoverage};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::migration::rules_migration::{RulesMigration, backfill_failed};
use crate::lane::output::plan::Plan;
use crate::lane::partition::flush::put_state;
use crate::lane::partition::rank_state::RankState;
use crate::lane::partition::state::Partition;
use crate::lane::versions::edit_report::Applied;
use crate::lane::versions::rulebook::Version;
use crate::rules::RuleSet;
use crate::store::{LastSurveys, MigrationProgress, Recorded, StoreError, decode_state};

/// Customers migrated in one transaction.
const SWEEP_CUSTOMERS: usize = 2_000;

const SWEEP_BYTES: usize = 4 << 20;

impl RulesMigration {
    /// Migrates the next customers. True: none are left, and the migration is complete.
    pub(super) fn sweep(
        &mut self,
        partition: &mut Partition,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<bool, LaneError> {
        let rules = &self.version.rules;
        let (position, stream_time) = (partition.next_offset, partition.stream_time());
        let mut migrating = self.state_of_migration(partition);
        self.engine.observe(migrating.observed.clone());
        let database = partition.residents.database();
        let customers = database.customers_after(&migrating.through, SWEEP_CUSTOMERS, SWEEP_BYTES)?;
        partition.begin();
        let Some(last) = customers.last() else {
            self.finish(partition, migrating, context);
            return Ok(true);
        };
        migrating.through = last.customer.as_ref().to_owned();
        let ids: Vec<&str> = customers.iter().map(|stored| &*stored.customer).collect();
        let backfilled = self.backfilled.take(&ids, rules).map_err(backfill_failed)?;
        self.engine.set_thresholds(self.migration.thresholds(partition.thresholds()));
        for (stored, backfilled) in customers.iter().zip(backfilled) {
            let old = decode_state(&stored.state, self.migration.old()).map_err(StoreError::from)?;
            let mut decided = Vec::new();
            let (mut state, left) = self.migration.migrate(
                &stored.customer,
                old,
                backfilled,
                if self.has_whole_log { LogCoverage::Whole } else { LogCoverage::Partial },
                stream_time,
                &mut self.engine,
                Detail::Full,
                &mut decided,
            );
            state.as_of = partition.meta.log.position(position);
            let old_version = Arc::clone(&partition.rules);
            emit_effects(partition, &stored.customer, &old_version, left, context, plan);
            emit_effects(partition, &stored.customer, &self.version, decided, context, plan);
            for effect in self.engine.take_risks() {
                partition.note_clock(std::iter::once(effect.at), wall_clock(), context);
                partition.emit_risk(rules, &stored.customer, effect, partition.round(), context, plan);
            }
            for (cohort, membership) in state.memberships.iter() {
                migrating.members[cohort] += u64::from(membership.member);
            }
            let flushed = partition.residents.replace(&stored.customer, state, stored.indexed_at);
            let part = partition.part.as_mut().expect("a batch is under way");
            put_state(flushed, part, &mut partition.ranks, plan);
        }
        self.customers += customers.len() as u64;
        self.metrics.customers_migrated.inc_by(customers.len() as u64);
        partition.migrating = Some(migrating);
        Ok(false)
    }

    /// How far the migration is, with what is known now about when facts began to be observed.
    fn state_of_migration(&self, partition: &mut Partition) -> MigrationProgress {
        let stream_time = partition.stream_time();
        let begins = (!self.has_whole_log).then(|| self.log_begins.unwrap_or(stream_time));
        let observed = self.migration.observed(&partition.observed, begins, stream_time);
        match partition.migrating.take() {
            // The log may begin later than when the migration began.
            Some(mut migrating) => {
                observed.later.iter().for_each(|(fact, at)| migrating.observed.begins(*fact, *at));
                migrating
            }
            None => MigrationProgress {
                version: self.version.number,
                through: String::new(),
                members: vec![0; self.version.rules.cohorts.len()],
                observed,
            },
        }
    }

    /// All customers are migrated: the new rules come into force.
    fn finish(&self, partition: &mut Partition, migrating: MigrationProgress, context: &Context) {
        let (old, new) = (Arc::clone(&partition.rules), &self.version);
        let members = sizes(&old.rules, &partition.members, &new.rules, &migrating.members);
        let members = members.into_iter().map(|(cohort, before, after)| (cohort.to_owned(), before, after)).collect();
        context.edits.applied(self.partition, Applied { customers: self.customers, members });
        tracing::debug!(
            partition = self.partition,
            version = new.number,
            offset = partition.next_offset,
            customers = self.customers,
            seconds = self.started.elapsed().as_secs_f64(),
            "The partition has applied the new rules."
        );
        partition.members = migrating.members;
        partition.observed = migrating.observed;
        let thresholds = self.migration.thresholds(partition.thresholds());
        partition.rules = Arc::clone(new);
        partition.ranks = RankState::recounting(&new.rules);
        partition.automation.forget_surges();
        partition.model.take_if(|_| !self.migration.keeps_parameters());
        partition.last_surveys = LastSurveys::NEVER;
        partition.survey_pass = None;
        partition.evict_all();
        partition.residents.set_thresholds(thresholds);
        partition.metrics.set_cohorts(new.rules.cohorts.iter().map(|cohort| cohort.name.as_str()));
        partition.record(partition.next_offset, Recorded::Rules { version: new.number });
    }
}

/// Emits the changes that an edit of the rules caused for one customer.
fn emit_effects(
    partition: &mut Partition,
    customer: &str,
    version: &Arc<Version>,
    effects: Vec<Effect>,
    context: &Context,
    plan: &mut Plan,
) {
    if effects.is_empty() {
        return;
    }
    partition.note_clock(effects.iter().map(|effect| effect.at), wall_clock(), context);
    let round = partition.round();
    let place = partition.origin(partition.next_offset, context);
    let part = partition.part.as_mut().expect("a batch is under way");
    for effect in effects {
        part.tally.changes.push((Arc::clone(version), effect.cohort, effect.change));
        let cohort = version.rules.cohort(effect.cohort);
        if cohort.shadow {
            continue;
        }
        let automation = partition.automation.for_change(&effect, cohort, round);
        context.record_encoder.push_change(&version.rules, customer, &effect, automation, &place, plan);
    }
}

/// Each cohort of either version with its members before and after.
fn sizes<'a>(old: &'a RuleSet, before: &[u64], new: &'a RuleSet, after: &[u64]) -> Vec<(&'a str, u64, u64)> {
    let count = |rules: &RuleSet, counts: &[u64], name: &str| {
        let number = rules.cohorts.iter().position(|cohort| cohort.name == name);
        number.and_then(|number| counts.get(number)).copied().unwrap_or(0)
    };
    let mut names: Vec<&str> = old.cohorts.iter().chain(&new.cohorts).map(|cohort| cohort.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| (name, count(old, before, name), count(new, after, name))).collect()
}
