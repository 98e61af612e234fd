//! Times with values of any type, for `first`, `last` and `most_common`.

use super::floor::{Floor, furthest, reaches};
use super::kind::{Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, halve, multiset_union, within};
use super::times::{put_times, read_times};
use super::{A, FactIx};
use crate::bytes::{Corrupt, Read, Reader, put_number, put_text};
use crate::event::{CustomerEvent, Instant, Kept, PropertyId, Span, Value};
use crate::prefetch::prefetch_ends;

/// Before texts are kept or compared, they are truncated to at most this many bytes, at a character boundary.
pub const TEXT_MAX: usize = 256;

/// Times and values of any type: the latest (or `earliest`) `cap`, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    pub property: PropertyId,
    pub earliest: bool,
    pub cap: usize,
    pub horizon: Option<Span>,
    pub floor: Floor,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimedValues {
    /// Ascending by `(time, value)`.
    pub times: Vec<Instant>,
    /// As long as `times`.
    pub values: Vec<Kept>,
}

/// A text truncated to [`TEXT_MAX`].
#[must_use]
pub fn kept_part(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// A value, its text truncated to [`TEXT_MAX`].
fn truncate_text(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) => Value::Text(kept_part(text)),
        _ => value,
    }
}

impl Values {
    /// Adds a value at its time. Over capacity the oldest is dropped, and counted. With a capacity of one the first, or
    /// last, is kept. False: nothing changed.
    fn add(&self, kept: &mut TimedValues, at: Instant, value: Value<'_>, approximated: &mut u64) -> bool {
        let value = truncate_text(value);
        if self.cap == 1 {
            return self.replace(kept, at, value);
        }
        let mut index = kept.times.partition_point(|time| *time < at);
        while index < kept.times.len() && kept.times[index] == at && kept.values[index].value() < value {
            index += 1;
        }
        kept.times.insert(index, at);
        kept.values.insert(index, Kept::from(value));
        if kept.times.len() > self.cap {
            kept.times.remove(0);
            kept.values.remove(0);
            *approximated += 1;
        }
        true
    }

    fn replace(&self, kept: &mut TimedValues, at: Instant, value: Value<'_>) -> bool {
        let (Some(time), Some(held)) = (kept.times.first_mut(), kept.values.first_mut()) else {
            kept.times.push(at);
            kept.values.push(Kept::from(value));
            return true;
        };
        let further = if self.earliest { at < *time } else { at > *time };
        let greater = at == *time && value > held.value();
        if !further && !greater {
            return false;
        }
        *time = at;
        // Avoids an allocation where the value is the same.
        if held.value() != value {
            *held = Kept::from(value);
        }
        true
    }
}

impl Kind for Values {
    type Content = Box<TimedValues>;

    fn feed(
        &self,
        kept: &mut Box<TimedValues>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let value = event.property(self.property);
        value.is_some_and(|value| self.add(kept, event.at, value, context.approximated))
    }

    fn forget(&self, kept: &mut Box<TimedValues>, edge: EdgeTimes, settled_before: Instant) {
        // With a capacity of one only another value replaces it.
        if self.cap > 1 {
            let (from, through) = self.floor.bounds(self.horizon, edge, settled_before);
            let end = kept.times.partition_point(|time| *time <= through);
            let start = kept.times.partition_point(|time| *time < from).min(end);
            kept.keep(start, end);
        }
    }

    fn merge(&self, kept: &mut Box<TimedValues>, other: Box<TimedValues>, _: EdgeTimes, approximated: &mut u64) {
        for (at, value) in other.times.iter().zip(&other.values) {
            self.add(kept, *at, value.value(), approximated);
        }
    }

    fn union(&self, kept: &mut Box<TimedValues>, log: Box<TimedValues>) {
        if self.cap == 1 {
            return self.merge(kept, log, None, &mut 0);
        }
        let pairs = |values: TimedValues| values.times.into_iter().zip(values.values).collect();
        let all = multiset_union(pairs(std::mem::take(&mut **kept)), pairs(*log));
        (kept.times, kept.values) = all.into_iter().unzip();
    }

    fn trim(&self, kept: &mut Box<TimedValues>) {
        let len = kept.times.len();
        let start = if self.earliest { 0 } else { len.saturating_sub(self.cap) };
        kept.keep(start, len.min(start + self.cap));
    }

