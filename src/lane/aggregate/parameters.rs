//! The churn model in a lane: applying new parameters while the input goes on.
//!
//! Parameters come into force at one log position and stream time, when everything is flushed, so a replay of the input
//! never crosses that point. Each customer is decided under them as of that stream time before any other decision about
//! them: when an event or a deadline of theirs comes, and otherwise by a sweep over all ids, a share in each turn. The
//! result does not depend on when the sweep reaches a customer. META records how far the sweep is, and the customers
//! that it decided are flushed with it.

use std::sync::Arc;

use crate::engine::{Detail, Parameters, Slot};
use crate::lane::aggregate::limits::{FLUSH_FOR, PARTITIONS_MAX};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::Partition;
use crate::lane::summaries::updates::ParametersUpdate;
use crate::store::{InForce, Recorded, StoreError, decode_state};

impl Partition {
    /// Are there customers who are not decided under the parameters in force yet?
    pub(in crate::lane) fn is_sweeping(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.through.is_some())
    }

    /// Newer parameters for the rules in force; provisional ones never replace others.
    fn should_apply(&self, update: &ParametersUpdate) -> bool {
        let newer = |InForce { parameters, .. }: &InForce| {
            update.parameters.version > parameters.version && (parameters.provisional || !update.parameters.provisional)
        };
        update.version == self.rules.number && self.model.as_ref().is_none_or(newer)
    }

    /// Puts parameters into force at the present position. Everything must be flushed, and every deadline before stream
    /// time decided.
    fn apply_parameters(&mut self, parameters: Parameters) {
        self.begin();
        let since = self.stream_time();
        self.record(self.next_offset, Recorded::Parameters { parameters, stream_time: since });
        self.residents.set_parameters(Some(Arc::new(parameters)), since);
        self.model = Some(InForce { parameters, since, through: Some(String::new()) });
        tracing::info!(
            partition = self.number,
            version = parameters.version,
            provisional = parameters.provisional,
            corrected = parameters.recalibration.is_some(),
            offset = self.next_offset,
            "The churn model has new parameters."
        );
    }

    /// Goes on with the sweep: scans at most `most` customers, decides those who are not decided under the parameters
    /// in force, and flushes them. Returns how many it scanned.
    pub(super) fn continue_sweep(
        &mut self,
        context: &Context,
        most: usize,
        plan: &mut Plan,
    ) -> Result<usize, StoreError> {
        let Some(mut through) = self.model.as_ref().and_then(|model| model.through.clone()) else { return Ok(0) };
        if self.is_overdue() {
            return Ok(0);
        }
        let mut lagging: Vec<Box<str>> = Vec::new();
        let (shard, rules) = (self.residents.shard(), &self.rules.rules);
        let (looked, done) = self.residents.database().scan_customers(&mut through, most, |customer, state| {
            let lags = match shard.peek(customer) {
                Some(state) => shard.engine().has_stale_parameters(&state),
                None => shard.engine().has_stale_parameters(&decode_state(state, rules)?),
            };
            if lags {
                lagging.push(customer.into());
            }
            Ok(())
        })?;
        self.begin();
        if let Some(model) = &mut self.model {
            model.through = (!done).then_some(through);
        }
        self.residents.load_missing(lagging.iter().map(|customer| &**customer))?;
        let slots: Vec<_> = lagging.iter().map(|customer| self.residents.find_or_new(customer)).collect();
        for slot in &slots {
            self.decide_under_parameters(*slot);
        }
        self.tally().reevaluated += slots.len() as u64;
        self.emit(self.round(), Detail::Full, context, plan);
        for slot in slots {
            self.flush_one(slot, plan);
        }
        Ok(looked)
    }

    /// Decides a customer under the parameters in force, unless that is done. `emit` turns the effects into records.
    fn decide_under_parameters(&mut self, slot: Slot) {
        self.residents.apply_parameters(slot, self.next_offset, Detail::Full);
    }
}

impl Lane {
    /// Applies the newest parameters, once everything is flushed, which may take several turns.
    pub(in crate::lane) fn refresh_parameters(&mut self) -> Result<(), LaneError> {
        let Some(update) = self.newest_parameters.clone() else { return Ok(()) };
        let wants = |p: &&Partition| {
            let busy = p.is_applying_thresholds() || p.is_sweeping() || p.is_overdue() || self.is_migrating(p.number);
            !busy && p.should_apply(&update)
        };
        let waiting: Vec<i32> = self.partitions.values().filter(wants).map(|p| p.number).take(PARTITIONS_MAX).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        self.flush_partitions(&waiting, FLUSH_FOR)?;
        if self.pending.is_some() {
            return Ok(());
        }
        for partition in self.partitions.values_mut().filter(|p| waiting.contains(&p.number)) {
            if partition.is_flushed() {
                partition.apply_parameters(update.parameters);
            }
        }
        self.finish(Plan::default())
    }
}
