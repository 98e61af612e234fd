//! Counts per calendar period: `in at least N of the last M weeks`, `every week for at least N weeks in a row`.

use std::collections::BTreeMap;

use super::kind::{Content, DistinctKey, EdgeTimes, FeedContext, Kind, LATE_PERIODS, Names, Parts, Phrases, halve};
use crate::bytes::{Read, Reader, put_i64, put_len, put_u64};
use crate::calendar::Unit;
use crate::event::{CustomerEvent, Instant};
use crate::prefetch::prefetch_ends;

/// How many, counted up to `most`, in each of the last `back` calendar periods and the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods {
    pub unit: Unit,
    pub back: u32,
    pub most: u32,
}

/// Ascending by number.
pub type PeriodCounts = Vec<Period>;

/// The events of one calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The calendar's number of the day, week or month.
    pub number: i64,
    /// Counted up to `most`.
    pub count: u32,
}

impl Kind for Periods {
    type Content = PeriodCounts;

    /// No customer is evaluated before the oldest event that can still arrive, so only `back` periods before that
    /// event's period can matter.
    fn feed(
        &self,
        periods: &mut PeriodCounts,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let number = context.calendar.period(event.at, self.unit);
        let index = periods.partition_point(|period| period.number < number);
        if let Some(period) = periods.get_mut(index).filter(|period| period.number == number) {
            let counts = period.count < self.most;
            period.count += u32::from(counts);
            return counts;
        }
        periods.insert(index, Period { number, count: 1 });
        if context.settled_before > Instant::MIN {
            let oldest = context.calendar.period(context.settled_before, self.unit) - i64::from(self.back);
            periods.drain(..periods.partition_point(|period| period.number < oldest));
        }
        true
    }

    fn merge(&self, periods: &mut PeriodCounts, other: PeriodCounts, _: EdgeTimes, _: &mut u64) {
        for added in other {
            let index = periods.partition_point(|period| period.number < added.number);
            match periods.get_mut(index).filter(|period| period.number == added.number) {
                None => periods.insert(index, added),
                Some(period) => period.count = period.count.saturating_add(added.count).min(self.most),
            }
        }
    }

    /// The log may begin within a period, and the kept count may have been capped lower, so the larger count is right.
    fn union(&self, periods: &mut PeriodCounts, log: PeriodCounts) {
        let mut all: BTreeMap<i64, u32> = periods.iter().map(|period| (period.number, period.count)).collect();
        for period in log {
            let count = all.entry(period.number).or_default();
            *count = (*count).max(period.count);
        }
        *periods = all.into_iter().map(|(number, count)| Period { number, count }).collect();
    }

    fn trim(&self, periods: &mut PeriodCounts) {
        periods.iter_mut().for_each(|period| period.count = period.count.min(self.most));
    }

    fn absorb(&mut self, other: &Self) -> bool {
        if self.unit != other.unit {
            return false;
        }
        self.back = self.back.max(other.back);
        self.most = self.most.max(other.most);
        true
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.back >= wanted.back && self.most >= wanted.most
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        2 + events.min(self.back as usize + LATE_PERIODS) * 4
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("periods {}", DistinctKey::Period(self.unit).definition(names))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let periods = words.counted(u64::from(self.back), self.unit);
        format!("how often {} in each of the last {periods}", words.events(super::A))
    }
}

impl Content for PeriodCounts {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<Period>()
    }

    fn prefetch(&self) {
        prefetch_ends(self);
    }

    fn longest(&self) -> usize {
        self.len()
    }

    fn drop_older_half(&mut self) {
        halve(self);
    }

    fn encode(&self, out: &mut Vec<u8>, _: Instant) {
        put_len(out, self.len());
        let mut last = 0;
        for period in self {
            put_i64(out, period.number - last);
            put_u64(out, u64::from(period.count));
            last = period.number;
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, _: Instant) -> Read<()> {
        self.clear();
        let mut number = 0;
        for _ in 0..reader.len("periods")? {
            number += reader.i64("period")?;
            self.push(Period { number, count: reader.u32("period")? });
        }
        Ok(())
    }
}