    fn absorb(&mut self, other: &Self) -> bool {
        let is_alike =
            (self.property, self.earliest, self.cap == 1) == (other.property, other.earliest, other.cap == 1);
        if !is_alike || (self.floor, other.floor) != (Floor::None, Floor::None) {
            return self == other;
        }
        self.cap = self.cap.max(other.cap);
        self.horizon = furthest(self.horizon, other.horizon);
        true
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.cap >= wanted.cap && reaches(self.horizon, wanted.horizon)
    }

    fn horizon(&self) -> Option<Span> {
        self.horizon
    }

    fn floor_fact(&self) -> Option<FactIx> {
        self.floor.fact()
    }

    fn bytes(&self, events: usize, text: usize) -> usize {
        4 + self.cap.min(events) * (8 + text)
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("values {} {} {}", names.property(self.property), self.earliest, self.floor.definition(names))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let (property, events) = (words.property(self.property), words.events(A));
        let which = if self.earliest { "first" } else { "latest" };
        match self.cap {
            1 => format!("the {which} {property} of {events}, of a text {TEXT_MAX} bytes"),
            cap => {
                let within = within(self.horizon, words);
                format!("each {property} of {events}{within}, the latest {cap}, of a text {TEXT_MAX} bytes")
            }
        }
    }
}

impl TimedValues {
    /// Keeps the entries of a range.
    fn keep(&mut self, start: usize, end: usize) {
        self.times.truncate(end);
        self.values.truncate(end);
        self.times.drain(..start);
        self.values.drain(..start);
    }
}

impl Content for TimedValues {
    fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        let texts = self.values.iter().map(|kept| if let Kept::Text(text) = kept { text.len() } else { 0 });
        self.times.capacity() * size_of::<Instant>() + self.values.capacity() * size_of::<Kept>() + texts.sum::<usize>()
    }

    fn prefetch(&self) {
        prefetch_ends(&self.times);
        prefetch_ends(&self.values);
    }

    fn longest(&self) -> usize {
        self.times.len()
    }

    fn drop_older_half(&mut self) {
        halve(&mut self.times);
        halve(&mut self.values);
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_times(out, &self.times, base);
        self.values.iter().for_each(|value| put_kept(out, value));
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        read_times(&mut self.times, reader, base)?;
        self.values.clear();
        for _ in 0..self.times.len() {
            self.values.push(read_kept(reader)?);
        }
        Ok(())
    }
}

const KEPT_FALSE: u8 = 0;
const KEPT_TRUE: u8 = 1;
const KEPT_NUMBER: u8 = 2;
const KEPT_TEXT: u8 = 3;

fn put_kept(out: &mut Vec<u8>, value: &Kept) {
    match value {
        Kept::Bool(flag) => out.push(if *flag { KEPT_TRUE } else { KEPT_FALSE }),
        Kept::Number(number) => {
            out.push(KEPT_NUMBER);
            put_number(out, *number);
        }
        Kept::Text(text) => {
            out.push(KEPT_TEXT);
            put_text(out, text);
        }
    }
}

fn read_kept(reader: &mut Reader<'_>) -> Read<Kept> {
    Ok(match reader.u8("value")? {
        KEPT_FALSE => Kept::Bool(false),
        KEPT_TRUE => Kept::Bool(true),
        KEPT_NUMBER => Kept::Number(reader.number("value")?),
        KEPT_TEXT => Kept::Text(reader.text("value")?.into()),
        _ => return Err(Corrupt("type of a value")),
    })
}

#[cfg(test)]
mod tests {
    use super::{Floor, TimedValues, Values, kept_part};
    use crate::event::{Instant, PropertyId, Value};

    #[test]
    fn a_long_text_is_truncated_at_a_character_boundary() {
        let text = "é".repeat(200);
        assert_eq!(kept_part(&text).len(), 256);
        assert_eq!(kept_part(&format!("a{text}")).len(), 255);
    }

    #[test]
    fn over_capacity_the_oldest_goes_whatever_the_order_of_arrival() {
        let kind = Values { property: PropertyId(0), earliest: false, cap: 3, horizon: None, floor: Floor::None };
        let mut approximated = 0;
        let mut values = [TimedValues::default(), TimedValues::default()];
        for i in 0..5 {
            for (list, at) in values.iter_mut().zip([i, 4 - i]) {
                kind.add(list, Instant(at), Value::Bool(at % 2 == 0), &mut approximated);
            }
        }
        assert_eq!(values[0], values[1]);
        assert_eq!((values[0].times[0], approximated), (Instant(2), 4));
    }
}
