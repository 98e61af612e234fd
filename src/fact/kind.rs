//! The traits that each kind of fact and its content implement.

use super::FactIx;
use crate::bytes::Read;
use crate::calendar::{Calendar, Unit};
use crate::event::{CustomerEvent, Instant, NameId, PropertyId, Span};
use crate::prefetch::prefetch;

/// The parts of a fact's selector that an event matches, a bit for each.
///
/// Most facts have one part, [`A`]. `A then no B`, `time from A to B` and `steps from A to B via ...` have [`A`], [`B`]
/// and [`VIA`]; a sequence has a bit for each of its steps, in their order, and [`BARRED`].
pub type Parts = u16;

/// The only part, or the A of `A then B`.
pub const A: Parts = 1;
/// The B of `A then B`.
pub const B: Parts = 2;
/// The events that are counted between A and B.
pub const VIA: Parts = 4;
/// The events that must not lie between two steps of a sequence.
pub const BARRED: Parts = 1 << 15;

/// First and last time of the fact that another one's floor names; `None`: it has no times.
pub type EdgeTimes = Option<(Instant, Instant)>;

/// What feeding a fact needs besides the event.
pub struct FeedContext<'a> {
    /// No event before this can still arrive, nor be merged in from another customer.
    pub settled_before: Instant,
    pub edge: EdgeTimes,
    pub calendar: &'a Calendar,
    /// Counts events folded into day buckets, or dropped, beyond a fact's exact capacity.
    pub approximated: &'a mut u64,
}

/// A kind of fact, with its parameters. Within its capacity its content is a function of the set of events that it was
/// fed, whatever the order in which they arrived.
pub trait Kind: PartialEq {
    type Content: Content;

    /// Feeds an event that matches some of its parts. False: nothing changed.
    fn feed(
        &self,
        content: &mut Self::Content,
        event: &CustomerEvent<'_>,
        parts: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool;

    /// Drops what can no longer matter, where no event before `settled_before` can still arrive or be merged in.
    fn forget(&self, _content: &mut Self::Content, _edge: EdgeTimes, _settled_before: Instant) {}

    /// Adds another customer's fact, so that the content is that of both histories together. `edge`: of both.
    ///
    /// Exact within capacity, for events that neither has settled. An event that both were fed counts twice, unless the
    /// kind keeps times, keys or values once each.
    fn merge(&self, content: &mut Self::Content, other: Self::Content, edge: EdgeTimes, approximated: &mut u64);

    /// Adds the fact of the same customer as gathered from the log: both are parts of one history, each complete as far
    /// back as it reaches, so events in both count once. May exceed the capacity: see `trim`.
    fn union(&self, _content: &mut Self::Content, _log: Self::Content) {}

    /// Cuts the content down to the capacity.
    fn trim(&self, _content: &mut Self::Content) {}

    /// Widens `self` to serve `other` too, where one fact can do for both. The default: only for an equal one.
    fn absorb(&mut self, other: &Self) -> bool {
        self == other
    }

    /// Does a fact of this kind hold everything that one of the `wanted` kind would? Both have the same definition, so
    /// only capacities can differ.
    fn serves(&self, wanted: &Self) -> bool;

    /// Does content that was read from disk have the shape that evaluation relies on?
    fn is_valid(&self, _content: &Self::Content) -> bool {
        true
    }

    /// How far back it reaches, where that is a duration.
    fn horizon(&self) -> Option<Span> {
        None
    }

    /// The fact whose first or last time says what this one may forget.
    fn floor_fact(&self) -> Option<FactIx> {
        None
    }

    /// About how many bytes it takes in a stored state after so many events, with texts of `text` bytes.
    fn bytes(&self, events: usize, text: usize) -> usize;

    /// The capacity and what is counted, for kinds whose events are counted in a window.
    fn counts(&self) -> Option<(usize, Counted)> {
        None
    }

    /// Its definition without capacities: stored, so a change here is a change of the format.
    fn definition(&self, names: &dyn Names) -> String;

    /// What is remembered, as one phrase for people.
    fn describe(&self, words: &dyn Phrases) -> String;
}

/// The content of one fact for one customer. The default: no event has fed it.
pub trait Content: Default {
    /// Is it as if no event had ever fed it?
    fn is_empty(&self) -> bool;

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;

    /// Asks for the memory to which this points.
    fn prefetch(&self) {}

    /// Asks for what that points to in turn; it is there by then.
    fn prefetch_deeper(&self) {}

    /// Entries of its longest list that can be dropped one by one.
    fn longest(&self) -> usize {
        0
    }

    /// Drops the older half of its longest list.
    fn drop_older_half(&mut self) {}

    /// Times are written as distances from `base`.
    fn encode(&self, out: &mut Vec<u8>, base: Instant);

    /// Reads the content in place of this one, whose memory it uses.
    ///
    /// # Errors
    /// Bytes that `encode` did not write.
    fn read(&mut self, reader: &mut crate::bytes::Reader<'_>, base: Instant) -> Read<()>;
}

impl<T: Content> Content for Box<T> {
    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }

