//! Facts: how an event changes them, and what they may forget.
//!
//! Each is a function of the set of events read and of stream time, whatever the order of arrival.

use std::sync::LazyLock;

use super::answer;
use super::chain::{Chain, Link, Reached, Terms};
use super::days::{Bought, DayBought, Used};
use super::periods::{Period, count_in};
use super::state::{DayBucket, Distinct, Encounter, Fact, Opening, Pair, Series, Steps, Total};
use super::steps::StepRoles;
use super::stored_hash::of_value;
use crate::event::{CustomerEvent, Instant, Number, Span, Value};
use crate::rules::{Calendar, DISTINCT_MAX, DistinctKey, FactKind, Filter, Floor, Role};

/// What facts need to know besides the event.
pub(super) struct Surroundings<'a> {
    /// Nothing older than this can still arrive.
    pub(super) oldest_arrival: Instant,
    /// First and last time of the fact that this one's floor names.
    pub(super) edge: Option<(Instant, Instant)>,
    pub(super) calendar: &'a Calendar,
    /// Events folded into day buckets, or dropped, beyond a fact's exact capacity.
    pub(super) approximated: &'a mut u64,
}

impl Fact {
    #[must_use]
    pub fn empty(kind: &FactKind) -> Self {
        Self::none(kind).clone()
    }

