//! Random logs: close in time, out of order, sent twice, with values of every type.

use std::collections::BTreeSet;

use cohortd::event::{Instant, Number, Span};
use cohortd::fact::Capacities;

use super::random::Random;
use super::report::record_hash;
use super::rules::{EVENTS, PROPERTIES, UNNAMED, World};
use crate::naive::{Advance, Case, Config, LogEvent, OwnedValue, Threshold, ThresholdsApplied, tie_hash};

const CUSTOMERS: [&str; 4] = ["ann", "bob", "cy", "dee"];
const EVENTS_MOST: i64 = 40;

pub(crate) fn case(world: &World, rules: String, random: &mut Random) -> Case {
    let config = config(world, random);
    let customers = if world.capped.is_some() { 1 } else { 1 + random.below(4) };
    let mut log = Log { world, config, now: world.start, events: Vec::new(), customers };
    let mut advances = Vec::new();
    let advancing = random.percent(20);
    let (fewest, most) = if world.capped.is_some() { (EVENTS_MOST, 2 * EVENTS_MOST) } else { (0, EVENTS_MOST) };
    for position in 0..usize::try_from(random.between(fewest, most)).expect("small") {
        log.push(random);
        if advancing && random.percent(10) {
            let stream_time = log.now + grains(world, random.between(-2, 6));
            advances.push(Advance { position: position + 1, stream_time });
            // Time passed for the sources too, mostly.
            if random.percent(70) {
                log.now = log.now.max(stream_time);
            }
        }
    }
    let until = match random.below(10) {
        0 => None,
        1 => Some(log.now - grains(world, random.between(0, 10))),
        2..=5 => Some(log.now),
        6 | 7 if world.churn.is_some() => Some(log.now + Span(random.between(5, 500) * Span::DAY.0)),
        _ => Some(log.now + grains(world, random.between(1, 25))),
    };
    let thresholds = thresholds(world, log.events.len(), random);
    let parameters =
        world.churn.iter().flat_map(|churn| world.parameter_updates(churn, log.events.len(), random)).collect();
    Case { rules, config, events: log.events, advances, thresholds, parameters, until }
}

fn config(world: &World, random: &mut Random) -> Config {
    let arrives_within = grains(world, *random.pick(&[0, 0, 1, 2, 5]));
    let later = grains(world, *random.pick(&[0, 1, 3, 8, 40]));
    Config {
        arrives_within,
        max_lateness: Span(arrives_within.0 + later.0),
        dedupe_ids: *random.pick(&[64, 64, 64, 64, 0, 1, 2, 3]),
        earliest: Instant(world.start.0 - 200 * world.grain.0),
        // Some logs are read from somewhere in their middle.
        observed_from: match random.percent(15) {
            true => world.start + grains(world, random.between(-5, 30)),
            false => Instant::MIN,
        },
        capacities: world.capped.map_or(Capacities::DEFAULT, |capped| capped.capacities),
    }
}

/// Thresholds of every rank there may be, at some positions; mostly near values that customers have.
fn thresholds(world: &World, events: usize, random: &mut Random) -> Vec<ThresholdsApplied> {
    let ranks = world.ranks();
    if ranks.is_empty() {
        return vec![];
    }
    let mut positions: Vec<usize> = (0..random.between(1, 6)).map(|_| random.below(events + 1)).collect();
    positions.sort_unstable();
    let thresholds_applied = |position: usize| {
        let stream_time = Instant(*random.pick(&[i64::MIN, i64::MAX]));
        let mut given = Vec::new();
        for words in &ranks {
            if random.percent(80) {
                given.push((words.clone(), threshold(world, random)));
            }
        }
        ThresholdsApplied { position, stream_time, ranks: given }
    };
    positions.into_iter().map(thresholds_applied).collect()
}

fn threshold(world: &World, random: &mut Random) -> Threshold {
    let ms = world.grain.0 * random.between(0, 4);
    let value = match random.below(6) {
        0 => Number::from_integer(ms),
        1 => Number::from_double(*random.pick(&[0.1, 0.8, 0.9, -1.0, 3.5])).expect("a number"),
        _ => Number::from_integer(random.between(-1, 4)),
    };
    (value, *random.pick(&[0, u64::MAX, tie_hash(CUSTOMERS[0]), tie_hash(CUSTOMERS[1]), tie_hash(CUSTOMERS[2])]))
}

struct Log<'a> {
    world: &'a World,
    config: Config,
    /// The time of the latest sources.
    now: Instant,
    events: Vec<LogEvent>,
    customers: usize,
}

