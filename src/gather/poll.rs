//! Reading: what the consumer brings, until a batch is full or nothing more has come.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use super::gatherer::{Gatherer, Partition, records_max};
use super::mapper::Bounds;
use super::merge::{Merge, Waiting};
use super::reading::{Content, Fate, Reading, needed};
use super::sources::Sources;
use super::topics::way_on;
use crate::kafka::{Failure, Kind, Polled, Record};
use crate::member::error::{MemberError, ignore_retriable};
use crate::member::fresh::FRESH_RECORDS;
use crate::member::schema_waits::{SchemaGate, SchemaWaits};
use crate::metrics::{Rebalance, Wait, WaitCause};

/// While nothing is at hand, how long the consumer is waited for at once.
const STEP: Duration = Duration::from_millis(20);
/// After how many records it is looked whether they are enough.
const LOOK_EVERY: usize = 64;
/// How long seeking may take.
const SEEK_FOR: Duration = Duration::from_secs(5);

/// An event of the consumer that is no record.
pub(super) enum Event {
    Assigned(Vec<i32>),
    Revoked { partitions: Vec<i32>, lost: bool },
    OutOfRange { number: i32, offset: i64 },
    Failed(Failure),
}

/// What is taken in at once.
struct Intake<'a> {
    sources: Arc<Sources>,
    partitions: &'a mut BTreeMap<i32, Partition>,
    reading: &'a mut Reading,
    merge: &'a mut Merge<Content>,
    schema_waits: &'a mut SchemaWaits,
    to_seek: &'a mut BTreeSet<i32>,
    bounds: Bounds,
    is_clock_right: bool,
    /// Bytes that may be at hand of one partition.
    share: usize,
    taken: Taken,
}

/// What was taken in.
#[derive(Default)]
struct Taken {
    records: usize,
    bytes: usize,
    /// Partitions that are not read for now: enough is at hand, or the next record waits for its schema.
    paused: Vec<i32>,
    /// A partition of which no record can be used, with the commonest reason and its detail.
    refused: Option<(i32, &'static str, String)>,
}

impl Intake<'_> {
    /// Takes in one record. `Break`: no more of them for now.
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        let number = record.partition();
        let sources = Arc::clone(&self.sources);
        let mut gate =
            SchemaGate::new(self.schema_waits, &mut self.reading.schemas, move |record| needed(&sources, record));
        let is_readable = self.is_clock_right && !self.to_seek.contains(&number);
        let partition = self.partitions.get_mut(&number);
        let is_ours = partition.is_some();
        let partition = partition.filter(|partition| is_readable && record.offset() >= partition.read_offset);
        let Some(partition) = partition else {
            if is_ours && !self.is_clock_right {
                self.to_seek.insert(number);
            }
            return if gate.looks_ahead(record) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        };
        if !gate.admits(record) {
            self.taken.paused.push(number);
            self.to_seek.insert(number);
            return ControlFlow::Continue(());
        }
        let content = self.reading.read(partition.topic, partition.place.partition, record, self.bounds);
        partition.read_offset = record.offset() + 1;
        partition.has_answered = true;
        partition.progress.leave_end(self.bounds.clock);
        if let Some((first, last)) = content.times {
            partition.progress.read(last, self.bounds.clock);
            partition.last_at = first;
        }
        let refused = match (content.fate, &content.wrong) {
            (Fate::DeadLetter(reason), Some(wrong)) => Some((reason, &wrong.detail)),
            _ => None,
        };
        if let Some((reason, detail)) = partition.fresh.count(refused) {
            self.taken.refused = Some((number, reason, detail));
            return ControlFlow::Break(());
        }
        let bytes = content.bytes();
        self.merge.push(number, Waiting { offset: record.offset(), at: partition.last_at, bytes, content });
        self.taken.records += 1;
        self.taken.bytes += bytes;
        if self.merge.bytes(number) > self.share && !partition.is_paused {
            partition.is_paused = true;
            self.taken.paused.push(number);
        }
        ControlFlow::Continue(())
    }
}

