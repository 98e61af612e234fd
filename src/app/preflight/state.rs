//! Would a start refuse the state in the changelog, since it is of another input? The newest META of each partition
//! says so, and is near the end: every transaction of a lane writes one.

use std::time::{Duration, Instant as Moment};

use crate::kafka::{Brokers, Cause, Committed, Failure, Kind, Read, Reader, Watermarks};
use crate::lane::identity::{CurrentLog, check_start};
use crate::settings::Kafka;
use crate::store::layout::changelog::META;
use crate::store::{Meta, decode_meta};

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// How long nothing may come while a partition is read.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Records at the end of a partition that are read first; if META is not among them, more are.
const TAIL: i64 = 1_000;
const TAIL_GROWS: i64 = 16;
const QUEUE_BYTES: usize = 8 << 20;

/// What the changelog holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was read yet.
    None,
    /// So many partitions with a state, each of which continues the input.
    Fits(u32),
    /// Why a start would be refused, with the way on.
    Unfit(String),
}

/// Compares the state of each partition with the input. `members`: of the group, now; while there are some, offsets move
/// on.
///
/// # Errors
/// Brokers that do not answer, or reject the request.
pub(super) fn check(kafka: &Kafka, log: &CurrentLog<'_>, members: usize, brokers: &Brokers) -> Result<State, Failure> {
    let watermarks = Watermarks::new(kafka, brokers)?;
    let mut reader = Reader::new(kafka, QUEUE_BYTES, brokers)?;
    let partitions: Vec<i32> = (0..log.partitions.cast_signed()).collect();
    let committed = watermarks.committed(log.group, log.input, &partitions, ASK)?;
    let mut found = 0;
    for partition in partitions {
        let meta = match newest_meta(&mut reader, &watermarks, log.changelog, partition)? {
            Ok(meta) => meta,
            Err(damaged) => return Ok(State::Unfit(damaged)),
        };
        let none = || Committed { partition, offset: None, metadata: Vec::new() };
        let offset = committed.iter().find(|committed| committed.partition == partition && members == 0);
        let held = watermarks.range(log.input, partition, ASK)?;
        if let Err(line) = check_start(meta.as_ref(), &offset.cloned().unwrap_or_else(none), &held, log) {
            return Ok(State::Unfit(line));
        }
        found += u32::from(meta.is_some());
    }
    Ok(if found == 0 { State::None } else { State::Fits(found) })
}

/// The newest META of a partition of the changelog; `None`: there is none, or a rebuild has deleted it. `Err` within: it
/// cannot be read.
fn newest_meta(
    reader: &mut Reader,
    watermarks: &Watermarks,
    topic: &str,
    partition: i32,
) -> Result<Result<Option<Meta>, String>, Failure> {
    let range = watermarks.range(topic, partition, ASK)?;
    let mut span = TAIL;
    loop {
        let from = range.start.max(range.end - span);
        let newest = newest_value(reader, topic, partition, (from, range.end))?;
        if newest.is_some() || from == range.start {
            let meta = newest.flatten().map(|bytes| decode_meta(&bytes)).transpose();
            return Ok(meta.map_err(|error| format!("{topic}[{partition}]: {error}")));
        }
        span = span.saturating_mul(TAIL_GROWS);
    }
}

/// The last value of META between two offsets; `Some(None)`: a tombstone.
fn newest_value(
    reader: &mut Reader,
    topic: &str,
    partition: i32,
    (from, to): (i64, i64),
) -> Result<Option<Option<Vec<u8>>>, Failure> {
    reader.start(topic, partition, from, to)?;
    let (mut newest, mut last) = (None, Moment::now());
    while last.elapsed() < SILENT_MAX {
        match reader.poll(Duration::from_millis(100)) {
            Read::Record(record) => {
                last = Moment::now();
                if record.key().is_some_and(|key| key.first() == Some(&META)) {
                    newest = Some(record.payload().map(<[u8]>::to_vec));
                }
            }
            // What an open transaction adds comes after what counts now.
            Read::Done | Read::Waiting { .. } | Read::OutOfRange { .. } => return Ok(newest),
            Read::Failed(failure @ Failure::Fatal(_)) => return Err(failure),
            Read::Failed(_) | Read::Nothing => {}
        }
    }
    let text = format!("reading the end of {topic}[{partition}]: no answer");
    Err(Failure::Retry(Cause { kind: Kind::TimedOut, text }))
}
