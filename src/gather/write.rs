//! Writing: what is taken from the merge, in one transaction with its marks and offsets.

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Moment};

use super::batch::{Batch, Part};
use super::gatherer::{Gatherer, Partition, records_max};
use super::reading::{Fate, Target, Written};
use super::start::METADATA;
use crate::event::Instant;
use crate::kafka::{Cause, Failure, Headers, Kind, Membership, Outcome, Outgoing, Report};
use crate::marks::{Mark, Place};
use crate::member::error::MemberError;
use crate::member::transactions::{backoff, needs_operator, recreate_producer};
use crate::metrics::{Retry, Transaction, Wait, WaitCause};
use crate::settings::Time;

/// Between two marks of a partition of which nothing is written.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// The same while other threads may wait for what they say.
const MARK_EVERY_WAITED_FOR: Duration = Duration::from_millis(200);
/// The smallest limit of an event's size; below, a topic refuses for another reason.
const EVENT_BYTES_MIN: usize = 1_024;

/// How a transaction ended.
enum Sent {
    Committed,
    /// Nothing of it counts, or it is not known: begin anew at the committed offsets.
    BeginAnew(Cause),
}

impl Gatherer {
    /// Takes the records whose turn it is, and adds the marks that are due.
    pub(super) fn take(&mut self) -> Batch {
        self.note_ignored();
        self.note_ends();
        let bound = match self.marks.len() == self.partitions.len() {
            true => Instant::MAX,
            false => {
                let ours: BTreeSet<&Place> = self.partitions.values().map(|partition| &partition.place).collect();
                self.marks.backlog_read_to(|place| ours.contains(place))
            }
        };
        let mut batch = Batch::default();
        let bytes_max = usize::try_from(self.settings.batch.max_bytes).unwrap_or(usize::MAX);
        let records_max = records_max(&self.settings);
        while batch.records.len() < records_max && batch.bytes < bytes_max {
            let Some((number, record)) = self.merge.pop(bound) else { break };
            batch.take(number, record);
        }
        self.mark(&mut batch);
        batch
    }

    /// Partitions that were read to the end which the last answer of their broker named hold up nobody.
    pub(super) fn note_ends(&mut self) {
        let unknown: Vec<i32> = self.merge.unknown().collect();
        for number in unknown {
            let Some(partition) = self.partitions.get(&number).filter(|partition| partition.has_answered) else {
                continue;
            };
            if let Some(end) = self.consumer.known_end(number).filter(|end| partition.read_offset >= *end) {
                self.merge.end(number, end);
            }
        }
    }

    /// Adds the marks of partitions that are written, and of others from time to time.
    fn mark(&mut self, batch: &mut Batch) {
        let time = self.settings.time;
        let every = if self.merge.is_empty() { MARK_EVERY } else { MARK_EVERY_WAITED_FOR };
        let trusted = self.trusted();
        for (number, partition) in self.partitions.iter_mut().filter(|(number, _)| !self.held.contains(*number)) {
            let part = batch.parts.get(number);
            if let Some(next_offset) = part.and_then(|part| part.next_offset) {
                partition.next_offset = next_offset;
            }
            if let Some(latest) = part.and_then(|part| part.latest) {
                partition.progress.wrote(latest, time.arrives_within);
            }
            let end = self.topics.ends(&partition.place.topic).and_then(|ends| ends.fresh(partition.place.partition));
            let is_at_end = match (self.merge.read_to_end(*number), end) {
                (Some(reached), Some(end)) => reached.max(partition.next_offset) >= end,
                _ => false,
            };
            if is_at_end {
                let trusted = trusted.get(self.sources.of_topic(partition.topic).name());
                let now = self.now.map(|now| trusted.map_or(now, |until| now.min(*until)));
                partition.reach_end(now, time);
            }
            let mark = partition.as_mark(&self.settings.kafka.group_id, !is_at_end);
            let is_due = match &partition.mark {
                None => true,
                Some((last, at)) => {
                    part.is_some() || (*last != mark && (at.elapsed() >= every || last.differs_from(&mark)))
                }
            };
            if is_due {
                partition.mark = Some((mark.clone(), Moment::now()));
                batch.mark(*number, &partition.place, mark);
            }
        }
    }

    /// Writes a batch; after a failure every partition begins anew.
    pub(super) fn write(&mut self, batch: Batch) -> Result<(), MemberError> {
        let Some(membership) = self.consumer.membership() else {
            self.begin_anew()?;
            return Ok(());
        };
        match self.transact(&batch, &membership)? {
            Sent::Committed => {
                self.backoff = backoff();
                self.health().resume(WaitCause::Output, None);
                self.metrics.transactions(Transaction::Committed).inc();
                batch.parts.iter().for_each(|(number, part)| self.count(*number, part));
                Ok(())
            }
            Sent::BeginAnew(cause) => {
                self.metrics.transactions(Transaction::Aborted).inc();
                self.metrics.retries(Retry::Transaction).inc();
                self.recover(cause)
            }
        }
    }

    fn transact(&mut self, batch: &Batch, membership: &Membership) -> Result<Sent, MemberError> {
        if self.producer.needs_recreation()
            && let Some(text) = recreate_producer(&mut self.producer, &|| self.health.lane(self.number).report_alive())?
        {
            return Ok(Sent::BeginAnew(Cause { kind: Kind::NotAuthorized, text }));
        }
        match self.send(batch, membership) {
            Ok(()) => {}
            Err(Failure::Fatal(cause)) if cause.kind == Kind::Fenced => return Err(MemberError::Fenced(cause.text)),
            Err(failure) => {
                let first = self.producer.failure().filter(|first| first.kind != Kind::Purged);
                return Ok(Sent::BeginAnew(first.unwrap_or_else(|| failure.cause().clone())));
            }
        }
        self.health().report_alive();
        match self.producer.commit() {
            Outcome::Committed => Ok(Sent::Committed),
            Outcome::Indeterminate(cause) => {
                self.metrics.transactions(Transaction::Resolved).inc();
                Ok(Sent::BeginAnew(cause))
            }
            Outcome::Fenced(cause) => Err(MemberError::Fenced(cause.text)),
        }
    }

