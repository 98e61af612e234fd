//! Where a partition begins: at its committed offset, once whatever a predecessor had open is over, with its mark.

use std::time::{Duration, Instant as Moment};

use super::gatherer::{Gatherer, Partition};
use super::progress::Progress;
use super::topics::way_on;
use crate::clock::wall_clock;
use crate::event::Instant;
use crate::kafka::{Committed, Failure, Kind};
use crate::marks::{Mark, Place};
use crate::member::error::MemberError;
use crate::member::fresh::Fresh;
use crate::metrics::{Wait, WaitCause};
use crate::settings;

/// How long one request to a broker may take; the group is polled in between.
const ASK: Duration = Duration::from_secs(1);
/// Between two looks at whether partitions can begin.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The metadata of the offsets that gathering commits; those of other programs have none, or another one.
pub(super) const METADATA: &str = "cohortd gather";

/// Where a partition begins.
enum Begin {
    At(Partition),
    /// Not before an operator has done something.
    Held(Partition, String),
}

impl Gatherer {
    /// Starts the partitions whose place is known: the committed offset first, then the marks up to the end that their topic
    /// had after that. Whatever a predecessor could commit is before both.
    pub(super) fn start_partitions(&mut self) -> Result<(), MemberError> {
        let is_early = self.starting.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY);
        if self.starting.numbers.is_empty() || is_early {
            return Ok(());
        }
        self.starting.looked = Some(Moment::now());
        let outcome = self.try_start();
        match outcome {
            Ok(()) => self.health().resume(WaitCause::Transaction, None),
            Err(Failure::Retry(cause)) if cause.kind == Kind::TimedOut => {
                let detail =
                    "the committed offsets of sources are in an open transaction, or no broker answers".to_owned();
                self.health().wait(Wait { cause: WaitCause::Transaction, partition: None, detail });
            }
            Err(Failure::Retry(cause)) => {
                tracing::debug!(target: "kafka", reason = %cause, "starting partitions of sources");
            }
            Err(failure) => return Err(failure.into()),
        }
        self.show_partitions();
        Ok(())
    }

    fn try_start(&mut self) -> Result<(), Failure> {
        if self.starting.known.is_none() {
            let committed = self.consumer.committed(&self.starting.numbers(), ASK).map_err(Failure::at_work)?;
            let range = self.watermarks.range(&self.settings.topics.marks, 0, ASK).map_err(Failure::at_work)?;
            let committed = committed.into_iter().map(|found| (found.partition, found)).collect();
            self.starting.known = Some((committed, range.end));
        }
        let Some((committed, marks_end)) = &self.starting.known else { return Ok(()) };
        if self.marks.read_to() < *marks_end {
            return Ok(());
        }
        let mut begun = Vec::new();
        for number in &self.starting.numbers {
            if let Some(begin) = self.begin(*number, committed.get(number))? {
                begun.push((*number, begin));
            }
        }
        for (number, begin) in begun {
            self.starting.numbers.remove(&number);
            match begin {
                Begin::At(partition) => {
                    tracing::info!(source = %partition.place, offset = partition.next_offset, "Gathering.");
                    self.partitions.insert(number, partition);
                    self.merge.add(number);
                    self.to_seek.insert(number);
                }
                Begin::Held(partition, detail) => {
                    self.partitions.insert(number, partition);
                    self.held.insert(number);
                    self.health().wait(Wait { cause: WaitCause::Source, partition: Some(number), detail });
                }
            }
        }
        self.starting.known = None;
        Ok(())
    }

    /// Where a partition begins; `None`: its topic is not known yet.
    fn begin(&self, number: i32, committed: Option<&Committed>) -> Result<Option<Begin>, Failure> {
        let Some((topic, partition)) = self.sources.numbering.place(number) else { return Ok(None) };
        let name = &self.sources.topics()[topic];
        let Some(found) = self.topics.get(name) else { return Ok(None) };
        let place = Place { topic: name.clone(), partition };
        let mark = self.marks.of(&place);
        let is_ours = committed.is_some_and(|found| found.metadata == METADATA.as_bytes());
        let committed = committed.and_then(|found| found.offset);
        if let (Some(committed), Some(mark), true) = (committed, &mark, is_ours)
            && committed != mark.next_offset
        {
            tracing::warn!(
                source = %place, committed, mark = mark.next_offset,
                "The brokers kept the offset of a transaction whose records they aborted; gathering goes on at the mark."
            );
        }
        // The mark and the events were written together, and it was read as committed. When a coordinator was killed,
        // a committed offset has been seen to be that of an aborted transaction.
        let committed = committed.filter(|_| !(is_ours && mark.is_some()));
        let offset = match (committed, &mark) {
            (Some(offset), _) => offset,
            // Or the group's offsets have expired.
            (None, Some(mark)) => mark.next_offset,
            (None, None) => self.first_offset(&place, self.sources.of_topic(topic).mapping.source().from)?,
        };
        let held = self.watermarks.range(name, partition, ASK).map_err(Failure::at_work)?;
        let problem = self.problem(&place, committed, offset, &held, mark.as_ref(), &found.id);
        let fresh = if mark.is_some() { Fresh::proven() } else { Fresh::new() };
        let mark = mark.unwrap_or_else(|| Mark {
            heard_at: wall_clock().0,
            ..Mark::new(&self.settings.kafka.group_id, &found.id, offset)
        });
        let partition = Partition {
            progress: Progress::of(&mark),
            last_at: Instant(mark.read_to),
            place,
            topic,
            topic_id: found.id,
            next_offset: offset,
            read_offset: offset,
            mark: None,
            is_paused: false,
            fresh,
            has_answered: false,
        };
        Ok(Some(match problem {
            Some(problem) => Begin::Held(partition, problem),
            None => Begin::At(partition),
        }))
    }

    /// Why a partition cannot be read on.
    fn problem(
        &self,
        place: &Place,
        committed: Option<i64>,
        offset: i64,
        held: &std::ops::Range<i64>,
        mark: Option<&Mark>,
        id: &str,
    ) -> Option<String> {
        if let Some(group) = self.marks.foreign() {
            let topic = &self.settings.topics.marks;
            return Some(format!(
                "{topic} holds the marks of group {group}; give each group a topics.marks of its own"
            ));
        }
        if let Some(reason) = self.topics.held(&place.topic) {
            return Some(reason);
        }
        let way_on = way_on(&place.topic);
        let is_new = |mark: &&Mark| !mark.topic_id.is_empty() && !id.is_empty() && mark.topic_id != id;
        if mark.filter(is_new).is_some() {
            return Some(format!("topic {} was made anew; {way_on}", place.topic));
        }
        if let (Some(committed), Some(mark)) = (committed, mark)
            && committed != mark.next_offset
        {
            return Some(format!(
                "the committed offset of {place} was set to {committed} by another program, and its mark says {}; {way_on}",
                mark.next_offset
            ));
        }
        if held.start > offset {
            return Some(format!(
                "{place} begins at offset {}, and was gathered up to {offset}: retention has dropped {} records that were never \
                 read; {way_on}",
                held.start,
                held.start - offset
            ));
        }
        (held.end < offset).then(|| {
            format!(
                "{place} ends at offset {}, and was gathered up to {offset}: it has lost records; {way_on}",
                held.end
            )
        })
    }

    /// Where a partition begins of which nothing was gathered. A partition that was added to a topic begins at its beginning;
    /// a topic that joins others only matters from now on. `from` of the source can only be later.
    fn first_offset(&self, place: &Place, from: Option<Instant>) -> Result<i64, Failure> {
        let offset = self.first_offset_without(place)?;
        match from {
            Some(from) => {
                let later = self.watermarks.at_time(&place.topic, place.partition, from.0, ASK);
                Ok(later.map_err(Failure::at_work)?.max(offset))
            }
            None => Ok(offset),
        }
    }

    fn first_offset_without(&self, place: &Place) -> Result<i64, Failure> {
        let (topic, partition) = (&place.topic, place.partition);
        let range = || self.watermarks.range(topic, partition, ASK).map_err(Failure::at_work);
        let at = |at: Instant| self.watermarks.at_time(topic, partition, at.0, ASK).map_err(Failure::at_work);
        if self.marks.has_any_of(topic) {
            return range().map(|range| range.start);
        }
        if self.topics.has_joined_later(topic) {
            return at(wall_clock() - self.settings.time.max_lateness);
        }
        match self.settings.kafka.start {
            settings::Start::Earliest => range().map(|range| range.start),
            settings::Start::Latest => range().map(|range| range.end),
            settings::Start::At(instant) => at(instant),
        }
    }
}
