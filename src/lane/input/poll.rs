//! Polling the records of one batch, and loading the states that they need.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use crate::codec::Reader;
use crate::engine::Slot;
use crate::event::{DeadLetterReason, text};
use crate::kafka::{Consumer, Failure, Polled, Record};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::identity::NEW_GROUP_NAMES;
use crate::lane::input::ingest::IngestError;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;
use crate::member::schema_waits::{Needed, SchemaGate};
use crate::settings::Batch;

/// While records come without a pause, after how many operators' questions are answered.
const ANSWER_EVERY_RECORDS: usize = 1_024;

/// While a batch waits for records, how often operators' questions are answered.
const ANSWER_EVERY: Duration = Duration::from_millis(5);

/// An event of the consumer that ends a batch.
pub(in crate::lane) enum ConsumerEvent {
    Assigned(Vec<i32>),
    Revoked { partitions: Vec<i32>, lost: bool },
    OutOfRange { partition: i32, offset: i64, reason: String },
    Failed(Failure),
}

impl ConsumerEvent {
    /// `None`: a record, an end-of-partition signal, or nothing.
    fn of(polled: Polled<'_>) -> Option<Self> {
        match polled {
            Polled::Assigned(partitions) => Some(Self::Assigned(partitions)),
            Polled::Revoked { partitions, lost } => Some(Self::Revoked { partitions, lost }),
            Polled::OutOfRange { partition, offset, reason } => Some(Self::OutOfRange { partition, offset, reason }),
            Polled::Failed(failure) => Some(Self::Failed(failure)),
            Polled::Record(_) | Polled::End { .. } | Polled::Nothing => None,
        }
    }
}

/// The records and signals of one batch.
#[derive(Default)]
pub(in crate::lane) struct PolledBatch<'c> {
    pub(in crate::lane) records: Vec<Record<'c>>,
    /// `(partition, offset)` of end-of-partition signals, each with the number of records before it.
    pub(in crate::lane) ends: Vec<(i32, i64, usize)>,
    /// Partitions that wait for a schema from now on.
    pub(in crate::lane) waiting: Vec<i32>,
    /// What ended the batch, if not a limit.
    pub(in crate::lane) event: Option<ConsumerEvent>,
}

impl Lane {
    /// The partitions whose records may be ingested now, each with its next offset.
    pub(in crate::lane) fn readable_positions(&self) -> BTreeMap<i32, i64> {
        let waits = |number: &i32| {
            self.schema_waits.is_waiting(*number) || self.to_seek.contains(number) || self.input_waits(*number)
        };
        let stands = |partition: &&Partition| partition.is_overdue() || partition.is_waiting_for_clock();
        let partitions = self.partitions.values().filter(|p| !waits(&p.number) && !stands(p));
        partitions.map(|partition| (partition.number, partition.next_offset)).collect()
    }

    /// Polls for events of the group while nothing is ingested.
    pub(in crate::lane) fn poll_events(&mut self) -> Result<(), LaneError> {
        // A record that was prefetched is read again.
        match ConsumerEvent::of(self.consumer.poll(Duration::from_millis(20))) {
            Some(event) => self.handle_event(event),
            None => Ok(()),
        }
    }
}

/// Polls until a limit of the batch is reached or an event ends it. `last_polled`: when the last poll ended; the wait for
/// records counts from there, since they also came while that batch was decided and committed. `readable`: the partitions
/// to read, each with its next offset. `meanwhile` is called from time to time.
pub(in crate::lane) fn poll_batch<'c>(
    consumer: &'c Consumer,
    last_polled: Moment,
    mut readable: BTreeMap<i32, i64>,
    limits: &Batch,
    mut gate: SchemaGate<'_, Reader, impl Fn(&Record<'_>) -> Needed>,
    meanwhile: &dyn Fn(),
) -> PolledBatch<'c> {
    let mut batch = PolledBatch::default();
    // However long that batch took, a broker has some time to deliver more than a few records.
    let until = (last_polled + limits.max_wait).max(Moment::now() + limits.max_wait / 4);
    let bytes_max = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    let mut bytes = 0;
    while batch.records.len() < limits.max_records && bytes < bytes_max {
        let Some(polled) = poll_until(consumer, until, meanwhile) else { break };
        match polled {
            Polled::Nothing => {}
            Polled::Record(record) => {
                let number = record.partition();
                // In a rebalance librdkafka may deliver a record twice.
                let Some(next) = readable.get_mut(&number).filter(|next| record.offset() >= **next) else {
                    if gate.looks_ahead(&record) {
                        break;
                    }
                    continue;
                };
                if !gate.admits(&record) {
                    readable.remove(&number);
                    batch.waiting.push(number);
                    continue;
                }
                *next = record.offset() + 1;
                bytes += record.key().map_or(0, <[u8]>::len) + record.payload().map_or(0, <[u8]>::len);
                batch.records.push(record);
                if batch.records.len().is_multiple_of(ANSWER_EVERY_RECORDS) {
                    meanwhile();
                }
            }
            // A record that waits for its schema, or was dropped, is before this end.
            Polled::End { partition, .. } if !readable.contains_key(&partition) => {}
            Polled::End { partition, offset } => {
                batch.ends.push((partition, offset, batch.records.len()));
                // All partitions are at their end: no need to wait for more.
                if batch.ends.len() >= readable.len() && batch.records.is_empty() {
                    break;
                }
            }
            event => {
                batch.event = ConsumerEvent::of(event);
                break;
            }
        }
    }
    batch
}

