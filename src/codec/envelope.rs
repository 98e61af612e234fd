//! The fields of an event besides its properties, and the hash that replaces a missing id.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::event::{CUSTOMER_BYTES_MAX, Instant, NAME_BYTES_MAX};

/// The fields of an event besides its properties.
pub(super) struct Envelope<'a> {
    pub(super) customer: &'a str,
    pub(super) name: &'a str,
    pub(super) at: Instant,
    pub(super) id: Option<&'a str>,
    pub(super) source: Option<&'a str>,
}

impl Envelope<'_> {
    /// The field that exceeds its length limit.
    pub(super) fn too_long(&self) -> Option<&'static str> {
        let id = self.id.map_or(0, str::len);
        let lengths = [
            ("customer_id", self.customer.len(), CUSTOMER_BYTES_MAX),
            ("event", self.name.len(), NAME_BYTES_MAX),
            ("event_id", id, NAME_BYTES_MAX),
        ];
        lengths.into_iter().find(|(_, length, most)| length > most).map(|(field, ..)| field)
    }
}

/// Must never change: it replaces the id of an event in states and outputs.
pub(super) fn record_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x636f_686f_7274_6420, 0x7265_636f_7264_2069);
    hasher.write(bytes);
    hasher.finish()
}
