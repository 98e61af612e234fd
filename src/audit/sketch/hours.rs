//! Records and bytes by hour; by day, and so on, where there would be too many hours.

use rustc_hash::FxHashMap;

use crate::event::{Instant, Span};

/// The most hours that are kept apart: 14 months.
const HOURS_MAX: usize = 10_000;
/// An hour becomes a day, a day 24 days.
const COARSER: i64 = 24;

/// Counts by hour, in UTC.
#[derive(Debug)]
pub(in crate::audit) struct Hours {
    width: i64,
    hours: FxHashMap<i64, (u64, u64)>,
}

/// One hour in which there is something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) struct Hour {
    pub(in crate::audit) from: Instant,
    pub(in crate::audit) records: u64,
    pub(in crate::audit) bytes: u64,
}

impl Default for Hours {
    fn default() -> Self {
        Self { width: Span::HOUR.0, hours: FxHashMap::default() }
    }
}

impl Hours {
    /// Counts a record.
    pub(in crate::audit) fn add(&mut self, at: Instant, bytes: u64) {
        let (records, all) = self.hours.entry(at.0.div_euclid(self.width)).or_default();
        *records += 1;
        *all += bytes;
        while self.hours.len() > HOURS_MAX {
            self.width *= COARSER;
            for (hour, (records, bytes)) in std::mem::take(&mut self.hours) {
                let day = self.hours.entry(hour.div_euclid(COARSER)).or_default();
                day.0 += records;
                day.1 += bytes;
            }
        }
    }

    /// The length of an hour, which is longer where there are too many.
    #[must_use]
    pub(in crate::audit) fn width(&self) -> Span {
        Span(self.width)
    }

    /// In order.
    #[must_use]
    pub(in crate::audit) fn sorted(&self) -> Vec<Hour> {
        let mut hours: Vec<Hour> = (self.hours.iter())
            .map(|(hour, (records, bytes))| Hour {
                from: Instant(hour.saturating_mul(self.width)),
                records: *records,
                bytes: *bytes,
            })
            .collect();
        hours.sort_unstable_by_key(|hour| hour.from);
        hours
    }
}

#[cfg(test)]
mod tests {
    use super::{HOURS_MAX, Hour, Hours};
    use crate::event::{Instant, Span};

    #[test]
    fn records_are_counted_in_their_hour_before_1970_too() {
        let mut hours = Hours::default();
        for at in [0, 3_599_999, 3_600_000, -1] {
            hours.add(Instant(at), 10);
        }
        let hour = |from, records| Hour { from: Instant(from), records, bytes: 10 * records };
        assert_eq!(hours.sorted(), [hour(-3_600_000, 1), hour(0, 2), hour(3_600_000, 1)]);
    }

    #[test]
    fn too_many_hours_become_days_and_nothing_is_lost() {
        let mut hours = Hours::default();
        let count = HOURS_MAX as i64 + 1;
        (0..count).for_each(|hour| hours.add(Instant(hour * Span::HOUR.0), 1));
        let days = hours.sorted();
        assert_eq!((hours.width(), days.len() as i64), (Span::DAY, (count + 23) / 24));
        assert_eq!(days.iter().map(|day| day.records).sum::<u64>(), count as u64);
    }
}
