//! Dead letters: rejected input records, and outputs that are too large for their topic, with the reason and the origin
//! in their headers.
//!
//! A dead letter always fits its topic: it is truncated where necessary, and the header `cohortd_truncated` gives the
//! original lengths. The whole record is still in the input, at the offset in the headers.

use std::borrow::Cow;

use crate::clock::wall_clock;
use crate::event::DeadLetterReason;
use crate::kafka::Record;
use crate::lane::context::Context;
use crate::lane::output::record::{OutputRecord, Topic};
use crate::lane::output::rejection::Rejection;

/// The longest `cohortd_detail`, in bytes: it may contain names of schemas, which may be of any length.
const DETAIL_MAX: usize = 500;
/// Bytes that a header takes besides its name and value.
const HEADER_FRAMING: usize = 10;

type Header<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The dead letter of an input record.
pub(in crate::lane) fn of_record(
    record: &Record<'_>,
    refused: &Rejection,
    context: &Context,
    partition: i32,
) -> OutputRecord {
    let is_text = |name: &[u8]| std::str::from_utf8(name).is_ok();
    let theirs = record.headers().filter(|(name, _)| is_text(name));
    let theirs = theirs.filter_map(|(name, value)| Some((name, Cow::Borrowed(value?))));
    let ours = [
        header("cohortd_reason", refused.reason.as_str()),
        header("cohortd_detail", &refused.detail[..refused.detail.floor_char_boundary(DETAIL_MAX)]),
        header("cohortd_topic", &context.topics.input),
        header("cohortd_partition", &partition.to_string()),
        header("cohortd_offset", &record.offset().to_string()),
        header("cohortd_at", &wall_clock().to_string()),
    ];
    let uncut = Uncut { key: record.key(), payload: record.payload(), theirs: theirs.collect(), ours: ours.into() };
    uncut.fit(partition, context.limits.of(Topic::DeadLetters))
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
            Some(uncut.fit(out.partition, context.limits.of(Topic::DeadLetters)))
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
    Some(uncut.fit(out.partition, half))
}

/// A dead letter before truncation.
struct Uncut<'a> {
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    /// Headers of the record, which may be dropped.
    theirs: Vec<Header<'a>>,
    ours: Vec<Header<'a>>,
}

impl<'a> Uncut<'a> {
    fn bytes(&self) -> usize {
        let parts = self.key.map_or(0, <[u8]>::len) + self.payload.map_or(0, <[u8]>::len);
        parts + self.theirs.iter().chain(&self.ours).map(size).sum::<usize>()
    }

    /// The dead letter in at most `limit` bytes, or in as few as its own headers take.
    fn fit(self, partition: i32, limit: usize) -> OutputRecord {
        let parts = if self.bytes() <= limit { self } else { self.cut_to(limit) };
        let mut letter = OutputRecord::new(Topic::DeadLetters, partition, parts.payload.map(<[u8]>::to_vec));
        if let Some(key) = parts.key {
            letter = letter.with_key(&[key]);
        }
        for (name, value) in parts.theirs.iter().chain(&parts.ours) {
            letter.push_header(name, value);
        }
        letter
    }

    /// The key gets an eighth, foreign headers a quarter, the value the rest.
    fn cut_to(self, limit: usize) -> Self {
        let Self { key, payload, theirs, mut ours } = self;
        let lengths = (key.map_or(0, <[u8]>::len), payload.map_or(0, <[u8]>::len));
        let headers: usize = theirs.iter().map(size).sum();
        // Keeps the original lengths if the dead letter is truncated a second time.
        if !ours.iter().any(|(name, _)| *name == b"cohortd_truncated") {
            let text = format!("key={} value={} headers={headers}", lengths.0, lengths.1);
            ours.push(header("cohortd_truncated", &text));
        }
        let mut left = limit.saturating_sub(ours.iter().map(size).sum());
        let key = key.map(|key| &key[..key.len().min(left / 8)]);
        left -= key.map_or(0, <[u8]>::len);
        let mut for_theirs = left / 4;
        let mut kept: Vec<Header<'a>> = Vec::new();
        for header in theirs {
            let Some(rest) = for_theirs.checked_sub(size(&header)) else { continue };
            (for_theirs, left) = (rest, left - size(&header));
            kept.push(header);
        }
        let payload = payload.map(|payload| &payload[..payload.len().min(left)]);
        Self { key: key.filter(|key| !key.is_empty()), payload, theirs: kept, ours }
    }
}

fn header(name: &'static str, value: &str) -> Header<'static> {
    (name.as_bytes(), value.as_bytes().to_vec().into())
}

fn size((name, value): &Header<'_>) -> usize {
    name.len() + value.len() + HEADER_FRAMING
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(key: usize, value: usize, theirs: &[usize], limit: usize) -> OutputRecord {
        let (key, value) = (vec![1; key], vec![2; value]);
        let theirs = theirs.iter().map(|length| (b"foreign".as_slice(), vec![3; *length].into())).collect();
        let ours = vec![header("cohortd_reason", "oversized")];
        Uncut { key: Some(&key), payload: Some(&value), theirs, ours }.fit(0, limit)
    }

    fn bytes(out: &OutputRecord) -> usize {
        out.bytes() + out.headers().iter().map(|(name, value)| size(&(name, value.into()))).sum::<usize>()
    }

    fn value<'a>(out: &'a OutputRecord, name: &str) -> Option<&'a str> {
        let found = out.headers().iter().find(|header| header.0 == name.as_bytes())?;
        std::str::from_utf8(found.1).ok()
    }

    #[test]
    fn what_fits_is_left_as_it_came() {
        let out = fit(10, 1_000, &[50, 50], 2_000);
        assert_eq!(
            (out.key().unwrap().len(), out.value().unwrap().len(), out.headers().iter().count()),
            (10, 1_000, 3)
        );
    }

    #[test]
    fn whatever_does_not_fit_is_truncated_and_its_lengths_are_recorded() {
        for (key, value_length, theirs) in [
            (10, 9_000_000, vec![50]),
            (3_000_000, 20, vec![]),
            (10, 10, vec![70_000; 40]),
            (1_000_000, 1_000_000, vec![1_000_000]),
        ] {
            let out = fit(key, value_length, &theirs, 100_000);
            assert!(bytes(&out) <= 100_000, "{} bytes", bytes(&out));
            let lengths = value(&out, "cohortd_truncated").unwrap();
            assert!(lengths.starts_with(&format!("key={key} value={value_length} headers=")), "{lengths}");
            assert_eq!(value(&out, "cohortd_reason"), Some("oversized"));
        }
        let out = fit(10, 9_000_000, &[50], 100_000);
        assert_eq!((out.key().unwrap().len(), value(&out, "foreign").map(str::len)), (10, Some(50)));
        assert!(out.value().unwrap().len() > 90_000);
    }

    #[test]
    fn a_dead_letter_that_is_refused_gets_shorter_until_only_its_own_headers_are_left() {
        let mut out = fit(100, 9_000_000, &[50; 10], 1_000_000);
        while let Some(next) = of_dead_letter(&out) {
            assert!(bytes(&next) < bytes(&out), "no progress at {} bytes", bytes(&out));
            out = next;
        }
        assert!(value(&out, "cohortd_truncated").unwrap().starts_with("key=100 value=9000000"));
        assert_eq!(value(&out, "cohortd_reason"), Some("oversized"));
        assert!(out.key().is_none() && out.value().is_none_or(<[u8]>::is_empty));
    }
}
