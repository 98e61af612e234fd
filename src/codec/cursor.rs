//! Reads Avro's primitives from a slice; every length is checked before it is used.

use super::Undecodable;

/// The rest of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Undecodable> {
        let (&first, rest) = self.rest.split_first().ok_or(Undecodable::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Undecodable::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A `long`: zigzag, at most ten bytes of which the last has one bit left to give.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Undecodable> {
        let first = self.byte()?;
        let mut bits = u64::from(first & 0x7f);
        if first >= 0x80 {
            bits |= self.continued()?;
        }
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    fn continued(&mut self) -> Result<u64, Undecodable> {
        let mut bits = 0;
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Undecodable::Overflow);
            }
            bits |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(bits);
            }
            shift += 7;
        }
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Result<i64, Undecodable> {
        let value = self.long()?;
        if i32::try_from(value).is_err() {
            return Err(Undecodable::Overflow);
        }
        Ok(value)
    }

    /// A checked length in bytes.
    #[inline]
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = self.long()?;
        self.bytes(usize::try_from(length).map_err(|_| Undecodable::Length)?)
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<bool, Undecodable> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Undecodable::Branch),
        }
    }

    pub(crate) fn float(&mut self) -> Result<f32, Undecodable> {
        let bytes = self.bytes(4)?;
        Ok(f32::from_le_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    pub(crate) fn double(&mut self) -> Result<f64, Undecodable> {
        let bytes = self.bytes(8)?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    /// The number of a union's branch or an enum's symbol, below `count`.
    #[inline]
    pub(crate) fn branch(&mut self, count: usize) -> Result<usize, Undecodable> {
        match usize::try_from(self.long()?) {
            Ok(index) if index < count => Ok(index),
            _ => Err(Undecodable::Branch),
        }
    }

    /// The head of a block of an array or map. No items: the end.
    #[inline]
    pub(crate) fn block(&mut self) -> Result<Block, Undecodable> {
        let count = self.long()?;
        let bytes = if count < 0 {
            let bytes = usize::try_from(self.long()?).map_err(|_| Undecodable::Length)?;
            if bytes > self.rest.len() {
                return Err(Undecodable::Truncated);
            }
            Some(bytes)
        } else {
            None
        };
        // More items than a Java reader could hold: no real writer produces them.
        let items = u32::try_from(count.unsigned_abs()).map_err(|_| Undecodable::Length)?;
        Ok(Block { items, bytes })
    }
}

/// The number of items that follow, and their size in bytes if the writer gave it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) items: u32,
    pub(crate) bytes: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Undecodable};

    #[test]
    fn the_extremes_of_a_long_are_read_and_an_eleventh_bit_group_is_refused() {
        let max = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let min = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Cursor::new(&max).long(), Ok(i64::MAX));
        assert_eq!(Cursor::new(&min).long(), Ok(i64::MIN));
        assert_eq!(Cursor::new(&[0xff; 12]).long(), Err(Undecodable::Overflow));
        assert_eq!(Cursor::new(&[0x80; 9]).long(), Err(Undecodable::Truncated));
        assert_eq!(Cursor::new(&max).int(), Err(Undecodable::Overflow));
    }

    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        assert_eq!(Cursor::new(&[0x01]).sized(), Err(Undecodable::Length));
        assert_eq!(Cursor::new(&[0x06, b'a', b'b']).sized(), Err(Undecodable::Truncated));
        assert_eq!(Cursor::new(&[0x04]).branch(2), Err(Undecodable::Branch));
        assert!(Cursor::new(&[0x01, 0x10, 0x00]).block().is_err());
    }
}