    fn send(&mut self, batch: &Batch, membership: &Membership) -> Result<(), Failure> {
        self.producer.begin()?;
        let records = batch.records.iter().map(|record| self.outgoing(record)).enumerate();
        self.producer
            .send_all(records, &|| self.health.lane(self.number).report_alive())
            .map_err(|(_, failure)| failure)?;
        loop {
            self.health().report_alive();
            if self.producer.drain_some()? {
                break;
            }
        }
        let offsets: Vec<(&str, i32, i64, &str)> = batch
            .parts
            .keys()
            .filter_map(|number| self.partitions.get(number))
            .map(|partition| {
                (partition.place.topic.as_str(), partition.place.partition, partition.next_offset, METADATA)
            })
            .collect();
        self.producer.send_offsets(&offsets, membership)
    }

    fn outgoing<'r>(&'r self, record: &'r Written) -> Outgoing<'r> {
        let topics = &self.settings.topics;
        Outgoing {
            topic: match record.target {
                Target::Events => &topics.events,
                Target::DeadLetters => &topics.dead_letters,
                Target::Marks => &topics.marks,
            },
            partition: record.partition,
            key: record.key.as_deref(),
            payload: record.payload.as_deref(),
            headers: Headers::read(&record.headers),
            timestamp: None,
            report: Report::Failure,
        }
    }

    /// A transaction failed, or its outcome is not known: a new producer ends it, then every partition begins where its
    /// committed offset says.
    fn recover(&mut self, cause: Cause) -> Result<(), MemberError> {
        match cause.kind {
            Kind::StaleMember => tracing::info!(reason = %cause, "The group is changing; sources are read again."),
            Kind::TooLarge => {
                let limit = (self.reading.encoding.limits.event / 2).max(EVENT_BYTES_MIN);
                tracing::warn!(limit, reason = %cause, "A topic accepts smaller records than its settings say; larger ones go to the dead letters.");
                self.reading.encoding.limits.event = limit;
                self.reading.encoding.limits.dead_letter =
                    (self.reading.encoding.limits.dead_letter / 2).max(EVENT_BYTES_MIN);
            }
            kind if needs_operator(kind) => {
                let detail = cause.text.clone();
                self.health().wait(Wait { cause: WaitCause::Output, partition: None, detail });
                self.metrics.publish_errors(&self.settings.topics.events).inc();
            }
            _ => {
                tracing::warn!(reason = %cause, "A transaction failed; sources are read again from what is committed.")
            }
        }
        let pause = self.backoff.pause();
        self.health().report_alive();
        std::thread::sleep(pause);
        let denied = recreate_producer(&mut self.producer, &|| self.health.lane(self.number).report_alive())?;
        if let Some(detail) = denied {
            self.health().wait(Wait { cause: WaitCause::Output, partition: None, detail });
        }
        self.begin_anew()
    }

    /// Every partition begins anew at its committed offset.
    fn begin_anew(&mut self) -> Result<(), MemberError> {
        let running: Vec<i32> = self.partitions.keys().copied().filter(|number| !self.held.contains(number)).collect();
        self.pause(&running)?;
        for number in &running {
            self.merge.remove(*number);
            self.schema_waits.forget(*number, self.health.lane(self.number));
            self.partitions.remove(number);
            self.to_seek.remove(number);
        }
        self.starting.extend(running);
        self.show_partitions();
        Ok(())
    }

    fn count(&self, number: i32, part: &Part) {
        let Some(partition) = self.partitions.get(&number) else { return };
        let metrics = &self.sources.of_topic(partition.topic).metrics;
        metrics.events.inc_by(part.events);
        let Place { topic, partition: number } = &partition.place;
        for (offset, reason, kind) in &part.letters {
            self.letters.note(reason, kind, (topic, *number, *offset));
        }
        for fate in &part.fates {
            metrics.read.inc();
            match fate {
                Fate::Mapped => metrics.mapped.inc(),
                Fate::Skipped(reason) => metrics.skipped(reason),
                Fate::DeadLetter(reason) => metrics.dead_letter(reason),
            }
        }
    }
}

impl Partition {
    /// Everything that the partition holds was written; `now`: the wall clock, as far as it can be trusted.
    fn reach_end(&mut self, now: Option<Instant>, time: Time) {
        let was_caught_up = self.progress.caught_up;
        self.progress.at_end(now, time.arrives_within, time.live_after);
        if !was_caught_up && !self.progress.live {
            let (source, complete_to) = (&self.place, self.progress.complete_to);
            tracing::info!(
                %source, %complete_to, seconds = time.live_after.0 / 1_000,
                "Read to its end, and its last record is old. Time follows the clock once a new one comes, or after so long \
                 at its end (time.live_after); until then nothing later is decided by time."
            );
        }
    }

    fn as_mark(&self, group: &str, has_backlog: bool) -> Mark {
        Mark {
            group: group.to_owned(),
            topic_id: self.topic_id.clone(),
            next_offset: self.next_offset,
            complete_to: self.progress.complete_to.0,
            read_to: self.progress.read_to.0,
            has_backlog,
            caught_up: self.progress.caught_up,
            live: self.progress.live,
            heard_at: self.progress.heard_at.0,
        }
    }
}
