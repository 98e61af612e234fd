//! A count and a sum over all time: `count(e ever)`, `sum(e.p since DATE)`.

use super::kind::{Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, optional, since};
use crate::bytes::{Read, Reader, put_number, put_u64};
use crate::event::{CustomerEvent, Instant, Number, PropertyId, Value};

/// The count, and the sum of a property, at or after `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    pub property: Option<PropertyId>,
    pub from: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountAndSum {
    pub count: u64,
    pub sum: Number,
}

impl Kind for Total {
    type Content = Box<CountAndSum>;

    fn feed(&self, total: &mut Box<CountAndSum>, event: &CustomerEvent<'_>, _: Parts, _: &mut FeedContext<'_>) -> bool {
        if self.from.is_some_and(|from| event.at < from) {
            return false;
        }
        let number = self.property.and_then(|property| event.property(property)).and_then(Value::number);
        if self.property.is_some() && number.is_none() {
            return false;
        }
        total.count += 1;
        total.sum = Number(total.sum.0.saturating_add(number.unwrap_or_default().0));
        true
    }

    fn merge(&self, total: &mut Box<CountAndSum>, other: Box<CountAndSum>, _: EdgeTimes, _: &mut u64) {
        total.count += other.count;
        total.sum = Number(total.sum.0.saturating_add(other.sum.0));
    }

    fn serves(&self, _: &Self) -> bool {
        true
    }

    fn bytes(&self, _: usize, _: usize) -> usize {
        20
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("total {} {}", optional(self.property, names), since(self.from))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let since = self.from.map(|from| format!(" since {from}")).unwrap_or_default();
        let events = words.events(super::A);
        match self.property {
            Some(property) => format!("the sum and count of {} of {events}{since}", words.property(property)),
            None => format!("how many {events}{since}"),
        }
    }
}

impl Content for CountAndSum {
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn encode(&self, out: &mut Vec<u8>, _: Instant) {
        put_u64(out, self.count);
        put_number(out, self.sum);
    }

    fn read(&mut self, reader: &mut Reader<'_>, _: Instant) -> Read<()> {
        *self = Self { count: reader.u64("total")?, sum: reader.number("total")? };
        Ok(())
    }
}
