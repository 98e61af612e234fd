//! Encodes Avro's types, for records that are encoded by hand.

use crate::event::Instant;

/// Zigzag, seven bits a byte.
#[inline]
pub(super) fn long(record: &mut Vec<u8>, value: i64) {
    let bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    // Most are lengths and small counts.
    if bits < 0x80 {
        return record.push(bits.to_le_bytes()[0]);
    }
    long_of_many(record, bits);
}

/// Of two bytes or more.
fn long_of_many(record: &mut Vec<u8>, bits: u64) {
    match bits {
        0..0x4000 => record.extend_from_slice(&[0x80 | bits.to_le_bytes()[0], (bits >> 7).to_le_bytes()[0]]),
        0x4000..0x100_0000_0000_0000 => {
            // The seven bits of each byte are moved to their places by halves: 28, 14, 7.
            let halves = (bits & 0x0fff_ffff) | (bits & 0xff_ffff_f000_0000) << 4;
            let quarters = (halves & 0x3fff_0000_3fff) | (halves & 0x0fff_c000_0fff_c000) << 2;
            let bytes = (quarters & 0x7f_007f_007f_007f) | (quarters & 0x3f80_3f80_3f80_3f80) << 1;
            let count = (70 - bits.leading_zeros()) / 7;
            let more = 0x8080_8080_8080_8080 & ((1 << (8 * (count - 1))) - 1);
            let end = record.len() + count as usize;
            record.extend_from_slice(&(bytes | more).to_le_bytes());
            record.truncate(end);
        }
        _ => {
            let mut bits = bits;
            while bits >= 0x80 {
                record.push(0x80 | bits.to_le_bytes()[0]);
                bits >>= 7;
            }
            record.push(bits.to_le_bytes()[0]);
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::long;

    /// Byte by byte, as the specification says it.
    fn expected(value: i64) -> Vec<u8> {
        let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
        let mut bytes = Vec::new();
        while bits >= 0x80 {
            bytes.push(0x80 | (bits & 0x7f) as u8);
            bits >>= 7;
        }
        bytes.push(bits as u8);
        bytes
    }

    fn written(value: i64) -> Vec<u8> {
        let mut record = vec![7];
        long(&mut record, value);
        record.split_off(1)
    }

    #[test]
    fn a_long_at_each_end_of_each_length_has_the_bytes_of_the_specification() {
        for bit in 0..63 {
            for value in [(1_i64 << bit) - 1, 1 << bit, -(1 << bit), -(1 << bit) - 1] {
                assert_eq!(written(value), expected(value), "{value}");
            }
        }
        assert_eq!(written(i64::MIN), expected(i64::MIN));
    }

    proptest! {
        #[test]
        fn any_long_has_the_bytes_of_the_specification(value: i64, right in 0..63) {
            prop_assert_eq!(written(value >> right), expected(value >> right));
        }
    }
}
