//! Decimals as written, before they are rounded to the six places of [`Number`].

use crate::event::Number;

/// `unscaled` × 10^-`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    unscaled: i128,
    scale: i32,
}

/// Ten to this power is below the largest `i128`.
const POWER_MAX: u32 = 38;

impl Decimal {
    pub(super) fn integer(value: i64) -> Self {
        Self { unscaled: value.into(), scale: 0 }
    }

    /// Of two's complement, the highest byte first. `None`: more than 16 bytes.
    pub(super) fn of_bytes(bytes: &[u8], scale: i32) -> Option<Self> {
        let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
        let start = bytes.iter().position(|byte| *byte != sign).unwrap_or(bytes.len());
        let significant = &bytes[start..];
        // The sign must fit beside them.
        if significant.len() > 16 || significant.len() == 16 && (significant[0] >= 0x80) != (sign == 0xff) {
            return None;
        }
        let extended = if sign == 0xff { -1 } else { 0 };
        let unscaled = significant.iter().fold(extended, |value: i128, byte| (value << 8) | i128::from(*byte));
        Some(Self { unscaled, scale })
    }

    /// Of digits with an optional sign, point and exponent. `None`: not a number, or one of more than 38 digits before its
    /// point.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let end = rest.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(rest.len());
        let exponent = match rest.get(end + 1..) {
            Some(exponent) => std::str::from_utf8(exponent).ok()?.parse::<i32>().ok()?,
            None => 0,
        };
        let (mut magnitude, mut scale) = (0_u128, 0_i32);
        let (mut digits, mut is_fraction, mut is_cut) = (0_usize, false, false);
        for byte in &rest[..end] {
            match byte {
                b'.' if !is_fraction => is_fraction = true,
                b'0'..=b'9' => {
                    digits += 1;
                    let digit = u128::from(byte - b'0');
                    if magnitude >= 10_u128.pow(POWER_MAX - 1) {
                        // A digit so far behind decides nothing but whether what comes before it is exact.
                        if !is_fraction {
                            return None;
                        }
                        is_cut |= digit > 0;
                        continue;
                    }
                    magnitude = magnitude * 10 + digit;
                    scale += i32::from(is_fraction);
                }
                _ => return None,
            }
        }
        if digits == 0 {
            return None;
        }
        // So far behind the sixth place it does nothing but keep a number from being exactly between two others, or whole.
        magnitude |= u128::from(is_cut);
        let unscaled = i128::try_from(magnitude).ok()?;
        Some(Self { unscaled: if negative { -unscaled } else { unscaled }, scale: scale.checked_sub(exponent)? })
    }

    /// Rounded half to even at the sixth place. `None`: out of range.
    pub(super) fn number(self) -> Option<Number> {
        let magnitude = self.unscaled.unsigned_abs();
        let places = 6 - i64::from(self.scale);
        let millionths = if magnitude == 0 {
            0
        } else if let Ok(more) = u32::try_from(places) {
            let factor = (more <= POWER_MAX).then(|| 10_u128.pow(more))?;
            magnitude.checked_mul(factor)?
        } else {
            match u32::try_from(-places) {
                Ok(fewer) if fewer <= POWER_MAX => divide(magnitude, 10_u128.pow(fewer)),
                _ => 0,
            }
        };
        let millionths = i128::try_from(millionths).ok().filter(|millionths| *millionths < Number::LIMIT)?;
        Some(Number(if self.unscaled < 0 { -millionths } else { millionths }))
    }

    /// The whole number that it is; `None` if it has a fraction or is too large.
    pub(super) fn whole(self) -> Option<i128> {
        let power = self.scale.unsigned_abs();
        if self.unscaled == 0 {
            return Some(0);
        }
        let factor = (power <= POWER_MAX).then(|| 10_i128.pow(power))?;
        match self.scale {
            ..=0 => self.unscaled.checked_mul(factor),
            _ => (self.unscaled % factor == 0).then_some(self.unscaled / factor),
        }
    }

    /// So many times itself, rounded down; `None` if that is too large. `by` is a power of ten, and `per` too.
    pub(super) fn times(self, by: i64, per: i64) -> Option<i64> {
        let power = self.scale.unsigned_abs();
        let product = self.unscaled.checked_mul(by.into())?;
        if self.unscaled == 0 {
            return Some(0);
        }
        let scaled = match self.scale {
            ..=0 => (power <= POWER_MAX).then(|| 10_i128.pow(power))?.checked_mul(product)?,
            _ if power > POWER_MAX => {
                if product < 0 {
                    -1
                } else {
                    0
                }
            }
            _ => product.div_euclid(10_i128.pow(power)),
        };
        i64::try_from(scaled.div_euclid(per.into())).ok()
    }
}

