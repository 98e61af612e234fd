//! Calendar days in the rules' time zone, as the facts about purchases and usage number and store them.

use crate::bytes::{Corrupt, Read, Reader, put_i64};
use crate::calendar::{Calendar, Unit};
use crate::churn::Usage;
use crate::event::{Instant, Span};

/// May a day be before that of an instant, whatever the time zone? A cheap test before the instant's day is computed.
pub(super) fn may_be_over(day: i32, at: Instant) -> bool {
    at.0.div_euclid(Span::DAY.0) + 1 > i64::from(day)
}

/// Days since 1970-01-01.
pub(super) fn day_of(at: Instant, calendar: &Calendar) -> i32 {
    // No event has a time outside the range, so saturating changes no result.
    let day = calendar.period(at, Unit::Day);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// Appends a first and a last day.
pub fn put_days(out: &mut Vec<u8>, first: i32, last: i32) {
    put_i64(out, i64::from(first));
    put_i64(out, i64::from(last) - i64::from(first));
}

/// # Errors
/// Bytes that `put_days` did not write.
pub fn read_days(reader: &mut Reader<'_>) -> Read<(i32, i32)> {
    let first = reader.i64("day")?;
    let last = first.checked_add(reader.i64("day")?).ok_or(Corrupt("day"))?;
    Ok((day(first)?, day(last)?))
}

/// Reads the sums of a customer's usage, each as the bits of a double.
///
/// # Errors
/// Bytes that end too early, and sums that are negative or not finite.
pub fn read_sums(reader: &mut Reader<'_>, usage: &mut Usage) -> Read<()> {
    for sum in &mut usage.activity {
        *sum = f64::from_bits(u64::from_le_bytes(reader.array("use")?));
        // Valid sums are finite and not negative; anything else would propagate into every result.
        if !sum.is_finite() || *sum < 0.0 {
            return Err(Corrupt("sum of use"));
        }
    }
    Ok(())
}

/// Reads a day as its distance from the one before.
pub(super) fn next_day(reader: &mut Reader<'_>, last: i64) -> Read<i64> {
    last.checked_add(reader.i64("day")?).ok_or(Corrupt("day"))
}

pub(super) fn day(number: i64) -> Read<i32> {
    i32::try_from(number).map_err(|_| Corrupt("day"))
}
