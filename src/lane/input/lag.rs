//! The lag, and moving the time of quiet partitions by the wall clock. Nothing here waits for a broker: end offsets are
//! queried on a thread of their own ([`EndOffsets`]).

use std::time::{Duration, Instant as Moment};

use crate::clock::Reading;
use crate::engine::Detail;
use crate::event::Span;
use crate::kafka::EndOffsets;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::{MarkTarget, Partition};
use crate::lane::versions::missing_names;
use crate::marks::View;

/// Time between two advances of a quiet live partition that decide nothing.
const ADVANCE_EVERY: Duration = Duration::from_secs(10);
/// Between two updates of metrics that are expensive to read.
const FIGURES_EVERY: Duration = Duration::from_secs(2);

impl Lane {
    /// Advances the stream time of quiet live partitions by the wall clock, where that decides something. A partition
    /// that could not be advanced goes to `failed`.
    ///
    /// Quiet means: the end signal came at the end offset that the leader reported within the last second, open
    /// transactions included, and every polled record is applied.
    pub(in crate::lane) fn advance(&mut self, plan: &mut Plan, failed: &mut Vec<(i32, LaneError)>) {
        if let Some(marks) = self.context.marks.as_ref().and_then(|marks| marks.view()) {
            return self.advance_by_marks(marks, plan, failed);
        }
        if self.context.marks.is_some() {
            return;
        }
        self.note_caught_up();
        let quiet = |partition: &&mut Partition| partition.end.is_some() && !partition.is_overdue();
        for partition in self.partitions.values_mut().filter(quiet) {
            let Reading::Trusted(now) = self.clock_reading else { return };
            if self.plan_size.is_full(plan) {
                return;
            }
            let to = now - self.context.timing.arrives_within;
            let rested = partition.last_advance.elapsed() >= ADVANCE_EVERY;
            if partition.has_caught_up() && !rested && !(partition.is_live() && partition.would_decide(to)) {
                continue;
            }
            let Some(end) = self.end_offsets.fresh(partition.number) else { continue };
            if partition.end.is_none_or(|at| at < end) {
                continue;
            }
            mark_caught_up(partition, self.context.live_after, &self.context);
            partition.last_advance = Moment::now();
            if partition.is_live()
                && let Err(error) = partition.advance(to, Detail::Full, &self.context, plan)
            {
                failed.push((partition.number, error.into()));
            }
        }
    }

    /// Under steady traffic there may never be a moment with nothing to read, and so no end signal: a partition has caught up
    /// all the same once it is past the end that the leader reported within the last second.
    fn note_caught_up(&mut self) {
        let is_behind = |partition: &&mut Partition| {
            partition.end.is_none() && !partition.has_caught_up() && !partition.is_overdue()
        };
        for partition in self.partitions.values_mut().filter(is_behind) {
            if self.end_offsets.fresh(partition.number).is_some_and(|end| partition.next_offset >= end) {
                partition.note_caught_up();
                self.context.first_load.caught_up();
                // The first quiet moment is taken up at once.
                let long_ago = Moment::now().checked_sub(ADVANCE_EVERY);
                partition.last_advance = long_ago.unwrap_or(partition.last_advance);
            }
        }
    }

    /// Advances the stream time of a gathered log to what the marks of all sources say, in each partition that was read to
    /// the end which it had, open transactions included, when the marks were known: whatever comes later is not before
    /// them.
    fn advance_by_marks(&mut self, marks: View, plan: &mut Plan, failed: &mut Vec<(i32, LaneError)>) {
        for partition in self.partitions.values_mut().filter(|partition| !partition.is_overdue()) {
            if self.plan_size.is_full(plan) {
                return;
            }
            let Some(MarkTarget { marks, end: Some(end) }) = partition.aim(marks, &self.end_offsets) else { continue };
            if partition.next_offset < end && partition.end.is_none_or(|at| at < end) {
                continue;
            }
            partition.target = None;
            if marks.caught_up {
                // Whether it is live is known from the marks, too.
                let live_after = if marks.live { Span(0) } else { Span(i64::MAX) };
                mark_caught_up(partition, live_after, &self.context);
            }
            if !partition.would_decide(marks.complete_to) && partition.last_advance.elapsed() < ADVANCE_EVERY {
                continue;
            }
            partition.last_advance = Moment::now();
            if let Err(error) = partition.advance(marks.complete_to, Detail::Full, &self.context, plan) {
                failed.push((partition.number, error.into()));
            }
        }
    }

    /// Updates what `/metrics` and the readiness check show of this lane's partitions.
    pub(in crate::lane) fn show_figures(&mut self) {
        if self.last_figures.elapsed() < FIGURES_EVERY {
            return;
        }
        self.last_figures = Moment::now();
        let newest = self.context.rulebook.newest();
        let waiting = self.partitions.values().any(|partition| partition.pending_version(newest).is_some());
        if waiting || !self.restores.is_empty() {
            self.context.edits.report_waiting(self.number);
        } else {
            self.context.edits.report_started(self.number);
        }
        self.warn_after_first_load(newest);
        // A member without an assignment has nothing to wait for.
        if self.partitions.is_empty() && self.restores.is_empty() && self.consumer.membership().is_some() {
            self.show_partitions();
        }
        for partition in self.partitions.values_mut() {
            partition.metrics.set_lag(lag(
                self.end_offsets.known(partition.number),
                partition.next_offset,
                partition.end,
            ));
            let database = partition.residents.database();
            let timers = database.timers_estimate();
            partition.metrics.set_timers_pending(timers);
            for (family, bytes) in database.sizes() {
                partition.metrics.set_store_size(family, bytes);
            }
        }
    }

    /// Once all new partitions of this process have caught up, names of the rules that their input does not have are
    /// logged.
    fn warn_after_first_load(&self, newest: u64) {
        let first_load = &self.context.first_load;
        if !self.restores.is_empty() || self.partitions.values().any(|partition| partition.catch_up.is_some()) {
            return first_load.report_loading(self.number);
        }
        if first_load.report_loaded(self.number)
            && let Ok(Some(version)) = self.context.rulebook.get(newest)
            && version.coverage.events() > 0
        {
            missing_names::warn(&version, &version.coverage.not_found());
        }
    }
}

impl Partition {
    /// The present target, or a new one if the marks say something new.
    fn aim(&mut self, marks: View, end_offsets: &EndOffsets) -> Option<MarkTarget> {
        let is_news = marks.complete_to > self.stream_time()
            || (marks.caught_up && (!self.has_caught_up() || (marks.live && !self.is_live())));
        if self.target.is_none() && !is_news {
            return None;
        }
        let number = self.number;
        let target = self.target.get_or_insert(MarkTarget { marks, end: None });
        target.end = target.end.or_else(|| end_offsets.after(number, target.marks.known_at));
        Some(*target)
    }
}

fn mark_caught_up(partition: &mut Partition, live_after: Span, context: &Context) {
    let is_new = !partition.has_caught_up();
    partition.mark_caught_up(live_after);
    if is_new {
        context.first_load.caught_up();
    }
}

/// Records between the next offset and the end; `None` while the end is not known. Transaction markers and aborted
/// records before an end signal count as read.
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
