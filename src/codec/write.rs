//! Encodes Avro's types, for records that are encoded by hand.

use crate::event::Instant;

/// Zigzag, seven bits a byte.
pub(super) fn long(record: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    if bits < 0x80 {
        return record.push(bits.to_le_bytes()[0]);
    }
    // Ten times seven bits are enough.
    let (mut bytes, mut count) = ([0; 10], 0);
    while bits >= 0x80 {
        bytes[count] = 0x80 | bits.to_le_bytes()[0];
        bits >>= 7;
        count += 1;
    }
    bytes[count] = bits.to_le_bytes()[0];
    record.extend_from_slice(&bytes[..=count]);
}

/// Avro has no unsigned type; no count exceeds a `long`.
pub(super) fn count(record: &mut Vec<u8>, value: u64) {
    long(record, i64::try_from(value).unwrap_or(i64::MAX));
}

pub(super) fn double(record: &mut Vec<u8>, value: f64) {
    record.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn instant(record: &mut Vec<u8>, at: Instant) {
    long(record, at.0);
}

pub(super) fn text(record: &mut Vec<u8>, text: &str) {
    count(record, text.len() as u64);
    record.extend_from_slice(text.as_bytes());
}

/// A union of null and one type.
pub(super) fn optional<T>(record: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    long(record, i64::from(value.is_some()));
    if let Some(value) = value {
        write(record, value);
    }
}

/// The head of the single block of an array or map; of none if it is empty.
pub(super) fn block(record: &mut Vec<u8>, items: usize) {
    count(record, items as u64);
}

/// Ends an array or map, unless its empty block has done so.
pub(super) fn end_after(record: &mut Vec<u8>, items: usize) {
    if items > 0 {
        block(record, 0);
    }
}
