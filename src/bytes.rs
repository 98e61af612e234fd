//! Reading and writing numbers, lists and texts in stored values.

use crate::event::{Instant, Number, text};

/// The version of all stored values but META: their first byte. A release reads its own and those below.
pub const FORMAT: u8 = 1;

/// These bytes are not what this release or an earlier one wrote. What was being read, in a word or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stored bytes are damaged or of a newer release: {0}")]
pub struct Corrupt(pub &'static str);

/// What reading stored bytes gives.
pub type Read<T> = Result<T, Corrupt>;

/// Seven bits a byte, the lowest first.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small magnitudes of either sign take few bytes.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// An instant as its distance from another; wraps, so that the extremes survive.
pub fn put_instant(out: &mut Vec<u8>, value: Instant, base: Instant) {
    put_i64(out, value.0.wrapping_sub(base.0));
}

/// As `put_i64`, of up to 128 bits.
pub fn put_number(out: &mut Vec<u8>, value: Number) {
    if let Ok(small) = i64::try_from(value.0) {
        return put_i64(out, small);
    }
    let mut rest = ((value.0 << 1) ^ (value.0 >> 127)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The length of what follows.
pub fn put_len(out: &mut Vec<u8>, length: usize) {
    put_u64(out, length as u64);
}

/// A length, then UTF-8.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Reads what the functions above wrote.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// One byte.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn u8(&mut self, what: &'static str) -> Read<u8> {
        let (first, rest) = self.bytes.split_first().ok_or(Corrupt(what))?;
        self.bytes = rest;
        Ok(*first)
    }

    /// As `u64`, of up to 128 bits.
    fn u128(&mut self, what: &'static str) -> Read<u128> {
        let (mut value, mut shift) = (0_u128, 0);
        loop {
            let byte = self.u8(what)?;
            let bits = u128::from(byte & 0x7f);
            if shift >= 128 || (bits << shift) >> shift != bits {
                return Err(Corrupt(what));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// What `put_u64` wrote.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    #[inline]
    pub fn u64(&mut self, what: &'static str) -> Read<u64> {
        match self.bytes {
            // Most numbers are this small.
            [first, rest @ ..] if *first < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*first))
            }
            [first, second, rest @ ..] if *second < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(first & 0x7f) | u64::from(*second) << 7)
            }
            _ => self.long_u64(what),
        }
    }

    /// The same where it takes more than two bytes.
    fn long_u64(&mut self, what: &'static str) -> Read<u64> {
        if let Some(eight) = self.bytes.first_chunk::<8>() {
            let word = u64::from_le_bytes(*eight);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                // The last byte is the first without the high bit.
                let bits = ends.trailing_zeros() + 1;
                self.bytes = &self.bytes[bits as usize / 8..];
                return Ok(packed_sevens(word & (u64::MAX >> (64 - bits))));
            }
        }
        let mut value = 0_u64;
        for (index, byte) in self.bytes.iter().take(10).enumerate() {
            let (bits, shift) = (u64::from(byte & 0x7f), 7 * index);
            // Nine bytes hold 63 bits.
            if index == 9 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if *byte < 0x80 {
                self.bytes = &self.bytes[index + 1..];
                return Ok(value);
            }
        }
        Err(Corrupt(what))
    }

    /// The same, of at most 32 bits.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn u32(&mut self, what: &'static str) -> Read<u32> {
        u32::try_from(self.u64(what)?).map_err(|_| Corrupt(what))
    }

    /// What `put_i64` wrote.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn i64(&mut self, what: &'static str) -> Read<i64> {
        let raw = self.u64(what)?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// What `put_instant` wrote.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn instant(&mut self, base: Instant, what: &'static str) -> Read<Instant> {
        Ok(Instant(base.0.wrapping_add(self.i64(what)?)))
    }

    /// What `put_number` wrote.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn number(&mut self, what: &'static str) -> Read<Number> {
        // The common case: it fits in 63 bits.
        let raw = match self.bytes.iter().take(9).any(|byte| *byte < 0x80) {
            true => u128::from(self.u64(what)?),
            false => self.u128(what)?,
        };
        Ok(Number((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed())))
    }

    /// A number of customers: more than a million million are damage, so that those of many partitions can be added up.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn count(&mut self, what: &'static str) -> Read<u64> {
        let count = self.u64(what)?;
        if count < 1 << 40 { Ok(count) } else { Err(Corrupt(what)) }
    }

    /// A sum over customers, as above.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn sum(&mut self, what: &'static str) -> Read<Number> {
        let sum = self.number(what)?;
        if sum.0.unsigned_abs() < 1 << 110 { Ok(sum) } else { Err(Corrupt(what)) }
    }

    /// A length; every item takes at least one byte, so a longer one than what is left is damage.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn len(&mut self, what: &'static str) -> Read<usize> {
        let length = usize::try_from(self.u64(what)?).map_err(|_| Corrupt(what))?;
        if length > self.bytes.len() { Err(Corrupt(what)) } else { Ok(length) }
    }

    /// So many bytes.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn take(&mut self, length: usize, what: &'static str) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Corrupt(what))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Read<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Corrupt(what))?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// What `put_text` wrote.
    ///
    /// # Errors
    /// Bytes that end too early, or were not written so; `what` says what was being read.
    pub fn text(&mut self, what: &'static str) -> Read<&'a str> {
        let length = self.len(what)?;
        text(self.take(length, what)?).ok_or(Corrupt(what))
    }
}

/// The lower seven bits of each of eight bytes, side by side.
#[inline]
fn packed_sevens(word: u64) -> u64 {
    let sevens = word & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (sevens & 0x007f_007f_007f_007f) | (sevens & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

#[cfg(test)]
mod tests {
    use super::{Corrupt, Instant, Number, Reader, put_i64, put_instant, put_number, put_u64};

    #[test]
    fn every_width_survives_writing_and_reading() {
        for value in [0, 1, -1, 63, -64, 64, 300, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            put_u64(&mut out, value.cast_unsigned());
            put_instant(&mut out, Instant(value), Instant(1_700_000_000_000));
            put_number(&mut out, Number(i128::from(value) * i128::from(i64::MAX)));
            let mut reader = Reader::new(&out);
            assert_eq!(reader.i64(""), Ok(value));
            assert_eq!(reader.u64(""), Ok(value.cast_unsigned()));
            assert_eq!(reader.instant(Instant(1_700_000_000_000), ""), Ok(Instant(value)));
            assert_eq!(reader.number(""), Ok(Number(i128::from(value) * i128::from(i64::MAX))));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn numbers_of_every_length_are_read_whatever_follows() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits, 0x5555_5555_5555_5555 >> bits] {
                let mut out = Vec::new();
                put_u64(&mut out, value);
                let length = out.len();
                for following in [&[][..], &[0x80], &[0xff; 12], &[0; 12]] {
                    out.truncate(length);
                    out.extend_from_slice(following);
                    let mut reader = Reader::new(&out);
                    assert_eq!((reader.u64(""), reader.rest()), (Ok(value), following));
                }
            }
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_damage() {
        assert_eq!(Reader::new(&[0xff; 30]).u64("x"), Err(Corrupt("x")));
        assert_eq!(Reader::new(&[0xff; 3]).u64("x"), Err(Corrupt("x")));
    }
}
