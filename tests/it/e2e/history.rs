//! Two years of history, loaded before anything is live.

use cohortd::clock::wall_clock;
use cohortd::codec::Output;
use cohortd::event::Number;

use super::lab::Lab;
use super::shop::Random;
use super::{avro, judge};
use crate::naive::{Config, OwnedValue};

const DAY: i64 = 86_400_000;
const CUSTOMERS: i64 = 50;
const EVENTS: i64 = 1_500;

#[test]
fn a_history_of_two_years_triggers_no_automation_and_the_events_after_it_do() {
    let Some(lab) = Lab::new("history", 2, include_str!("../../../config/rules.toml")) else { return };
    let mut random = Random::seeded("history");
    let now = wall_clock().0;
    let writer = lab.writer();
    let load = |random: &mut Random, from: i64, to: i64| {
        for n in from..to {
            // The last ones are minutes old: young enough to be mailed about, if it were not a history.
            let at = now - 600_000 - (EVENTS - 1 - n) * (730 * DAY / EVENTS) - random.below(30_000);
            // Some are never seen again: their deadlines come up while only others are in memory.
            let customer = match n < EVENTS / 3 && random.percent(40) {
                true => format!("gone{}", random.below(20)),
                false => format!("c{}", random.below(CUSTOMERS)),
            };
            let names = [
                "signup",
                "purchase",
                "purchase",
                "visit",
                "visit",
                "product_viewed",
                "onboarding_started",
                "onboarding_completed",
                "unsubscribed",
                "login",
            ];
            let mut event =
                avro::event(&customer, names[usize::try_from(random.below(10)).unwrap()], at, Some(format!("h{n}")));
            if event.name == "purchase" {
                event.properties.push(("amount".into(), OwnedValue::Number(Number::from_integer(random.below(500)))));
            }
            writer.send(&customer, &avro::encode(&event));
        }
        writer.flush();
    };
    load(&mut random, 0, EVENTS);
    // A part in small batches and a stop; then a large batch without customers in memory, and a kill; then the rest.
    let daemon = lab.start("one", &["state.flush_after_events=0", "batch.max_records=10"]);
    lab.read_to(EVENTS / 6 + 10);
    daemon.stop();
    let daemon = lab.start("one", &["state.flush_after_events=200", "batch.max_wait=1 s"]);
    lab.read_to(EVENTS / 3);
    daemon.kill9();
    let daemon = lab.start("one", &["state.flush_after_events=200"]);
    lab.read_through();
    let ends: Vec<i64> =
        lab.read("in").iter().map(|partition| partition.last().map_or(0, |seen| seen.offset + 1)).collect();
    // From here on it is live.
    for n in 0..CUSTOMERS {
        let customer = format!("live{n}");
        let event = avro::event(&customer, "signup", wall_clock().0, Some(format!("l{n}")));
        writer.send(&customer, &avro::encode(&event));
    }
    writer.flush();
    lab.read_through();
    daemon.stop();

    let found = judge::check(&lab, Config::default());
    println!("history: {found:?}");
    let (mut loaded, mut mailed) = (0, 0);
    for (partition, end) in lab.read("changes").iter().zip(&ends) {
        for seen in partition {
            let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
            let position: i64 = seen.header("cohortd_position").parse().unwrap();
            let automation = change["automation"].as_bool().unwrap();
            if position < *end {
                loaded += 1;
                assert!(!automation, "history is not for automation: {change}");
            } else if change["reason"] == "EVENT" {
                mailed += 1;
                assert!(automation, "a live event is for automation: {change}");
            }
        }
    }
    println!("history: {loaded} changes of the history, {mailed} of events after it");
    assert!(loaded > 200 && mailed >= CUSTOMERS, "{loaded} {mailed}");
}
