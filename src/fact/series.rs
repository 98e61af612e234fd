//! Times with numbers, the latest individually, older ones aggregated by day: counts, sums and averages over a window.

use super::FactIx;
use super::floor::{Floor, furthest, reaches};
use super::kind::{
    Content, Counted, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, halve, multiset_union, optional, within,
};
use super::times::{put_times, read_times};
use crate::bytes::{Read, Reader, put_i64, put_instant, put_len, put_number, put_u64};
use crate::event::{CustomerEvent, Instant, Number, PropertyId, Span, Value};
use crate::prefetch::prefetch_ends;

/// Times and numbers, the latest `exact` individually, older ones aggregated by day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pub property: Option<PropertyId>,
    pub exact: usize,
    pub horizon: Option<Span>,
    pub floor: Floor,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimesAndDays {
    /// Ascending by day, all older than the oldest of `times`.
    pub days: Vec<DayBucket>,
    /// Ascending by `(time, number)`.
    pub times: Vec<Instant>,
    /// As long as `times`, or empty where the fact has no property.
    pub numbers: Vec<Number>,
}

/// The aggregate of the events of one UTC day that are no longer held individually; they count as if all were at
/// `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBucket {
    /// Days since 1970-01-01 UTC.
    pub day: i64,
    pub last: Instant,
    pub count: u64,
    pub sum: Number,
}

impl Series {
    fn insert(&self, series: &mut TimesAndDays, at: Instant, number: Number, approximated: &mut u64) {
        let mut index = series.times.partition_point(|time| *time < at);
        if self.property.is_some() {
            while index < series.times.len() && series.times[index] == at && series.numbers[index] < number {
                index += 1;
            }
            series.numbers.insert(index, number);
        }
        series.times.insert(index, at);
        if series.times.len() > self.exact {
            series.fold_oldest();
            *approximated += 1;
        }
    }
}

impl Kind for Series {
    type Content = Box<TimesAndDays>;

    fn feed(
        &self,
        series: &mut Box<TimesAndDays>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let number = match self.property {
            None => Number::ZERO,
            Some(property) => match event.property(property).and_then(Value::number) {
                Some(number) => number,
                None => return false,
            },
        };
        self.insert(series, event.at, number, context.approximated);
        true
    }

    fn forget(&self, series: &mut Box<TimesAndDays>, edge: EdgeTimes, settled_before: Instant) {
        let (from, through) = self.floor.bounds(self.horizon, edge, settled_before);
        let keep_from = series.times.partition_point(|time| *time < from);
        let keep_to = series.times.partition_point(|time| *time <= through);
        series.times.truncate(keep_to);
        series.numbers.truncate(keep_to);
        series.times.drain(..keep_from.min(keep_to));
        let numbers = keep_from.min(keep_to).min(series.numbers.len());
        series.numbers.drain(..numbers);
        series.days.retain(|day| day.last >= from);
    }

    fn merge(&self, series: &mut Box<TimesAndDays>, other: Box<TimesAndDays>, _: EdgeTimes, approximated: &mut u64) {
        let TimesAndDays { days, times, numbers } = *other;
        for day in days {
            series.add_day(day);
        }
        for (index, at) in times.into_iter().enumerate() {
            self.insert(series, at, numbers.get(index).copied().unwrap_or_default(), approximated);
        }
        // Day buckets hold only events older than all that are held individually.
        while let (Some(day), Some(oldest)) = (series.days.last(), series.times.first())
            && day.last > *oldest
        {
            series.fold_oldest();
            *approximated += 1;
        }
    }

    /// Events in day buckets cannot be matched with those of the other side, so with any bucket the side that reaches
    /// further back wins.
    fn union(&self, kept: &mut Box<TimesAndDays>, log: Box<TimesAndDays>) {
        let first = |series: &TimesAndDays| series.days.first().map(|day| day.last).or(series.times.first().copied());
        if !kept.days.is_empty() || !log.days.is_empty() {
            if first(&log).is_some_and(|from_log| first(kept).is_none_or(|kept| from_log < kept)) {
                *kept = log;
            }
            return;
        }
        let (kept_now, log) = (std::mem::take(&mut **kept), *log);
        if kept_now.numbers.is_empty() && log.numbers.is_empty() {
            kept.times = multiset_union(kept_now.times, log.times);
            return;
        }
        let numbered = |series: TimesAndDays| series.times.into_iter().zip(series.numbers).collect();
        (kept.times, kept.numbers) = multiset_union(numbered(kept_now), numbered(log)).into_iter().unzip();
    }

