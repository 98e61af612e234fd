//! Rejoining the group after this thread was fenced, as a member or as a producer: mostly by a delayed request of its own.
//! Of two processes with one `kafka.instance_id` the older one stops when it is fenced for the third time within two minutes.
//! Lanes do the same (`lane::group::rejoin`).

use std::time::Instant as Moment;

use super::gatherer::{Gatherer, queue_bytes};
use crate::kafka::Consumer;
use crate::member::error::MemberError;
use crate::member::fencing::replace_consumer;
use crate::member::transactions::recreate_producer;
use crate::metrics::Rebalance;

impl Gatherer {
    /// After a call was refused as fenced: everything is released, since it may belong to another member already, and the
    /// thread joins again as a new member. `reason`: the broker's text.
    ///
    /// # Errors
    /// `Fenced` if another process must be using our instance id.
    pub(super) fn rejoin_after_fencing(&mut self, reason: String) -> Result<(), MemberError> {
        if !self.fences.is_tolerable(Moment::now()) {
            return Err(MemberError::Fenced(reason));
        }
        tracing::warn!(
            reason,
            "Another member took the place of this gathering thread in the group: a delayed request of its own, or a process \
             with the same kafka.instance_id. It rejoins."
        );
        self.metrics.rebalances(Rebalance::Lost).inc();
        self.forget_all();
        self.health().left();
        let (topics, queue) = (self.sources.numbering.clone(), queue_bytes(&self.settings));
        let consumer = Consumer::outside_several(&self.kafka, topics, queue, &self.brokers)?;
        replace_consumer(&mut self.consumer, consumer);
        self.show_partitions();
        if let Some(reason) = recreate_producer(&mut self.producer, &|| self.health.lane(self.number).report_alive())? {
            tracing::warn!(reason, "The brokers refuse this thread's producer; the first batch waits for it.");
        }
        Ok(self.consumer.join()?)
    }
}
