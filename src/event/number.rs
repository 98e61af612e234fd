//! Exact decimals of six places.

use std::fmt;

use super::Digits;

/// [`Number::ONE`]
const ONE_U64: u64 = 1_000_000;

/// A decimal of six places, held as millionths. Added and compared exactly, so 0.7 + 0.1 + 0.1 = 0.9.
///
/// Values read from events stay within ±2^83 millionths (about ±9.67e18), which covers every 64-bit integer; sums may
/// grow beyond that without overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Number(pub i128);

impl Number {
    pub const ZERO: Self = Self(0);
    /// Millionths in one.
    pub const ONE: i128 = 1_000_000;
    /// The largest magnitude, in millionths, that a value read from an event may have.
    pub const LIMIT: i128 = 1 << 83;

    #[must_use]
    pub fn from_integer(value: i64) -> Self {
        Self(i128::from(value) * Self::ONE)
    }

    /// The nearest double.
    #[must_use]
    pub fn to_double(self) -> f64 {
        self.0 as f64 / Self::ONE as f64
    }

    /// Rounds half to even at the sixth place. `None` for NaN, infinities and values that do not fit.
    #[must_use]
    pub fn from_double(value: f64) -> Option<Self> {
        if !value.is_finite() || value.abs() >= 9.6e18 {
            return None;
        }
        // The integer part and the fraction are exact, and scaling the fraction alone is exact to six places.
        let whole = value.trunc();
        let millionths = ((value - whole).abs() * 1e6).round_ties_even();
        let magnitude = (whole.abs() as i128) * Self::ONE + millionths as i128;
        Some(Self(if value.is_sign_negative() { -magnitude } else { magnitude }))
    }

    /// Parses `12`, `-0.5`; at most six places. `None` if there are more, or the text is not a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty()
            || fraction.len() > 6
            || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let fraction: i128 = format!("{fraction:0<6}").parse().ok()?;
        let magnitude = whole.checked_mul(Self::ONE)?.checked_add(fraction)?;
        (magnitude < Self::LIMIT).then_some(Self(if negative { -magnitude } else { magnitude }))
    }

    /// Writes the number as it is displayed.
    ///
    /// # Errors
    /// Those of `out`; a `String` has none.
    pub fn write_to(self, out: &mut impl fmt::Write) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        if self.0 < 0 {
            out.write_char('-')?;
        }
        // Division of 128 bits is slow, and hardly ever needed.
        let (whole, fraction) = match u64::try_from(magnitude) {
            Ok(magnitude) => (u128::from(magnitude / ONE_U64), magnitude % ONE_U64),
            Err(_) => (magnitude / u128::from(ONE_U64), (magnitude % u128::from(ONE_U64)) as u64),
        };
        match u64::try_from(whole) {
            Ok(whole) => out.write_str(Digits::of_unsigned(whole).as_str())?,
            Err(_) => write!(out, "{whole}")?,
        }
        if fraction == 0 {
            return Ok(());
        }
        // The one in front keeps the zeros after the point.
        let digits = Digits::of_unsigned(fraction + ONE_U64);
        out.write_char('.')?;
        out.write_str(digits.as_str()[1..].trim_end_matches('0'))
    }
}

impl fmt::Display for Number {
    /// The shortest exact text: `12`, `-0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Number;

    proptest! {
        #[test]
        fn a_number_is_displayed_with_the_places_that_it_has(value in any::<i128>(), shift in 0_u32..127, zeros in 0_u32..8) {
            let value = Number((value >> shift) / 10_i128.pow(zeros) * 10_i128.pow(zeros));
            let (whole, fraction) = (value.0.unsigned_abs() / 1_000_000, value.0.unsigned_abs() % 1_000_000);
            let places = format!("{fraction:06}");
            let places = places.trim_end_matches('0');
            let (sign, point) = (if value.0 < 0 { "-" } else { "" }, if places.is_empty() { "" } else { "." });
            prop_assert_eq!(value.to_string(), format!("{sign}{whole}{point}{places}"));
        }
    }

    #[test]
    fn doubles_round_half_to_even_at_the_sixth_place() {
        let read = |value| Number::from_double(value).map(|n| n.to_string());
        assert_eq!(read(0.007_812_5).as_deref(), Some("0.007812"));
        assert_eq!(read(0.023_437_5).as_deref(), Some("0.023438"));
        assert_eq!(read(-12.345_678_9).as_deref(), Some("-12.345679"));
        assert_eq!(read(1e15).as_deref(), Some("1000000000000000"));
        assert_eq!(read(f64::NAN), None);
        assert_eq!(read(1e30), None);
        assert_eq!(read(-0.0).as_deref(), Some("0"));
    }

    #[test]
    fn sums_of_decimals_are_exact() {
        let sum: i128 = [0.7, 0.1, 0.1].iter().map(|v| Number::from_double(*v).unwrap().0).sum();
        assert_eq!(Number(sum), Number::parse("0.9").unwrap());
    }

    #[test]
    fn a_literal_with_more_than_six_places_is_refused() {
        assert_eq!(Number::parse("0.1234567"), None);
        assert_eq!(Number::parse("1."), Number::parse("1"));
        assert_eq!(Number::parse(""), None);
    }
}
