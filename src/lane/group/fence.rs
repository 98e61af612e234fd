//! Somebody has taken this lane's place: in the group, or under its transactional id.
//!
//! Whoever joined last under a name, or announced itself last as its producer, shuts out the one before. That is another
//! process with the same `kafka.instance_id`; but it can also be this one, when a broker that stood still, or handed its
//! groups over, carries out a request of ours after the repetition that we go by. So a lane that is shut out joins anew. Two
//! processes would take turns that way; the one that is shut out for the third time within two minutes ends.

use std::time::{Duration, Instant as Moment};

use crate::kafka::Consumer;
use crate::lane::commit::publish::renew;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::metrics::Rebalance;

/// Within so long, once more than this often is the work of another process.
const WITHIN: Duration = Duration::from_secs(120);
const BY_CHANCE_MAX: usize = 2;
/// How long ending the consumer that was shut out may keep the lane.
const CLOSE_FOR: Duration = Duration::from_secs(1);

/// When a lane was shut out.
#[derive(Default)]
pub(in crate::lane) struct Fences(Vec<Moment>);

impl Fences {
    /// Counts one more; can it still be chance?
    fn may_be_chance(&mut self, now: Moment) -> bool {
        self.0.retain(|then| now.saturating_duration_since(*then) < WITHIN);
        self.0.push(now);
        self.0.len() <= BY_CHANCE_MAX
    }
}

impl Lane {
    /// After a call was refused as fenced: everything is given up, since it may be somebody else's already, and the lane
    /// joins again as a new member. `reason`: the broker's words.
    ///
    /// # Errors
    /// `Fenced` if another process must be at work under our name.
    pub(in crate::lane) fn join_anew(&mut self, reason: String) -> Result<(), LaneError> {
        if !self.fences.may_be_chance(Moment::now()) {
            return Err(LaneError::Fenced(reason));
        }
        tracing::warn!(
            lane = self.number,
            reason,
            "Another member took this lane's place in the group: a request of its own that came late, or a process with the \
             same kafka.instance_id. The lane joins anew."
        );
        self.context.metrics.rebalances(Rebalance::Lost).inc();
        if let Some(pending) = self.pending.take() {
            self.taken(&pending);
        }
        self.held().into_iter().for_each(|number| self.let_go(number));
        self.health().left();
        let consumer = self.new_consumer()?;
        if !std::mem::replace(&mut self.consumer, consumer).close(CLOSE_FOR) {
            tracing::debug!(target: "kafka", "A consumer that was shut out is left behind.");
        }
        self.show_partitions();
        if let Some(reason) = renew(&mut self.producer, &|| self.health.lane(self.number).beat())? {
            tracing::warn!(
                lane = self.number,
                reason,
                "The brokers refuse this lane's producer; the first batch waits for it."
            );
        }
        self.consumer.join()?;
        Ok(())
    }

    fn new_consumer(&self) -> Result<Consumer, LaneError> {
        let (settings, fetch_bytes) = (&self.settings, self.queue_bytes() / 2);
        Ok(Consumer::outside(&settings.kafka, &settings.topics.input, fetch_bytes, &self.brokers)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fences, Moment, WITHIN};

    #[test]
    fn who_is_shut_out_again_and_again_has_a_twin() {
        let mut fences = Fences::default();
        let now = Moment::now();
        assert!(fences.may_be_chance(now) && fences.may_be_chance(now + WITHIN / 2));
        assert!(!fences.may_be_chance(now + WITHIN * 9 / 10));
        assert!(fences.may_be_chance(now + WITHIN * 2));
    }
}
