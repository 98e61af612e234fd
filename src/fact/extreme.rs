//! The minimum or maximum over all time: `max(e.p ever)`.

use super::kind::{Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, since};
use crate::bytes::{Read, Reader, put_number};
use crate::event::{CustomerEvent, Instant, Number, PropertyId, Value};
use crate::prefetch::prefetch;

/// The minimum (or maximum, if `greatest`) of a property, at or after `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extreme {
    pub property: PropertyId,
    pub greatest: bool,
    pub from: Option<Instant>,
}

/// `None`: there was no event.
pub type ExtremeNumber = Option<Box<Number>>;

impl Extreme {
    fn take(&self, extreme: &mut ExtremeNumber, number: Number) -> bool {
        let improves = |known: &Number| if self.greatest { number > *known } else { number < *known };
        let counts = extreme.as_deref().is_none_or(improves);
        if counts {
            *extreme = Some(Box::new(number));
        }
        counts
    }
}

impl Kind for Extreme {
    type Content = ExtremeNumber;

    fn feed(&self, extreme: &mut ExtremeNumber, event: &CustomerEvent<'_>, _: Parts, _: &mut FeedContext<'_>) -> bool {
        let Some(number) = event.property(self.property).and_then(Value::number) else { return false };
        self.from.is_none_or(|from| event.at >= from) && self.take(extreme, number)
    }

    fn merge(&self, extreme: &mut ExtremeNumber, other: ExtremeNumber, _: EdgeTimes, _: &mut u64) {
        if let Some(number) = other {
            self.take(extreme, *number);
        }
    }

    fn serves(&self, _: &Self) -> bool {
        true
    }

    fn bytes(&self, _: usize, _: usize) -> usize {
        12
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("extreme {} {} {}", names.property(self.property), self.greatest, since(self.from))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let since = self.from.map(|from| format!(" since {from}")).unwrap_or_default();
        let which = if self.greatest { "greatest" } else { "least" };
        format!("the {which} {} of {}{since}", words.property(self.property), words.events(super::A))
    }
}

impl Content for ExtremeNumber {
    fn is_empty(&self) -> bool {
        self.is_none()
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Number>()
    }

    fn prefetch(&self) {
        self.as_deref().into_iter().for_each(prefetch);
    }

    fn encode(&self, out: &mut Vec<u8>, _: Instant) {
        put_number(out, self.as_deref().copied().unwrap_or_default());
    }

    fn read(&mut self, reader: &mut Reader<'_>, _: Instant) -> Read<()> {
        let number = reader.number("extreme")?;
        match self {
            Some(held) => **held = number,
            None => *self = Some(Box::new(number)),
        }
        Ok(())
    }
}
