//! The effect of capacities: which of a customer's events are still held.
//!
//! Events are added in the order of arrival, each time dropping first what can no longer matter, then the oldest over
//! capacity. Only cases with small capacities need it; the others have fewer events than the default capacities.

use std::collections::{BTreeMap, BTreeSet};

use cohortd::event::{Instant, Span, Value};
use cohortd::fact::Capacities;
use cohortd::rules::Document;
use cohortd::rules::ast::{
    Bound, Count, Did, Edge, Events, Expr, ExprKind, Filter, Function, Measure, MeasureKind, Mode, Sequence, Step,
    Unit, Window,
};

use super::condition::{Moment, is_one_of, matches};
use super::log::LogEvent;
use super::measure::quotient;
use super::partition::sip;
use super::rules::{conditions, expressions, measures, named_operands, signals};
use super::window::{Held, Speaks};

/// A number held individually, or the numbers of one day together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) count: u64,
    pub(super) sum: i128,
    /// The number itself, or the average of its day.
    pub(super) each: i128,
}

/// A fact that several conditions read is held once, with the largest capacity that any of them needs.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How far back numbers must be held, in milliseconds; `None`: for ever.
    horizons: BTreeMap<String, Option<i64>>,
    /// How many entries tests of a count need, whatever the capacity: of numbers, and of different values.
    tested: BTreeMap<String, usize>,
}