impl Log<'_> {
    fn push(&mut self, random: &mut Random) {
        let in_order = self.world.capped.is_some_and(|capped| capped.in_order);
        if !self.events.is_empty() && !in_order && random.percent(12) {
            let again = self.again(random);
            self.events.push(again);
            return;
        }
        let steps: &[i64] = if self.world.capped.is_some() { &[0, 1, 1, 1, 2] } else { &[0, 0, 1, 1, 1, 2, 3, 7] };
        self.now = self.now + grains(self.world, *random.pick(steps));
        // Long enough for a level to be reached.
        if self.world.churn.is_some() && random.percent(10) {
            self.now = self.now + Span(random.between(1, 150) * Span::DAY.0);
        }
        let customer = CUSTOMERS[random.below(self.customers)];
        let mut event = LogEvent {
            customer: customer.into(),
            name: self.name(random).into(),
            at: if in_order { self.later() } else { self.time(random) },
            id: random.percent(60).then(|| format!("e{}", self.events.len())),
            source: random.percent(25).then(|| (*random.pick(&["shop", "app"])).into()),
            record_hash: 0,
            properties: properties(random),
        };
        if self.world.capped.is_some() {
            differ(&mut event.properties, random);
        }
        self.keep_apart(&mut event);
        // Without it, two events that are alike in all else are one record sent twice.
        if event.id.is_none() && random.percent(80) {
            let number = Number::from_integer(i64::try_from(self.events.len()).expect("small"));
            event.properties.push(("nr".into(), OwnedValue::Number(number)));
        }
        event.record_hash = record_hash(&event);
        self.events.push(event);
    }

    /// An earlier event again: as it was, or with another time, another source, another name.
    fn again(&self, random: &mut Random) -> LogEvent {
        let mut event = random.pick(&self.events).clone();
        match random.below(6) {
            0 => event.at = self.time(random),
            1 => event.source = Some("app".into()),
            2 => event.name = (*random.pick(&EVENTS)).into(),
            _ => {}
        }
        if event.at != self.config.earliest {
            self.keep_apart(&mut event);
        }
        event.record_hash = record_hash(&event);
        event
    }

    /// Where little is kept, mostly one of two.
    fn name(&self, random: &mut Random) -> &'static str {
        if self.world.capped.is_some() && random.percent(80) {
            return random.word(&[EVENTS[0], EVENTS[0], EVENTS[1]]);
        }
        random.word(&[EVENTS[0], EVENTS[0], EVENTS[1], EVENTS[1], EVENTS[2], EVENTS[3], UNNAMED])
    }

    /// After everything before.
    fn later(&mut self) -> Instant {
        if self.events.last().is_some_and(|last| last.at >= self.now) {
            self.now = self.now.next();
        }
        self.now
    }

    /// Near now; sometimes a millisecond beside it, late within what is allowed and beyond, or absurd.
    fn time(&self, random: &mut Random) -> Instant {
        let lateness = self.config.max_lateness.0 / self.world.grain.0;
        let at = match random.below(40) {
            0 => return Instant(self.config.earliest.0 - random.between(0, 1)),
            1..=3 => self.now + Span(random.between(-1, 1)),
            4..=9 => self.now - grains(self.world, random.between(0, lateness.min(12))),
            10 => self.now - grains(self.world, random.between(lateness, lateness + 6)),
            _ => self.now,
        };
        at.max(self.config.earliest)
    }

    /// Which of two ids of one time is pushed out first is the engine's own affair; so where ids are few, a customer's
    /// events that differ in identity differ in time.
    fn keep_apart(&self, event: &mut LogEvent) {
        if self.config.dedupe_ids > 3 {
            return;
        }
        let same = |other: &&LogEvent| {
            other.id == event.id && other.id.is_some() && other.source == event.source && other.name == event.name
        };
        let taken: BTreeSet<Instant> = self
            .events
            .iter()
            .filter(|other| other.customer == event.customer)
            .filter(|other| !same(other))
            .map(|other| other.at)
            .collect();
        while taken.contains(&event.at) {
            event.at = event.at.next();
        }
    }
}

fn properties(random: &mut Random) -> Vec<(String, OwnedValue)> {
    let mut properties = Vec::new();
    for property in PROPERTIES {
        if random.percent(65) {
            properties.push((property.into(), value(property, random)));
        }
    }
    properties
}

/// Makes numbers of more different values than are kept.
fn differ(properties: &mut [(String, OwnedValue)], random: &mut Random) {
    for (name, value) in properties {
        if name == "step" && matches!(value, OwnedValue::Number(_)) && random.percent(80) {
            *value = OwnedValue::Number(Number::from_integer(random.between(1, 16)));
        }
    }
}

/// Mostly of the type that the property usually has; sometimes a list.
fn value(property: &str, random: &mut Random) -> OwnedValue {
    if random.percent(6) {
        return OwnedValue::List((0..random.below(4)).map(|_| single(property, random)).collect());
    }
    single(property, random)
}

fn single(property: &str, random: &mut Random) -> OwnedValue {
    let number = |text: &str| OwnedValue::Number(Number::parse(text).expect("written as a number"));
    let text = |text: &str| OwnedValue::Text(text.into());
    match random.below(12) {
        0 => OwnedValue::Null,
        1 => OwnedValue::Bool(random.percent(50)),
        2 => text(random.word(&["1", "one", ""])),
        3 => number(random.word(&["1", "0", "0.8"])),
        _ if property == "plan" => text(random.word(&["pro", "pro_plus", "free"])),
        _ if property == "step" => number(random.word(&["1", "2"])),
        _ => number(random.word(&["0.1", "0.7", "0.1", "1", "2", "-1", "1000000000000"])),
    }
}

fn grains(world: &World, count: i64) -> Span {
    Span(count * world.grain.0)
}