/// Rounded half to even.
fn divide(magnitude: u128, by: u128) -> u128 {
    let (quotient, rest) = (magnitude / by, magnitude % by);
    match (rest * 2).cmp(&by) {
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
        std::cmp::Ordering::Less => quotient,
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn number(text: &str) -> Option<String> {
        Some(Decimal::parse(text.as_bytes())?.number()?.to_string())
    }

    #[test]
    fn numbers_are_exact_as_written_and_rounded_once() {
        for (text, expected) in [
            ("59.99", "59.99"),
            ("-0.1", "-0.1"),
            ("0.0000005", "0"),
            ("0.0000015", "0.000002"),
            ("0.00000050000000000000000000000000000000000000000001", "0.000001"),
            ("9007199254740993.25", "9007199254740993.25"),
            ("9223372036854775807", "9223372036854775807"),
            ("1e3", "1000"),
            ("1.5E-2", "0.015"),
            ("0e999", "0"),
            ("1e-400", "0"),
            ("+7.", "7"),
        ] {
            assert_eq!(number(text).as_deref(), Some(expected), "{text}");
        }
        for none in
            ["", ".", "-", "1e", "1.2.3", "NaN", "inf", "1e300", "1e99999999999", "12345678901234567890123", "0x1"]
        {
            assert_eq!(number(none), None, "{none}");
        }
        assert_eq!(number(&"9".repeat(500)), None);
    }

    #[test]
    fn bytes_are_two_s_complement() {
        let of = |bytes: &[u8], scale| Decimal::of_bytes(bytes, scale).and_then(Decimal::number).map(|n| n.to_string());
        assert_eq!(of(&[], 2).as_deref(), Some("0"));
        assert_eq!(of(&[0xff], 2).as_deref(), Some("-0.01"));
        assert_eq!(of(&[0x17, 0x6f], 2).as_deref(), Some("59.99"));
        assert_eq!(of(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 0).as_deref(), Some("1"));
        assert_eq!(of(&[0x80; 17], 0), None);
        assert_eq!(Decimal::of_bytes(&[0xff; 16], 0).and_then(Decimal::whole), Some(-1));
        let mut sixteen = [0; 17];
        sixteen[1] = 0x80;
        assert_eq!(Decimal::of_bytes(&sixteen, 0), None);
    }

    #[test]
    fn times_are_rounded_down_before_1970_too() {
        let ms = |text: &str, by, per| Decimal::parse(text.as_bytes()).unwrap().times(by, per);
        assert_eq!(ms("1700000000.1239", 1_000, 1), Some(1_700_000_000_123));
        assert_eq!(ms("-0.0001", 1_000, 1), Some(-1));
        assert_eq!(ms("1700000000123456", 1, 1_000), Some(1_700_000_000_123));
        assert_eq!(ms("-1", 1, 1_000_000), Some(-1));
        assert_eq!(ms("1.7e12", 1, 1), Some(1_700_000_000_000));
        assert_eq!(ms("1e30", 1_000, 1), None);
    }
}
