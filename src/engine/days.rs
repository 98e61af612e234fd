//! Days of coming back: what the models of churn look at.
//!
//! What is summed up must be summed in one order, that of the days, whatever the order of arrival: so days that a late
//! event can still change stand open, and are settled in their order once stream time has passed them.

use crate::churn::{Memories, Purchases, Usage};
use crate::event::{Instant, Number, Span};
use crate::rules::Calendar;
use crate::rules::ast::Unit;

/// Days on which something was bought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bought {
    /// The days before those that are open.
    pub settled: Option<Purchases>,
    /// Ascending by day.
    pub open: Vec<DayBought>,
}

/// One calendar day in the rules' time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBought {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Something was bought: what was not is only money given back.
    pub bought: bool,
    pub amount: Number,
}

/// Days on which something was used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Used {
    /// The days before those that are open.
    pub settled: Option<Usage>,
    /// Days since 1970-01-01, ascending.
    pub open: Vec<i32>,
}

/// No day in it is not a number, so what is equal to itself is all there is.
impl Eq for Used {}

impl Bought {
    /// A negative amount is money given back, and no purchase. False: nothing changed.
    pub(super) fn feed(&mut self, at: Instant, amount: Number, oldest_arrival: Instant, calendar: &Calendar) -> bool {
        if self.open.first().is_some_and(|day| may_be_over(day.day, oldest_arrival)) {
            let first_open = day_of(oldest_arrival, calendar);
            let settled = self.open.partition_point(|day| day.day < first_open);
            for day in self.open.drain(..settled) {
                day.add_to(&mut self.settled);
            }
        }
        let day = day_of(at, calendar);
        let place = self.open.partition_point(|known| known.day < day);
        if self.open.get(place).is_none_or(|known| known.day != day) {
            self.open.insert(place, DayBought { day, bought: false, amount: Number::ZERO });
        }
        let known = &mut self.open[place];
        known.bought |= amount.0 >= 0;
        known.amount = Number(known.amount.0.saturating_add(amount.0));
        true
    }

    /// All purchases; `None` before the first.
    pub(super) fn purchases(&self) -> Option<Purchases> {
        let mut all = self.settled;
        self.open.iter().for_each(|day| day.add_to(&mut all));
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_none() && self.open.is_empty()
    }
}

impl DayBought {
    fn add_to(&self, purchases: &mut Option<Purchases>) {
        match (purchases, self.bought) {
            (Some(purchases), true) => purchases.count(self.day, self.amount.0),
            (Some(purchases), false) => purchases.add(self.day, self.amount.0),
            (purchases, true) => *purchases = Some(Purchases::first(self.day, self.amount.0)),
            // Money given back before anything was bought belongs to what was bought before the log begins.
            (None, false) => {}
        }
    }
}

impl Used {
    /// False: nothing changed.
    pub(super) fn feed(&mut self, at: Instant, oldest_arrival: Instant, calendar: &Calendar) -> bool {
        if self.open.first().is_some_and(|day| may_be_over(*day, oldest_arrival)) {
            let first_open = day_of(oldest_arrival, calendar);
            let settled = self.open.partition_point(|day| *day < first_open);
            for day in self.open.drain(..settled) {
                add_to(&mut self.settled, day);
            }
        }
        let day = day_of(at, calendar);
        match self.open.binary_search(&day) {
            Ok(_) => false,
            Err(place) => {
                self.open.insert(place, day);
                true
            }
        }
    }

    /// All use; `None` before the first.
    pub(super) fn usage(&self) -> Option<Usage> {
        let mut all = self.settled;
        self.open.iter().for_each(|day| add_to(&mut all, *day));
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_none() && self.open.is_empty()
    }
}

fn add_to(usage: &mut Option<Usage>, day: i32) {
    match usage {
        Some(usage) => usage.count(day, &Memories::default()),
        None => *usage = Some(Usage::first(day)),
    }
}

/// May a day lie before an instant's in some time zone? Cheaper to ask than for the instant's day in one.
fn may_be_over(day: i32, at: Instant) -> bool {
    at.0.div_euclid(Span::DAY.0) + 1 > i64::from(day)
}

fn day_of(at: Instant, calendar: &Calendar) -> i32 {
    // Before every time there is, and after it, lies no day that anyone acts on.
    let day = calendar.period(at, Unit::Day);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::{Bought, Used};
    use crate::event::{Instant, Number, Span};
    use crate::rules::Calendar;

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
            let mut fact = Bought::default();
            for (step, i) in order.iter().enumerate() {
                fact.feed(at(events[*i].0), Number(events[*i].1), oldest(step), &calendar());
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
    fn money_given_back_is_no_purchase() {
        let mut fact = Bought::default();
        fact.feed(at(1), Number(-5), Instant::MIN, &calendar());
        assert_eq!(fact.purchases(), None);
        fact.feed(at(30), Number(0), Instant::MIN, &calendar());
        assert_eq!(fact.purchases().unwrap().repeats, 0);
        assert_eq!(fact.purchases().unwrap().amount, 0);
    }

    /// The risk is that of no purchase, which is seen and can be checked: they did come. What they took back is no money.
    #[test]
    fn a_purchase_given_back_the_same_day_is_a_coming_worth_nothing() {
        for given_back_at in [12, 40] {
            let mut fact = Bought::default();
            fact.feed(at(1), Number(100), Instant::MIN, &calendar());
            fact.feed(at(10 + 24), Number(50), Instant::MIN, &calendar());
            fact.feed(at(given_back_at + 24), Number(-50), Instant::MIN, &calendar());
            let purchases = fact.purchases().unwrap();
            // As it would be, had they given it back a day later.
            assert_eq!((purchases.repeats, purchases.first_amount, purchases.amount), (1, 100, 100));
            assert_eq!(purchases.last_day - purchases.first_day, 1);
        }
    }

    #[test]
    fn use_on_one_day_counts_once() {
        let (mut late, mut early) = (Used::default(), Used::default());
        for hours in [1, 2, 30, 31, 80] {
            late.feed(at(hours), Instant::MIN, &calendar());
        }
        for hours in [2, 1, 31, 30, 80] {
            early.feed(at(hours), at(hours - 25), &calendar());
        }
        assert!(!late.feed(at(81), Instant::MIN, &calendar()));
        assert_eq!(late.open.len(), 3);
        assert!(early.settled.is_some());
        assert_eq!(late.usage(), early.usage());
    }
}