    /// One without content, for those who look at a fact that a customer does not have.
    pub(super) fn none(kind: &FactKind) -> &'static Self {
        static TIMES: Fact = Fact::Times(Vec::new());
        static FOLLOWED: Fact = Fact::Followed(Vec::new());
        static PERIODS: Fact = Fact::Periods(Vec::new());
        static EXTREME: Fact = Fact::Extreme(None);
        static ANSWER: Fact = Fact::Answer(Vec::new());
        static TOTAL: LazyLock<Fact> = LazyLock::new(|| Fact::Total(Box::default()));
        static SERIES: LazyLock<Fact> = LazyLock::new(|| Fact::Series(Box::default()));
        static DISTINCT: LazyLock<Fact> = LazyLock::new(|| Fact::Distinct(Box::default()));
        static CHAIN: LazyLock<Fact> = LazyLock::new(|| Fact::Chain(Box::default()));
        static VALUES: LazyLock<Fact> = LazyLock::new(|| Fact::Values(Box::default()));
        static STEPS: LazyLock<Fact> = LazyLock::new(|| Fact::Steps(Box::default()));
        static BOUGHT: LazyLock<Fact> = LazyLock::new(|| Fact::Bought(Box::default()));
        static USED: LazyLock<Fact> = LazyLock::new(|| Fact::Used(Box::default()));
        match kind {
            FactKind::Latest { .. } | FactKind::Earliest { .. } => &TIMES,
            FactKind::Total { .. } => &TOTAL,
            FactKind::Series { .. } => &SERIES,
            FactKind::Distinct { .. } | FactKind::DistinctAll { .. } => &DISTINCT,
            FactKind::Followed { .. } => &FOLLOWED,
            FactKind::Chain { .. } => &CHAIN,
            FactKind::Periods { .. } => &PERIODS,
            FactKind::Extreme { .. } => &EXTREME,
            FactKind::Values { .. } => &VALUES,
            FactKind::Answer { .. } => &ANSWER,
            FactKind::Steps { .. } => &STEPS,
            FactKind::Bought { .. } => &BOUGHT,
            FactKind::Used => &USED,
        }
    }

    /// Is it as if no event had ever fed it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Times(times) => times.is_empty(),
            Self::Total(total) => total.count == 0,
            Self::Series(series) => series.times.is_empty() && series.days.is_empty(),
            Self::Distinct(found) => found.times.is_empty(),
            Self::Followed(pairs) => pairs.is_empty(),
            Self::Chain(chain) => chain.links.is_empty() && chain.reached.is_empty() && chain.done.is_empty(),
            Self::Periods(periods) => periods.is_empty(),
            Self::Extreme(number) => number.is_none(),
            Self::Values(values) => values.times.is_empty(),
            Self::Answer(found) => found.is_empty(),
            Self::Bought(bought) => bought.is_empty(),
            Self::Used(used) => used.is_empty(),
            Self::Steps(steps) => steps.a.is_none() && steps.b.is_empty() && steps.via.is_empty(),
        }
    }

    /// The first and last time, for facts that others use as their edge.
    pub(super) fn edge_times(&self) -> Option<(Instant, Instant)> {
        match self {
            Self::Times(times) => Some((*times.first()?, *times.last()?)),
            _ => None,
        }
    }

    /// Takes an event in. False: nothing changed.
    pub(super) fn feed(
        &mut self,
        kind: &FactKind,
        role: &Role,
        event: &CustomerEvent<'_>,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let may = |filters: &Option<Vec<Filter>>| filters.as_deref().is_some_and(|filters| pass(filters, event));
        let (as_a, as_b, as_via) = match role {
            Role::Steps(parts) => return self.feed_chain(kind, parts, event, around),
            Role::Own(filters) => (pass(filters, event), false, false),
            Role::Pair { a, b } => (may(a), may(b), false),
            Role::Step { a, b, via } => (may(a), may(b), may(via)),
        };
        if !as_a && !as_b && !as_via {
            return false;
        }
        let at = event.at;
        match (self, kind) {
            (Self::Times(times), FactKind::Latest { cap, back }) => {
                let full = times.len() >= *cap;
                let changed = insert_latest(times, at, *cap);
                // What is dropped may have been the last one so long ago.
                if let (true, Some(back), [first, .., last]) = (full, back, times.as_slice())
                    && *first > *last - *back
                {
                    *around.approximated += 1;
                }
                changed
            }
            (Self::Times(times), FactKind::Earliest { cap }) => insert_earliest(times, at, *cap),
            (Self::Total(total), FactKind::Total { property, from }) => {
                if from.is_some_and(|from| at < from) {
                    return false;
                }
                let number = property.and_then(|p| event.property(p)).and_then(Value::number);
                if property.is_some() && number.is_none() {
                    return false;
                }
                total.count += 1;
                total.sum = Number(total.sum.0.saturating_add(number.unwrap_or_default().0));
                true
            }
            (Self::Series(series), FactKind::Series { property, exact, .. }) => {
                let number = match property {
                    None => Number::ZERO,
                    Some(property) => match event.property(*property).and_then(Value::number) {
                        Some(number) => number,
                        None => return false,
                    },
                };
                series.insert(at, number, property.is_some(), *exact, around.approximated);
                true
            }
            (Self::Distinct(found), FactKind::Distinct { key, earliest, cap }) => {
                let Some(key) = distinct_key(*key, event, around.calendar) else { return false };
                let (changed, dropped) = found.keep_one(at, key, *earliest, *cap);
                // A test of a count needs no more than its capacity; a measure would.
                if dropped && *cap >= DISTINCT_MAX {
                    *around.approximated += 1;
                }
                changed
            }
            (Self::Distinct(found), FactKind::DistinctAll { key, cap, .. }) => {
                let Some(key) = distinct_key(*key, event, around.calendar) else { return false };
                found.insert(at, key);
                if found.times.len() > *cap {
                    found.remove(0);
                    *around.approximated += 1;
                }
                true
            }
            (Self::Followed(pairs), FactKind::Followed { key, each, keys_max, each_max, .. }) => {
                let key = match key {
                    None => 0,
                    Some(property) => match event.property(*property) {
                        Some(value) => of_value(&value),
                        None => return false,
                    },
                };
                feed_pair(pairs, key, at, (as_a, as_b), *each);
                cap_pairs(pairs, *keys_max, *each_max, around.approximated);
                true
            }
            (Self::Periods(periods), FactKind::Periods { unit, back, most }) => {
                count_in(periods, at, (*unit, *back, *most), around.oldest_arrival, around.calendar)
            }
            (Self::Extreme(extreme), FactKind::Extreme { property, greatest, from }) => {
                let Some(number) = event.property(*property).and_then(Value::number) else { return false };
                let improves = |known: &Number| if *greatest { number > *known } else { number < *known };
                let counts = from.is_none_or(|from| at >= from) && extreme.as_deref().is_none_or(improves);
                if counts {
                    *extreme = Some(Box::new(number));
                }
                counts
            }
            (Self::Values(values), FactKind::Values { property, earliest, cap, .. }) => match event.property(*property)
            {
                Some(value) => values.insert(at, value, *earliest, *cap, around.approximated),
                None => false,
            },
            (Self::Answer(found), FactKind::Answer { last, cap }) => {
                answer::feed(found, at, (as_a, as_b), *last, *cap, around.approximated)
            }
            (Self::Steps(steps), FactKind::Steps { cap }) => {
                steps.feed(at, StepRoles { a: as_a, b: as_b, via: as_via }, *cap, around.approximated)
            }
            (Self::Bought(bought), FactKind::Bought { amount }) => {
                let of = amount.filter(|(name, _)| *name == event.name_id).map(|(_, property)| property);
                let amount = of.and_then(|property| event.property(property)).and_then(Value::number);
                bought.feed(at, amount.unwrap_or_default(), around.oldest_arrival, around.calendar)
            }
            (Self::Used(used), FactKind::Used) => used.feed(at, around.oldest_arrival, around.calendar),
            _ => unreachable!("a fact's content follows its kind"),
        }
    }

    fn feed_chain(
        &mut self,
        kind: &FactKind,
        parts: &[(u16, Vec<Filter>)],
        event: &CustomerEvent<'_>,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let (Self::Chain(chain), FactKind::Chain { within, key, keep, keys_max, links_max }) = (self, kind) else {
            unreachable!("a fact's content follows its kind")
        };
        let passed = parts.iter().filter(|(_, filters)| pass(filters, event));
        let roles = passed.fold(0, |roles, (bit, _)| roles | bit);
        if roles == 0 {
            return false;
        }
        let key = match key {
            None => 0,
            Some(property) => match event.property(*property) {
                Some(value) => of_value(&value),
                None => return false,
            },
        };
        let changed = chain.insert(key, event.at, roles);
        if changed {
            let terms = Terms { within, keep: *keep, edge: around.edge };
            chain.cap(key, *links_max, *keys_max, terms, around.approximated);
        }
        changed
    }

    /// Drops what can no longer matter. `edge`: first and last time of the fact that the floor names.
    pub(super) fn forget(&mut self, kind: &FactKind, edge: Option<(Instant, Instant)>, oldest_arrival: Instant) {
        match (self, kind) {
            (Self::Series(series), FactKind::Series { horizon, floor, .. }) => {
                let (from, through) = bounds(*horizon, *floor, edge, oldest_arrival);
                let keep_from = series.times.partition_point(|t| *t < from);
                let keep_to = series.times.partition_point(|t| *t <= through);
                series.times.truncate(keep_to);
                series.numbers.truncate(keep_to);
                series.times.drain(..keep_from.min(keep_to));
                series.numbers.drain(..keep_from.min(keep_to).min(series.numbers.len()));
                series.days.retain(|day| day.last >= from);
            }
            (Self::Distinct(found), FactKind::DistinctAll { horizon, floor, .. }) => {
                let Distinct { times, keys } = &mut **found;
                let (from, through) = bounds(*horizon, *floor, edge, oldest_arrival);
                let keep_from = times.partition_point(|t| *t < from);
                let keep_to = times.partition_point(|t| *t <= through);
                times.truncate(keep_to);
                keys.truncate(keep_to);
                times.drain(..keep_from.min(keep_to));
                keys.drain(..keep_from.min(keep_to));
            }
            (Self::Values(values), FactKind::Values { cap: 2.., horizon, floor, .. }) => {
                let (from, through) = bounds(*horizon, *floor, edge, oldest_arrival);
                values.keep(from, through);
            }
            (Self::Answer(found), FactKind::Answer { last, .. }) => answer::forget(found, *last, oldest_arrival),
            (Self::Steps(steps), FactKind::Steps { .. }) => steps.forget(oldest_arrival),
            (Self::Followed(pairs), FactKind::Followed { horizon, .. }) => {
                if let Some(horizon) = horizon {
                    let oldest = oldest_arrival - *horizon;
                    pairs.iter_mut().for_each(|pair| pair.a.retain(|opening| opening.at >= oldest));
                }
                // A B matters to A's that may still arrive at or before it.
                pairs.retain(|pair| !pair.a.is_empty() || pair.b_at >= oldest_arrival);
            }
            (Self::Chain(chain), FactKind::Chain { within, keep, .. }) => {
                chain.forget(oldest_arrival, Terms { within, keep: *keep, edge });
            }
            _ => {}
        }
    }

    /// Reads a little of the content, for the sake of having it near.
    pub(super) fn glance(&self) -> i64 {
        match self {
            Self::Times(times) => times.first().map_or(0, |time| time.0),
            Self::Distinct(found) => found.times.first().map_or(0, |time| time.0),
            Self::Total(total) => total.count.cast_signed(),
            Self::Series(series) => series.times.first().map_or(0, |time| time.0),
            Self::Followed(pairs) => pairs.first().map_or(0, |pair| pair.b_at.0),
            Self::Chain(chain) => chain.links.first().map_or(0, |link| link.at.0),
            Self::Periods(periods) => periods.first().map_or(0, |period| period.number),
            Self::Extreme(number) => number.as_deref().map_or(0, |number| i64::from(number.0 > 0)),
            Self::Values(values) => values.times.first().map_or(0, |time| time.0),
            Self::Answer(found) => found.first().map_or(0, |encounter| encounter.at.0),
            Self::Steps(steps) => steps.via.first().map_or(0, |time| time.0),
            // Most events look at neither.
            Self::Bought(_) | Self::Used(_) => 0,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Times(times) => times.capacity() * 8,
            Self::Total(_) => size_of::<Total>(),
            Self::Extreme(_) => size_of::<Number>(),
            Self::Values(values) => values.heap_bytes(),
            Self::Bought(bought) => size_of::<Bought>() + bought.open.capacity() * size_of::<DayBought>(),
            Self::Used(used) => size_of::<Used>() + used.open.capacity() * size_of::<i32>(),
            Self::Answer(found) => found.capacity() * size_of::<Encounter>(),
            Self::Steps(steps) => {
                size_of::<Steps>() + (steps.b.capacity() + steps.via.capacity()) * size_of::<Instant>()
            }
            Self::Series(series) => {
                size_of::<Series>()
                    + series.times.capacity() * 8
                    + series.numbers.capacity() * 16
                    + series.days.capacity() * size_of::<DayBucket>()
            }
            Self::Distinct(found) => size_of::<Distinct>() + found.times.capacity() * 8 + found.keys.capacity() * 8,
            Self::Followed(pairs) => {
                pairs.capacity() * size_of::<Pair>()
                    + pairs.iter().map(|p| p.a.capacity() * size_of::<Opening>()).sum::<usize>()
            }
            Self::Chain(chain) => {
                size_of::<Chain>()
                    + chain.links.capacity() * size_of::<Link>()
                    + chain.reached.capacity() * size_of::<Reached>()
                    + chain.done.capacity() * size_of::<Instant>()
            }
            Self::Periods(periods) => periods.capacity() * size_of::<Period>(),
        }
    }
}