/// What beside the horizon allows a fact to drop entries.
#[derive(Clone, Copy)]
enum Floor<'a> {
    None,
    SinceLast(&'a Events),
    WithinFirst(&'a str, Span),
}

impl Shared {
    pub(super) fn new(document: &Document) -> Self {
        let mut shared = Self::default();
        let of_cohorts = document.cohorts.values().flat_map(expressions);
        for condition in of_cohorts.chain(signals(document)).flat_map(conditions) {
            shared.condition(document, condition);
        }
        shared
    }

    fn condition(&mut self, document: &Document, condition: &Expr) {
        match &condition.kind {
            ExprKind::Did(did) => self.did(did),
            ExprKind::Compare(compare) => {
                measures(compare).into_iter().for_each(|measure| self.measure(document, measure, 0));
                named_operands(document, compare).for_each(|measure| self.measure(document, measure, 0));
            }
            ExprKind::Rank(rank) => self.measure(document, &rank.by, 0),
            _ => {}
        }
    }

    fn did(&mut self, did: &Did) {
        let Step { events, filters } = &did.step;
        match (&did.count, &did.window) {
            (count @ (None | Some(Count::Times(..))), Window::Between(far, _)) => {
                let key = key(events, filters, None);
                self.test(key.clone(), times_tested(count.as_ref()));
                self.add(key, Some(far.span.0));
            }
            // For a window that ends in the past all pairs are held.
            (Some(Count::Different(..)), Window::Between(..) | Window::WithinFirst(..)) => {}
            (Some(Count::Different(bound, wanted, property)), window) => {
                let key = key_of_different(events, filters, &property.text, is_of_earliest(window));
                self.test(key, enough(*bound, *wanted));
            }
            _ => {}
        }
    }

    fn test(&mut self, key: String, wanted: usize) {
        let most = self.tested.entry(key).or_default();
        *most = wanted.max(*most);
    }

    /// The capacity, or what tests of a count need if that is more.
    fn most(&self, key: &str, capacity: usize) -> usize {
        self.tested.get(key).map_or(capacity, |tested| capacity.max(*tested))
    }

    fn measure(&mut self, document: &Document, measure: &Measure, back: i64) {
        match &measure.kind {
            MeasureKind::Count(step, window) if !is_total(window, back) => {
                self.numbers(key(&step.events, &step.filters, None), window, back);
            }
            MeasureKind::Of { function, event, property, filters, window } => {
                let total = match function {
                    Function::Sum | Function::Average | Function::Min | Function::Max => is_total(window, back),
                    Function::Median => false,
                    Function::Distinct | Function::First | Function::Last | Function::MostCommon => true,
                };
                if !total {
                    let events = Events::Named(vec![event.clone()]);
                    self.numbers(key(&events, filters, Some(&property.text)), window, back);
                }
            }
            MeasureKind::Change(inner, over) => self.measure(document, inner, back + over.span.0),
            MeasureKind::Ratio(above, below) => {
                self.measure(document, above, back);
                self.measure(document, below, back);
            }
            MeasureKind::Named(name) => {
                if let Some(defined) = document.measures.get(&name.text) {
                    self.measure(document, &defined.measure, back);
                }
            }
            _ => {}
        }
    }

    fn numbers(&mut self, key: String, window: &Window, back: i64) {
        // A fact with a floor is not shared.
        if let (horizon, Floor::None) = reach(window, back) {
            self.add(key, horizon);
        }
    }

    fn add(&mut self, key: String, horizon: Option<i64>) {
        let longest = self.horizons.entry(key).or_insert(horizon);
        *longest = longest.zip(horizon).map(|(one, other)| one.max(other));
    }
}

/// The count from which on no test changes its result.
fn enough(bound: Bound, wanted: u32) -> usize {
    let enough = match bound {
        Bound::AtLeast | Bound::FewerThan => wanted,
        Bound::AtMost | Bound::Exactly | Bound::MoreThan => wanted + 1,
    };
    usize::try_from(enough.max(1)).expect("few")
}

/// How many `did` needs to hold for its test.
pub(super) fn times_tested(count: Option<&Count>) -> usize {
    match count {
        Some(Count::Times(bound, wanted)) => enough(*bound, *wanted),
        _ => 1,
    }
}

/// Are the earliest times of different values held, and not the latest?
fn is_of_earliest(window: &Window) -> bool {
    matches!(window, Window::MoreThan(_))
}

/// Is one sum all that is kept?
fn is_total(window: &Window, back: i64) -> bool {
    back == 0 && matches!(window, Window::Ever | Window::SinceDate(_))
}

/// The events, filters and property, independent of the order in which they are written.
fn key(events: &Events, filters: &[Filter], property: Option<&str>) -> String {
    let names: Option<BTreeSet<&str>> = match events {
        Events::Anything => None,
        Events::Named(names) => Some(names.iter().map(|name| name.text.as_str()).collect()),
    };
    let filters: BTreeSet<String> =
        filters.iter().map(|filter| format!("{} {:?}", filter.property.text, filter.test)).collect();
    format!("{names:?} {filters:?} {property:?}")
}

fn key_of_different(events: &Events, filters: &[Filter], property: &str, earliest: bool) -> String {
    format!("different {earliest} {}", key(events, filters, Some(property)))
}

fn reach(window: &Window, back: i64) -> (Option<i64>, Floor<'_>) {
    let (horizon, floor) = match window {
        Window::Last(span) | Window::Between(span, _) => (Some(span.span.0), Floor::None),
        Window::LastByCalendar { periods, unit } => {
            let days = match unit {
                Unit::Month => 31,
                Unit::Week => 7,
                _ => 1,
            };
            (Some(Span::DAY.0 * (i64::from(*periods) * days + 1)), Floor::None)
        }
        Window::Since(Edge::Last, events) if back == 0 => (None, Floor::SinceLast(events)),
        Window::WithinFirst(span, name) => (None, Floor::WithinFirst(&name.text, span.span)),
        _ => (None, Floor::None),
    };
    (horizon.map(|span| span + back), floor)
}

/// One event as it arrives.
struct Arrival<'a> {
    event: &'a LogEvent,
    /// Nothing older could arrive any more.
    oldest: Instant,
    /// How many events of the customer had arrived, including this one.
    known: usize,
}

impl<'a> Moment<'a> {
    /// Are there capacities small enough for so few events?
    pub(super) fn is_capped(&self) -> bool {
        self.rules.capacities != Capacities::DEFAULT
    }

