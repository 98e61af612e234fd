//! Checks whether another consumer group writes into the topics of this one: only the header `ce_source` tells them
//! apart, and each overwrites the other's rows of the membership table.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::kafka::{Brokers, Failure, Read, Reader, Watermarks};
use crate::settings::Settings;

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// Timeout of reading the end of a partition.
const READ_FOR: Duration = Duration::from_secs(5);
/// Records at the end of a partition that are checked, including transaction markers.
const RECORDS: i64 = 10;
/// Partitions that are checked.
const PARTITIONS_MAX: i32 = 8;
const QUEUE_BYTES: usize = 1 << 20;

/// Checks the ends of the topics once, and warns about other groups. What cannot be read is ignored.
pub(super) fn watch(
    settings: &Settings,
    partitions: u32,
    watermarks: &Watermarks,
    brokers: &Brokers,
    stop: &AtomicBool,
) {
    let topics = &settings.topics;
    let mut reader = match Reader::new(&settings.kafka, QUEUE_BYTES, brokers) {
        Ok(reader) => reader,
        Err(failure) => return tracing::debug!(reason = %failure, "The check for other consumer groups is skipped."),
    };
    for topic in [&topics.changes, &topics.members] {
        match found(settings, topic, partitions, (watermarks, &mut reader), stop) {
            Ok(Some(group)) => tracing::warn!(
                topic,
                group,
                "Another group writes into this topic, too: give each group topics of its own, or tell them apart by the header \
                 ce_source."
            ),
            Ok(None) => {}
            Err(failure) => {
                tracing::debug!(topic, reason = %failure, "The check for other consumer groups is skipped.")
            }
        }
    }
}

fn found(
    settings: &Settings,
    topic: &str,
    partitions: u32,
    (watermarks, reader): (&Watermarks, &mut Reader),
    stop: &AtomicBool,
) -> Result<Option<String>, Failure> {
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX).min(PARTITIONS_MAX) {
        let range = watermarks.range(topic, partition, ASK)?;
        if range.is_empty() {
            continue;
        }
        reader.start(topic, partition, range.start.max(range.end - RECORDS), range.end)?;
        let started = Instant::now();
        while started.elapsed() < READ_FOR && !stop.load(Ordering::Acquire) {
            match reader.poll(Duration::from_millis(50)) {
                Read::Record(record) => {
                    let group = record.headers().find_map(|(name, value)| group_of(name, value?));
                    if let Some(group) = group.filter(|group| *group != settings.kafka.group_id) {
                        return Ok(Some(group.to_owned()));
                    }
                }
                Read::Nothing => {}
                Read::Done | Read::Waiting { .. } | Read::OutOfRange { .. } => break,
                Read::Failed(failure) => return Err(failure),
            }
        }
    }
    Ok(None)
}

/// The group that wrote a record, from its headers.
fn group_of<'a>(name: &[u8], value: &'a [u8]) -> Option<&'a str> {
    (name == b"ce_source").then(|| std::str::from_utf8(value).ok()?.strip_prefix("/cohortd/"))?
}