fn pass(filters: &[Filter], event: &CustomerEvent<'_>) -> bool {
    filters.iter().all(|filter| filter.passes(event))
}

/// Does an event pass the tests of any of a fact's parts?
pub(super) fn concerns(role: &Role, event: &CustomerEvent<'_>) -> bool {
    let may = |filters: &Option<Vec<Filter>>| filters.as_deref().is_some_and(|filters| pass(filters, event));
    match role {
        Role::Own(filters) => pass(filters, event),
        Role::Pair { a, b } => may(a) || may(b),
        Role::Step { a, b, via } => may(a) || may(b) || may(via),
        Role::Steps(parts) => parts.iter().any(|(_, filters)| pass(filters, event)),
    }
}

/// The first and last instants that can still matter.
fn bounds(
    horizon: Option<Span>,
    floor: Floor,
    edge: Option<(Instant, Instant)>,
    oldest_arrival: Instant,
) -> (Instant, Instant) {
    let by_horizon = horizon.map_or(Instant::MIN, |span| oldest_arrival - span);
    match (floor, edge) {
        (Floor::SinceLast(_), Some((_, last))) => (by_horizon.max(last.next()), Instant::MAX),
        (Floor::WithinFirst(_, span), Some((first, _))) if first < oldest_arrival => (first, first + span),
        (Floor::WithinFirst(..), _) => (by_horizon.max(oldest_arrival), Instant::MAX),
        (Floor::None | Floor::SinceLast(_), _) => (by_horizon, Instant::MAX),
    }
}

