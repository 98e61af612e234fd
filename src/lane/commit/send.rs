//! Sending the records of a plan.

use crate::kafka::{Failure, Outgoing, Producer, Report};
use crate::lane::context::Context;
use crate::lane::output::record::{OutputRecord, Topic};

/// Queues one record of a plan for its topic.
pub(super) fn send_record(record: &OutputRecord, producer: &Producer, context: &Context) -> Result<(), Failure> {
    producer.send(&outgoing(record, context))
}

/// Queues records of a plan, each partition's in their order. `first` is the place of the first one in the plan.
///
/// # Errors
/// The place of a record that was not queued. Others may not be queued either.
pub(super) fn send_records(
    records: &[OutputRecord],
    first: usize,
    producer: &Producer,
    context: &Context,
) -> Result<(), (usize, Failure)> {
    let mut places: Vec<(Topic, i32, usize)> =
        records.iter().zip(first..).map(|(record, place)| (record.topic, record.partition, place)).collect();
    places.sort_unstable();
    let (mut numbers, mut together) = (Vec::with_capacity(places.len()), Vec::with_capacity(places.len()));
    for places in places.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        numbers.clear();
        together.clear();
        numbers.extend(places.iter().map(|place| place.2));
        together.extend(numbers.iter().map(|place| outgoing(&records[place - first], context)));
        producer.send_together(&together, &numbers)?;
    }
    Ok(())
}

fn outgoing<'a>(record: &'a OutputRecord, context: &'a Context) -> Outgoing<'a> {
    Outgoing {
        topic: context.topic(record.topic),
        partition: record.partition,
        key: record.key(),
        payload: record.value(),
        headers: record.headers(),
        timestamp: None,
        // The copy on disk is as of an offset of the changelog.
        report: if record.topic == Topic::Changelog { Report::Offset } else { Report::Failure },
    }
}
