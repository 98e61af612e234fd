//! Records from the consumer, as many as one batch takes, with the states that they need.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use crate::engine::Slot;
use crate::event::DeadLetterReason;
use crate::kafka::{Consumer, Polled, Record};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::group::assignment::Control;
use crate::lane::input::intake::TakeInError;
use crate::lane::input::schema_waits::SchemaGate;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;
use crate::lane::restore::identity::ANEW;
use crate::lane::turn::LOOK_AHEAD;
use crate::settings::Batch;

/// While records come without a wait, after how many it looks.
const ANSWER_EVERY_RECORDS: usize = 1_024;

/// While a batch waits for records, how often the lane looks at what it is asked.
const ANSWER_EVERY: Duration = Duration::from_millis(5);

/// What one round of polling brought.
#[derive(Default)]
pub(in crate::lane) struct Catch<'c> {
    pub(in crate::lane) records: Vec<Record<'c>>,
    /// `(partition, offset)` of end signals, each with the number of records that came before it.
    pub(in crate::lane) ends: Vec<(i32, i64, usize)>,
    /// Partitions that wait for a schema from now on.
    pub(in crate::lane) held: Vec<i32>,
    pub(in crate::lane) control: Option<Control>,
}

impl Lane {
    /// The partitions of which records are taken in now, each with its next offset.
    pub(in crate::lane) fn taking(&self) -> BTreeMap<i32, i64> {
        let waits = |number: &i32| {
            self.schema_waits.holds(*number) || self.adrift.contains(number) || self.input_waits(*number)
        };
        let stands = |partition: &&Partition| partition.is_overdue() || partition.waits_for_clock();
        let partitions = self.partitions.values().filter(|p| !waits(&p.number) && !stands(p));
        partitions.map(|partition| (partition.number, partition.next_offset)).collect()
    }

    /// Begins to bring the states near that the next few records need.
    pub(in crate::lane) fn warm(&self, records: &[Record<'_>], slots: &[Option<Slot>]) {
        for (record, slot) in records.iter().zip(slots).take(LOOK_AHEAD) {
            if let (Some(partition), Some(slot)) = (self.partitions.get(&record.partition()), slot) {
                partition.warm(*slot);
            }
        }
    }

    /// Polls for what the group has to say while nothing is taken in.
    pub(in crate::lane) fn poll_control(&mut self) -> Result<(), LaneError> {
        let control = match self.consumer.poll(Duration::from_millis(20)) {
            Polled::Assigned(partitions) => Control::Assigned(partitions),
            Polled::Revoked { partitions, lost } => Control::Revoked { partitions, lost },
            Polled::Failed(failure) => Control::Failed(failure),
            Polled::OutOfRange { partition, offset, reason } => Control::OutOfRange { partition, offset, reason },
            // A record that was on its way is read again.
            Polled::Record(_) | Polled::End { .. } | Polled::Nothing => return Ok(()),
        };
        self.control(control)
    }
}

/// Polls until a limit of the batch is reached or something else comes up. `taking`: the partitions to take from, each
/// with its next offset. `meanwhile` is called now and then.
pub(in crate::lane) fn catch<'c>(
    consumer: &'c Consumer,
    mut taking: BTreeMap<i32, i64>,
    limits: &Batch,
    mut gate: SchemaGate<'_>,
    wait: Duration,
    meanwhile: &dyn Fn(),
) -> Catch<'c> {
    let mut caught = Catch::default();
    let started = Moment::now();
    let bytes_max = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    let mut bytes = 0;
    while caught.records.len() < limits.max_records && bytes < bytes_max {
        let mut polled = consumer.poll(Duration::ZERO);
        // The clock is looked at only where there is time for it.
        if matches!(polled, Polled::Nothing) {
            let left = wait.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            meanwhile();
            polled = consumer.poll(left.min(ANSWER_EVERY));
        }
        match polled {
            Polled::Nothing => {}
            Polled::Record(record) => {
                let number = record.partition();
                // In a rebalance librdkafka may deliver a record once more.
                let Some(next) = taking.get_mut(&number).filter(|next| record.offset() >= **next) else {
                    if gate.looks_ahead(&record) {
                        break;
                    }
                    continue;
                };
                if !gate.admits(&record) {
                    taking.remove(&number);
                    caught.held.push(number);
                    continue;
                }
                *next = record.offset() + 1;
                bytes += record.key().map_or(0, <[u8]>::len) + record.payload().map_or(0, <[u8]>::len);
                caught.records.push(record);
                if caught.records.len().is_multiple_of(ANSWER_EVERY_RECORDS) {
                    meanwhile();
                }
            }
            // A record that waits for its schema, or was dropped, lies before this end.
            Polled::End { partition, .. } if !taking.contains_key(&partition) => {}
            Polled::End { partition, offset } => {
                caught.ends.push((partition, offset, caught.records.len()));
                // Nothing more is there now: what was read need not wait for the rest of the batch.
                if caught.ends.len() >= taking.len() && caught.records.is_empty() {
                    break;
                }
            }
            Polled::Assigned(partitions) => {
                caught.control = Some(Control::Assigned(partitions));
                break;
            }
            Polled::Revoked { partitions, lost } => {
                caught.control = Some(Control::Revoked { partitions, lost });
                break;
            }
            Polled::OutOfRange { partition, offset, reason } => {
                caught.control = Some(Control::OutOfRange { partition, offset, reason });
                break;
            }
            Polled::Failed(failure) => {
                caught.control = Some(Control::Failed(failure));
                break;
            }
        }
    }
    caught
}

/// Reads the missing states of a batch's customers, and finds for each record the slot of its customer, unless new. A
/// partition whose database cannot be read goes to `failed`.
pub(in crate::lane) fn fetch(
    records: &[Record<'_>],
    partitions: &mut BTreeMap<i32, Partition>,
    failed: &mut Vec<(i32, LaneError)>,
) -> Vec<Option<Slot>> {
    let mut missing: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    let mut slots = Vec::with_capacity(records.len());
    for record in records {
        let number = record.partition();
        let known = partitions.get_mut(&number).zip(record.key().and_then(|key| std::str::from_utf8(key).ok()));
        slots.push(known.and_then(|(partition, customer)| {
            let slot = partition.find(customer);
            if slot.is_none() {
                missing.entry(number).or_default().push(customer);
            }
            slot
        }));
    }
    for (number, missing) in missing {
        let outcome = partitions.get_mut(&number).map_or(Ok(()), |partition| partition.fetch(missing));
        if let Err(error) = outcome {
            partitions.remove(&number);
            failed.push((number, error.into()));
        }
    }
    slots
}

/// End signals that came before the record about to be taken in.
pub(in crate::lane) fn note_ends(
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

pub(in crate::lane) fn explain(error: TakeInError, context: &Context) -> LaneError {
    match error {
        TakeInError::Store(error) => error.into(),
        error @ TakeInError::Miskeyed { .. } => LaneError::Configuration(format!(
            "{error}; key the records of {} by customer id, all with one partitioner, and begin anew with {ANEW}",
            context.topics.input
        )),
        error @ TakeInError::Foreign { reason: DeadLetterReason::UnknownSchema, .. } => {
            LaneError::Configuration(format!(
                "{error}; name the registry of the producers of {} in schemas.registry, or put the schema into schemas.dir",
                context.topics.input
            ))
        }
        error @ TakeInError::Foreign { .. } => LaneError::Configuration(format!(
            "{error}; name the topic of customer events in topics.input in place of {}, mend its source, or begin after \
             these records with kafka.start",
            context.topics.input
        )),
    }
}
