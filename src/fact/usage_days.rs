//! Active days, for the churn model of usage. Like those of purchases, they are summed up in the order of the days.

use super::calendar_days::{day, day_of, may_be_over, next_day, put_days, read_days, read_sums};
use super::kind::{Content, EdgeTimes, FeedContext, Kind, LATE_PERIODS, Names, Parts, Phrases};
use crate::bytes::{Read, Reader, put_i64, put_len};
use crate::calendar::Calendar;
use crate::churn::{Memories, Usage};
use crate::event::{CustomerEvent, Instant};

/// The active days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDays;

/// A customer's active days: those that no late event can change as sums, the others individually.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DailyUsage {
    /// The sums of the days before those in `open`.
    pub settled: Option<Usage>,
    /// Days since 1970-01-01, ascending.
    pub open: Vec<i32>,
}

/// The sums are never NaN, so equality is reflexive.
impl Eq for DailyUsage {}

impl DailyUsage {
    /// The usage of all days; `None` before the first.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let mut all = self.settled;
        self.open.iter().for_each(|day| add_to(&mut all, *day));
        all
    }

    /// False: nothing changed.
    fn take(&mut self, at: Instant, settled_before: Instant, calendar: &Calendar) -> bool {
        if self.open.first().is_some_and(|day| may_be_over(*day, settled_before)) {
            let first_open = day_of(settled_before, calendar);
            let settled = self.open.partition_point(|day| *day < first_open);
            for day in self.open.drain(..settled) {
                add_to(&mut self.settled, day);
            }
        }
        self.add(day_of(at, calendar))
    }

    fn add(&mut self, day: i32) -> bool {
        match self.open.binary_search(&day) {
            Ok(_) => false,
            Err(index) => {
                self.open.insert(index, day);
                true
            }
        }
    }
}

fn add_to(usage: &mut Option<Usage>, day: i32) {
    match usage {
        Some(usage) => usage.count(day, &Memories::default()),
        None => *usage = Some(Usage::first(day)),
    }
}

impl Kind for UsageDays {
    type Content = Box<DailyUsage>;

    fn feed(
        &self,
        used: &mut Box<DailyUsage>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        used.take(event.at, context.settled_before, context.calendar)
    }

    /// A day that both have settled counts twice.
    fn merge(&self, used: &mut Box<DailyUsage>, other: Box<DailyUsage>, _: EdgeTimes, _: &mut u64) {
        used.settled = match (used.settled, other.settled) {
            (Some(one), Some(other)) => Some(one.and(&other, &Memories::default())),
            (one, other) => one.or(other),
        };
        for day in other.open {
            used.add(day);
        }
    }

    fn serves(&self, _: &Self) -> bool {
        true
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        60 + events.min(LATE_PERIODS) * 4
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("days used in {}", names.zone())
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        format!("the days with {}: how many, first and last", words.events(super::A))
    }
}

impl Content for DailyUsage {
    fn is_empty(&self) -> bool {
        self.settled.is_none() && self.open.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.open.capacity() * size_of::<i32>()
    }

    fn encode(&self, out: &mut Vec<u8>, _: Instant) {
        out.push(u8::from(self.settled.is_some()));
        if let Some(settled) = &self.settled {
            put_days(out, settled.first_day, settled.last_day);
            settled.activity.iter().for_each(|sum| out.extend_from_slice(&sum.to_bits().to_le_bytes()));
        }
        put_len(out, self.open.len());
        let mut last = 0;
        for day in &self.open {
            put_i64(out, i64::from(*day) - last);
            last = i64::from(*day);
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, _: Instant) -> Read<()> {
        self.settled = None;
        self.open.clear();
        if reader.u8("use")? & 1 != 0 {
            let (first_day, last_day) = read_days(reader)?;
            let mut settled = Usage { first_day, last_day, ..Usage::first(first_day) };
            read_sums(reader, &mut settled)?;
            self.settled = Some(settled);
        }
        let mut last = 0;
        for _ in 0..reader.len("days")? {
            last = next_day(reader, last)?;
            self.open.push(day(last)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::DailyUsage;
    use crate::calendar::Calendar;
    use crate::event::{Instant, Span};

    fn calendar() -> Calendar {
        Calendar::new(jiff::tz::TimeZone::get("Europe/Paris").unwrap())
    }

    /// Hours after 2026-01-01 in Paris.
    fn at(hours: i64) -> Instant {
        Instant(1_767_222_000_000 + hours * Span::HOUR.0)
    }

    #[test]
    fn use_on_one_day_counts_once() {
        let (mut late, mut early) = (DailyUsage::default(), DailyUsage::default());
        for hours in [1, 2, 30, 31, 80] {
            late.take(at(hours), Instant::MIN, &calendar());
        }
        for hours in [2, 1, 31, 30, 80] {
            early.take(at(hours), at(hours - 25), &calendar());
        }
        assert!(!late.take(at(81), Instant::MIN, &calendar()));
        assert_eq!(late.open.len(), 3);
        assert!(early.settled.is_some());
        assert_eq!(late.usage(), early.usage());
    }
}
