//! `check --size`: estimates of the resources for a number of customers and events under these rules.
//!
//! Each figure is derived from a measured one (`make bench`; `docs/performance.md`) or from the rules, and is shown
//! with its bounds and basis. `docs/sizing.md` explains them.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::sample::Kept;
use super::{ID, STANDING};
use crate::app::rules_file::RulesFile;
use crate::cli::arguments::Check;
use crate::cli::format::{counted, grouped, size};
use crate::event::{NameId, Span};
use crate::fact::FactIx;
use crate::rules::{Feed, RuleSet};
use crate::settings::{Loaded, PROGRAM_BYTES};

/// Bytes of a stored state besides ids, facts and memberships.
const FRAME: f64 = 40.0;
/// Typical bytes of a stored text.
const TEXT: usize = 16;
/// Bytes of a key: topic names and a customer id.
const KEY: f64 = 24.0;
/// Bytes of a customer in memory besides the state: measured at 164 to 348 where a stored one takes 57 to 159.
const IN_MEMORY_FRAME: f64 = 130.0;
/// The share of `memory.limit` for customers in memory, and for RocksDB's cache.
const SHARE: f64 = 0.30;
/// A process of 16 partitions and 100 cohorts stays below this.
const PROCESS_BYTES: f64 = 256.0 * MIB;
const MIB: f64 = 1_048_576.0;
/// Memory limits are rounded up to this.
const STEP: f64 = 64.0 * MIB;

/// Disk bytes for each byte of key and state: 256 bytes of a customer of the demo's shop were measured, timers
/// included.
const ON_DISK: Estimate = Estimate { least: 0.6, expected: 1.1, most: 2.2 };
/// Overhead of a record, in a topic and on the wire.
const FRAMING: f64 = 20.0;
/// Compression ratio of lz4 for the states of one batch: about 70 bytes of each went over the wire in the demo.
const COMPRESSED: Estimate = Estimate { least: 0.3, expected: 0.4, most: 1.0 };
/// Bytes of a change and its row in cohort-members, with headers and both languages, on the wire; more if batches are
/// small.
const CHANGE_BYTES: Estimate = Estimate { least: 250.0, expected: 430.0, most: 1_500.0 };
/// Entries and exits per event: 9,322 of 55,099 in the demo's shop.
const CHANGES: Estimate = Estimate { least: 0.01, expected: 0.17, most: 0.5 };

/// Events per second of one lane, with six cohorts: all customers in memory, or most read from RocksDB's cache.
const RESIDENT_PACE: f64 = 136_000.0;
const CACHED_PACE: f64 = 57_000.0;
/// Capacity relative to load, so that a backlog is processed as fast as it grew.
const HEADROOM: f64 = 2.0;
/// The cost factor of churn, with a million customers.
const CHURN_COST: f64 = 1.35;
/// Customers of one partition for whom a new threshold of a rank takes half a second.
const PARTITION_CUSTOMERS: f64 = 1_000_000.0;
/// Customers restored from the changelog per second and lane: with 4.4 uncompacted records each, or one.
const RESTORED: Estimate = Estimate { least: 96_000.0, expected: 96_000.0, most: 420_000.0 };

/// The share of one event name relative to an even distribution.
const SHARES: Estimate = Estimate { least: 0.25, expected: 1.0, most: 4.0 };

/// An estimate with bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Estimate {
    least: f64,
    expected: f64,
    most: f64,
}

impl Estimate {
    const fn exactly(value: f64) -> Self {
        Self { least: value, expected: value, most: value }
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { least: f(self.least), expected: f(self.expected), most: f(self.most) }
    }

    /// Bound by bound.
    fn with(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            least: f(self.least, other.least),
            expected: f(self.expected, other.expected),
            most: f(self.most, other.most),
        }
    }
}

/// The requested load, with the rules and settings that the estimates use.
pub(super) struct Load<'a> {
    customers: f64,
    per_second: f64,
    event_bytes: f64,
    file: &'a RulesFile,
    settings: &'a Loaded,
}

/// One line of the result.
struct Figure {
    name: &'static str,
    unit: Unit,
    value: Estimate,
    comes_from: String,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Bytes,
    /// As `memory.limit` takes it.
    Memory,
    BytesPerSecond,
    Number,
    Seconds,
}

