//! Sending the records of a plan.

use crate::kafka::{Failure, Outgoing, Producer, Report};
use crate::lane::context::Context;
use crate::lane::output::record::{OutputRecord, Topic};

/// Queues one record of a plan for its topic.
pub(super) fn send_record(record: &OutputRecord, producer: &Producer, context: &Context) -> Result<(), Failure> {
    producer.send(&Outgoing {
        topic: context.topic(record.topic),
        partition: record.partition,
        key: record.key(),
        payload: record.value(),
        headers: record.headers(),
        timestamp: None,
        // The copy on disk is as of an offset of the changelog.
        report: if record.topic == Topic::Changelog { Report::Offset } else { Report::Failure },
    })
}