/// The next event, if there is one or one comes before `until`; `Nothing` after a part of that time.
/// `None`: the time is over.
fn poll_until<'c>(consumer: &'c Consumer, until: Moment, meanwhile: &dyn Fn()) -> Option<Polled<'c>> {
    let polled = consumer.poll(Duration::ZERO);
    // The clock is read only when there is time for it.
    if !matches!(polled, Polled::Nothing) {
        return Some(polled);
    }
    let left = until.saturating_duration_since(Moment::now());
    if left.is_zero() {
        return None;
    }
    meanwhile();
    Some(consumer.poll(left.min(ANSWER_EVERY)))
}

/// Loads the missing states of a batch's customers, and returns for each record the slot of its customer, if known. A
/// partition whose database cannot be read goes to `failed`.
pub(in crate::lane) fn load_states(
    records: &[Record<'_>],
    partitions: &mut BTreeMap<i32, Partition>,
    failed: &mut Vec<(i32, LaneError)>,
) -> Vec<Option<Slot>> {
    let mut missing: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    let mut slots = Vec::with_capacity(records.len());
    // Where many wait, many of one partition come in a row.
    for of_one in records.chunk_by(|a, b| a.partition() == b.partition()) {
        let number = of_one[0].partition();
        let Some(partition) = partitions.get_mut(&number) else {
            slots.resize(slots.len() + of_one.len(), None);
            continue;
        };
        let customers: Vec<Option<&str>> = of_one.iter().map(|record| record.key().and_then(text)).collect();
        let unknown = partition.residents.find_all(&customers, &mut slots);
        if !unknown.is_empty() {
            missing.entry(number).or_default().extend(unknown);
        }
    }
    for (number, missing) in missing {
        let outcome = partitions.get_mut(&number).map_or(Ok(0), |partition| partition.residents.load(missing));
        if let Err(error) = outcome {
            partitions.remove(&number);
            failed.push((number, error.into()));
        }
    }
    slots
}

/// Notes the end signals that came before the record with this number.
pub(in crate::lane) fn note_partition_ends(
    ends: &mut std::iter::Peekable<impl Iterator<Item = (i32, i64, usize)>>,
    taken: usize,
    partitions: &mut BTreeMap<i32, Partition>,
) {
    while let Some((number, offset, _)) = ends.next_if(|(_, _, before)| *before <= taken) {
        if let Some(partition) = partitions.get_mut(&number) {
            partition.end = Some(offset);
        }
    }
}

pub(in crate::lane) fn explain(error: IngestError, context: &Context) -> LaneError {
    match error {
        IngestError::Store(error) => error.into(),
        error @ IngestError::Miskeyed { .. } => LaneError::Configuration(format!(
            "{error}; key the records of {} by customer id, all with one partitioner, and begin anew with \
             {NEW_GROUP_NAMES}",
            context.topics.input
        )),
        error @ IngestError::Foreign { reason: DeadLetterReason::UnknownSchema, .. } => {
            LaneError::Configuration(format!(
                "{error}; name the registry of the producers of {} in schemas.registry, or put the schema into schemas.dir",
                context.topics.input
            ))
        }
        error @ IngestError::Foreign { .. } => LaneError::Configuration(format!(
            "{error}; name the topic of customer events in topics.input in place of {}, mend its source, or begin after \
             these records with kafka.start",
            context.topics.input
        )),
    }
}
