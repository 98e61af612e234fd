//! Follows the topic of the marks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::view::{Marks, Saying};
use crate::kafka::{Brokers, Failure, Follower, FollowerEvent, Watermarks};
use crate::settings::Settings;

/// Bytes that may be fetched ahead.
const FETCH_BYTES: usize = 4 << 20;
/// How long a request to a broker may take.
const ASK: Duration = Duration::from_secs(2);
/// How long an event is waited for.
const WAIT: Duration = Duration::from_millis(100);
/// Records that are taken up together.
const TOGETHER_MAX: usize = 1_000;

/// Follows the marks until `stop` is set. They are taken up first when the topic was read to the end that it had at the
/// start; a failed client is replaced.
///
/// # Errors
/// An option that librdkafka refuses.
pub fn follow(settings: &Settings, brokers: &Brokers, marks: &Marks, stop: &AtomicBool) -> Result<(), Failure> {
    let watermarks = Watermarks::new(&settings.kafka, brokers)?;
    while !stop.load(Ordering::Acquire) {
        // Where marks are always being written, no end is ever signalled.
        let Ok(range) = watermarks.range(&settings.topics.marks, 0, ASK) else {
            std::thread::sleep(WAIT);
            continue;
        };
        let mut follower = Follower::new(&settings.kafka, FETCH_BYTES, brokers)?;
        if let Err(failure) = follower.follow(&settings.topics.marks, &[(0, None)]) {
            tracing::debug!(target: "kafka", "{failure}");
            std::thread::sleep(WAIT);
            continue;
        }
        read(&follower, &settings.kafka.group_id, range.end, marks, stop);
    }
    Ok(())
}

/// Reads until the client fails. `end`: that of the topic before.
fn read(follower: &Follower, group: &str, end: i64, marks: &Marks, stop: &AtomicBool) {
    let (mut read, mut next, mut is_at_end) = (Vec::new(), 0, end == 0);
    while !stop.load(Ordering::Acquire) {
        // Those that have come already are taken up together.
        let wait = if read.is_empty() || !is_at_end { WAIT } else { Duration::ZERO };
        match follower.poll(wait) {
            FollowerEvent::Record(record) => {
                next = record.offset() + 1;
                is_at_end |= next >= end;
                match record.key().and_then(|key| Saying::read(key, record.payload())) {
                    Some(saying) => read.push(saying),
                    None => {
                        tracing::warn!(offset = record.offset(), "A record of the topic of the marks is not a mark.")
                    }
                }
                if read.len() < TOGETHER_MAX || !is_at_end {
                    continue;
                }
            }
            FollowerEvent::End { offset, .. } => (next, is_at_end) = (next.max(offset), true),
            FollowerEvent::Nothing => {}
            FollowerEvent::OutOfRange { reason, .. } => {
                tracing::warn!(reason, "The topic of the marks is read again from its beginning.");
                return;
            }
            FollowerEvent::Failed(Failure::Retry(cause)) => tracing::debug!(target: "kafka", reason = %cause, "marks"),
            FollowerEvent::Failed(failure) => {
                tracing::warn!(reason = %failure, "The client of the marks failed and is replaced.");
                return;
            }
        }
        if is_at_end && (!read.is_empty() || marks.read_to() < next) {
            marks.take_up(std::mem::take(&mut read), next, group);
        }
    }
}
