//! Buckets whose width grows with the value.
//!
//! A value in millionths is bucketed by its leading eight binary digits. So the width of a bucket is at most 1/128 of
//! its values, under one per cent; values under 256 millionths, including zero, have a bucket each, and so have the
//! integers up to 128. Negative values mirror positive ones.

use crate::event::Number;

/// Leading binary digits that count, without the first, which is always one.
const DIGITS: u32 = 7;

/// A bucket by its index in the order of values; 0 holds only zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub i32);

impl Bucket {
    #[must_use]
    pub fn of(value: Number) -> Self {
        let index = index(value.0.unsigned_abs());
        Self(if value.0 < 0 { -index } else { index })
    }

    /// The bucket with this index, if any value is in it.
    #[must_use]
    pub fn numbered(index: i64) -> Option<Self> {
        let last = Self::of(Number(i128::MAX));
        i32::try_from(index).ok().map(Self).filter(|bucket| bucket.0.unsigned_abs() <= last.0.unsigned_abs())
    }

    /// The smallest value in it.
    #[must_use]
    pub fn least(self) -> Number {
        if self.0 < 0 { Number(-Self(-self.0).most().0) } else { Number(signed(from(self.0.unsigned_abs()))) }
    }

    /// The largest value in it.
    #[must_use]
    pub fn most(self) -> Number {
        if self.0 < 0 { Number(-Self(-self.0).least().0) } else { Number(signed(from(self.0.unsigned_abs() + 1) - 1)) }
    }
}

fn index(magnitude: u128) -> i32 {
    let bits = u128::BITS - magnitude.leading_zeros();
    let shift = bits.saturating_sub(DIGITS + 1);
    let lead = u32::try_from(magnitude >> shift).expect("eight digits fit");
    ((shift << DIGITS) + lead).cast_signed()
}

/// The smallest magnitude in the bucket with this index.
fn from(index: u32) -> u128 {
    let shift = (index >> DIGITS).saturating_sub(1);
    u128::from(index - (shift << DIGITS)) << shift
}

fn signed(magnitude: u128) -> i128 {
    i128::try_from(magnitude).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::Bucket;
    use crate::event::Number;

    #[test]
    fn a_bucket_is_at_most_a_hundredth_wide_and_the_next_begins_where_it_ends() {
        for index in -8_000..8_000 {
            let (bucket, next) = (Bucket(index), Bucket(index + 1));
            let (least, most) = (bucket.least(), bucket.most());
            assert_eq!(next.least().0, most.0 + 1, "{index}");
            assert_eq!((Bucket::of(least), Bucket::of(most)), (bucket, bucket));
            assert!((most.0 - least.0) * 100 <= least.0.abs().min(most.0.abs()), "{index}: {least} to {most}");
        }
    }

    #[test]
    fn zero_and_the_small_whole_numbers_have_a_bucket_each() {
        assert_eq!(Bucket::of(Number::ZERO), Bucket(0));
        let whole: Vec<Bucket> = (-128..=128).map(|n| Bucket::of(Number::from_integer(n))).collect();
        assert!(whole.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_largest_numbers_have_a_bucket() {
        for value in [Number(i128::MAX), Number(i128::MIN + 1), Number(Number::LIMIT)] {
            let bucket = Bucket::of(value);
            assert!(bucket.least() <= value && value <= bucket.most());
        }
    }
}
