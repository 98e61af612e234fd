//! Rejoining the group after this lane was fenced, as a member or as a producer.
//!
//! The last member to join under an instance id, and the last producer to register a transactional id, fence the one
//! before. That is usually another process with the same `kafka.instance_id`. It can also be this one: a broker that
//! was stalled, or handed its groups over, may carry out a request of ours after our retry of it. So a fenced lane
//! rejoins. Two processes would fence each other in turns that way; the older one, which is fenced first, stops when that
//! happens for the third time within two minutes ([`FencingHistory`](crate::member::fencing::FencingHistory)).

use std::time::Instant as Moment;

use crate::kafka::Consumer;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::member::error::ignore_retriable;
use crate::member::fencing::replace_consumer;
use crate::member::transactions::recreate_producer;
use crate::metrics::Rebalance;

impl Lane {
    /// After a call was refused as fenced: everything is released, since it may belong to another member already, and
    /// the lane joins again as a new member. `reason`: the broker's text.
    ///
    /// # Errors
    /// `Fenced` if another process must be using our instance id.
    pub(in crate::lane) fn rejoin_after_fencing(&mut self, reason: String) -> Result<(), LaneError> {
        if !self.fences.is_tolerable(Moment::now()) {
            return Err(LaneError::Fenced(reason));
        }
        tracing::warn!(
            lane = self.number,
            reason,
            "Another member took this lane's place in the group: a delayed request of its own, or a process with the same \
             kafka.instance_id. The lane rejoins."
        );
        self.context.metrics.rebalances(Rebalance::Lost).inc();
        if let Some(pending) = self.pending.take() {
            self.end_topic_wait(&pending);
        }
        self.owned().into_iter().for_each(|number| self.release(number));
        self.health().left();
        let consumer = self.new_consumer()?;
        replace_consumer(&mut self.consumer, consumer);
        self.show_partitions();
        if let Some(reason) = recreate_producer(&mut self.producer, &|| self.health.lane(self.number).report_alive())? {
            tracing::warn!(
                lane = self.number,
                reason,
                "The brokers refuse this lane's producer; the first batch waits for it."
            );
        }
        self.consumer.join()?;
        Ok(())
    }

    /// Releases everything and rejoins, if the group has assigned other partitions to this lane than it knows of.
    pub(in crate::lane) fn rejoin_if_requested(&mut self) -> Result<(), LaneError> {
        let assigned = self.consumer.assigned();
        if !self.ownership.take_rejoin_request(self.number, &assigned) {
            return Ok(());
        }
        tracing::warn!(
            lane = self.number,
            known = ?assigned,
            "The group has assigned other partitions to this lane than it knows of; it joins again."
        );
        Ok(self.consumer.rejoin().or_else(ignore_retriable)?)
    }

    fn new_consumer(&self) -> Result<Consumer, LaneError> {
        let (settings, fetch_bytes) = (&self.settings, self.queue_bytes() / 2);
        Ok(Consumer::outside(&settings.kafka, &settings.topics.input, fetch_bytes, &self.brokers)?)
    }
}
