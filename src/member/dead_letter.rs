//! Dead letters: rejected records, with the reason and the origin in their headers.
//!
//! A dead letter always fits its topic: it is truncated where necessary, and the header `cohortd_truncated` gives the
//! original lengths. The whole record is still in the topic and at the offset in the headers.

use std::borrow::Cow;

use crate::clock::wall_clock;
use crate::kafka::{Record, push_header};

/// The longest `cohortd_detail`, in bytes: it may contain names of schemas, which may be of any length.
const DETAIL_MAX: usize = 500;
/// Bytes that a header takes besides its name and value.
const HEADER_FRAMING: usize = 10;

/// Name and value.
pub(crate) type Header<'a> = (&'a [u8], Cow<'a, [u8]>);

/// Why a record is rejected, and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rejected<'a> {
    pub(crate) topic: &'a str,
    /// Of the topic.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// `cohortd_reason`.
    pub(crate) reason: &'a str,
    /// `cohortd_detail`; a longer one than a header may have is cut.
    pub(crate) detail: &'a str,
    /// Further headers of ours.
    pub(crate) extra: &'a [(&'static str, &'a str)],
}

/// A dead letter before truncation.
pub(crate) struct Uncut<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    /// Headers of the record, which may be dropped.
    pub(crate) theirs: Vec<Header<'a>>,
    pub(crate) ours: Vec<Header<'a>>,
}

/// A dead letter that fits.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    /// As [`push_header`] writes them.
    pub(crate) headers: Vec<u8>,
}

/// The dead letter of a record that was read.
pub(crate) fn of_record<'a>(record: &'a Record<'_>, rejected: &Rejected<'_>) -> Uncut<'a> {
    let is_text = |name: &[u8]| std::str::from_utf8(name).is_ok();
    let theirs = record.headers().filter(|(name, _)| is_text(name));
    let theirs = theirs.filter_map(|(name, value)| Some((name, Cow::Borrowed(value?))));
    Uncut { key: record.key(), payload: record.payload(), theirs: theirs.collect(), ours: rejected.headers() }
}

impl Rejected<'_> {
    fn headers(&self) -> Vec<Header<'static>> {
        let mut headers = vec![
            header("cohortd_reason", self.reason),
            header("cohortd_detail", &self.detail[..self.detail.floor_char_boundary(DETAIL_MAX)]),
            header("cohortd_topic", self.topic),
            header("cohortd_partition", &self.partition.to_string()),
            header("cohortd_offset", &self.offset.to_string()),
            header("cohortd_at", &wall_clock().to_string()),
        ];
        headers.extend(self.extra.iter().map(|(name, value)| header(name, value)));
        headers
    }
}

impl<'a> Uncut<'a> {
    /// What it takes in its topic.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.key.map_or(0, <[u8]>::len) + self.payload.map_or(0, <[u8]>::len);
        parts + self.theirs.iter().chain(&self.ours).map(size).sum::<usize>()
    }

    /// The dead letter in at most `limit` bytes, or in as few as its own headers take.
    pub(crate) fn fit(self, limit: usize) -> Letter<'a> {
        let parts = if self.bytes() <= limit { self } else { self.cut_to(limit) };
        let mut headers = Vec::new();
        for (name, value) in parts.theirs.iter().chain(&parts.ours) {
            push_header(&mut headers, name, value);
        }
        Letter { key: parts.key, payload: parts.payload, headers }
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

/// A header of ours.
pub(crate) fn header(name: &'static str, value: &str) -> Header<'static> {
    (name.as_bytes(), value.as_bytes().to_vec().into())
}

fn size((name, value): &Header<'_>) -> usize {
    name.len() + value.len() + HEADER_FRAMING
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Headers;

    /// A dead letter of ones, twos and threes, as it is sent.
    struct Sent {
        key: Vec<u8>,
        payload: Vec<u8>,
        headers: Vec<u8>,
    }

    impl Sent {
        fn fit(key: usize, payload: usize, theirs: &[usize], limit: usize) -> Self {
            let (key, payload) = (vec![1; key], vec![2; payload]);
            let theirs = theirs.iter().map(|length| (b"foreign".as_slice(), vec![3; *length].into())).collect();
            let ours = vec![header("cohortd_reason", "oversized")];
            let letter = Uncut { key: Some(&key), payload: Some(&payload), theirs, ours }.fit(limit);
            let [key, payload] = [letter.key, letter.payload].map(|part| part.unwrap_or_default().to_vec());
            Self { key, payload, headers: letter.headers }
        }

        fn bytes(&self) -> usize {
            let headers = Headers::read(&self.headers).iter().map(|(name, value)| size(&(name, value.into())));
            self.key.len() + self.payload.len() + headers.sum::<usize>()
        }

        fn value(&self, name: &str) -> Option<&str> {
            let found = Headers::read(&self.headers).iter().find(|header| header.0 == name.as_bytes())?;
            std::str::from_utf8(found.1).ok()
        }
    }

    #[test]
    fn what_fits_is_left_as_it_came() {
        let sent = Sent::fit(10, 1_000, &[50, 50], 2_000);
        assert_eq!((sent.key.len(), sent.payload.len(), Headers::read(&sent.headers).iter().count()), (10, 1_000, 3));
    }

    #[test]
    fn whatever_does_not_fit_is_truncated_and_its_lengths_are_recorded() {
        for (key, value_length, theirs) in [
            (10, 9_000_000, vec![50]),
            (3_000_000, 20, vec![]),
            (10, 10, vec![70_000; 40]),
            (1_000_000, 1_000_000, vec![1_000_000]),
        ] {
            let sent = Sent::fit(key, value_length, &theirs, 100_000);
            assert!(sent.bytes() <= 100_000, "{} bytes", sent.bytes());
            let lengths = sent.value("cohortd_truncated").unwrap();
            assert!(lengths.starts_with(&format!("key={key} value={value_length} headers=")), "{lengths}");
            assert_eq!(sent.value("cohortd_reason"), Some("oversized"));
        }
        let sent = Sent::fit(10, 9_000_000, &[50], 100_000);
        assert_eq!((sent.key.len(), sent.value("foreign").map(str::len)), (10, Some(50)));
        assert!(sent.payload.len() > 90_000);
    }

    #[test]
    fn the_headers_say_why_and_where_from_and_what_else_the_caller_knows() {
        let detail = "é".repeat(DETAIL_MAX);
        let rejected = Rejected {
            topic: "orders",
            partition: 3,
            offset: 77,
            reason: "no_customer",
            detail: &detail,
            extra: &[("cohortd_source", "shop")],
        };
        let headers = rejected.headers();
        let value = |name: &str| {
            let found = headers.iter().find(|header| header.0 == name.as_bytes());
            found.map(|header| std::str::from_utf8(&header.1).unwrap())
        };
        assert_eq!((value("cohortd_topic"), value("cohortd_partition")), (Some("orders"), Some("3")));
        assert_eq!((value("cohortd_offset"), value("cohortd_reason")), (Some("77"), Some("no_customer")));
        assert_eq!(value("cohortd_source"), Some("shop"));
        let cut = value("cohortd_detail").unwrap();
        assert!(cut.len() <= DETAIL_MAX && detail.starts_with(cut) && !cut.is_empty(), "{}", cut.len());
    }
}
