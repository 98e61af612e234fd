//! Hashes that are stored: of the ids of events, of the values of keys, of customers' ids. They are SipHash-1-3 with a
//! zero key, of the byte layout below, so that neither a release nor a library can change them.
//!
//! ```text
//! text      its bytes in UTF-8 │ FF, which no text contains
//! presence  1 or 0 in 8 bytes, little-endian
//!
//! a value   00 │ 1 or 0             true or false
//!           01 │ millionths, 16     a number; little-endian
//!           02 │ text               a text
//! an event  presence │ [text: the source] │ text: the name │ text: the id
//!           presence │ [text: the source] │ the record's hash, 8, little-endian       without an id
//! a customer's order in ties        text: the id
//! ```

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{CustomerEvent, Value};

struct Bytes(SipHasher13);

/// Bytes that are put together before they are hashed at once, which is cheaper than one by one. Most events fit.
const AT_ONCE: usize = 256;

/// Bytes to be hashed.
struct Joined {
    bytes: [u8; AT_ONCE],
    len: usize,
}

impl Joined {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    #[inline]
    fn text(&mut self, text: &str) {
        self.put(text.as_bytes());
        self.put(&[0xff]);
    }
}

impl Bytes {
    fn new() -> Self {
        Self(SipHasher13::new())
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.write(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.raw(text.as_bytes()).raw(&[0xff])
    }

    fn optional_text(self, text: Option<&str>) -> Self {
        let bytes = self.raw(&u64::from(text.is_some()).to_le_bytes());
        match text {
            Some(text) => bytes.text(text),
            None => bytes,
        }
    }

    fn hash(self) -> u64 {
        self.0.finish()
    }
}

/// The hash of a key's value. Two values collide with probability 2^-64.
#[must_use]
pub fn of_value(value: &Value<'_>) -> u64 {
    let bytes = Bytes::new();
    match value {
        Value::Bool(flag) => bytes.raw(&[0, u8::from(*flag)]),
        Value::Number(number) => bytes.raw(&[1]).raw(&number.0.to_le_bytes()),
        Value::Text(text) => bytes.raw(&[2]).text(text),
    }
    .hash()
}

/// The hash of an event's identity: source, name and id; without an id, source and the record's hash.
#[must_use]
pub fn of_event(event: &CustomerEvent<'_>) -> u64 {
    let length = event.source.map_or(0, str::len) + event.name.len() + event.id.map_or(0, str::len);
    if length + 8 + 3 <= AT_ONCE
        && let Some(id) = event.id
    {
        let mut joined = Joined { bytes: [0; AT_ONCE], len: 0 };
        joined.put(&u64::from(event.source.is_some()).to_le_bytes());
        if let Some(source) = event.source {
            joined.text(source);
        }
        joined.text(event.name);
        joined.text(id);
        return Bytes::new().raw(&joined.bytes[..joined.len]).hash();
    }
    streamed(event)
}

/// The same piece by piece, of whatever length.
fn streamed(event: &CustomerEvent<'_>) -> u64 {
    let source = Bytes::new().optional_text(event.source);
    match event.id {
        Some(id) => source.text(event.name).text(id),
        None => source.raw(&event.record_hash.to_le_bytes()),
    }
    .hash()
}

/// The hash that orders customers in ties, which is stored with thresholds.
#[must_use]
pub fn tie_hash(customer: &str) -> u64 {
    Bytes::new().text(customer).hash()
}

#[cfg(test)]
mod tests {
    use super::{of_event, of_value, streamed, tie_hash};
    use crate::event::{CustomerEvent, Instant, NameId, Number, Value};

    fn event<'e>(source: Option<&'e str>, id: Option<&'e str>) -> CustomerEvent<'e> {
        CustomerEvent {
            customer: "ann",
            name: "buy",
            name_id: NameId(0),
            at: Instant(0),
            id,
            source,
            record_hash: 0x0123_4567_89ab_cdef,
            unusable_values: 0,
            properties: &[],
        }
    }

    #[test]
    fn an_event_has_one_hash_however_it_is_made() {
        for length in 0..600 {
            let id = "i".repeat(length);
            for source in [None, Some("till")] {
                let event = event(source, Some(&id));
                assert_eq!(of_event(&event), streamed(&event), "{length}");
            }
        }
    }

    /// These are in every state directory, so a change here is a change of its format.
    #[test]
    fn stored_hashes_are_the_same_in_every_release() {
        let found = [
            of_value(&Value::Bool(true)),
            of_value(&Value::Number(Number(-1_500_000))),
            of_value(&Value::Text("nord")),
            of_event(&event(None, None)),
            of_event(&event(Some("till"), None)),
            of_event(&event(None, Some("e1"))),
            of_event(&event(Some("till"), Some("e1"))),
            tie_hash("ann"),
        ];
        let found: Vec<String> = found.iter().map(|hash| format!("{hash:016x}")).collect();
        let stored = [
            "010bac45c41e3669",
            "4f35675594846449",
            "e0c91649fa08fb08",
            "b88ac42292528625",
            "0a26b17847e7f210",
            "4cf485a250d40088",
            "8f7cd4d962daa68c",
            "211573c84e365e46",
        ];
        assert_eq!(found, stored);
    }
}
