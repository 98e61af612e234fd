//! Hands records to librdkafka's queue, waiting while it is full.

use std::thread;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::delivery_reports::Tag;
use super::failure::Cause;
use super::native::produce::{Produced, Topics};
use super::record::Outgoing;

/// A full queue drains at the speed of the network: checking more often only costs CPU.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// Copies the record into the queue; while it is full, as long as it `may_wait`.
pub(super) fn send<C: ClientContext>(
    client: &Client<C>,
    topics: &Topics,
    record: &Outgoing<'_>,
    may_wait: impl Fn() -> bool,
) -> Result<(), Cause> {
    let mut produced = Produced::new(record);
    let tag = Tag { number: 0, report: record.report }.opaque();
    until_queued(may_wait, || produced.queue(client, topics, tag)).map_err(|code| not_queued(code, record))
}

/// Calls `queue` until the queue is not full any more; while it is, as long as it `may_wait`.
pub(super) fn until_queued(
    may_wait: impl Fn() -> bool,
    mut queue: impl FnMut() -> Result<(), Code>,
) -> Result<(), Code> {
    loop {
        match queue() {
            Err(Code::QueueFull) if may_wait() => thread::sleep(FULL_QUEUE_PAUSE),
            outcome => return outcome,
        }
    }
}

/// Why a record was not queued.
pub(super) fn not_queued(code: Code, record: &Outgoing<'_>) -> Cause {
    Cause::new(code, &format!("writing to {}[{}]", record.topic, record.partition), "")
}