impl Unit {
    fn shown(self, value: f64) -> String {
        let whole = value.ceil() as u64;
        match self {
            Self::Bytes => size(whole),
            Self::Memory => format!("{} MiB", grouped((value / MIB).ceil() as u64)),
            Self::BytesPerSecond => format!("{}/s", size(whole)),
            Self::Number if value < 10.0 && value.fract() > 0.0 => format!("{value:.2}"),
            Self::Number => grouped(value.round() as u64),
            Self::Seconds if value < 90.0 => counted(whole.max(1), "second", "seconds"),
            Self::Seconds if value < 5_400.0 => counted((value / 60.0).ceil() as u64, "minute", "minutes"),
            Self::Seconds => counted((value / 3_600.0).ceil() as u64, "hour", "hours"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bytes | Self::Memory => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Number => "",
            Self::Seconds => "s",
        }
    }
}

/// Writes the estimates as one JSON object. `measured`: on a sample, under these rules.
pub(super) fn write_json(load: &Load<'_>, measured: Option<Kept>, out: &mut impl Write) -> io::Result<()> {
    let (figures, basis) = load.figures(measured);
    writeln!(out, "{:#}", in_json(load, &figures, &basis))
}

/// Writes the estimates as a table. `measured`: on a sample, under these rules.
pub(super) fn write_table(load: &Load<'_>, measured: Option<Kept>, out: &mut impl Write) -> io::Result<()> {
    let (figures, basis) = load.figures(measured);
    let (customers, cohorts) = (load.customers as u64, load.file.rules.cohorts.len() as u64);
    writeln!(
        out,
        "{}, {} events a second, {} of {}",
        counted(customers, "customer", "customers"),
        Unit::Number.shown(load.per_second),
        counted(cohorts, "cohort", "cohorts"),
        load.file.name
    )?;
    for (title, lines) in [("all processes together", &figures), ("this rests on", &basis)] {
        writeln!(out, "\n{title:<26} {:>13} {:>13} {:>13}", "expect", "at least", "at most")?;
        for Figure { name, unit, value, comes_from } in lines {
            let [expected, least, most] = [value.expected, value.least, value.most].map(|value| unit.shown(value));
            writeln!(out, "  {name:<24} {expected:>13} {least:>13} {most:>13}  {comes_from}")?;
        }
    }
    writeln!(out, "\nWhat is meant by each line, and what was measured: docs/sizing.md")
}

fn in_json(load: &Load<'_>, figures: &[Figure], basis: &[Figure]) -> Value {
    let shown = |figures: &[Figure]| -> Value {
        let figure = |Figure { name, unit, value, comes_from }: &Figure| {
            let shown = [value.expected, value.least, value.most].map(|value| unit.shown(value));
            json!({
                "name": name, "expected": value.expected, "least": value.least, "most": value.most,
                "unit": unit.word(), "shown": shown, "comes_from": comes_from,
            })
        };
        figures.iter().map(figure).collect()
    };
    json!({
        "customers": load.customers as u64,
        "events_per_second": load.per_second,
        "event_bytes": load.event_bytes,
        "cohorts": load.file.rules.cohorts.len(),
        "figures": shown(figures),
        "rests_on": shown(basis),
    })
}

impl<'a> Load<'a> {
    /// From the command line.
    pub(super) fn of(asked: &Check, file: &'a RulesFile, settings: &'a Loaded) -> Self {
        Self {
            customers: asked.customers.unwrap_or(1) as f64,
            per_second: asked.events_per_second.unwrap_or(1.0),
            event_bytes: f64::from(asked.event_bytes),
            file,
            settings,
        }
    }

