//! Days with a purchase, for the churn model of purchases.
//!
//! Sums must be computed in the order of the days, whatever the order of arrival. So days that a late event can still
//! change stay open, and are added to the sums in their order once stream time has passed them.

use super::calendar_days::{day, day_of, may_be_over, next_day, put_days, read_days};
use super::kind::{Content, EdgeTimes, FeedContext, Kind, LATE_PERIODS, Names, Parts, Phrases};
use crate::bytes::{Read, Reader, put_i64, put_len, put_number, put_u64};
use crate::calendar::Calendar;
use crate::churn::Purchases;
use crate::event::{CustomerEvent, Instant, NameId, Number, PropertyId, Value};

/// The days with a purchase, and their amounts, from a property of one of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseDays {
    pub amount: Option<(NameId, PropertyId)>,
}

/// A customer's purchases by day: those that no late event can change as sums, the others individually.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DailyPurchases {
    /// The sums of the days before those in `open`.
    pub settled: Option<Purchases>,
    /// Ascending by day.
    pub open: Vec<PurchaseDay>,
}

/// One calendar day in the rules' time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurchaseDay {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Was something bought? Otherwise there was only a refund.
    pub bought: bool,
    pub amount: Number,
}

impl DailyPurchases {
    /// All purchases; `None` before the first.
    #[must_use]
    pub fn purchases(&self) -> Option<Purchases> {
        let mut all = self.settled;
        self.open.iter().for_each(|day| day.add_to(&mut all));
        all
    }

    /// A negative amount is a refund, and no purchase.
    fn take(&mut self, at: Instant, amount: Number, settled_before: Instant, calendar: &Calendar) {
        if self.open.first().is_some_and(|day| may_be_over(day.day, settled_before)) {
            let first_open = day_of(settled_before, calendar);
            let settled = self.open.partition_point(|day| day.day < first_open);
            for day in self.open.drain(..settled) {
                day.add_to(&mut self.settled);
            }
        }
        self.add(PurchaseDay { day: day_of(at, calendar), bought: amount.0 >= 0, amount });
    }

    fn add(&mut self, added: PurchaseDay) {
        let index = self.open.partition_point(|known| known.day < added.day);
        match self.open.get_mut(index).filter(|known| known.day == added.day) {
            None => self.open.insert(index, added),
            Some(known) => {
                known.bought |= added.bought;
                known.amount = Number(known.amount.0.saturating_add(added.amount.0));
            }
        }
    }
}

impl PurchaseDay {
    fn add_to(&self, purchases: &mut Option<Purchases>) {
        match (purchases, self.bought) {
            (Some(purchases), true) => purchases.count(self.day, self.amount.0),
            (Some(purchases), false) => purchases.add(self.day, self.amount.0),
            (purchases, true) => *purchases = Some(Purchases::first(self.day, self.amount.0)),
            // A refund before any purchase belongs to a purchase before the log begins.
            (None, false) => {}
        }
    }
}

impl Kind for PurchaseDays {
    type Content = Box<DailyPurchases>;

    fn feed(
        &self,
        bought: &mut Box<DailyPurchases>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let of = self.amount.filter(|(name, _)| *name == event.name_id).map(|(_, property)| property);
        let amount = of.and_then(|property| event.property(property)).and_then(Value::number);
        bought.take(event.at, amount.unwrap_or_default(), context.settled_before, context.calendar);
        true
    }

    /// A day that both have settled counts twice.
    fn merge(&self, bought: &mut Box<DailyPurchases>, other: Box<DailyPurchases>, _: EdgeTimes, _: &mut u64) {
        bought.settled = match (bought.settled, other.settled) {
            (Some(one), Some(other)) => Some(one.and(&other)),
            (one, other) => one.or(other),
        };
        other.open.into_iter().for_each(|day| bought.add(day));
    }

    fn serves(&self, _: &Self) -> bool {
        true
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        40 + events.min(LATE_PERIODS) * 12
    }

    fn definition(&self, names: &dyn Names) -> String {
        let amount = self.amount.map(|(name, id)| format!("{}.{}", names.event(name), names.property(id)));
        format!("days bought {} in {}", amount.unwrap_or_default(), names.zone())
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let worth = self.amount.map(|(_, property)| format!(", and the sum of its {}", words.property(property)));
        format!("the days with {}: how many, first and last{}", words.events(super::A), worth.unwrap_or_default())
    }
}