    fn arrivals(&self, events: &Events) -> impl Iterator<Item = Arrival<'a>> {
        let all = self.customer.events.iter().zip(&self.customer.oldest_arrivals).zip(1..);
        all.map(|((event, oldest), known)| Arrival { event, oldest: *oldest, known })
            .filter(move |arrival| is_one_of(arrival.event, events))
    }

    /// The first and last instants that could still matter when an event arrived.
    fn bounds(&self, horizon: Option<i64>, floor: Floor<'_>, arrival: &Arrival<'_>) -> (Instant, Instant) {
        let by_horizon = horizon.map_or(Instant::MIN, |span| arrival.oldest - Span(span));
        let so_far = || self.customer.events[..arrival.known].iter();
        match floor {
            Floor::None => (by_horizon, Instant::MAX),
            Floor::SinceLast(events) => {
                let last = so_far().filter(|event| is_one_of(event, events)).map(|event| event.at).max();
                (last.map_or(by_horizon, |last| by_horizon.max(last.next())), Instant::MAX)
            }
            Floor::WithinFirst(name, span) => {
                match so_far().filter(|event| event.name == name).map(|event| event.at).min() {
                    Some(first) if first < arrival.oldest => (first, first + span),
                    _ => (by_horizon.max(arrival.oldest), Instant::MAX),
                }
            }
        }
    }

    fn in_held(&self, window: &Window) -> impl Fn(Instant) -> bool + use<> {
        let (held, now) = (self.held(window, Speaks::OfEvents), self.now);
        move |at| at <= now && held.is_some_and(|held: Held| held.holds(at))
    }

    /// Numbers in a window; without a property each event counts. `tested`: so many are wanted one by one.
    pub(super) fn numbers(
        &self,
        (events, filters): (&Events, &[Filter]),
        property: Option<&str>,
        window: &Window,
        tested: usize,
    ) -> Vec<Entry> {
        let (own, floor) = reach(window, self.back.0);
        let most = self.rules.capacities.series.max(tested);
        let (horizon, most) = if matches!(floor, Floor::None) {
            let key = key(events, filters, property);
            (self.rules.shared.horizons[&key], self.rules.shared.most(&key, most))
        } else {
            (own, most)
        };
        let step = Step { events: events.clone(), filters: filters.to_vec() };
        let mut exact: Vec<(Instant, i128)> = Vec::new();
        let mut days: BTreeMap<i64, (Instant, u64, i128)> = BTreeMap::new();
        for arrival in self.arrivals(events) {
            let (from, through) = self.bounds(horizon, floor, &arrival);
            exact.retain(|(at, _)| from <= *at && *at <= through);
            days.retain(|_, (last, ..)| *last >= from);
            if !matches(arrival.event, &step) {
                continue;
            }
            let number = match property {
                None => Some(0),
                Some(property) => arrival.event.property(property).and_then(|v| v.number()).map(|number| number.0),
            };
            let Some(number) = number else { continue };
            exact.push((arrival.event.at, number));
            exact.sort_unstable();
            if exact.len() > most {
                let (at, number) = exact.remove(0);
                let day = days.entry(at.0.div_euclid(Span::DAY.0)).or_insert((at, 0, 0));
                *day = (day.0.max(at), day.1 + 1, day.2 + number);
            }
        }
        let is_in = self.in_held(window);
        let one = |(_, number): &(Instant, i128)| Entry { count: 1, sum: *number, each: *number };
        let day = |(_, count, sum): &(Instant, u64, i128)| Entry {
            count: *count,
            sum: *sum,
            each: quotient(*sum, i128::from(*count)).unwrap_or_default(),
        };
        let exact = exact.iter().filter(|(at, _)| is_in(*at)).map(one);
        exact.chain(days.values().filter(|(last, ..)| is_in(*last)).map(day)).collect()
    }

    /// An aggregate of numbers of which some are known only by day; `None` without numbers.
    pub(super) fn of_numbers(function: Function, entries: &[Entry]) -> Option<i128> {
        let count: u64 = entries.iter().map(|entry| entry.count).sum();
        let sum = entries.iter().map(|entry| entry.sum).sum();
        match function {
            Function::Sum => Some(sum),
            Function::Average => quotient(sum, i128::from(count)),
            Function::Min => entries.iter().map(|entry| entry.each).min(),
            Function::Max => entries.iter().map(|entry| entry.each).max(),
            Function::Median => {
                let each = |entry: &Entry| std::iter::repeat_n(entry.each, usize::try_from(entry.count).unwrap());
                let mut all: Vec<i128> = entries.iter().flat_map(each).collect();
                all.sort_unstable();
                let (low, high) = (all.len().checked_sub(1)? / 2, all.len() / 2);
                quotient(all[low] + all[high], 2)
            }
            Function::Distinct | Function::First | Function::Last | Function::MostCommon => {
                unreachable!("these look at values")
            }
        }
    }

    /// Values in a window, each with its time: of so many as are held.
    pub(super) fn held_values(
        &self,
        (events, filters): (&Events, &[Filter]),
        property: &str,
        window: &Window,
    ) -> Vec<(Instant, Value<'a>)> {
        let of = |event: &'a LogEvent| event.property(property);
        self.latest((events, filters), window, self.rules.capacities.values, of)
    }

    /// Keys in a band of time, each with its time: of so many as are held.
    pub(super) fn held_keys<K: Ord + Copy>(
        &self,
        (events, filters): (&Events, &[Filter]),
        window: &Window,
        key: impl Fn(&'a LogEvent) -> Option<K>,
        hash: impl Fn(K) -> u64,
    ) -> Vec<(Instant, K)> {
        // Of several at one instant those with the smaller hash are the older ones.
        let hashed = |event| key(event).map(|key| (hash(key), key));
        let found = self.latest((events, filters), window, self.rules.capacities.pairs, hashed);
        found.into_iter().map(|(at, (_, key))| (at, key)).collect()
    }

    fn latest<V: Ord + Copy>(
        &self,
        (events, filters): (&Events, &[Filter]),
        window: &Window,
        cap: usize,
        of: impl Fn(&'a LogEvent) -> Option<V>,
    ) -> Vec<(Instant, V)> {
        let (horizon, floor) = reach(window, self.back.0);
        let step = Step { events: events.clone(), filters: filters.to_vec() };
        let mut held: Vec<(Instant, V)> = Vec::new();
        for arrival in self.arrivals(events) {
            let (from, through) = self.bounds(horizon, floor, &arrival);
            held.retain(|(at, _)| from <= *at && *at <= through);
            if let Some(value) = of(arrival.event).filter(|_| matches(arrival.event, &step)) {
                held.push((arrival.event.at, value));
                held.sort_unstable();
                held.drain(..held.len().saturating_sub(cap));
            }
        }
        let is_in = self.in_held(window);
        held.into_iter().filter(|(at, _)| is_in(*at)).collect()
    }

    /// How many different values lie in a window that is no band, of those with the latest times, or the earliest.
    pub(super) fn distinct(&self, (events, filters): (&Events, &[Filter]), property: &str, window: &Window) -> usize {
        let step = Step { events: events.clone(), filters: filters.to_vec() };
        let earliest = is_of_earliest(window);
        let mut times: BTreeMap<u64, Instant> = BTreeMap::new();
        for event in self.customer.events.iter().filter(|event| matches(event, &step)) {
            if let Some(value) = event.property(property) {
                let time = times.entry(hash(value)).or_insert(event.at);
                *time = if earliest { event.at.min(*time) } else { event.at.max(*time) };
            }
        }
        let mut held: Vec<(Instant, u64)> = times.into_iter().map(|(key, at)| (at, key)).collect();
        held.sort_unstable();
        let key = key_of_different(events, filters, property, earliest);
        let cap = self.rules.shared.most(&key, self.rules.capacities.distinct);
        if earliest {
            held.truncate(cap);
        } else {
            held.drain(..held.len().saturating_sub(cap));
        }
        let is_in = self.in_held(window);
        held.iter().filter(|(at, _)| is_in(*at)).count()
    }

    /// The open A's of `A then no B`, as far as they are held.
    pub(super) fn waiting(&self, sequence: &Sequence) -> Vec<Instant> {
        let next = &sequence.next[0];
        let each = sequence.mode == Some(Mode::Each);
        let horizon = match &sequence.window {
            Window::Last(span) | Window::Between(span, _) => Some(span.span + next.within.span),
            _ => None,
        };
        let Capacities { keys: keys_max, waiting, .. } = self.rules.capacities;
        let mut keys: BTreeMap<u64, Open<'a>> = BTreeMap::new();
        for arrival in self.arrivals(&Events::Anything) {
            let event = arrival.event;
            if !is_one_of(event, &sequence.first.events) && !is_one_of(event, &next.step.events) {
                continue;
            }
            for open in keys.values_mut() {
                open.a.retain(|a| horizon.is_none_or(|horizon| a.at >= arrival.oldest - horizon));
            }
            keys.retain(|_, open| !open.a.is_empty() || open.last_b() >= arrival.oldest);
            let (as_a, as_b) = (matches(event, &sequence.first), matches(event, &next.step));
            let key = match &sequence.key {
                None => Some(0),
                Some(name) => event.property(&name.text).map(hash),
            };
            let Some(key) = key.filter(|_| as_a || as_b) else { continue };
            let open = keys.entry(key).or_default();
            open.b.extend(as_b.then_some(event));
            open.a.extend(as_a.then_some(event));
            open.settle(each);
            while keys.len() > keys_max {
                let oldest = keys.iter().map(|(key, open)| (open.age(), *key)).min().expect("there are too many");
                keys.remove(&oldest.1);
            }
            while keys.values().map(|open| open.instants().len()).sum::<usize>() > waiting {
                let firsts = keys.iter().filter_map(|(key, open)| Some((*open.instants().first()?, *key)));
                let (at, key) = firsts.min().expect("there are too many");
                keys.get_mut(&key).expect("it was found there").a.retain(|a| a.at != at);
            }
        }
        keys.values().flat_map(Open::unanswered).collect()
    }
}

/// The unanswered events of one key.
#[derive(Default)]
struct Open<'a> {
    a: Vec<&'a LogEvent>,
    /// Those of the latest instant.
    b: Vec<&'a LogEvent>,
}

