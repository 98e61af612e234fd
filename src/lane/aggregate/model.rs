//! The model of churn in a lane: taking new parameters up while the input goes on.
//!
//! Parameters come into force at one log position and stream time, when everything is flushed: taking the input in again
//! never crosses one. Every customer is then decided under them as of that stream time, before anything else is decided of
//! them: whoever has an event, or a deadline that comes, at that moment, and the others by a sweep through their ids, a
//! share in each turn. What is said of a customer is the same whenever the sweep comes to them. META says how far it is,
//! and those it has decided are flushed with it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::{Detail, Parameters};
use crate::lane::aggregate::ranks::{FLUSH_FOR, PARTITIONS_MAX};
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;
use crate::store::{InForce, Recorded, StoreError, decode_state};

/// The parameters learnt for one version of the rules.
#[derive(Debug, Clone)]
pub struct ModelTold {
    pub(in crate::lane) version: u64,
    pub(in crate::lane) parameters: Parameters,
}

impl Partition {
    /// Are there customers who were not decided under the parameters in force yet?
    pub(in crate::lane) fn is_sweeping(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.through.is_some())
    }

    /// What is known is not given up for what is provisional.
    fn wants_parameters(&self, told: &ModelTold) -> bool {
        let newer = |InForce { parameters, .. }: &InForce| {
            told.parameters.version > parameters.version && (parameters.provisional || !told.parameters.provisional)
        };
        told.version == self.rules.number && self.model.as_ref().is_none_or(newer)
    }

    /// Brings parameters into force at the present position. Everything is flushed, and every deadline before stream time
    /// is decided.
    fn bring_into_force(&mut self, parameters: Parameters) {
        self.begin();
        let since = self.stream_time();
        self.record(self.next_offset, Recorded::Parameters { parameters, stream_time: since });
        self.shard_mut().set_parameters(Some(Arc::new(parameters)), since);
        self.model = Some(InForce { parameters, since, through: Some(String::new()) });
        tracing::info!(
            partition = self.number,
            version = parameters.version,
            provisional = parameters.provisional,
            corrected = parameters.recalibration.is_some(),
            offset = self.next_offset,
            "The model of churn has new parameters."
        );
    }

    /// Decides at most so many of those who were not met yet, and flushes them. Returns at how many it has looked.
    pub(in crate::lane) fn sweep_on(
        &mut self,
        context: &Context,
        most: usize,
        plan: &mut Plan,
    ) -> Result<usize, StoreError> {
        let Some(through) = self.model.as_ref().and_then(|model| model.through.clone()) else { return Ok(0) };
        if self.is_overdue() {
            return Ok(0);
        }
        let (mut lagging, mut looked, mut last): (Vec<Box<str>>, usize, Option<String>) = (Vec::new(), 0, None);
        let (shard, rules) = (&self.shard, &self.rules.rules);
        let mut more = false;
        self.database.for_each_customer(&through, |customer, state| {
            if looked == most {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            looked += 1;
            last = Some(customer.to_owned());
            let lags = match shard.peek(customer) {
                Some(state) => shard.engine().has_stale_parameters(state),
                None => shard.engine().has_stale_parameters(&decode_state(state, rules)?),
            };
            if lags {
                lagging.push(customer.into());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.begin();
        if let Some(model) = &mut self.model {
            model.through = last.filter(|_| more);
        }
        let missing = lagging.iter().filter(|customer| self.find(customer).is_none()).map(|c| &**c).collect();
        self.fetch(missing)?;
        let slots: Vec<_> = lagging.iter().map(|customer| self.slot(customer)).collect();
        for slot in &slots {
            self.catch_up(*slot);
        }
        self.tally().reweighed += slots.len() as u64;
        self.tell(self.next_offset, Detail::Full, context, plan);
        for slot in slots {
            self.flush_one(slot, plan);
        }
        Ok(looked)
    }
}

impl Lane {
    /// Brings the parameters that were learnt last into force. That begins when everything is flushed, which may take some
    /// turns.
    pub(in crate::lane) fn refresh_model(&mut self) -> Result<(), LaneError> {
        let Some(told) = self.learnt.clone() else { return Ok(()) };
        let wants = |p: &&Partition| {
            let busy = p.is_taking_up() || p.is_sweeping() || p.is_overdue() || self.takes_up_rules(p.number);
            !busy && p.wants_parameters(&told)
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
                partition.bring_into_force(told.parameters);
            }
        }
        self.finish(Plan::default())
    }
}