impl Content for DailyPurchases {
    fn is_empty(&self) -> bool {
        self.settled.is_none() && self.open.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.open.capacity() * size_of::<PurchaseDay>()
    }

    fn encode(&self, out: &mut Vec<u8>, _: Instant) {
        out.push(u8::from(self.settled.is_some()));
        if let Some(settled) = &self.settled {
            put_days(out, settled.first_day, settled.last_day);
            put_u64(out, u64::from(settled.repeats));
            put_number(out, Number(settled.first_amount));
            put_number(out, Number(settled.amount));
        }
        put_len(out, self.open.len());
        let mut last = 0;
        for day in &self.open {
            put_i64(out, i64::from(day.day) - last);
            out.push(u8::from(day.bought));
            put_number(out, day.amount);
            last = i64::from(day.day);
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, _: Instant) -> Read<()> {
        self.settled = None;
        self.open.clear();
        if reader.u8("purchases")? & 1 != 0 {
            let (first_day, last_day) = read_days(reader)?;
            let repeats = reader.u32("purchases")?;
            let (first_amount, amount) = (reader.number("purchases")?.0, reader.number("purchases")?.0);
            self.settled = Some(Purchases { first_day, last_day, repeats, first_amount, amount });
        }
        let mut last = 0;
        for _ in 0..reader.len("days")? {
            last = next_day(reader, last)?;
            let flag = reader.u8("day")? != 0;
            self.open.push(PurchaseDay { day: day(last)?, bought: flag, amount: reader.number("day")? });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::DailyPurchases;
    use crate::calendar::Calendar;
    use crate::event::{Instant, Number, Span};

    fn calendar() -> Calendar {
        Calendar::new(jiff::tz::TimeZone::get("Europe/Paris").unwrap())
    }

    /// Hours after 2026-01-01 in Paris.
    fn at(hours: i64) -> Instant {
        Instant(1_767_222_000_000 + hours * Span::HOUR.0)
    }

    #[test]
    fn the_order_of_arrival_and_when_days_are_settled_change_nothing() {
        let events = [(1, 500), (2, 250), (30, 100), (55, -40), (80, 10), (100, 7)];
        let bought = |order: &[usize], oldest: &dyn Fn(usize) -> Instant| {
            let mut fact = DailyPurchases::default();
            for (step, i) in order.iter().enumerate() {
                fact.take(at(events[*i].0), Number(events[*i].1), oldest(step), &calendar());
            }
            fact.purchases().unwrap()
        };
        let never = |_| Instant::MIN;
        let in_order = bought(&[0, 1, 2, 3, 4, 5], &never);
        assert_eq!((in_order.repeats, in_order.first_amount, in_order.amount), (3, 750, 827));
        assert_eq!(in_order.last_day - in_order.first_day, 4);
        assert_eq!(bought(&[5, 3, 1, 0, 2, 4], &never), in_order);
        assert_eq!(bought(&[0, 1, 2, 3, 4, 5], &|step| at(events[step].0 - 1)), in_order);
        assert_eq!(bought(&[1, 0, 3, 2, 5, 4], &|step| at(events[step].0 - 30)), in_order);
    }

    #[test]
    fn a_refund_is_no_purchase() {
        let mut fact = DailyPurchases::default();
        fact.take(at(1), Number(-5), Instant::MIN, &calendar());
        assert_eq!(fact.purchases(), None);
        fact.take(at(30), Number(0), Instant::MIN, &calendar());
        assert_eq!(fact.purchases().unwrap().repeats, 0);
        assert_eq!(fact.purchases().unwrap().amount, 0);
    }

    /// The customer was active on that day, which is what the risk is about; only the amount is zero.
    #[test]
    fn a_purchase_refunded_on_the_same_day_is_a_purchase_of_amount_zero() {
        for refunded_at in [12, 40] {
            let mut fact = DailyPurchases::default();
            fact.take(at(1), Number(100), Instant::MIN, &calendar());
            fact.take(at(10 + 24), Number(50), Instant::MIN, &calendar());
            fact.take(at(refunded_at + 24), Number(-50), Instant::MIN, &calendar());
            let purchases = fact.purchases().unwrap();
            // The same result as for a refund a day later.
            assert_eq!((purchases.repeats, purchases.first_amount, purchases.amount), (1, 100, 100));
            assert_eq!(purchases.last_day - purchases.first_day, 1);
        }
    }
}
