//! The cost of more cohorts: the default ones, and ten and a hundred variations of each, which either all use the same
//! events, so that each event affects a hundred times as many cohorts, or each use events of their own name.

use std::sync::Arc;

use cohortd::rules::{self, RuleSet};
use toml::{Table as Toml, Value};

use super::support::knob;
use super::support::shop::Traffic;
use super::support::table::{Table, Target};

/// Beside the default cohorts, so that there are six.
const SIXTH: &str =
    "who = 'sum(purchase.amount in the last 30 days) >= 200'\nstay = 'sum(purchase.amount in the last 30 days) >= 100'";
const COHORTS: usize = 6;

pub(super) fn run(table: &mut Table) {
    let events = knob("COHORTD_BENCH_GROWTH_EVENTS", 2_000_000);
    let million = knob("COHORTD_BENCH_CUSTOMERS", 1_000_000);
    for (customers, kind) in [(million / 10, Kind::Apart), (million, Kind::Apart), (million / 10, Kind::Alike)] {
        let mut few = 0.0;
        for variations in [1, 10, 100] {
            let rules = Arc::new(grown(variations, kind));
            let (cost, kept) = super::run(&rules, customers, events, Traffic::Visits);
            let nanos = (cost.cpu + cost.background).as_secs_f64() * 1e9 / cost.events as f64;
            let name = format!("{} K customers, {} cohorts, {kind:?}:", customers / 1_000, rules.cohorts.len());
            let name = name.to_lowercase().replace(" k ", " K ");
            table.add(format!("{name} ns/event"), Target::None, nanos, "");
            table.add(
                "  apply and decode, ns/event",
                Target::None,
                cost.taking.as_secs_f64() * 1e9 / cost.events as f64,
                "",
            );
            table.add("  states read per event", Target::None, cost.states_read as f64 / cost.events as f64, "");
            table.add("  changes per event", Target::None, cost.changes as f64 / cost.events as f64, "");
            kept.add_to(table);
            if variations == 1 {
                few = nanos;
            } else {
                let target = match (variations, kind) {
                    (100, Kind::Apart) => Target::AtMost(4.0),
                    _ => Target::None,
                };
                table.add(format!("  times the cost of {COHORTS} cohorts"), target, nanos / few, "");
            }
        }
    }
}

/// What variations have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All use the same events.
    Alike,
    /// Each uses events of its own name, and all use the customer's activity.
    Apart,
}

/// Names of events that each variation has of its own, where they differ.
const EVENTS: [&str; 6] =
    ["signup", "purchase", "visit", "product_viewed", "onboarding_started", "onboarding_step_completed"];

/// Cohorts with other names, windows and thresholds, each like one of the default ones.
fn grown(variations: usize, kind: Kind) -> RuleSet {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
    let mut document: Toml = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut cohorts = document["cohorts"].as_table().unwrap().clone();
    cohorts.insert("spenders".into(), Value::Table(SIXTH.parse().unwrap()));
    let cohorts: Vec<(String, Value)> = cohorts.into_iter().take(COHORTS).collect();
    let names: Vec<&str> = cohorts.iter().map(|(name, _)| name.as_str()).collect();
    let mut all = Toml::new();
    for number in 0..variations {
        for (name, cohort) in &cohorts {
            let varied = cohort.as_table().unwrap().iter().map(|(key, value)| {
                let value =
                    value.as_str().map_or(value.clone(), |text| Value::String(varied(text, number, &names, kind)));
                (key.clone(), value)
            });
            all.insert(varied_name(name, number), Value::Table(varied.collect()));
        }
    }
    document.insert("cohorts".into(), Value::Table(all));
    let text = toml::to_string(&document).unwrap();
    rules::load("grown.toml", &text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

fn varied_name(name: &str, number: usize) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}_{number}") }
}

/// Lengths of time are some hours longer, counts a little higher, sums higher, and cohorts those of the same number.
fn varied(text: &str, number: usize, names: &[&str], kind: Kind) -> String {
    let text = match kind {
        Kind::Alike => text.to_owned(),
        Kind::Apart => EVENTS.iter().fold(format!("{text} "), |text, event| {
            [" ", ",", ")", "."].iter().fold(text, |text, after| {
                text.replace(&format!("{event}{after}"), &format!("{}{after}", varied_name(event, number)))
            })
        }),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out: Vec<String> = Vec::new();
    let mut place = 0;
    while place < words.len() {
        let (word, next) = (words[place], words.get(place + 1).map_or("", |next| next.trim_end_matches(')')));
        match (word.parse::<usize>(), next) {
            (Ok(days), "day" | "days") if number > 0 => {
                out.push(format!("{} hours{}", days * 24 + number, &words[place + 1][next.len()..]));
                place += 1;
            }
            (Ok(hours), "hours") => out.push((hours + number).to_string()),
            (Ok(times), "times") => out.push((times + number % 4).to_string()),
            (Ok(sum), _) if sum >= 100 => out.push((sum + 10 * number).to_string()),
            _ if names.contains(&word) => out.push(varied_name(word, number)),
            _ => out.push(word.to_owned()),
        }
        place += 1;
    }
    out.join(" ")
}