fn insert_latest(times: &mut Vec<Instant>, at: Instant, cap: usize) -> bool {
    if times.len() >= cap {
        if at <= times[0] {
            return false;
        }
        times.remove(0);
    }
    let place = times.partition_point(|t| *t <= at);
    times.insert(place, at);
    true
}

fn insert_earliest(times: &mut Vec<Instant>, at: Instant, cap: usize) -> bool {
    if times.len() >= cap {
        if times.last().is_some_and(|last| at >= *last) {
            return false;
        }
        times.pop();
    }
    let place = times.partition_point(|t| *t <= at);
    times.insert(place, at);
    true
}

impl Series {
    fn insert(&mut self, at: Instant, number: Number, with_numbers: bool, exact: usize, approximated: &mut u64) {
        let mut place = self.times.partition_point(|t| *t < at);
        if with_numbers {
            while place < self.times.len() && self.times[place] == at && self.numbers[place] < number {
                place += 1;
            }
            self.numbers.insert(place, number);
        }
        self.times.insert(place, at);
        if self.times.len() > exact {
            self.fold_oldest();
            *approximated += 1;
        }
    }

    /// From now on the oldest event counts in its day only.
    pub(super) fn fold_oldest(&mut self) {
        let oldest = self.times.remove(0);
        let amount = if self.numbers.is_empty() { Number::ZERO } else { self.numbers.remove(0) };
        self.fold(oldest, amount);
    }

