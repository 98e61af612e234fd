//! The rules and limits by which a partition decides, and those by which it is to decide next.

use std::sync::Arc;

use crate::engine::{CustomerState, Engine, Observed, Shard};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::partition::state::Partition;
use crate::lane::versions::rulebook::{Rulebook, Version};
use crate::rules::RuleSet;
use crate::store::{InForce, StoreError, decode_state};

impl Partition {
    /// The version of the rules that a customer's state follows, and since when its facts were observed.
    pub(in crate::lane) fn version_of(
        &self,
        customer: &str,
        rulebook: &Rulebook,
    ) -> Result<(Arc<Version>, Observed), LaneError> {
        let migrated = self.meta.migration.as_ref().filter(|migration| customer <= migration.through.as_str());
        if let Some(migration) = migrated
            && let Some(version) = rulebook.get(migration.version)?
        {
            return Ok((version, migration.observed.clone()));
        }
        Ok((Arc::clone(&self.rules), self.observed.clone()))
    }

    /// A copy of a customer's state, from memory or from the database. Changes nothing.
    pub(in crate::lane) fn look_up(
        &self,
        customer: &str,
        rules: &RuleSet,
    ) -> Result<Option<CustomerState>, StoreError> {
        if let Some(state) = self.residents.shard().peek(customer) {
            return Ok(Some(state.into_owned()));
        }
        let Some(stored) = self.residents.database().customer(customer)? else { return Ok(None) };
        Ok(Some(decode_state(stored.state(), rules)?))
    }

    /// Applies the limits of the settings once nothing is left that a replay would decide under the old ones. False:
    /// not yet.
    pub(in crate::lane) fn apply_limits(&mut self, context: &Context) -> bool {
        if self.timing == context.timing && self.ids_max == context.ids_max {
            return true;
        }
        if self.part.is_some() || self.residents.oldest_dirty().is_some() || self.is_overdue() {
            return false;
        }
        (self.timing, self.ids_max) = (context.timing, context.ids_max);
        self.residents.set_timing(self.timing, self.ids_max as usize);
        true
    }

    /// The version of the rules that the partition is to migrate to, if it is not the one in force.
    pub(in crate::lane) fn pending_version(&self, newest: u64) -> Option<u64> {
        match &self.migrating {
            Some(migration) => Some(migration.version),
            None => (self.rules.number < newest).then_some(newest),
        }
    }

    /// Evicts every customer from memory; none may be dirty. They are loaded again under the rules in force.
    pub(in crate::lane) fn evict_all(&mut self) {
        let shard = Shard::new(self.new_engine(), self.timing, self.stream_time()).shifted(self.meta.log.shift);
        self.residents.evict_all(shard);
    }

    /// An engine that decides as the partition's does.
    pub(in crate::lane) fn new_engine(&self) -> Engine {
        let thresholds = Arc::clone(self.thresholds());
        let mut engine = Engine::new(Arc::clone(&self.rules.rules), self.timing.max_lateness, self.ids_max as usize)
            .observing(self.observed.clone());
        if thresholds.len() == self.rules.rules.ranks.len() {
            engine.set_thresholds(thresholds);
        }
        if let Some(InForce { parameters, since, .. }) = &self.model {
            engine.set_parameters(Some(Arc::new(*parameters)), *since);
        }
        engine
    }
}
