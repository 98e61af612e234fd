//! Dead letters: rejected input records, and outputs that are too large for their topic, with the reason and the origin
//! in their headers. They fit their topic: see [`crate::member::dead_letter`].

use std::borrow::Cow;

use crate::clock::wall_clock;
use crate::event::DeadLetterReason;
use crate::kafka::Record;
use crate::lane::context::Context;
use crate::lane::output::record::{OutputRecord, Topic};
use crate::lane::output::rejection::Rejection;
use crate::member::dead_letter::{self, Header, Rejected, Uncut, header};

/// The dead letter of an input record.
pub(in crate::lane) fn of_record(
    record: &Record<'_>,
    refused: &Rejection,
    context: &Context,
    partition: i32,
) -> OutputRecord {
    let rejected = Rejected {
        topic: &context.topics.input,
        partition,
        offset: record.offset(),
        reason: refused.reason.as_str(),
        detail: &refused.detail,
        extra: &[],
    };
    fit(dead_letter::of_record(record, &rejected), partition, context.limits.of(Topic::DeadLetters))
}

/// The dead letter of an output that is too large for its topic. `None`: state must not be diverted.
pub(in crate::lane) fn of_output(out: &OutputRecord, context: &Context) -> Option<OutputRecord> {
    match out.topic {
        Topic::Changelog => None,
        Topic::DeadLetters => of_dead_letter(out),
        Topic::Changes | Topic::Members | Topic::Risks | Topic::Forecasts | Topic::Summaries => {
            let ours = [
                header("cohortd_reason", DeadLetterReason::Oversized.as_str()),
                header("cohortd_detail", "an output that its topic does not take"),
                header("cohortd_output", context.topic(out.topic)),
                header("cohortd_at", &wall_clock().to_string()),
            ];
            let theirs = out.headers().iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
            let uncut = Uncut { key: out.key(), payload: out.value(), theirs, ours: ours.into() };
            Some(fit(uncut, out.partition, context.limits.of(Topic::DeadLetters)))
        }
    }
}

/// A dead letter that is itself too large, because the topic's limit was lowered since the start: half as long. `None`:
/// nothing is left to truncate.
fn of_dead_letter(out: &OutputRecord) -> Option<OutputRecord> {
    let headers = out.headers().iter().map(|(name, value)| (name, Cow::Borrowed(value)));
    let (ours, theirs): (Vec<Header<'_>>, Vec<Header<'_>>) =
        headers.partition(|header| header.0.starts_with(b"cohortd_"));
    if theirs.is_empty() && out.key().is_none() && out.value().is_none_or(<[u8]>::is_empty) {
        return None;
    }
    let uncut = Uncut { key: out.key(), payload: out.value(), theirs, ours };
    let half = uncut.bytes() / 2;
    Some(fit(uncut, out.partition, half))
}

/// A record for a partition of the dead letters, of at most `limit` bytes.
fn fit(uncut: Uncut<'_>, partition: i32, limit: usize) -> OutputRecord {
    let letter = uncut.fit(limit);
    // Large ones are moved, and so twice in memory, where the buffer has to grow.
    let room = letter.payload.map_or(0, <[u8]>::len) + letter.key.map_or(0, <[u8]>::len) + letter.headers.len();
    let mut record = OutputRecord::with_room(Topic::DeadLetters, partition, letter.payload, room);
    if let Some(key) = letter.key {
        record = record.with_key(&[key]);
    }
    record.write_headers(|buffer| buffer.extend_from_slice(&letter.headers));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(out: &OutputRecord) -> usize {
        let headers = out.headers().iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        Uncut { key: out.key(), payload: out.value(), theirs: headers, ours: Vec::new() }.bytes()
    }

    fn value<'a>(out: &'a OutputRecord, name: &str) -> Option<&'a str> {
        let found = out.headers().iter().find(|header| header.0 == name.as_bytes())?;
        std::str::from_utf8(found.1).ok()
    }

    #[test]
    fn a_dead_letter_that_is_refused_gets_shorter_until_only_its_own_headers_are_left() {
        let (key, payload, foreign) = (vec![1; 100], vec![2; 9_000_000], vec![3; 50]);
        let theirs = (0..10).map(|_| (b"foreign".as_slice(), Cow::Borrowed(foreign.as_slice()))).collect();
        let ours = vec![header("cohortd_reason", "oversized")];
        let mut out = fit(Uncut { key: Some(&key), payload: Some(&payload), theirs, ours }, 0, 1_000_000);
        while let Some(next) = of_dead_letter(&out) {
            assert!(bytes(&next) < bytes(&out), "no progress at {} bytes", bytes(&out));
            out = next;
        }
        assert!(value(&out, "cohortd_truncated").unwrap().starts_with("key=100 value=9000000"));
        assert_eq!(value(&out, "cohortd_reason"), Some("oversized"));
        assert!(out.key().is_none() && out.value().is_none_or(<[u8]>::is_empty));
    }
}