    fn fold(&mut self, at: Instant, number: Number) {
        let day = at.0.div_euclid(Span::DAY.0);
        let place = self.days.partition_point(|bucket| bucket.day < day);
        if self.days.get(place).is_none_or(|bucket| bucket.day != day) {
            self.days.insert(place, DayBucket { day, last: at, count: 0, sum: Number::ZERO });
        }
        let bucket = &mut self.days[place];
        bucket.last = bucket.last.max(at);
        bucket.count += 1;
        bucket.sum = Number(bucket.sum.0.saturating_add(number.0));
    }
}

fn distinct_key(key: DistinctKey, event: &CustomerEvent<'_>, calendar: &Calendar) -> Option<u64> {
    match key {
        DistinctKey::Property(property) => event.property(property).map(|value| of_value(&value)),
        DistinctKey::Period(unit) => Some(calendar.period(event.at, unit).cast_unsigned()),
    }
}

impl Distinct {
    /// Keeps each key's latest (or earliest) time, for the `cap` keys whose time is latest (or earliest). Says whether
    /// anything changed, and whether a key was dropped for it.
    fn keep_one(&mut self, at: Instant, key: u64, earliest: bool, cap: usize) -> (bool, bool) {
        if let Some(known) = self.keys.iter().position(|k| *k == key) {
            let improves = if earliest { at < self.times[known] } else { at > self.times[known] };
            if !improves {
                return (false, false);
            }
            self.remove(known);
        }
        self.insert(at, key);
        let full = self.times.len() > cap;
        if full {
            self.remove(if earliest { self.times.len() - 1 } else { 0 });
        }
        (true, full)
    }

    fn insert(&mut self, at: Instant, key: u64) {
        let mut place = self.times.partition_point(|t| *t < at);
        while place < self.times.len() && self.times[place] == at && self.keys[place] < key {
            place += 1;
        }
        self.times.insert(place, at);
        self.keys.insert(place, key);
    }

    fn remove(&mut self, place: usize) {
        self.times.remove(place);
        self.keys.remove(place);
    }
}