    fn trim(&self, series: &mut Box<TimesAndDays>) {
        while series.times.len() > self.exact {
            series.fold_oldest();
        }
    }

    fn absorb(&mut self, other: &Self) -> bool {
        if (self.property, self.floor, other.floor) != (other.property, Floor::None, Floor::None) {
            return self == other;
        }
        self.exact = self.exact.max(other.exact);
        self.horizon = furthest(self.horizon, other.horizon);
        true
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.exact >= wanted.exact && reaches(self.horizon, wanted.horizon)
    }

    fn is_valid(&self, series: &Box<TimesAndDays>) -> bool {
        let numbers = if self.property.is_some() { series.times.len() } else { 0 };
        series.numbers.len() == numbers
    }

    fn horizon(&self) -> Option<Span> {
        self.horizon
    }

    fn floor_fact(&self) -> Option<FactIx> {
        self.floor.fact()
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        let days = self.horizon.map_or(3650, |span| usize::try_from(span.0 / Span::DAY.0).unwrap_or(3650) + 2);
        let pair = if self.property.is_some() { 10 } else { 6 };
        // Older ones are in day buckets.
        self.exact.min(events) * pair + days.min(events.saturating_sub(self.exact)) * 16
    }

    fn counts(&self) -> Option<(usize, Counted)> {
        Some((self.exact, Counted::Times))
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("series {} {}", optional(self.property, names), self.floor.definition(names))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let with = self.property.map(|property| format!(" with its {}", words.property(property))).unwrap_or_default();
        let (within, exact) = (within(self.horizon, words), self.exact);
        format!("each {}{with}{within}, the latest {exact} one by one, older ones by day", words.events(super::A))
    }
}

impl TimesAndDays {
    /// Moves the oldest event into the bucket of its day.
    fn fold_oldest(&mut self) {
        let at = self.times.remove(0);
        let sum = if self.numbers.is_empty() { Number::ZERO } else { self.numbers.remove(0) };
        self.add_day(DayBucket { day: at.0.div_euclid(Span::DAY.0), last: at, count: 1, sum });
    }

    fn add_day(&mut self, day: DayBucket) {
        let index = self.days.partition_point(|bucket| bucket.day < day.day);
        match self.days.get_mut(index).filter(|bucket| bucket.day == day.day) {
            None => self.days.insert(index, day),
            Some(bucket) => {
                bucket.last = bucket.last.max(day.last);
                bucket.count += day.count;
                bucket.sum = Number(bucket.sum.0.saturating_add(day.sum.0));
            }
        }
    }
}

impl Content for TimesAndDays {
    fn is_empty(&self) -> bool {
        self.times.is_empty() && self.days.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.times.capacity() * size_of::<Instant>()
            + self.numbers.capacity() * size_of::<Number>()
            + self.days.capacity() * size_of::<DayBucket>()
    }

    fn prefetch(&self) {
        prefetch_ends(&self.times);
        prefetch_ends(&self.numbers);
    }

    fn longest(&self) -> usize {
        self.times.len().max(self.days.len())
    }

    fn drop_older_half(&mut self) {
        if self.days.len() > self.times.len() {
            halve(&mut self.days);
            return;
        }
        // As over capacity, the oldest events move into day buckets.
        for _ in 0..self.times.len() / 2 {
            self.fold_oldest();
        }
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_len(out, self.days.len());
        for bucket in &self.days {
            put_i64(out, bucket.day);
            put_instant(out, bucket.last, base);
            put_u64(out, bucket.count);
            put_number(out, bucket.sum);
        }
        put_times(out, &self.times, base);
        put_len(out, self.numbers.len());
        self.numbers.iter().for_each(|number| put_number(out, *number));
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        self.days.clear();
        for _ in 0..reader.len("days")? {
            self.days.push(DayBucket {
                day: reader.i64("day")?,
                last: reader.instant(base, "day")?,
                count: reader.u64("day")?,
                sum: reader.number("day")?,
            });
        }
        read_times(&mut self.times, reader, base)?;
        self.numbers.clear();
        for _ in 0..reader.len("numbers")? {
            self.numbers.push(reader.number("number")?);
        }
        Ok(())
    }
}