    fn heap_bytes(&self) -> usize {
        size_of::<T>() + (**self).heap_bytes()
    }

    fn prefetch(&self) {
        prefetch(&**self);
    }

    fn prefetch_deeper(&self) {
        (**self).prefetch();
    }

    fn longest(&self) -> usize {
        (**self).longest()
    }

    fn drop_older_half(&mut self) {
        (**self).drop_older_half();
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        (**self).encode(out, base);
    }

    fn read(&mut self, reader: &mut crate::bytes::Reader<'_>, base: Instant) -> Read<()> {
        (**self).read(reader, base)
    }
}

/// Keeps the later half of an ascending list, and frees the memory.
pub(super) fn halve<T>(list: &mut Vec<T>) {
    list.drain(..list.len() / 2);
    list.shrink_to_fit();
}

/// The multiset union of two ascending lists: each entry as often as in the list that has it more often.
pub(super) fn multiset_union<T: Ord>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let order = match (one.peek(), other.peek()) {
            (Some(next), Some(of_other)) => next.cmp(of_other),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return all,
        };
        if order.is_eq() {
            other.next();
        }
        all.extend(if order.is_gt() { other.next() } else { one.next() });
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Times,
    /// Different values.
    Values,
    Days,
    Weeks,
    Months,
}

/// The key that is counted in `with N different p` and `on N different days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistinctKey {
    Property(PropertyId),
    Period(Unit),
}

impl DistinctKey {
    /// A hash of the event's key; `None`: it has none.
    pub(super) fn of(self, event: &CustomerEvent<'_>, calendar: &Calendar) -> Option<u64> {
        match self {
            Self::Property(property) => {
                event.property(property).map(|value| crate::event::stored_hash::of_value(&value))
            }
            Self::Period(unit) => Some(calendar.period(event.at, unit).cast_unsigned()),
        }
    }

    pub(super) fn counted(self) -> Counted {
        match self {
            Self::Property(_) => Counted::Values,
            Self::Period(Unit::Day) => Counted::Days,
            Self::Period(Unit::Week) => Counted::Weeks,
            Self::Period(_) => Counted::Months,
        }
    }

    pub(super) fn definition(self, names: &dyn Names) -> String {
        match self {
            Self::Property(id) => format!("property {}", names.property(id)),
            Self::Period(unit) => format!("{} in {}", unit.word(), names.zone()),
        }
    }
}

/// A hash of the value of `per key`: 0 where the rule names no key; `None`: the event has no such value.
pub(super) fn key_of(key: Option<PropertyId>, event: &CustomerEvent<'_>) -> Option<u64> {
    match key {
        None => Some(0),
        Some(property) => event.property(property).map(|value| crate::event::stored_hash::of_value(&value)),
    }
}

/// Names as in the rules file, quoted, for definitions.
pub trait Names {
    fn property(&self, id: PropertyId) -> String;
    fn event(&self, id: NameId) -> String;
    /// The events that feed another fact, with their tests.
    fn selector_of(&self, fact: FactIx) -> String;
    /// The rules' time zone.
    fn zone(&self) -> &str;
}

/// `none`, or a property's name.
pub(super) fn optional(property: Option<PropertyId>, names: &dyn Names) -> String {
    property.map_or_else(|| "none".to_owned(), |id| names.property(id))
}

/// From when on events count, for definitions.
pub(super) fn since(from: Option<Instant>) -> String {
    from.map_or_else(|| "ever".to_owned(), |from| format!("since {}", from.0))
}

/// Phrases for people.
pub trait Phrases {
    /// The events that match a part of the fact, with their tests; empty: none.
    fn events(&self, part: Parts) -> String;
    fn property(&self, id: PropertyId) -> &str;
    /// As `3 days`.
    fn length(&self, span: Span) -> String;
    /// As `1 day` or `2 days`.
    fn counted(&self, count: u64, unit: Unit) -> String;
}

/// ` of the last 3 days`, or nothing.
pub(super) fn within(horizon: Option<Span>, words: &dyn Phrases) -> String {
    horizon.map(|span| format!(" of the last {}", words.length(span))).unwrap_or_default()
}

/// `, for each of 64 plan`, or nothing.
pub(super) fn per(key: Option<PropertyId>, keys_max: usize, words: &dyn Phrases) -> String {
    key.map(|key| format!(", for each of {keys_max} {}", words.property(key))).unwrap_or_default()
}

/// Additional periods that late and early events need, in days at the default lateness.
pub(super) const LATE_PERIODS: usize = 6;

#[cfg(test)]
mod tests {
    use super::multiset_union;

    #[test]
    fn the_union_has_each_entry_as_often_as_the_list_with_more_of_it() {
        assert_eq!(multiset_union(vec![3, 5, 5], vec![1, 5, 9]), [1, 3, 5, 5, 9]);
    }
}
