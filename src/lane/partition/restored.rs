//! A partition whose state is complete begins its work.

use std::ops::ControlFlow;

use crate::engine::Detail;
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::partition::placement::Seen;
use crate::lane::partition::state::{CatchUp, Partition};
use crate::store::StoreError;

/// Stored customers whose partition is compared with murmur2's after a restore: with another partitioner nearly all
/// differ.
const PLACES_MAX: usize = 100;

impl Partition {
    /// The replay has reached META's `next_offset`: puts the timer index in order, and starts the partition's metrics.
    pub(in crate::lane) fn restored(&mut self, context: &Context) -> Result<(), StoreError> {
        // Later batches write that entries before stream time are obsolete.
        self.decide_due(self.next_offset, self.next_offset, Detail::None, context, &mut Plan::default())?;
        if self.part.take().is_some() {
            self.residents.write()?;
        }
        self.metrics.set_cohort_members(&self.members);
        // What a replay decides was counted before the restart.
        self.residents.committed(&[]);
        self.new_recorded.clear();
        self.show_residents();
        self.catch_up = Some(CatchUp { since: std::time::Instant::now(), records: 0, events: 0 });
        self.check_placement(context)
    }

    /// Are its customers in the partition that Kafka's default partitioner chooses? Customer lookups need to know right
    /// after a start.
    fn check_placement(&self, context: &Context) -> Result<(), StoreError> {
        let mut looked = 0;
        self.residents.database().for_each_customer("", |customer, _| {
            looked += 1;
            let is_known = context.is_elsewhere(self.number, customer, Seen::Before) || looked == PLACES_MAX;
            Ok(if is_known { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }
}