impl Gatherer {
    /// Reads until a limit of a batch is reached, an event comes, or nothing more has come for a moment. While the clock is
    /// wrong records are left where they are.
    pub(super) fn poll(&mut self, is_clock_right: bool) -> Result<Option<Event>, MemberError> {
        let started = Moment::now();
        let mut event = None;
        let mut taken = Taken::default();
        let mut wait = Duration::ZERO;
        while event.is_none() && !self.is_full(&taken) {
            let (bounds, share) = (self.bounds(), self.share());
            let mut intake = Intake {
                sources: Arc::clone(&self.sources),
                partitions: &mut self.partitions,
                reading: &mut self.reading,
                merge: &mut self.merge,
                schema_waits: &mut self.schema_waits,
                to_seek: &mut self.to_seek,
                bounds,
                is_clock_right,
                share,
                taken: std::mem::take(&mut taken),
            };
            let mut flow = ControlFlow::Continue(());
            let mut is_nothing = false;
            // As long as records come, one after the other.
            while flow.is_continue() && event.is_none() && !is_nothing {
                match self.consumer.poll(std::mem::take(&mut wait)) {
                    Polled::Nothing => is_nothing = true,
                    Polled::Record(record) => {
                        flow = intake.record(&record);
                        if intake.taken.records.is_multiple_of(LOOK_EVERY) {
                            break;
                        }
                    }
                    // Records before this end that were passed over are still to be read.
                    Polled::End { partition, .. } if intake.to_seek.contains(&partition) => {}
                    Polled::End { partition: number, offset } => {
                        if let Some(partition) = intake.partitions.get_mut(&number) {
                            partition.has_answered = true;
                        }
                        intake.merge.end(number, offset);
                    }
                    Polled::Assigned(partitions) => event = Some(Event::Assigned(partitions)),
                    Polled::Revoked { partitions, lost } => event = Some(Event::Revoked { partitions, lost }),
                    Polled::OutOfRange { partition, offset, .. } => {
                        event = Some(Event::OutOfRange { number: partition, offset });
                    }
                    Polled::Failed(failure) => event = Some(Event::Failed(failure)),
                }
            }
            taken = intake.taken;
            if flow.is_break() {
                break;
            }
            if is_nothing {
                self.note_ends();
                // What is at hand is written at once, unless a partition holds it up.
                let left = self.settings.batch.max_wait.saturating_sub(started.elapsed());
                if left.is_zero() || !(self.merge.is_empty() || self.merge.is_held_up()) {
                    break;
                }
                wait = left.min(STEP);
            }
        }
        self.pause(&taken.paused)?;
        if let Some((number, reason, detail)) = taken.refused {
            self.hold_refused(number, reason, &detail)?;
        }
        Ok(event)
    }

    /// Was as much taken in as a batch takes?
    fn is_full(&self, taken: &Taken) -> bool {
        taken.records >= records_max(&self.settings) || taken.bytes as u64 >= self.settings.batch.max_bytes
    }

    pub(super) fn handle(&mut self, event: Event) -> Result<(), MemberError> {
        match event {
            Event::Assigned(numbers) => {
                tracing::info!(sources = ?self.named(&numbers), "Assigned.");
                self.metrics.rebalances(Rebalance::Assigned).inc();
                match self.consumer.ack_assign() {
                    Ok(()) => self.starting.extend(numbers),
                    Err(Failure::Retry(_)) => {}
                    Err(failure) => return Err(failure.into()),
                }
            }
            Event::Revoked { partitions, lost } => {
                tracing::info!(sources = ?self.named(&partitions), lost, "Revoked.");
                self.metrics.rebalances(if lost { Rebalance::Lost } else { Rebalance::Revoked }).inc();
                partitions.iter().for_each(|number| self.forget(*number));
                self.consumer.ack_revoke(&partitions).or_else(ignore_retriable)?;
                if lost {
                    self.health().left();
                }
            }
            Event::OutOfRange { number, offset } => {
                let detail = self.partitions.get(&number).map(|partition| {
                    format!(
                        "{} does not hold record {offset}, the next one to gather: retention has passed it, or the topic was \
                         made anew; {}",
                        partition.place,
                        way_on(&partition.place.topic)
                    )
                });
                if let Some(detail) = detail {
                    self.hold(number, detail)?;
                }
            }
            Event::Failed(Failure::Retry(cause)) if cause.kind == Kind::NotAuthorized => {
                tracing::warn!(reason = %cause, "The brokers do not let this process read a source.");
            }
            Event::Failed(Failure::Retry(cause)) => tracing::debug!(target: "kafka", reason = %cause, "gathering"),
            Event::Failed(failure) => return Err(failure.into()),
        }
        self.show_partitions();
        Ok(())
    }

