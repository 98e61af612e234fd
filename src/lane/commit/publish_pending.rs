//! Publishing the pending batch until it is committed: as it is, in smaller parts, or without records that are too
//! large.

use std::time::Duration;

use crate::kafka::BrokerState;
use crate::lane::answers::answer;
use crate::lane::changelog_reader::ChangelogReader;
use crate::lane::commit::outcome::{AbortCause, PublishOutcome, PublishTools};
use crate::lane::commit::pending::PendingBatch;
use crate::lane::commit::publish::publish;
use crate::lane::commit::resolve::resolve_unknown;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::dead_letter;
use crate::lane::output::record::OutputRecord;
use crate::metrics::{Retry, Wait, WaitCause};

/// States are not shrunk below this: one that is still rejected is so for another reason.
const STATE_BYTES_MIN: usize = 512;

impl Lane {
    /// Tries once to publish the pending plan; afterwards it is committed, discarded, or still pending.
    pub(in crate::lane) fn publish_pending(&mut self) -> Result<(), LaneError> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let report_alive = || {
            self.health.lane(self.number).report_alive();
            answer(&self.inbox, &self.partitions, &self.context);
        };
        let mut tools = PublishTools {
            consumer: &self.consumer,
            producer: &mut self.producer,
            writer: self.writer,
            stopped: self.stopped,
            context: &self.context,
            partitions: &self.partitions,
            changelog: ChangelogReader::new(&self.settings.kafka, &self.brokers, &self.watermarks, &self.context),
            report_alive: &report_alive,
        };
        let outcome = match std::mem::take(&mut pending.is_unknown) {
            true => resolve_unknown(&pending.plan, &mut tools)?,
            false => publish(&mut pending.plan, &mut tools)?,
        };
        match outcome {
            PublishOutcome::Committed(delivered) => {
                self.plan_size.note_committed();
                self.end_topic_wait(&pending);
                self.committed(&pending, &delivered)?;
                self.pending = pending.next();
            }
            PublishOutcome::Aborted(abort_cause) => {
                self.context.metrics.retries(Retry::Transaction).inc();
                match abort_cause {
                    AbortCause::Transient => self.pending = Some(pending),
                    AbortCause::TooSlow(after) => self.publish_smaller(pending, after)?,
                    AbortCause::TooLarge(places) => self.dead_letter_outputs(pending, &places)?,
                    AbortCause::Refused(reason) => self.wait_for_topics(pending, reason),
                }
            }
            PublishOutcome::Overtaken => self.discard(&pending)?,
            PublishOutcome::Unknown(reason) => {
                pending.is_unknown = true;
                self.wait_for_topics(pending, reason);
            }
        }
        Ok(())
    }

    /// The transaction was too old, and the same again would be too.
    fn publish_smaller(&mut self, pending: PendingBatch, after: Duration) -> Result<(), LaneError> {
        // While no broker answers this says nothing about the size.
        if matches!(self.brokers.state(), BrokerState::Unreachable(_)) {
            self.pending = Some(pending);
            return Ok(());
        }
        let can_be_less = self.plan_size.note_too_slow(&pending.plan, after);
        if pending.plan.parts.len() > 1 {
            self.pending = Some(pending.split());
        } else if can_be_less && self.plan_size.would_split(&pending.plan) {
            let numbers: Vec<i32> = pending.plan.parts.iter().map(|part| part.partition).collect();
            tracing::warn!(partitions = ?numbers, "The batch is decided again in smaller parts.");
            for number in numbers.into_iter().filter(|number| self.partitions.contains_key(number)).collect::<Vec<_>>()
            {
                self.restore_again(number)?;
            }
            self.pending = pending.next();
        } else {
            self.pending = Some(pending);
        }
        Ok(())
    }

    /// Records that are too large for their topic go to the dead letters, and the rest of the plan is published.
    fn dead_letter_outputs(&mut self, mut pending: PendingBatch, places: &[usize]) -> Result<(), LaneError> {
        let states = places.iter().map(|place| &pending.plan.records[*place]).filter_map(OutputRecord::state_bytes);
        if let Some(bytes) = states.min().filter(|bytes| (STATE_BYTES_MIN..=self.state_bytes_max).contains(bytes)) {
            return self.lower_state_limit(bytes / 2, &pending);
        }
        for place in places {
            let out = &pending.plan.records[*place];
            let (topic, bytes) = (self.context.topic(out.topic).to_owned(), out.bytes());
            let Some(letter) = dead_letter::of_output(out, &self.context) else {
                let reason = format!(
                    "{topic} does not take a record of {bytes} bytes that nothing can go on without; raise its \
                     max.message.bytes"
                );
                self.wait_for_topics(pending, reason);
                return Ok(());
            };
            tracing::warn!(
                topic,
                partition = out.partition,
                bytes,
                "A record is larger than its topic allows; it goes to the dead letters, truncated where necessary."
            );
            self.context.metrics.outputs_oversized.inc();
            pending.plan.records[*place] = letter;
        }
        self.pending = Some(pending);
        Ok(())
    }

    /// The changelog's limit was lowered since the start: states are kept below it from now on, and the batch is
    /// decided again.
    fn lower_state_limit(&mut self, bytes: usize, pending: &PendingBatch) -> Result<(), LaneError> {
        tracing::warn!(
            topic = self.context.topics.changelog,
            bytes,
            "The topic takes smaller records than its max.message.bytes said at the start; states are kept below this size."
        );
        self.state_bytes_max = bytes;
        self.partitions.values_mut().for_each(|partition| partition.residents.set_state_bytes_max(bytes));
        self.discard(pending)
    }

    /// A topic or a permission is missing: the plan waits, and is tried again until an operator has fixed it.
    fn wait_for_topics(&mut self, mut pending: PendingBatch, reason: String) {
        let first = pending.plan.parts.first().map(|part| part.partition);
        self.health().wait(Wait { cause: WaitCause::Output, partition: first, detail: reason });
        pending.awaits_topics = first;
        // The client's metadata may be minutes old.
        self.producer.mark_for_recreation();
        self.pending = Some(pending);
    }

    /// Ends the wait that [`wait_for_topics`](Self::wait_for_topics) has begun.
    pub(in crate::lane) fn end_topic_wait(&self, pending: &PendingBatch) {
        if let Some(number) = pending.awaits_topics {
            self.health().resume(WaitCause::Output, Some(number));
        }
    }

    /// The plan will never be committed here. Its partitions are ahead of Kafka in memory: those still ours are
    /// restored.
    pub(in crate::lane) fn discard(&mut self, pending: &PendingBatch) -> Result<(), LaneError> {
        self.end_topic_wait(pending);
        for part in pending.parts() {
            if self.partitions.contains_key(&part.partition) {
                self.restore_again(part.partition)?;
            }
        }
        Ok(())
    }
}
