//! The cost of churn risk: the default cohorts, with and without `[churn]` on purchases. No rule uses the risk, but its
//! levels are decided and emitted.

use std::sync::Arc;

use cohortd::rules::{self, RuleSet};

use super::support::knob;
use super::support::shop::Traffic;
use super::support::table::{Table, Target};

pub(super) const CHURN: &str = "\n[churn]\non = 'purchase'\namount = 'purchase.amount'\n";

/// Each is run as often, in turn, and its cheapest run counts: what else the machine does only adds.
const ROUNDS: u64 = 5;

pub(super) fn run(table: &mut Table) {
    let events = knob("COHORTD_BENCH_RISK_EVENTS", 2_000_000);
    let million = knob("COHORTD_BENCH_CUSTOMERS", 1_000_000);
    for customers in [million / 10, million] {
        let (mut without, mut with) = (f64::INFINITY, f64::INFINITY);
        let (mut risks, mut changes) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            for (text, nanos) in [("", &mut without), (CHURN, &mut with)] {
                let cost = super::run(&Arc::new(watched(text)), customers, events, Traffic::Visits).0;
                let per_event = |amount: f64| amount / cost.events as f64;
                *nanos = nanos.min(per_event((cost.cpu + cost.background).as_secs_f64() * 1e9));
                (risks, changes) = (per_event(cost.risks as f64), per_event(cost.changes as f64));
            }
        }
        let name = format!("{} K customers:", customers / 1_000);
        table.add(format!("{name} events/s/core without [churn]"), Target::None, 1e9 / without, "");
        table.add("  with [churn] on purchases", Target::None, 1e9 / with, "");
        table.add("  changes of risk per event", Target::None, risks, "");
        table.add("  changes of cohorts per event", Target::None, changes, "");
        table.add("  times the cost without", Target::AtMost(1.15), with / without, "");
    }
}

/// The default cohorts and more.
pub(super) fn watched(more: &str) -> RuleSet {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
    let text = std::fs::read_to_string(file).unwrap() + more;
    rules::load("watched.toml", &text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}