    fn figures(&self, measured: Option<Kept>) -> (Vec<Figure>, Vec<Figure>) {
        let (customers, settings) = (self.customers, &self.settings.settings);
        let stored = measured.map_or_else(|| self.stored(), |kept| around(kept.stored));
        let in_memory =
            measured.map_or_else(|| stored.map(|bytes| IN_MEMORY_FRAME + bytes), |kept| around(kept.in_memory));
        let per_event = measured.map_or(CHANGES, |kept| around(kept.changes_per_event));
        let pace = self.pace();
        let lanes = Estimate {
            least: self.lanes(1.0, pace.most),
            expected: self.lanes(HEADROOM, pace.expected),
            most: self.lanes(HEADROOM, pace.least),
        };
        let partitions = (4.0 * lanes.expected).max((customers / PARTITION_CUSTOMERS).ceil());
        let partitions = Estimate { least: lanes.least, expected: partitions, most: partitions.max(256.0) };

        let (flushed, period) = self.flushed();
        let row = stored.map(|bytes| bytes + KEY + FRAMING);
        let disk = row.with(ON_DISK, |bytes, times| customers * bytes * times);
        let live = row.with(COMPRESSED, |bytes, left| customers * bytes * left);
        let dirty = 1.0 - f64::from(settings.topics.dirty_percent.min(90)) / 100.0;
        let segments = partitions.expected * settings.topics.segment_size as f64;
        let changelog =
            Estimate { expected: live.expected / dirty, most: live.most / dirty + segments, least: live.least };

        let received = Estimate { least: 0.3, expected: 1.0, most: 1.1 }
            .map(|part| part * self.per_second * (self.event_bytes + KEY + FRAMING));
        let states = Estimate { least: flushed / period / 3.0, expected: flushed / period, most: self.per_second };
        let states = states.with(row, |records, bytes| records * bytes).with(COMPRESSED, |bytes, left| bytes * left);
        let changes = per_event.with(CHANGE_BYTES, |changes, bytes| changes * bytes * self.per_second);
        let sent = states.with(changes, |states, changes| states + changes);

        let memory = self.memory(&stored, &in_memory, flushed);
        let rebuilt = Estimate { least: RESTORED.most, expected: RESTORED.expected, most: RESTORED.least }
            .map(|pace| customers / pace / lanes.expected);

        let figure =
            |name, unit, value, comes_from: &str| Figure { name, unit, value, comes_from: comes_from.to_owned() };
        let figures = vec![
            figure("memory.limit", Unit::Memory, memory, "states in the block cache; at most: all customers in memory"),
            figure("lanes", Unit::Number, lanes, "twice the load, so that a backlog is read as fast as it grew"),
            figure("partitions", Unit::Number, partitions, "4 a lane, a million customers each; more cannot be added"),
            figure("disk", Unit::Bytes, disk, "key, state, timer of each; and what is not compacted yet"),
            figure(
                "cohortd-changelog",
                Unit::Bytes,
                changelog,
                "states, compacted to topics.dirty_percent; one replica",
            ),
            figure("network in", Unit::BytesPerSecond, received, "events; less where producers compress"),
            figure("network out", Unit::BytesPerSecond, sent, "changed states after flush_after, changes, members"),
            figure("rebuild of a lost disk", Unit::Seconds, rebuilt, "420 K records/s a lane; 96 K not compacted"),
        ];
        let customer = Customer { stored, in_memory, changes: per_event };
        (figures, self.basis(measured, &customer, pace))
    }

    /// What the figures are computed from.
    fn basis(&self, measured: Option<Kept>, customer: &Customer, pace: Estimate) -> Vec<Figure> {
        let figure =
            |name, unit, value, comes_from: &str| Figure { name, unit, value, comes_from: comes_from.to_owned() };
        let of_sample =
            |kept: &Kept| format!("measured on {} of the sample", counted(kept.customers, "customer", "customers"));
        let source = |otherwise: &str| measured.as_ref().map_or(otherwise.to_owned(), of_sample);
        let daily = Estimate::exactly(self.daily());
        vec![
            figure("events of a customer/day", Unit::Number, daily, "events a second over customers"),
            Figure {
                name: "a customer as stored",
                unit: Unit::Bytes,
                value: customer.stored,
                comes_from: source("facts of these rules at that pace; 108 to 236 were measured"),
            },
            Figure {
                name: "a customer in memory",
                unit: Unit::Bytes,
                value: customer.in_memory,
                comes_from: source("130 bytes + stored; 164 to 348 bytes were measured"),
            },
            Figure {
                name: "changes for each event",
                unit: Unit::Number,
                value: customer.changes,
                comes_from: source("of config/rules.toml in the shop of `cohortd demo`"),
            },
            figure("events/s of a lane", Unit::Number, pace, "measured on two cores that broker and load shared"),
        ]
    }

