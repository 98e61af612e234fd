//! How far the input is read: the lag, and whether a quiet partition has caught up with the wall clock. Nothing here waits
//! for a broker: the ends of partitions are asked for on a thread of their own ([`Ends`](crate::kafka::Ends)).

use std::time::{Duration, Instant as Moment};

use crate::clock::Reading;
use crate::engine::Detail;
use crate::lane::commit::plan::Plan;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;

/// At most this long between two advances of a quiet live partition that decide nothing.
const ADVANCE_EVERY: Duration = Duration::from_secs(10);
/// Between two updates of figures that take some reading.
const FIGURES_EVERY: Duration = Duration::from_secs(2);

impl Lane {
    /// Moves quiet live partitions by the wall clock where that decides something.
    ///
    /// Caught up means: the end signal came at the very end that the leader told within the last second, open transactions
    /// included, and nothing polled is unapplied.
    /// A partition that could not be moved goes to `failed`.
    pub(in crate::lane) fn advance(&mut self, plan: &mut Plan, failed: &mut Vec<(i32, LaneError)>) {
        let quiet = |partition: &&mut Partition| partition.end.is_some() && !partition.is_overdue();
        for partition in self.partitions.values_mut().filter(quiet) {
            let Reading::Trusted(now) = self.reading else { return };
            if self.size.is_reached(plan) {
                return;
            }
            let to = now - self.context.timing.arrives_within;
            let rested = partition.last_advance.elapsed() >= ADVANCE_EVERY;
            if partition.was_caught_up() && !rested && !(partition.is_live() && partition.would_decide(to)) {
                continue;
            }
            let Some(end) = self.ends.fresh(partition.number) else { continue };
            if partition.end.is_none_or(|at| at < end) {
                continue;
            }
            partition.is_caught_up(self.context.live_after);
            partition.last_advance = Moment::now();
            if partition.is_live()
                && let Err(error) = partition.advance(to, Detail::Full, &self.context, plan)
            {
                failed.push((partition.number, error.into()));
            }
        }
    }

    /// Updates what `/metrics` and the readiness check show of the partitions here.
    pub(in crate::lane) fn show_figures(&mut self) {
        if self.last_look.elapsed() < FIGURES_EVERY {
            return;
        }
        self.last_look = Moment::now();
        let newest = self.context.rulebook.newest();
        let waiting = self.partitions.values().any(|partition| partition.wants_rules(newest).is_some());
        self.context.edits.report(self.number, waiting || !self.restores.is_empty());
        // A member that the group gave nothing has nothing to wait for.
        if self.partitions.is_empty() && self.restores.is_empty() && self.consumer.membership().is_some() {
            self.show_partitions();
        }
        for partition in self.partitions.values_mut() {
            partition.metrics.set_lag(lag(self.ends.known(partition.number), partition.next_offset, partition.end));
            let timers = partition.database.timers_estimate();
            partition.metrics.set_timers_pending(timers);
            for (family, bytes) in partition.database.sizes() {
                partition.metrics.set_store_size(family, bytes);
            }
        }
    }
}

/// Records between what was read and the end; `None` while the end is not known. What a reader of committed records passes
/// over at the end, marks of transactions and aborted records, was read once the end signal came behind it.
fn lag(end: Option<i64>, next: i64, signal: Option<i64>) -> Option<i64> {
    let reached = signal.map_or(next, |signal| signal.max(next));
    end.map(|end| (end - reached).max(0))
}

#[cfg(test)]
mod tests {
    use super::lag;

    #[test]
    fn the_lag_is_not_known_before_the_end_is_and_counts_nothing_that_cannot_be_read() {
        assert_eq!(lag(None, 0, None), None);
        assert_eq!(lag(Some(10), 4, None), Some(6));
        // Record 9 is followed by the mark of its transaction, and by an aborted one.
        assert_eq!(lag(Some(17), 10, Some(17)), Some(0));
        assert_eq!(lag(Some(20), 10, Some(17)), Some(3));
        // The end is a moment older than what was read.
        assert_eq!(lag(Some(10), 12, None), Some(0));
    }
}
