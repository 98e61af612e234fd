//! Hands a record to librdkafka's queue, waiting while it is full.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::delivery_reports::Tag;
use super::failure::Cause;
use super::native::produce::{Produced, Topics};
use super::record::Outgoing;

/// A full queue drains at the speed of the network: checking more often only costs CPU.
pub(super) const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// Copies the record into the queue; blocks while it is full, for at most `limit` as of then. `number` identifies the
/// record in delivery reports.
pub(super) fn send<C: ClientContext>(
    client: &Client<C>,
    topics: &Topics,
    record: &Outgoing<'_>,
    number: usize,
    limit: impl Fn() -> Duration,
) -> Result<(), Cause> {
    let mut produced = Produced::new(record);
    let tag = Tag { number, report: record.report }.opaque();
    let mut full: Option<(Instant, Duration)> = None;
    loop {
        let Err(code) = produced.queue(client, topics, tag) else { return Ok(()) };
        let (since, limit) = *full.get_or_insert_with(|| (Instant::now(), limit()));
        if code != Code::QueueFull || since.elapsed() >= limit {
            return Err(Cause::new(code, &format!("writing to {}[{}]", record.topic, record.partition), ""));
        }
        thread::sleep(FULL_QUEUE_PAUSE);
    }
}
