//! Sending the records of a plan.

use crate::kafka::{Failure, Outgoing, Producer, Report};
use crate::lane::context::Context;
use crate::lane::output::ahead::NotSent;
use crate::lane::output::record::{OutputRecord, Topic};

/// Records that are handed to librdkafka together.
pub(super) const TOGETHER: usize = 1_024;

/// Queues one record of a plan for its topic.
pub(super) fn send_record(record: &OutputRecord, producer: &Producer, context: &Context) -> Result<(), Failure> {
    producer.send(&outgoing(record, context))
}

/// Queues records of a plan, each partition's in their order. `first` is the place of the first one in the plan;
/// `report_alive` is called from time to time.
///
/// # Errors
/// A record was not queued. Others may not be queued either.
pub(super) fn send_records(
    records: &[OutputRecord],
    first: usize,
    producer: &Producer,
    context: &Context,
    report_alive: &dyn Fn(),
) -> Result<(), NotSent> {
    let mut order: Vec<(Topic, i32, usize)> = Vec::with_capacity(TOGETHER);
    let (mut places, mut together) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
    for (chunk, first) in records.chunks(TOGETHER).zip((first..).step_by(TOGETHER)) {
        order.clear();
        order.extend(chunk.iter().zip(first..).map(|(record, place)| (record.topic, record.partition, place)));
        order.sort_unstable();
        for run in order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            places.clear();
            together.clear();
            places.extend(run.iter().map(|(_, _, place)| *place));
            together.extend(places.iter().map(|place| outgoing(&chunk[place - first], context)));
            let sent = producer.send_together(&together, &places);
            sent.map_err(|(place, failure)| NotSent { place: Some(place), failure })?;
        }
        report_alive();
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
