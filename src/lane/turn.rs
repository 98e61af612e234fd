//! The loop: what a lane does in each turn.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Moment};

use crate::lane::answers::answer;
use crate::lane::commit::plan::Plan;
use crate::lane::edits::adopt::Adoption;
use crate::lane::error::LaneError;
use crate::lane::group::assignment::Control;
use crate::lane::input::intake::Incoming;
use crate::lane::input::poll::{Catch, catch, explain, fetch, note_ends};
use crate::lane::input::reading::retried;
use crate::lane::input::schema_waits::SchemaGate;
use crate::lane::lane::Lane;
use crate::lane::resources::memory_gate::SIP_BYTES;
use crate::lane::restore::stages::Restore;
use crate::metrics::Stage;
use crate::settings::Batch;

/// Records whose states are brought near together: their way from memory takes longer than deciding one of them.
pub(in crate::lane) const LOOK_AHEAD: usize = 32;

impl Lane {
    pub(in crate::lane) fn work(&mut self) -> Result<(), LaneError> {
        while !self.stop.load(Ordering::Acquire) {
            self.health().beat();
            self.answer();
            if self.pending.is_some() {
                self.settle_pending()?;
                continue;
            }
            if self.gate_disk()? {
                self.hear();
                self.poll_control()?;
                continue;
            }
            self.relieve_write_buffers()?;
            self.restore_due();
            self.restore_some()?;
            self.hear();
            // Before other limits: what was begun under these is finished under them.
            self.refresh_ranks()?;
            if self.pending.is_some() {
                continue;
            }
            self.refresh_model()?;
            if self.pending.is_some() {
                continue;
            }
            self.adopt_limits()?;
            if self.pending.is_none() {
                self.adopt_rules()?;
            }
            if self.pending.is_some() {
                continue;
            }
            self.release_held();
            self.gate_memory()?;
            self.gate_clock();
            self.show_refused()?;
            self.go_on()?;
            if let Some(control) = self.batch()? {
                self.control(control)?;
            }
            self.show_figures();
            self.rejoin_if_asked()?;
        }
        Ok(())
    }

    pub(in crate::lane) fn answer(&self) {
        answer(&self.inbox, &self.partitions, &self.context);
    }

    /// Polls, decides, commits, writes: one batch over all partitions at work. Returns what ended it, if not a limit.
    pub(in crate::lane) fn batch(&mut self) -> Result<Option<Control>, LaneError> {
        let context = Arc::clone(&self.context);
        let timer = Moment::now();
        let restoring = self.restores.iter().any(Restore::is_due);
        let idle = !restoring && self.adoption.as_ref().is_none_or(Adoption::waits) && !self.is_looking();
        let wait = if idle { self.settings.batch.max_wait } else { Duration::ZERO };
        let decisions = self.size.decisions();
        self.partitions.values_mut().for_each(|partition| partition.decisions_max = decisions);
        let (max_records, max_bytes) = (self.size.events(), self.size.read_bytes());
        let mut limits = Batch { max_records, max_bytes, ..self.settings.batch.clone() };
        if self.gate.is_short() {
            limits.max_bytes = limits.max_bytes.min(SIP_BYTES);
        }
        let taking = self.taking();
        let meanwhile = || answer(&self.inbox, &self.partitions, &context);
        let gate = SchemaGate::new(&mut self.schema_waits, &mut self.schemas, context.framing);
        let Catch { records, ends, held, control } = catch(&self.consumer, taking, &limits, gate, wait, &meanwhile);
        if !records.is_empty() || !ends.is_empty() {
            self.refused.end(self.health.lane(self.number));
        }
        if !records.is_empty() {
            context.metrics.batch_duration(Stage::Poll).observe(timer.elapsed().as_secs_f64());
        }
        let mut plan = Plan::default();
        // Partitions of which records are left that the plan has no room for.
        let mut left = BTreeSet::new();
        let timer = Moment::now();
        let mut ends = ends.into_iter().peekable();
        let mut failed = Vec::new();
        let slots = fetch(&records, &mut self.partitions, &mut failed);
        let now = self.now();
        for (taken, record) in records.iter().enumerate() {
            if taken.is_multiple_of(LOOK_AHEAD) {
                self.warm(&records[taken..], &slots[taken..]);
                self.answer();
            }
            note_ends(&mut ends, taken, &mut self.partitions);
            let Some(partition) = self.partitions.get_mut(&record.partition()) else { continue };
            partition.is_behind();
            if partition.is_overdue() || self.size.is_reached(&plan) || left.contains(&partition.number) {
                left.insert(partition.number);
                continue;
            }
            let outcome = partition.take_in(
                &Incoming { record, slot: slots[taken], now },
                &mut self.schemas,
                &mut self.buffer,
                &context,
                &mut plan,
            );
            if partition.waits_for_clock() {
                left.insert(partition.number);
            }
            if let Err(error) = outcome {
                self.partitions.remove(&record.partition());
                failed.push((record.partition(), explain(error, &context)));
            }
        }
        note_ends(&mut ends, records.len(), &mut self.partitions);
        if !records.is_empty() {
            context.metrics.batch_duration(Stage::Apply).observe(timer.elapsed().as_secs_f64());
        }
        drop(records);
        self.advance(&mut plan, &mut failed);
        let overdue = self.partitions.values().filter(|p| p.is_overdue() && !self.adrift.contains(&p.number));
        left.extend(overdue.map(|partition| partition.number));
        self.read_later(&left)?;
        for partition in self.partitions.values_mut() {
            if self.size.is_reached(&plan) {
                break;
            }
            if let Err(error) = partition.decide_overdue(&context, &mut plan) {
                failed.push((partition.number, error.into()));
            }
        }
        self.look_through(&mut plan, &mut failed);
        self.contain_all(failed, &mut plan)?;
        self.publish_results(&mut plan);
        self.finish(plan)?;
        self.consumer.pause(&held).or_else(retried)?;
        Ok(control)
    }
}
