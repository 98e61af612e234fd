//! From a plan to a committed transaction, and from there to the databases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::lane::commit::pending::PendingBatch;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::lane::output::rejection::DeadLettered;
use crate::lane::output::size::FlushRoom;
use crate::lane::partition::flush::Share;
use crate::metrics::Stage;

/// How long a flush may delay the hand-over of a partition.
pub(in crate::lane) const HAND_OVER_FOR: Duration = Duration::from_secs(2);

/// Most time between two flushes of a database's memtables.
const STORE_FLUSH_EVERY: Duration = Duration::from_secs(60);

impl Lane {
    /// Completes the plan over all partitions and publishes it.
    pub(in crate::lane) fn finish(&mut self, mut plan: Plan) -> Result<(), LaneError> {
        let share = self.share();
        let share = Share { room: self.plan_size.flush_room(&plan).part(self.partitions.len()), ..share };
        let mut victims = BTreeMap::new();
        for partition in self.partitions.values_mut() {
            // Memory that is short is freed even while nothing is read.
            let short = self.memory_gate.is_short() && partition.is_over(&share);
            if !partition.is_at_work() && (short || partition.flush_is_due(&self.context, &share)) {
                partition.begin();
            }
            victims.insert(partition.number, partition.finish(&self.context, &share, &mut plan));
        }
        if plan.parts.is_empty() {
            // What was sent of it belonged to partitions that failed. If it cannot be aborted now, the next transaction
            // does so.
            self.producer.abort_open().ok();
            return Ok(());
        }
        self.pending = Some(PendingBatch::new(plan, victims));
        self.publish_pending()
    }

    /// What one partition may hold. The limits are those of the process, so that restoring all its partitions takes
    /// equally long whatever their number.
    pub(in crate::lane) fn share(&self) -> Share {
        // Lanes without partitions need nothing.
        let lanes = u64::try_from(self.health.lanes_at_work()).unwrap_or(1).max(1);
        let partitions = self.partitions.len() + self.restores.len() + self.failures.waiting().count();
        let partitions = u64::try_from(partitions).unwrap_or(1).max(1);
        let bytes = usize::try_from(self.settings.memory.customers() / lanes / partitions).unwrap_or(usize::MAX);
        let events = self.settings.state.flush_after_events.div_ceil(lanes * partitions);
        Share {
            customer_bytes: bytes / self.memory_gate.customer_memory_divisor(),
            unflushed_events: i64::try_from(events).unwrap_or(i64::MAX),
            room: FlushRoom::UNBOUNDED,
        }
    }

    /// The transaction is committed: writes the databases, then updates the metrics.
    pub(in crate::lane) fn committed(
        &mut self,
        pending: &PendingBatch,
        delivered: &[Option<i64>],
    ) -> Result<(), LaneError> {
        let timer = Moment::now();
        let metrics = Arc::clone(&self.context.metrics);
        let mut failed: Vec<(i32, LaneError)> = Vec::new();
        for (part, delivered) in pending.plan.parts.iter().zip(delivered) {
            let Some(partition) = self.partitions.get_mut(&part.partition) else { continue };
            let write = Moment::now();
            // The changelog offset is known only now.
            if let Err(error) = partition.residents.database().write_at(&part.writes, *delivered) {
                // Kafka has the batch: the local copy is restored from there.
                failed.push((part.partition, error.into()));
                continue;
            }
            metrics.store_write_duration.observe(write.elapsed().as_secs_f64());
            partition.committed(part, &pending.victims[&part.partition], &metrics);
            let input = &partition.metrics.input;
            input.events_applied.inc_by(part.tally.applied);
            part.tally.skipped.iter().for_each(|reason| input.events_skipped(*reason).inc());
            part.tally.dead_letters.iter().for_each(|letter| input.dead_letters(letter.reason).inc());
            input.unusable_values.inc_by(part.tally.unusable_values);
            input.events_elsewhere.inc_by(part.tally.misplaced);
            for DeadLettered { reason, detail, offset } in &part.tally.dead_letters {
                let place = (self.context.topics.dead_letters.as_str(), part.partition, *offset);
                self.context.refusals.note(reason.as_str(), detail, place);
            }
            for (version, cohort, change) in &part.tally.changes {
                version.counters[usize::from(cohort.0)].of(*change).inc();
            }
            let seconds = |ms: i64| Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
            part.tally.risks.iter().for_each(|level| metrics.risk_changes(level).inc());
            part.tally.lateness_ms.iter().for_each(|ms| metrics.timer_lateness.observe(seconds(*ms)));
            metrics.customers_reevaluated.inc_by(part.tally.reevaluated);
            metrics.changelog_records.inc_by(part.tally.flushed);
            if partition.last_flush.elapsed() >= STORE_FLUSH_EVERY {
                partition.last_flush = Moment::now();
                if let Err(error) = partition.residents.database().request_flush() {
                    failed.push((part.partition, error.into()));
                }
            }
        }
        metrics.batch_duration(Stage::Write).observe(timer.elapsed().as_secs_f64());
        self.contain_all(failed, &mut Plan::default())
    }

    /// Waits for the backoff of the pending plan, while polling for events of the group, then tries to publish it
    /// again.
    pub(in crate::lane) fn settle_pending(&mut self) -> Result<(), LaneError> {
        self.pause_all()?;
        let pause = self.pending.as_mut().map_or(Duration::ZERO, |pending| pending.backoff.pause());
        let until = Moment::now() + pause;
        while Moment::now() < until {
            self.answer();
            self.poll_events()?;
        }
        if self.pending.is_some() { self.publish_pending() } else { Ok(()) }
    }

    /// Flushes all changes of some partitions, in transactions of bounded size, for about `limit`.
    pub(in crate::lane) fn flush_partitions(&mut self, numbers: &[i32], limit: Duration) -> Result<(), LaneError> {
        // The next owner decides again what cannot be written here.
        let limit = if self.disk.is_full() { Duration::ZERO } else { limit };
        let started = Moment::now();
        while started.elapsed() < limit {
            let mut plan = Plan::default();
            let mut room = self.plan_size.flush_room(&plan);
            let before = room;
            for number in numbers {
                if let Some(partition) = self.partitions.get_mut(number).filter(|_| !room.is_spent()) {
                    partition.flush_all(&mut room, &mut plan);
                }
            }
            self.finish(plan)?;
            if room == before || self.pending.is_some() {
                break;
            }
        }
        Ok(())
    }
}
