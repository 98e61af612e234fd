//! Values as people write them: `"500 ms"`, `"4 days"`, `"512 MiB"`, `"1990-01-01"`.
//!
//! Every reader takes any scalar, since the environment and `--set` only have text, and says in its error what to
//! write.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};

use super::listen::Listen;
use crate::event::{Instant, NotAnInstant, Span};

/// One value, before it has a meaning.
pub(super) enum Scalar {
    Text(String),
    Whole(i64),
    Other(String),
}

impl Scalar {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Whole(_) | Self::Other(_) => None,
        }
    }

    /// A whole number, also one written as text; `_` may separate digits.
    fn whole(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.trim().replace('_', "").parse().ok(),
            Self::Whole(number) => Some(*number),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Other(shown) => f.write_str(shown),
        }
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other(truth.to_string()))
    }
}

/// Reads any scalar and gives it a meaning.
pub(super) fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl FnOnce(&Scalar) -> Result<T, String>,
) -> Result<T, D::Error> {
    let value = deserializer.deserialize_any(ScalarVisitor)?;
    read(&value).map_err(de::Error::custom)
}

pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    scalar(deserializer, read_whole)
}

/// "none" in the place of a number of lanes, until it is resolved.
pub(super) const NO_LANES: usize = usize::MAX;

pub(super) fn lanes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    scalar(deserializer, |value| match value.text() {
        Some("none") => Ok(NO_LANES),
        _ => read_whole(value).map_err(|problem| format!("{problem}; or write \"none\"")),
    })
}

pub(super) fn unless_zero<'de, D: Deserializer<'de>, T: TryFrom<i64> + Default + PartialEq>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    scalar(deserializer, |value| read_whole(value).map(|number: T| (number != T::default()).then_some(number)))
}

/// A length of time for event time: not negative, in whole milliseconds.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    scalar(deserializer, |value| read_milliseconds(value).map(Span))
}

/// A length of time for waiting.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    scalar(deserializer, |value| read_milliseconds(value).map(|ms| Duration::from_millis(ms.unsigned_abs())))
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    scalar(deserializer, |value| {
        read_quantity(value, &SIZES, "\"512 MiB\" (units: B, KiB, MiB, GiB, kB, MB, GB)").map(i64::unsigned_abs)
    })
}

pub(super) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    scalar(deserializer, read_instant)
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    scalar(deserializer, |value| {
        value.text().and_then(|text| text.parse().ok()).ok_or_else(|| {
            format!("{value} is not an IP address with a port; write it like \"127.0.0.1:9465\" or \"[::]:9464\"")
        })
    })
}

/// An address as above, a Unix socket, or nothing at all.
pub(super) fn listener<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
    scalar(deserializer, |value| {
        let wrong = || {
            format!(
                "{value} is neither an IP address with a port nor a Unix socket; write it like \"127.0.0.1:9465\" or \
                 \"unix:/run/cohortd/admin.sock\", or \"off\""
            )
        };
        match value.text().map(str::trim) {
            Some("" | "off") => Ok(Listen::Off),
            Some(text) => match text.strip_prefix("unix:") {
                Some("") => Err(wrong()),
                Some(path) => Ok(Listen::Unix(path.into())),
                None => text.parse().map(Listen::Tcp).map_err(|_| wrong()),
            },
            None => Err(wrong()),
        }
    })
}

pub(super) fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    scalar(deserializer, |value| match value {
        Scalar::Text(text) => Ok((!text.is_empty()).then(|| text.clone())),
        Scalar::Whole(_) | Scalar::Other(_) => Err(format!("{value} is not text; put it in quotes")),
    })
}

pub(super) fn path_unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    unless_empty(deserializer).map(|text| text.map(PathBuf::from))
}

fn read_whole<T: TryFrom<i64>>(value: &Scalar) -> Result<T, String> {
    let number =
        value.whole().ok_or_else(|| format!("{value} is not a whole number; write digits only, such as 1000"))?;
    T::try_from(number).map_err(|_| format!("{value} is out of range; write a number that is not negative"))
}

