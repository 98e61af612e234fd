//! Records that a batch writes, each in one buffer.

use crate::kafka::{Headers, push_header};
use crate::settings::Topics;
use crate::store::layout::changelog;

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lane) enum Topic {
    Changes,
    Members,
    Risks,
    Forecasts,
    DeadLetters,
    Changelog,
    Summaries,
}

impl Topic {
    pub(in crate::lane) const ALL: [Self; 7] = [
        Self::Changes,
        Self::Members,
        Self::Risks,
        Self::Forecasts,
        Self::DeadLetters,
        Self::Changelog,
        Self::Summaries,
    ];

    /// The topic's name in the settings.
    pub(in crate::lane) fn name(self, topics: &Topics) -> &str {
        match self {
            Self::Changes => &topics.changes,
            Self::Members => &topics.members,
            Self::Risks => &topics.risks,
            Self::Forecasts => &topics.forecasts,
            Self::DeadLetters => &topics.dead_letters,
            Self::Changelog => &topics.changelog,
            Self::Summaries => &topics.summaries,
        }
    }
}

/// A record to be sent, to the partition of its input.
pub(in crate::lane) struct OutputRecord {
    pub(in crate::lane) topic: Topic,
    pub(in crate::lane) partition: i32,
    /// The value, the key, and the headers.
    buffer: Vec<u8>,
    /// Lengths; no value is a tombstone.
    value: Option<usize>,
    key: Option<usize>,
}

impl OutputRecord {
    /// Without key and headers. The memory of the value becomes that of the record; `None` is a tombstone.
    pub(in crate::lane) fn new(topic: Topic, partition: i32, value: Option<Vec<u8>>) -> Self {
        let length = value.as_ref().map(Vec::len);
        Self { topic, partition, buffer: value.unwrap_or_default(), value: length, key: None }
    }

    /// Without key and headers, and with room for so many bytes of them and the value.
    pub(in crate::lane) fn with_room(topic: Topic, partition: i32, value: Option<&[u8]>, room: usize) -> Self {
        let mut buffer = Vec::with_capacity(room);
        buffer.extend_from_slice(value.unwrap_or_default());
        Self { topic, partition, buffer, value: value.map(<[u8]>::len), key: None }
    }

    /// Without value, key and headers, and with room for so many bytes of them.
    pub(in crate::lane) fn tombstone(topic: Topic, partition: i32, room: usize) -> Self {
        Self::with_room(topic, partition, None, room)
    }

    /// With a key, of which these are the parts.
    pub(in crate::lane) fn with_key(mut self, parts: &[&[u8]]) -> Self {
        debug_assert!(self.key.is_none() && self.buffer.len() == self.value.unwrap_or(0), "before the headers, once");
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
        self.key = Some(self.buffer.len() - self.value.unwrap_or(0));
        self
    }

    /// Appends headers. None may be added before the key.
    pub(in crate::lane) fn write_headers(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.buffer);
    }

    /// Appends a header.
    pub(in crate::lane) fn push_header(&mut self, name: &[u8], value: &[u8]) {
        push_header(&mut self.buffer, name, value);
    }

    pub(in crate::lane) fn key(&self) -> Option<&[u8]> {
        let begins = self.value.unwrap_or(0);
        self.key.map(|length| &self.buffer[begins..begins + length])
    }

    /// `None` is a tombstone.
    pub(in crate::lane) fn value(&self) -> Option<&[u8]> {
        self.value.map(|length| &self.buffer[..length])
    }

    pub(in crate::lane) fn headers(&self) -> Headers<'_> {
        Headers::read(&self.buffer[self.bytes()..])
    }

    /// Bytes of the key and the value.
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.value.unwrap_or(0) + self.key.unwrap_or(0)
    }

    /// Bytes of a customer's state; `None` for other records.
    pub(in crate::lane) fn state_bytes(&self) -> Option<usize> {
        let is_state = self.topic == Topic::Changelog && self.key()?.first().copied() == Some(changelog::CUSTOMER);
        self.value.filter(|_| is_state)
    }
}

#[cfg(test)]
mod tests {
    use super::{OutputRecord, Topic, changelog};

    #[test]
    fn the_parts_of_a_record_are_found_again() {
        for value in [None, Some(b"".as_slice()), Some(b"value")] {
            let mut record = OutputRecord::new(Topic::Members, 3, value.map(<[u8]>::to_vec));
            assert_eq!((record.value(), record.key(), record.headers().iter().count()), (value, None, 0));
            record = record.with_key(&[b"vip", b"/", b"c1"]);
            record.push_header(b"one", b"");
            record.push_header(b"two", &[7; 300]);
            assert_eq!((record.value(), record.key()), (value, Some(b"vip/c1".as_slice())));
            let headers: Vec<(&[u8], &[u8])> = record.headers().iter().collect();
            assert_eq!(headers, [(b"one".as_slice(), b"".as_slice()), (b"two", &[7; 300])]);
            assert_eq!(record.bytes(), value.map_or(0, <[u8]>::len) + 6);
        }
    }

    #[test]
    fn the_state_of_a_customer_is_told_from_other_records() {
        let record = |topic, key: u8| OutputRecord::new(topic, 0, Some(vec![0; 9])).with_key(&[&[key], b"c1"]);
        assert_eq!(record(Topic::Changelog, changelog::CUSTOMER).state_bytes(), Some(9));
        assert_eq!(record(Topic::Changelog, changelog::META).state_bytes(), None);
        assert_eq!(record(Topic::Changes, changelog::CUSTOMER).state_bytes(), None);
    }
}