/// Takes in an event that is an A, a B or both, for its key.
fn feed_pair(pairs: &mut Vec<Pair>, key: u64, at: Instant, (as_a, as_b): (bool, bool), each: bool) {
    let place = pairs.partition_point(|pair| pair.key < key);
    if pairs.get(place).is_none_or(|pair| pair.key != key) {
        pairs.insert(place, Pair { key, b_at: Instant::MIN, b_count: 0, a: Vec::new() });
    }
    let pair = &mut pairs[place];
    if as_b {
        if at > pair.b_at {
            pair.b_at = at;
            pair.b_count = 1;
        } else if at == pair.b_at {
            pair.b_count = 2;
        }
    }
    if as_a {
        let at_place = pair.a.partition_point(|opening| opening.at < at);
        if pair.a.get(at_place).is_none_or(|opening| opening.at != at) {
            pair.a.insert(at_place, Opening { at, plain: false, also_b: false });
        }
        let opening = &mut pair.a[at_place];
        if as_b {
            opening.also_b = true;
        } else {
            opening.plain = true;
        }
    }
    // A's before the latest B are answered for good: B's only get later.
    let answered = pair.a.partition_point(|opening| opening.at < pair.b_at);
    let superseded = if each { 0 } else { pair.a.len().saturating_sub(1) };
    pair.a.drain(..answered.max(superseded));
}

/// Over capacity the oldest go first: whole keys, then A's.
pub(super) fn cap_pairs(pairs: &mut Vec<Pair>, keys_max: usize, each_max: usize, approximated: &mut u64) {
    while pairs.len() > keys_max {
        let age = |pair: &Pair| (pair.a.last().map_or(pair.b_at, |opening| opening.at.max(pair.b_at)), pair.key);
        let oldest = pairs.iter().enumerate().min_by_key(|(_, pair)| age(pair)).map_or(0, |(i, _)| i);
        pairs.remove(oldest);
        *approximated += 1;
    }
    while pairs.iter().map(|pair| pair.a.len()).sum::<usize>() > each_max {
        let first = |pair: &Pair| (pair.a.first().map_or(Instant::MAX, |opening| opening.at), pair.key);
        let Some(pair) = pairs.iter_mut().min_by_key(|pair| first(pair)) else { return };
        pair.a.remove(0);
        *approximated += 1;
    }
}

impl Pair {
    /// The A's that no other B has answered. One at the very instant of the latest B is open only if it is that B itself.
    pub(super) fn open(&self) -> impl Iterator<Item = Instant> + '_ {
        let open = |opening: &&Opening| {
            opening.at > self.b_at || (opening.at == self.b_at && opening.also_b && self.b_count == 1)
        };
        self.a.iter().filter(open).map(|opening| opening.at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{Applied, CustomerState, Engine, Words};
    use crate::event::{CustomerEvent, Instant, Span};
    use crate::rules::load;

    /// How often a fact was not exact, of so many visits, one each minute.
    fn approximated(who: &str, visits: i64) -> u64 {
        let rules = Arc::new(load("r.toml", &format!("[cohorts.c]\nwho = '{who}'")).unwrap());
        let mut engine = Engine::new(Arc::clone(&rules), Span(0), 64);
        let mut state = CustomerState::new(&rules);
        let mut all = 0;
        for number in 0..visits {
            let event = CustomerEvent {
                customer: "c",
                name: "visit",
                name_id: rules.vocabulary.name("visit"),
                at: Instant(number * Span::MINUTE.0),
                id: None,
                source: None,
                record_hash: number.unsigned_abs(),
                unusable_values: 0,
                properties: &[],
            };
            match engine.apply(&mut state, &event, number, event.at, Words::None, &mut Vec::new()) {
                Applied::Applied(counts) => all += counts.approximated,
                Applied::Duplicate => panic!("no visit is sent twice"),
            }
        }
        all
    }

    #[test]
    fn a_time_that_a_look_back_may_miss_is_counted_when_it_is_dropped() {
        for back in
            ["change in time since last visit over 1 day > 1 hour", "change in usual gap of visit over 1 day > 1 hour"]
        {
            assert_eq!((approximated(back, 256), approximated(back, 300)), (0, 44), "{back}");
        }
        // So many visits are still held of the last hour.
        assert_eq!(approximated("change in time since last visit over 1 hour > 1 minute", 300), 0);
        assert_eq!(approximated("time since last visit > 1 hour", 300), 0);
        assert_eq!(approximated("did visit at least 2 times in the last 1 day", 300), 0);
    }
}
