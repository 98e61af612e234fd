//! The writes of one batch.

use super::layout::ordered;
use super::meta_bytes::{Meta, encode_meta};
use super::meta_parts::encode_parts;
use crate::event::Instant;

/// All writes of one batch; they take effect atomically.
#[derive(Default)]
pub struct Batch {
    pub(super) puts: Vec<Put>,
}

/// One write of a batch.
pub(super) enum Put {
    Customer {
        customer: Box<str>,
        value: Vec<u8>,
    },
    NoCustomer {
        customer: Box<str>,
    },
    Timer {
        due: Instant,
        customer: Box<str>,
    },
    NoTimer {
        due: Instant,
        customer: Box<str>,
    },
    Meta(Vec<u8>),
    Counters(Vec<u8>),
    ChangelogNext(i64),
    TimersFrom(Instant),
    Recorded {
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    },
    /// Deletes META, counters and the start of the timers.
    NoMeta,
}

impl Put {
    /// Its column family and the order of keys in it, where there may be many.
    pub(super) fn place(&self) -> (u8, Instant, &str) {
        match self {
            Self::Customer { customer, .. } | Self::NoCustomer { customer } => (0, Instant::MIN, customer),
            Self::Timer { due, customer } | Self::NoTimer { due, customer } => (1, *due, customer),
            Self::Meta(_)
            | Self::NoMeta
            | Self::Counters(_)
            | Self::ChangelogNext(_)
            | Self::TimersFrom(_)
            | Self::Recorded { .. } => (2, Instant::MIN, ""),
        }
    }
}

impl Batch {
    /// A customer's state, and the instant of their entry in `timers`.
    pub fn put_customer(&mut self, customer: &str, indexed_at: Instant, state: &[u8]) {
        let mut value = Vec::with_capacity(8 + state.len());
        value.extend_from_slice(&ordered(indexed_at.0));
        value.extend_from_slice(state);
        self.puts.push(Put::Customer { customer: customer.into(), value });
    }

    /// Removes a customer.
    pub fn delete_customer(&mut self, customer: &str) {
        self.puts.push(Put::NoCustomer { customer: customer.into() });
    }

    pub fn put_timer(&mut self, due: Instant, customer: &str) {
        self.puts.push(Put::Timer { due, customer: customer.into() });
    }

    pub fn delete_timer(&mut self, due: Instant, customer: &str) {
        self.puts.push(Put::NoTimer { due, customer: customer.into() });
    }

    /// META with all of its parts.
    pub fn put_meta(&mut self, meta: &Meta) {
        let mut bytes = Vec::new();
        encode_meta(meta, &mut bytes);
        self.put_meta_bytes(bytes);
        encode_parts(meta).into_iter().for_each(|(key, value)| self.put_meta_part(key, value));
    }

    /// META as in its changelog record. Its parts are stored already, or written in the same batch.
    pub fn put_meta_bytes(&mut self, bytes: Vec<u8>) {
        self.puts.push(Put::Meta(bytes));
    }

    /// The partition was emptied: deletes META, the counters and the start of the timers.
    pub fn delete_meta(&mut self) {
        self.puts.push(Put::NoMeta);
    }

    /// A part of META, by its changelog key.
    pub fn put_meta_part(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.puts.push(Put::Recorded { key, value: Some(value) });
    }

    /// The counters of the customers as of this batch.
    pub fn put_counters(&mut self, bytes: Vec<u8>) {
        self.puts.push(Put::Counters(bytes));
    }

    /// A recorded input, by its changelog key; without a value it is removed.
    pub fn put_recorded(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.puts.push(Put::Recorded { key, value });
    }

    /// The changelog offset after the last record that the database contains once this is written.
    pub fn put_changelog_next(&mut self, offset: i64) {
        self.puts.push(Put::ChangelogNext(offset));
    }

    /// Entries of `timers` before this instant are obsolete once this is written.
    pub fn put_timers_from(&mut self, from: Instant) {
        self.puts.push(Put::TimersFrom(from));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }
}