    /// Seeks partitions to where they are read on, and resumes those of which little is at hand.
    pub(super) fn seek(&mut self, is_clock_right: bool) -> Result<(), MemberError> {
        if !is_clock_right {
            return Ok(());
        }
        let released = self.schema_waits.release(&mut self.reading.schemas, self.health.lane(self.number));
        self.to_seek.extend(released);
        let share = self.share();
        for (number, partition) in &mut self.partitions {
            if partition.is_paused && self.merge.bytes(*number) <= share / 2 {
                partition.is_paused = false;
                self.to_seek.insert(*number);
            }
        }
        self.to_seek.retain(|number| self.partitions.contains_key(number) && !self.held.contains(number));
        let is_due = |number: &&i32| !self.schema_waits.is_waiting(**number) && !self.partitions[number].is_paused;
        let places: Vec<(i32, i64)> =
            self.to_seek.iter().filter(is_due).map(|number| (*number, self.partitions[number].read_offset)).collect();
        if places.is_empty() {
            return Ok(());
        }
        match self.consumer.read_from(&places, SEEK_FOR) {
            Ok(()) => {
                for (number, _) in &places {
                    self.to_seek.remove(number);
                    if let Some(partition) = self.partitions.get_mut(number) {
                        partition.has_answered = false;
                    }
                }
            }
            Err(failure) => ignore_retriable(failure)?,
        }
        Ok(())
    }

    /// Stops reading partitions; whoever resumes them seeks.
    pub(super) fn pause(&mut self, numbers: &[i32]) -> Result<(), MemberError> {
        Ok(self.consumer.pause(numbers).or_else(ignore_retriable)?)
    }

    /// A partition must not be read on until an operator has done something.
    pub(super) fn hold(&mut self, number: i32, detail: String) -> Result<(), MemberError> {
        self.merge.remove(number);
        self.held.insert(number);
        self.pause(&[number])?;
        let cause = WaitCause::Source;
        self.health().wait(Wait { cause, partition: Some(number), detail });
        Ok(())
    }

    /// None of the first records of a partition could be used: its topic is of something else, or the mapping is wrong.
    /// Nothing of it is committed.
    fn hold_refused(&mut self, number: i32, reason: &str, detail: &str) -> Result<(), MemberError> {
        let Some(partition) = self.partitions.get(&number) else { return Ok(()) };
        let (source, place) = (self.sources.of_topic(partition.topic).name(), &partition.place);
        let text = format!(
            "the first {FRESH_RECORDS} records of {place} cannot be used ({reason}: {detail}); mend the source {source} in the \
             sources file; `cohortd sources try {source}` tries it"
        );
        self.hold(number, text)
    }

    /// Holds the partitions of topics that must not be read on.
    pub(super) fn hold_topics(&mut self) -> Result<(), MemberError> {
        let reasons = self.partitions.iter().filter(|(number, _)| !self.held.contains(number));
        let reasons: Vec<(i32, String)> = reasons
            .filter_map(|(number, partition)| Some((*number, self.topics.held(&partition.place.topic)?)))
            .collect();
        reasons.into_iter().try_for_each(|(number, reason)| self.hold(number, reason))
    }

    /// No partition is ours any more.
    pub(super) fn forget_all(&mut self) {
        let numbers: Vec<i32> = self.partitions.keys().copied().chain(self.starting.numbers()).collect();
        numbers.into_iter().for_each(|number| self.forget(number));
    }

    /// A partition is no longer ours.
    fn forget(&mut self, number: i32) {
        self.merge.remove(number);
        self.starting.remove(number);
        self.held.remove(&number);
        self.to_seek.remove(&number);
        self.schema_waits.forget(number, self.health.lane(self.number));
        self.health().forget(number);
        if let Some(partition) = self.partitions.remove(&number) {
            let (metrics, place) = (&self.sources.of_topic(partition.topic).metrics, &partition.place);
            metrics.set_lag(&place.topic, place.partition, None);
            metrics.set_complete_to(&place.topic, place.partition, None);
        }
    }

    /// `topic/partition` of each number.
    fn named(&self, numbers: &[i32]) -> Vec<String> {
        let name = |number: &i32| {
            let (topic, partition) = self.sources.numbering.place(*number)?;
            Some(format!("{}/{partition}", self.sources.topics()[topic]))
        };
        numbers.iter().filter_map(name).collect()
    }
}
