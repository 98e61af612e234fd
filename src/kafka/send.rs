//! Hands a record to librdkafka's queue, waiting while it is full.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::delivery_reports::DeliveryReports;
use super::failure::Cause;
use super::record::Outgoing;

/// A full queue drains at the speed of the network: checking more often only costs CPU.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// Copies the record into the queue; blocks while it is full, for at most `limit`. `number` identifies the record in
/// delivery reports.
pub(super) fn send(
    producer: &ThreadedProducer<DeliveryReports>,
    record: &Outgoing<'_>,
    number: usize,
    limit: Duration,
) -> Result<(), Cause> {
    let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(record.topic, number).partition(record.partition);
    message.key = record.key;
    message.payload = record.payload;
    message.timestamp = record.timestamp;
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let insert =
            |headers: OwnedHeaders, (key, value): &(&str, &[u8])| headers.insert(Header { key, value: Some(*value) });
        message.headers = Some(record.headers.iter().fold(headers, insert));
    }
    let mut full_since = None;
    loop {
        let Err((error, back)) = producer.send(message) else { return Ok(()) };
        let full = error.rdkafka_error_code() == Some(Code::QueueFull);
        if !full || full_since.get_or_insert_with(Instant::now).elapsed() >= limit {
            return Err(Cause::of(&error, &format!("writing to {}[{}]", record.topic, record.partition)));
        }
        message = back;
        thread::sleep(FULL_QUEUE_PAUSE);
    }
}