    /// Events of one customer in a day.
    fn daily(&self) -> f64 {
        self.per_second * 86_400.0 / self.customers
    }

    fn lanes(&self, headroom: f64, pace: f64) -> f64 {
        (headroom * self.per_second / pace).ceil().max(1.0)
    }

    /// Events per second of one lane, by the number of cohorts: 60 cost 1.3 times as much as six, 600 2.7 times.
    fn pace(&self) -> Estimate {
        let rules = &self.file.rules;
        let cohorts = rules.cohorts.len() as f64;
        let cost = 1.0 + 0.3 * ((cohorts - 6.0) / 54.0).clamp(0.0, 1.0) + 1.4 * ((cohorts - 60.0) / 540.0).max(0.0);
        let cost = if rules.churn.is_some() { cost * CHURN_COST } else { cost };
        // Other machines may be half as fast.
        Estimate { least: CACHED_PACE / 2.0, expected: CACHED_PACE, most: RESIDENT_PACE }.map(|pace| pace / cost)
    }

    /// Customers changed between two flushes, at most, and the interval in seconds.
    fn flushed(&self) -> (f64, f64) {
        let state = &self.settings.settings.state;
        let period = state.flush_after.as_secs_f64().min(state.flush_after_events as f64 / self.per_second);
        // Every batch is flushed.
        let period = period.max(1.0 / self.per_second);
        let events = self.per_second * period;
        (self.customers * -(-events / self.customers).exp_m1(), period)
    }

    /// Least: the customers changed between two flushes fit. Expected: RocksDB need not read from disk. Most: no
    /// customer is read twice, and more memory has no effect.
    fn memory(&self, stored: &Estimate, in_memory: &Estimate, flushed: f64) -> Estimate {
        let of = |bytes: f64| ((PROGRAM_BYTES as f64 + bytes / SHARE) / STEP).ceil() * STEP;
        let least = of(flushed * in_memory.expected).max(PROCESS_BYTES);
        let expected = of(self.customers * (stored.expected + KEY + FRAMING)).max(least);
        Estimate { least, expected, most: of(self.customers * in_memory.expected).max(expected) }
    }

    /// Bytes of a stored customer, from the contents of the facts after a year at this rate. Events are distributed
    /// evenly over the names that the rules use, and one more for all others.
    fn stored(&self) -> Estimate {
        let (rules, settings) = (&self.file.rules, &self.settings.settings);
        let names: Vec<NameId> = rules.vocabulary.names().chain([NameId::OTHER]).collect();
        let lateness = settings.time.max_lateness.0 as f64 / Span::DAY.0 as f64;
        let ids = (self.daily() * lateness).min(settings.dedupe.ids as f64) * ID as f64;
        SHARES.map(|times| {
            let facts: f64 = (0..rules.facts.len()).map(|fact| self.fact_bytes(rules, fact, &names, times)).sum();
            let standings = rules.cohorts.len() as f64 * STANDING as f64 * (times / 4.0);
            FRAME + ids + facts + standings
        })
    }

    fn fact_bytes(&self, rules: &RuleSet, fact: usize, names: &[NameId], times: f64) -> f64 {
        const YEAR_DAYS: f64 = 365.0;
        let kind = &rules.facts[fact].kind;
        let fed = |name: &&NameId| {
            let is_it = |feed: &Feed| feed.fact == FactIx(u16::try_from(fact).unwrap_or(u16::MAX));
            rules.feeds(**name).iter().any(is_it)
        };
        let share = (names.iter().filter(fed).count() as f64 / names.len() as f64 * times).min(1.0);
        let days = kind.horizon().map_or(YEAR_DAYS, |span| span.0 as f64 / Span::DAY.0 as f64);
        let events = self.daily() * share * days;
        // A customer without such an event stores nothing.
        -(-events).exp_m1() * kind.bytes((events.ceil() as usize).max(1), TEXT) as f64
    }
}

/// Bytes of one customer, stored and in memory, and changes for each of their events.
struct Customer {
    stored: Estimate,
    in_memory: Estimate,
    changes: Estimate,
}

/// Measured on a sample: half to twice as much on another one.
fn around(value: f64) -> Estimate {
    Estimate { least: value / 2.0, expected: value, most: value * 2.0 }
}