/// A date (midnight UTC), an ISO-8601 instant with its offset, or milliseconds since 1970.
pub(super) fn read_instant(value: &Scalar) -> Result<Instant, String> {
    let read = match value {
        Scalar::Text(text) => Instant::written(text),
        Scalar::Whole(ms) => Instant::written(&ms.to_string()),
        Scalar::Other(_) => Err(NotAnInstant::Unclear),
    };
    read.map_err(|problem| match problem {
        NotAnInstant::ProbablySeconds => {
            format!("{value} would be within three years of 1970; write milliseconds, or a date")
        }
        NotAnInstant::Beyond => format!("{value} is beyond the years 1 to 9999; write milliseconds, or a date"),
        NotAnInstant::Unclear => {
            format!(
                "{value} is not a valid time; write \"2026-01-31\", \"2026-01-31T08:00:00Z\" or milliseconds since 1970"
            )
        }
    })
}

type Unit = (&'static [&'static str], i64);

/// A month is 30 days and a year 365, as in the rules.
const TIMES: [Unit; 8] = [
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "second", "seconds"], 1_000),
    (&["min", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["week", "weeks"], 7 * 86_400_000),
    (&["month", "months"], 30 * 86_400_000),
    (&["year", "years"], 365 * 86_400_000),
];

const SIZES: [Unit; 9] = [
    (&["B", "bytes"], 1),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
    (&["TiB"], 1 << 40),
    (&["kB", "KB"], 1_000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["TB"], 1_000_000_000_000),
];

fn read_milliseconds(value: &Scalar) -> Result<i64, String> {
    read_quantity(value, &TIMES, "\"500 ms\" or \"4 days\" (units: ms, s, minutes, hours, days, weeks)")
}

/// A whole number and a unit, with or without a space; 0 needs none.
fn read_quantity(value: &Scalar, units: &[Unit], example: &str) -> Result<i64, String> {
    if value.whole() == Some(0) {
        return Ok(0);
    }
    if value.whole().is_some_and(|number| number > 0) {
        return Err(format!("{value} has no unit; write it like {example}"));
    }
    let wrong = || format!("{value} is not a whole number with a unit; write it like {example}");
    let text = value.text().ok_or_else(wrong)?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.replace('_', "").parse().map_err(|_| wrong())?;
    let (_, scale) = units.iter().find(|(names, _)| names.contains(&unit.trim())).ok_or_else(wrong)?;
    number.checked_mul(*scale).ok_or_else(|| format!("{value} is too large"))
}

#[cfg(test)]
mod tests {
    use super::{SIZES, Scalar, read_instant, read_milliseconds, read_quantity};
    use crate::event::Instant;

    fn ms(text: &str) -> Result<i64, String> {
        read_milliseconds(&Scalar::Text(text.into()))
    }

    #[test]
    fn lengths_of_time_are_a_whole_number_and_a_unit() {
        assert_eq!(ms("500 ms"), Ok(500));
        assert_eq!(ms("72h"), Ok(72 * 3_600_000));
        assert_eq!(ms("1 hour"), Ok(3_600_000));
        assert_eq!(ms("4 days"), Ok(4 * 86_400_000));
        assert_eq!(ms("1_000 s"), Ok(1_000_000));
        assert_eq!(ms("0"), Ok(0));
    }

    #[test]
    fn a_length_without_a_known_unit_is_refused_with_an_example() {
        assert!(ms("100").unwrap_err().starts_with("\"100\" has no unit; write it like \"500 ms\""));
        for wrong in ["1.5 hours", "-1 s", "5 m", "s", "", "one hour", "5 s s"] {
            assert!(ms(wrong).unwrap_err().contains("write it like"), "{wrong}");
        }
        assert!(ms("9000000000000000 days").unwrap_err().ends_with("is too large"));
    }

    #[test]
    fn sizes_are_binary_or_decimal_as_their_unit_says() {
        let size = |text: &str| read_quantity(&Scalar::Text(text.into()), &SIZES, "");
        assert_eq!(size("512 MiB"), Ok(512 << 20));
        assert_eq!(size("1GB"), Ok(1_000_000_000));
    }

    #[test]
    fn instants_are_dates_stamps_or_milliseconds_but_never_seconds() {
        let read = |text: &str| read_instant(&Scalar::Text(text.into()));
        assert_eq!(read("1970-01-02"), Ok(Instant(86_400_000)));
        assert_eq!(read("2026-01-01T01:00:00+01:00"), Ok(Instant(1_767_225_600_000)));
        assert_eq!(read("1767225600000"), Ok(Instant(1_767_225_600_000)));
        assert!(read("1767225600").unwrap_err().contains("write milliseconds"));
        assert!(read("2026-01-01T01:00:00").unwrap_err().contains("is not a valid time"));
    }
}
