//! Sending the records of a plan.

use crate::kafka::{Outgoing, Producer, Report};
use crate::lane::context::Context;
use crate::lane::output::ahead::NotSent;
use crate::lane::output::record::{OutputRecord, Topic};

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
    let records = records.map(|(place, record)| (place, outgoing(record, context)));
    let sent = producer.send_all(records, report_alive);
    sent.map_err(|(place, failure)| NotSent { place: Some(place), failure })
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
