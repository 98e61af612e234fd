//! A range of a topic, read without a group: each partition is a log of its own.

use std::ops::Range;

use super::input::Counts;
use super::log::{Place, TopicLog};
use super::schema_wait::SchemaWait;
use crate::app::{self, Failure};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{Framing, Schemas, recycle};
use crate::event::{CustomerEvent, DeadLetterReason, Instant, Properties, Vocabulary};
use crate::kafka::{Record, partition_of};
use crate::settings::{Loaded, Settings};

/// What one record is.
pub(in crate::cli) enum Seen<'e> {
    Event(&'e CustomerEvent<'e>),
    /// A dead letter in `run`, with the detail.
    Refused(DeadLetterReason, &'e str),
}

/// A topic, and how its records are read.
pub(in crate::cli) struct Topic<'a> {
    settings: &'a Settings,
    log: TopicLog<'a>,
    schemas: Schemas,
    awaiting: SchemaWait,
    framing: Framing,
    until: Option<Instant>,
    counts: Counts,
    /// Events whose customer is not in the partition that Kafka's default partitioner chooses.
    elsewhere: u64,
}

impl<'a> Topic<'a> {
    /// Looks it up. Events later than `until` are skipped.
    ///
    /// # Errors
    /// Schemas that cannot be used; no broker; no such topic.
    pub(in crate::cli) fn open(loaded: &'a Loaded, name: &'a str, until: Option<Instant>) -> Result<Self, Failure> {
        let settings = &loaded.settings;
        let schemas = app::schemas(loaded)?;
        Ok(Self {
            settings,
            log: TopicLog::open(settings, name)?,
            schemas,
            awaiting: SchemaWait::default(),
            framing: if settings.schemas.bare.is_some() { Framing::Bare } else { Framing::Tagged },
            until,
            counts: Counts::default(),
            elsewhere: 0,
        })
    }

    pub(in crate::cli) fn partitions(&self) -> Range<i32> {
        self.log.partitions()
    }

    /// The number of events read so far whose customer is not in the partition that Kafka's default partitioner
    /// chooses.
    pub(in crate::cli) fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    /// The partition that has a customer's events, if producers use Kafka's default partitioner.
    pub(in crate::cli) fn partition_of(&self, customer: &str) -> i32 {
        partition_of(customer.as_bytes(), self.log.count())
    }

    /// The counts of everything read.
    pub(in crate::cli) fn counts(&self) -> Counts {
        self.counts
    }

    /// The offsets of a partition between two positions, as far as they exist.
    ///
    /// # Errors
    /// No broker, or no permission.
    pub(in crate::cli) fn range(&self, partition: i32, from: Option<Place>, to: Place) -> Result<Range<i64>, Failure> {
        self.log.range(partition, from, to)
    }

    /// At most this many records of a partition, from where `run` would start without committed offsets.
    ///
    /// # Errors
    /// No broker, or no permission.
    pub(in crate::cli) fn beginning(&self, partition: i32, most: i64) -> Result<Range<i64>, Failure> {
        self.log.beginning(partition, most, None)
    }

    /// Passes every committed record of a range to `take`, in the order of the log.
    ///
    /// # Errors
    /// Brokers or a registry that do not answer; and what `take` refuses.
    pub(in crate::cli) fn read(
        &mut self,
        partition: i32,
        range: Range<i64>,
        vocabulary: &Vocabulary,
        progress: &Progress,
        mut take: impl FnMut(Seen<'_>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let mut buffer: Properties<'static> = Properties::new();
        let partitions = self.log.count();
        self.log.read(partition, range, progress, |record| {
            let mut properties = recycle(std::mem::take(&mut buffer));
            let decoding = Decoding {
                settings: self.settings,
                framing: self.framing,
                schemas: &mut self.schemas,
                awaiting: &mut self.awaiting,
                progress,
                vocabulary,
            };
            match decoding.event(record, &mut properties)? {
                None => self.counts.tombstones += 1,
                Some(Err((reason, detail))) => take(Seen::Refused(reason, &detail))?,
                Some(Ok(event)) if self.until.is_some_and(|until| event.at > until) => self.counts.left_out += 1,
                Some(Ok(event)) => {
                    let home = partition_of(event.customer.as_bytes(), partitions);
                    self.elsewhere += u64::from(home != partition);
                    self.counts.unusable_values += u64::from(event.unusable_values);
                    take(Seen::Event(&event))?;
                }
            }
            buffer = recycle(properties);
            Ok(())
        })
    }
}

/// The context for decoding records.
struct Decoding<'t> {
    settings: &'t Settings,
    framing: Framing,
    schemas: &'t mut Schemas,
    awaiting: &'t mut SchemaWait,
    progress: &'t Progress,
    vocabulary: &'t Vocabulary,
}

impl<'t> Decoding<'t> {
    /// The event of a record, or why `run` would reject it, checked in the same order. `None`: a tombstone. No event is
    /// in the future, since there is no clock.
    fn event<'r, 'p>(
        self,
        record: &'r Record<'_>,
        properties: &'p mut Properties<'r>,
    ) -> Result<Option<Result<CustomerEvent<'p>, Refused>>, Failure>
    where
        't: 'r,
        'r: 'p,
    {
        let refused = |reason, detail: String| Ok(Some(Err((reason, detail))));
        let Some(payload) = record.payload() else { return Ok(None) };
        let record_bytes_max = usize::try_from(self.settings.batch.max_record_bytes).unwrap_or(usize::MAX);
        if payload.len() > record_bytes_max {
            return refused(DeadLetterReason::Oversized, "the value is larger than batch.max_record_bytes".to_owned());
        }
        let (key, datum) = match self.framing.split(payload) {
            Ok(parts) => parts,
            Err(error) => return refused(error.reason(), error.to_string()),
        };
        self.awaiting.wait_for(key, self.schemas, self.progress)?;
        let reader = match self.schemas.lookup(key).settled(key) {
            Ok(reader) => reader,
            Err((reason, detail)) => return refused(reason, detail),
        };
        if let Some(fields) = reader.unread_once() {
            self.progress.complain(&format!("Unused fields of {key}: {fields}; put them into properties."));
        }
        match reader.decode(datum, self.vocabulary, properties) {
            Err(error) => refused(error.reason(), format!("{error} ({key})")),
            Ok(event) => match DeadLetterReason::of_key(record.key(), event.customer) {
                Some((reason, detail)) => refused(reason, detail.to_owned()),
                None => Ok(Some(Ok(event))),
            },
        }
    }
}

/// Why a record is not an event, with the detail.
type Refused = (DeadLetterReason, String);
