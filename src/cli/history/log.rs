//! The log of a topic: which records are in a range, and what they are, as bytes.

use std::ops::Range;
use std::time::{Duration, Instant as Stopwatch};

use crate::app::Failure;
use crate::cli::output::Stopped;
use crate::cli::patience::{PATIENCE, patient};
use crate::cli::progress::Progress;
use crate::event::Instant;
use crate::kafka::{Admin, Brokers, Failure as KafkaFailure, Read, Reader, Record, Watermarks};
use crate::settings::{Settings, Start};

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// Records between two steps of the progress bar.
const STEP: usize = 4_096;

/// A position in each partition at which a range begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Place {
    Offset(i64),
    /// The first record written at or after an instant.
    Time(Instant),
    /// The end when the command starts.
    Now,
}

/// The partitions of a topic, read without a group.
pub(in crate::cli) struct TopicLog<'a> {
    settings: &'a Settings,
    name: &'a str,
    partitions: u32,
    reader: Reader,
    watermarks: Watermarks,
}

impl<'a> TopicLog<'a> {
    /// Looks it up.
    ///
    /// # Errors
    /// No broker; no such topic.
    pub(in crate::cli) fn open(settings: &'a Settings, name: &'a str) -> Result<Self, Failure> {
        let brokers = Brokers::default();
        let admin = Admin::new(&settings.kafka, &brokers)?;
        let found = patient(|| admin.topic(name, ASK))?;
        let Some(found) = found else {
            return Err(Failure::Running(format!("--topic: there is no topic {name}")));
        };
        let queue = usize::try_from(settings.memory.queues()).unwrap_or(usize::MAX);
        Ok(Self {
            settings,
            name,
            partitions: found.partitions.unsigned_abs(),
            reader: Reader::new(&settings.kafka, queue, &brokers)?,
            watermarks: Watermarks::new(&settings.kafka, &brokers)?,
        })
    }

    /// The number of partitions.
    pub(in crate::cli) fn count(&self) -> u32 {
        self.partitions
    }

    pub(in crate::cli) fn partitions(&self) -> Range<i32> {
        0..self.partitions.cast_signed()
    }

    /// The offsets of a partition between two positions, as far as they exist.
    ///
    /// # Errors
    /// No broker, or no permission.
    pub(in crate::cli) fn range(&self, partition: i32, from: Option<Place>, to: Place) -> Result<Range<i64>, Failure> {
        let kept = patient(|| self.watermarks.range(self.name, partition, ASK))?;
        let offset = |place| match place {
            Place::Offset(offset) => Ok(offset),
            Place::Time(at) => patient(|| self.watermarks.at_time(self.name, partition, at.0, ASK)),
            Place::Now => Ok(kept.end),
        };
        let from = from.map_or(Ok(kept.start), offset)?.clamp(kept.start, kept.end);
        Ok(from..offset(to)?.clamp(from, kept.end))
    }

    /// At most this many records of a partition, from where `run` would start without committed offsets, and none that was written
    /// before `not_before` or is of an open transaction. If `run` would start at the end, the last ones.
    ///
    /// # Errors
    /// No broker, or no permission.
    pub(in crate::cli) fn beginning(
        &self,
        partition: i32,
        most: i64,
        not_before: Option<Instant>,
    ) -> Result<Range<i64>, Failure> {
        let at_time = |at: Instant| patient(|| self.watermarks.at_time(self.name, partition, at.0, ASK));
        let kept = patient(|| self.watermarks.range(self.name, partition, ASK))?;
        let end = patient(|| self.reader.stable_end(self.name, partition, ASK))?.max(kept.start);
        let from = match self.settings.kafka.start {
            Start::Earliest => kept.start,
            Start::Latest => end - most,
            Start::At(at) => at_time(at)?,
        };
        let from = match not_before {
            Some(at) => at_time(at)?.max(from),
            None => from,
        };
        let from = from.clamp(kept.start, end);
        Ok(from..end.min(from + most))
    }

    /// Passes every committed record of a range to `take`, in the order of the log.
    ///
    /// # Errors
    /// Brokers that do not answer; and what `take` refuses.
    pub(in crate::cli) fn read(
        &mut self,
        partition: i32,
        range: Range<i64>,
        progress: &Progress,
        mut take: impl FnMut(&Record<'_>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let (mut at, mut read) = (range.start, 0_usize);
        let mut silent = Stopwatch::now();
        self.reader.start(self.name, partition, range.start, range.end).map_err(Failure::from)?;
        loop {
            match self.reader.poll(Duration::from_millis(100)) {
                Read::Record(record) => {
                    take(&record)?;
                    read += 1;
                    if read.is_multiple_of(STEP) {
                        progress.advance(usize::try_from(record.offset() + 1 - at).unwrap_or(0));
                        at = record.offset() + 1;
                        silent = Stopwatch::now();
                    }
                }
                Read::Done => break,
                Read::Waiting { at } => progress.complain(&format!(
                    "{}[{partition}]: a transaction is open at offset {at}; waiting for its end",
                    self.name
                )),
                Read::OutOfRange { offset, reason } => {
                    let text = format!("{}[{partition}] does not hold offset {offset} ({reason})", self.name);
                    return Err(Failure::Running(text).into());
                }
                Read::Failed(KafkaFailure::Retry(cause)) if silent.elapsed() > PATIENCE => {
                    return Err(Failure::Running(cause.text).into());
                }
                Read::Failed(KafkaFailure::Retry(_)) | Read::Nothing => {}
                Read::Failed(failure) => return Err(Failure::from(failure).into()),
            }
        }
        progress.advance(usize::try_from(range.end - at).unwrap_or(0));
        Ok(())
    }
}
