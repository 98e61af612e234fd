//! One turn of the loop: what a lane does, in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Moment};

use crate::kafka::Record;
use crate::lane::answers::answer;
use crate::lane::commit::ahead::send_ahead;
use crate::lane::error::LaneError;
use crate::lane::input::ingest::Incoming;
use crate::lane::input::poll::{ConsumerEvent, PolledBatch, explain, load_states, note_partition_ends, poll_batch};
use crate::lane::lane::Lane;
use crate::lane::migration::rules_migration::RulesMigration;
use crate::lane::output::plan::Plan;
use crate::lane::resources::memory::TRICKLE_BYTES;
use crate::lane::restore::stages::Restore;
use crate::member::error::ignore_retriable;
use crate::member::schema_waits::SchemaGate;
use crate::metrics::Stage;
use crate::settings::Batch;

/// How many records before its turn a record itself is asked for.
const RECORDS_AHEAD: usize = 8;

/// Records after which operators' questions are answered and what was decided is sent.
const ROUND: usize = 32;

impl Lane {
    pub(in crate::lane) fn work(&mut self) -> Result<(), LaneError> {
        while !self.stop.load(Ordering::Acquire) {
            self.health().report_alive();
            self.answer();
            if self.pending.is_some() {
                self.settle_pending()?;
                continue;
            }
            if self.gate_disk()? {
                self.receive_updates();
                self.poll_events()?;
                continue;
            }
            self.relieve_write_buffers()?;
            self.start_due_restores();
            self.continue_restores()?;
            self.receive_updates();
            // Before new limits: thresholds are applied to the end under the old ones.
            self.refresh_ranks()?;
            if self.pending.is_some() {
                continue;
            }
            self.refresh_parameters()?;
            if self.pending.is_some() {
                continue;
            }
            self.apply_limits()?;
            if self.pending.is_none() {
                self.apply_rules()?;
            }
            if self.pending.is_some() {
                continue;
            }
            self.resume_after_schemas();
            self.gate_memory()?;
            self.gate_clock();
            self.report_denied_access()?;
            self.resume_reading()?;
            if let Some(event) = self.batch()? {
                self.handle_event(event)?;
            }
            self.show_figures();
            self.rejoin_if_requested()?;
        }
        Ok(())
    }

    pub(in crate::lane) fn answer(&self) {
        answer(&self.inbox, &self.partitions, &self.context);
    }

    /// Polls, decides, commits, writes: one batch over all running partitions. Returns the event that ended it, if any.
    ///
    /// Records are sent while the rest is decided, in a transaction that is committed only with all of them and the offsets;
    /// after a crash before that the batch is read again, and none of it is visible.
    fn batch(&mut self) -> Result<Option<ConsumerEvent>, LaneError> {
        let context = Arc::clone(&self.context);
        let timer = Moment::now();
        let limits = self.batch_limits();
        let decisions = self.plan_size.decisions();
        self.partitions.values_mut().for_each(|partition| partition.decisions_max = decisions);
        let readable = self.readable_positions();
        let meanwhile = || answer(&self.inbox, &self.partitions, &context);
        let schema = |record: &Record<'_>| Some(context.framing.split(record.payload()?).ok()?.0);
        let gate = SchemaGate::new(&mut self.schema_waits, &mut self.schemas, |record| [schema(record), None]);
        let PolledBatch { records, ends, waiting, event } =
            poll_batch(&self.consumer, self.last_polled, readable, &limits, gate, &meanwhile);
        self.last_polled = Moment::now();
        if !records.is_empty() || !ends.is_empty() {
            self.denied.end(self.health.lane(self.number));
        }
        if !records.is_empty() {
            context.metrics.batch_duration(Stage::Poll).observe(timer.elapsed().as_secs_f64());
        }
        let mut plan = Plan::default();
        // Partitions with records left for which the plan has no room.
        let mut left = BTreeSet::new();
        let timer = Moment::now();
        let mut ends = ends.into_iter().peekable();
        let mut failed = Vec::new();
        let slots = load_states(&records, &mut self.partitions, &mut failed);
        let now = self.now();
        let mut sending = Duration::ZERO;
        for (taken, record) in records.iter().enumerate() {
            if taken.is_multiple_of(ROUND) {
                self.answer();
                sending += send_ahead(&mut plan, &mut self.producer, &context);
            }
            note_partition_ends(&mut ends, taken, &mut self.partitions);
            let Some(partition) = self.partitions.get_mut(&record.partition()) else { continue };
            partition.mark_behind();
            if partition.is_overdue() || self.plan_size.is_full(&plan) || left.contains(&partition.number) {
                left.insert(partition.number);
                continue;
            }
            // Where many wait, those of one partition come in a row.
            let is_same = |record: &Record<'_>| record.partition() == partition.number;
            let slot_at = |ahead| records.get(taken + ahead).filter(|r| is_same(r)).and_then(|_| slots[taken + ahead]);
            partition.residents.shard().prefetch_ahead(slot_at);
            records.get(taken + RECORDS_AHEAD).into_iter().for_each(Record::prefetch);
            let outcome = partition.ingest(
                &Incoming { record, slot: slots[taken], now },
                &mut self.schemas,
                &mut self.buffer,
                &context,
                &mut plan,
            );
            if partition.is_waiting_for_clock() {
                left.insert(partition.number);
            }
            if let Err(error) = outcome {
                self.partitions.remove(&record.partition());
                failed.push((record.partition(), explain(error, &context)));
            }
        }
        note_partition_ends(&mut ends, records.len(), &mut self.partitions);
        if !records.is_empty() {
            let applying = timer.elapsed().saturating_sub(sending);
            context.metrics.batch_duration(Stage::Apply).observe(applying.as_secs_f64());
        }
        drop(records);
        self.advance(&mut plan, &mut failed);
        self.decide_overdue(left, &mut plan, &mut failed)?;
        self.continue_scans(&mut plan, &mut failed);
        self.contain_all(failed, &mut plan)?;
        self.publish_results(&mut plan);
        self.finish(plan)?;
        self.consumer.pause(&waiting).or_else(ignore_retriable)?;
        Ok(event)
    }

    /// The limits of the next batch. Without other work it may wait for records.
    fn batch_limits(&self) -> Batch {
        let restoring = self.restores.iter().any(Restore::is_due);
        let idle =
            !restoring && self.migration.as_ref().is_none_or(RulesMigration::waits) && !self.has_background_work();
        let max_wait = if idle { self.settings.batch.max_wait } else { Duration::ZERO };
        let mut max_bytes = self.plan_size.read_bytes();
        if self.memory_gate.is_short() {
            max_bytes = max_bytes.min(TRICKLE_BYTES);
        }
        Batch { max_records: self.plan_size.events(), max_bytes, max_wait, ..self.settings.batch.clone() }
    }

    /// Decides the deadlines that partitions still owe. Such partitions, and `left`, which have polled records left,
    /// are not read until these records are fetched again.
    fn decide_overdue(
        &mut self,
        mut left: BTreeSet<i32>,
        plan: &mut Plan,
        failed: &mut Vec<(i32, LaneError)>,
    ) -> Result<(), LaneError> {
        let overdue = self.partitions.values().filter(|p| p.is_overdue() && !self.to_seek.contains(&p.number));
        left.extend(overdue.map(|partition| partition.number));
        self.pause_until_sought(&left)?;
        for partition in self.partitions.values_mut() {
            if self.plan_size.is_full(plan) {
                break;
            }
            if let Err(error) = partition.decide_overdue(&self.context, plan) {
                failed.push((partition.number, error.into()));
            }
        }
        Ok(())
    }
}
