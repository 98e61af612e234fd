//! Reading: what the consumer brings, until a batch is full or nothing more has come.

use std::time::{Duration, Instant as Moment};

use super::error::GatherError;
use super::gatherer::Gatherer;
use super::merge::Waiting;
use super::reading::{Fate, needed};
use super::topics::way_on;
use crate::kafka::{Failure, Kind, Polled};
use crate::member::fresh::FRESH_RECORDS;
use crate::member::schema_waits::SchemaGate;
use crate::metrics::{Rebalance, Wait, WaitCause};

/// While nothing is at hand, how long the consumer is waited for at once.
const STEP: Duration = Duration::from_millis(20);
/// How long seeking may take.
const SEEK_FOR: Duration = Duration::from_secs(5);

/// An event of the consumer that is no record.
pub(super) enum Event {
    Assigned(Vec<i32>),
    Revoked { partitions: Vec<i32>, lost: bool },
    OutOfRange { number: i32, offset: i64 },
    Failed(Failure),
}

impl Gatherer {
    /// Reads until a limit of a batch is reached, an event comes, or nothing more has come for a moment. While the clock is
    /// wrong records are left where they are.
    pub(super) fn poll(&mut self, is_clock_right: bool) -> Result<Option<Event>, GatherError> {
        let (started, now, share) = (Moment::now(), self.times(), self.share());
        let (mut records, mut bytes, mut event) = (0, 0, None);
        let (mut full, mut waiting, mut refuse) = (Vec::new(), Vec::new(), None);
        let bytes_max = usize::try_from(self.settings.batch.max_bytes).unwrap_or(usize::MAX);
        let sources = std::sync::Arc::clone(&self.sources);
        while records < self.settings.batch.max_records && bytes < bytes_max {
            // What is at hand is written at once when no more has come.
            let is_idle = records == 0 && self.merge.is_empty();
            let left = self.settings.batch.max_wait.saturating_sub(started.elapsed());
            let wait = if is_idle || self.merge.unknown().next().is_some() { left.min(STEP) } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Polled::Nothing if wait.is_zero() || left.is_zero() => break,
                Polled::Nothing => {}
                Polled::Record(record) => {
                    let number = record.partition();
                    let is_readable = is_clock_right && !self.to_seek.contains(&number);
                    let partition = self.partitions.get_mut(&number).filter(|_| is_readable);
                    let Some(partition) = partition.filter(|partition| record.offset() >= partition.read_offset) else {
                        let mut gate = SchemaGate::new(&mut self.schema_waits, &mut self.reading.schemas, |record| {
                            needed(&sources, record)
                        });
                        if gate.looks_ahead(&record) {
                            break;
                        }
                        if !is_clock_right && self.partitions.contains_key(&number) {
                            self.to_seek.insert(number);
                        }
                        continue;
                    };
                    let mut gate = SchemaGate::new(&mut self.schema_waits, &mut self.reading.schemas, |record| {
                        needed(&sources, record)
                    });
                    if !gate.admits(&record) {
                        waiting.push(number);
                        self.to_seek.insert(number);
                        continue;
                    }
                    let content = self.reading.read(partition.topic, partition.place.partition, &record, now);
                    partition.read_offset = record.offset() + 1;
                    partition.has_answered = true;
                    partition.progress.leave_end();
                    if let Some((first, last)) = content.times {
                        partition.progress.read(last, now.clock);
                        partition.last_at = first;
                    }
                    let refused = match (content.fate, &content.detail) {
                        (Fate::DeadLetter(reason), Some(detail)) => Some((reason, detail)),
                        _ => None,
                    };
                    if let Some((reason, detail)) = partition.fresh.count(refused) {
                        refuse = Some((number, reason, detail));
                        break;
                    }
                    let size = content.bytes();
                    let at = partition.last_at;
                    self.merge.push(number, Waiting { offset: record.offset(), at, bytes: size, content });
                    (records, bytes) = (records + 1, bytes + size);
                    if self.merge.bytes(number) > share && !partition.is_paused {
                        partition.is_paused = true;
                        full.push(number);
                    }
                }
                // Records before this end that were passed over are still to be read.
                Polled::End { partition, .. } if self.to_seek.contains(&partition) => {}
                Polled::End { partition, offset } => {
                    if let Some(partition) = self.partitions.get_mut(&partition) {
                        partition.has_answered = true;
                    }
                    self.merge.end(partition, offset);
                }
                Polled::Assigned(partitions) => event = Some(Event::Assigned(partitions)),
                Polled::Revoked { partitions, lost } => event = Some(Event::Revoked { partitions, lost }),
                Polled::OutOfRange { partition, offset, .. } => {
                    event = Some(Event::OutOfRange { number: partition, offset });
                }
                Polled::Failed(failure) => event = Some(Event::Failed(failure)),
            }
            if event.is_some() {
                break;
            }
        }
        full.extend(waiting);
        self.pause(&full)?;
        if let Some((number, reason, detail)) = refuse {
            self.hold_refused(number, reason, &detail)?;
        }
        Ok(event)
    }

    pub(super) fn handle(&mut self, event: Event) -> Result<(), GatherError> {
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
                ignore_retriable(self.consumer.ack_revoke(&partitions))?;
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
                self.health().wait(Wait { cause: WaitCause::Kafka, partition: None, detail: cause.text });
            }
            Event::Failed(Failure::Retry(cause)) => tracing::debug!(target: "kafka", reason = %cause, "gathering"),
            Event::Failed(failure) => return Err(failure.into()),
        }
        self.show_partitions();
        Ok(())
    }

    /// Seeks partitions to where they are read on, and resumes those of which little is at hand.
    pub(super) fn seek(&mut self) -> Result<(), GatherError> {
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
            Err(failure) => ignore_retriable(Err(failure))?,
        }
        Ok(())
    }

    /// Stops reading partitions; whoever resumes them seeks.
    pub(super) fn pause(&mut self, numbers: &[i32]) -> Result<(), GatherError> {
        ignore_retriable(self.consumer.pause(numbers))
    }

    /// A partition must not be read on until an operator has done something.
    pub(super) fn hold(&mut self, number: i32, detail: String) -> Result<(), GatherError> {
        self.merge.remove(number);
        self.held.insert(number);
        self.pause(&[number])?;
        let cause = WaitCause::Source;
        self.health().wait(Wait { cause, partition: Some(number), detail });
        Ok(())
    }

    /// None of the first records of a partition could be used: its topic is of something else, or the mapping is wrong.
    /// Nothing of it is committed.
    fn hold_refused(&mut self, number: i32, reason: &str, detail: &str) -> Result<(), GatherError> {
        let Some(partition) = self.partitions.get(&number) else { return Ok(()) };
        let (source, place) = (self.sources.of_topic(partition.topic).name(), &partition.place);
        let text = format!(
            "the first {FRESH_RECORDS} records of {place} cannot be used ({reason}: {detail}); mend the source {source} in the \
             sources file, try it with `cohortd sources try {source}`, and start again"
        );
        self.hold(number, text)
    }

    /// Holds the partitions of topics that must not be read on.
    pub(super) fn hold_topics(&mut self) -> Result<(), GatherError> {
        let reasons = self.partitions.iter().filter(|(number, _)| !self.held.contains(number));
        let reasons: Vec<(i32, String)> = reasons
            .filter_map(|(number, partition)| Some((*number, self.topics.held(&partition.place.topic)?)))
            .collect();
        reasons.into_iter().try_for_each(|(number, reason)| self.hold(number, reason))
    }

    /// No partition is ours any more.
    pub(super) fn forget_all(&mut self) {
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
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

/// Ignores a retriable failure: the call concerned a partition that is being revoked.
pub(super) fn ignore_retriable(outcome: Result<(), Failure>) -> Result<(), GatherError> {
    match outcome {
        Err(Failure::Retry(cause)) => {
            tracing::debug!(reason = %cause, "The assignment is changing.");
            Ok(())
        }
        outcome => Ok(outcome?),
    }
}
