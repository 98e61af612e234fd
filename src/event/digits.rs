//! Whole numbers as text, on the stack.

/// The sign and 19 digits, or 20 digits.
const LENGTH_MAX: usize = 20;

/// The digits of 0 to 99, of which one division finds two.
const PAIRS: [[u8; 2]; 100] = {
    let (mut pairs, mut value) = ([[0; 2]; 100], 0);
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

/// The same, one after another.
const PAIRS_TEXT: &str = match str::from_utf8(PAIRS.as_flattened()) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

/// A whole number in decimal digits.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    bytes: [u8; LENGTH_MAX],
    from: usize,
}

impl Digits {
    #[must_use]
    pub fn of(value: i64) -> Self {
        let mut digits = Self::of_unsigned(value.unsigned_abs());
        if value < 0 {
            digits.from -= 1;
            digits.bytes[digits.from] = b'-';
        }
        digits
    }

    #[must_use]
    pub fn of_unsigned(mut value: u64) -> Self {
        let (mut bytes, mut from) = ([b'0'; LENGTH_MAX], LENGTH_MAX);
        while value >= 100 {
            from -= 2;
            bytes[from..from + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
            value /= 100;
        }
        let [tens, ones] = PAIRS[value as usize];
        from -= 1;
        bytes[from] = ones;
        if value >= 10 {
            from -= 1;
            bytes[from] = tens;
        }
        Self { bytes, from }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Most numbers in texts are small: theirs need not be checked.
        let digit = |byte: u8| usize::from(byte - b'0');
        match *self.as_bytes() {
            [ones] => &PAIRS_TEXT[2 * digit(ones) + 1..2 * digit(ones) + 2],
            [tens, ones] if tens != b'-' => {
                let pair = 10 * digit(tens) + digit(ones);
                &PAIRS_TEXT[2 * pair..2 * pair + 2]
            }
            ref more => str::from_utf8(more).expect("a sign and digits are ASCII"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Digits;

    #[test]
    fn the_smallest_and_the_largest_have_all_their_digits() {
        for value in [i64::MIN, -1, 0, 9, 10, i64::MAX] {
            assert_eq!(Digits::of(value).as_str(), value.to_string());
        }
        assert_eq!(Digits::of_unsigned(u64::MAX).as_str(), u64::MAX.to_string());
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_standard_library(value in any::<i64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let (signed, unsigned) = (Digits::of(value), Digits::of_unsigned(value.cast_unsigned()));
            prop_assert_eq!(signed.as_str(), value.to_string());
            prop_assert_eq!(unsigned.as_str(), value.cast_unsigned().to_string());
        }
    }
}
