//! Sending the records of a plan.

use crate::kafka::{Outgoing, Producer, Report};
use crate::lane::context::Context;
use crate::lane::output::ahead::NotSent;
use crate::lane::output::record::{OutputRecord, Topic};

/// Records that are handed to librdkafka together.
pub(super) const TOGETHER: usize = 1_024;

/// Queues records of a plan, with their places in it, each partition's in the order given; `report_alive` is called from time
/// to time.
///
/// # Errors
/// A record was not queued. Others may not be queued either.
pub(super) fn send_records<'r>(
    records: impl Iterator<Item = (usize, &'r OutputRecord)>,
    producer: &Producer,
    context: &Context,
    report_alive: &dyn Fn(),
) -> Result<(), NotSent> {
    let (mut chunk, mut order) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
    let (mut places, mut together) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
    let mut records = records.peekable();
    while records.peek().is_some() {
        chunk.clear();
        chunk.extend(records.by_ref().take(TOGETHER));
        order.clear();
        order.extend(chunk.iter().zip(0..).map(|((_, record), position)| (record.topic, record.partition, position)));
        order.sort_unstable();
        for run in order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            places.clear();
            together.clear();
            for (_, _, position) in run {
                let (place, record) = chunk[*position];
                places.push(place);
                together.push(outgoing(record, context));
            }
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