impl Open<'_> {
    fn last_b(&self) -> Instant {
        self.b.iter().map(|b| b.at).max().unwrap_or(Instant::MIN)
    }

    fn instants(&self) -> Vec<Instant> {
        self.a.iter().map(|a| a.at).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn age(&self) -> Instant {
        self.instants().last().map_or(self.last_b(), |last| self.last_b().max(*last))
    }

    /// A's before a B stay answered; without `each` only the latest counts.
    fn settle(&mut self, each: bool) {
        let last_b = self.last_b();
        self.b.retain(|b| b.at == last_b);
        self.a.retain(|a| a.at >= last_b);
        if let Some(latest) = self.instants().last().filter(|_| !each) {
            self.a.retain(|a| a.at == *latest);
        }
    }

    fn unanswered(&self) -> Vec<Instant> {
        let answered = |a: &&&LogEvent| self.b.iter().any(|b| b.at >= a.at && !std::ptr::eq::<LogEvent>(*b, **a));
        self.a.iter().filter(|a| !answered(a)).map(|a| a.at).collect()
    }
}

/// A key's value as the engine stores it; only for telling which of several equally old ones goes first.
pub(super) fn hash(value: Value<'_>) -> u64 {
    match value {
        Value::Bool(flag) => sip(&[0, u8::from(flag)]),
        Value::Number(number) => sip(&[&[1][..], &number.0.to_le_bytes()].concat()),
        Value::Text(text) => sip(&[&[2][..], text.as_bytes(), &[0xff]].concat()),
    }
}
