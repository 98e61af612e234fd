//! The first load of a history, of any speed and into any number of processes: where ranks begin is what a reader of the
//! whole topic finds, without waiting for the next hour.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::engine::Standing;
use cohortd::event::Number;
use cohortd::event::stored_hash::tie_hash;
use cohortd::rules::{RuleSet, load};
use cohortd::store::Recorded;
use cohortd::summary::{Counters, thresholds};

use super::lab::Lab;
use super::shop::Random;
use super::{avro, eventually};
use crate::naive::OwnedValue;

const CUSTOMERS: i64 = 1_500;
const EVENTS: u64 = 9_000;

const RULES: &str = r#"
[cohorts.vip]
who = "in the top 10 % by sum(purchase.amount)"

[cohorts.first]
who = "among the 25 highest by sum(purchase.amount)"
"#;

/// No period begins but the one of today.
const SETS: [&str; 2] = ["ranks.refresh=1 day", "state.flush_after=1 s"];

type Events = Vec<(String, i64)>;

/// Who spends how much, in the order of writing. Sums grow to the very end.
fn events(random: &mut Random) -> Events {
    let one = |_| {
        let customer = random.below(CUSTOMERS);
        (format!("c{customer}"), 1 + random.below(1_000))
    };
    (0..EVENTS).map(one).collect()
}

fn write(lab: &Lab, events: &[(String, i64)], first: usize) {
    let writer = lab.writer();
    for ((customer, amount), number) in events.iter().zip(first..) {
        let mut event = avro::event(customer, "purchase", wall_clock().0, Some(format!("e{number}")));
        event.properties.push(("amount".into(), OwnedValue::Number(Number::from_integer(*amount))));
        writer.send(customer, &avro::encode(&event));
    }
    writer.flush();
}

/// What a reader of everything finds, by the numbers of the ranks.
fn of_all(rules: &RuleSet, events: &Events) -> Vec<Option<Standing>> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (customer, amount) in events {
        *sums.entry(customer).or_default() += amount;
    }
    let mut counters = Counters::new(rules);
    for (customer, sum) in sums {
        let standing = Standing { value: Number::from_integer(sum), hash: tie_hash(customer) };
        counters.rankings.iter_mut().for_each(|ranking| ranking.add(standing));
    }
    thresholds(rules, &[&counters]).into_iter().map(|found| found.threshold).collect()
}

/// The thresholds that each partition has applied, by rank, in their order.
fn thresholds_applied(lab: &Lab, ranks: usize) -> Vec<Vec<Vec<Option<Standing>>>> {
    let of_partition = |recorded: Vec<(i64, Recorded)>| {
        let mut by_rank = vec![Vec::new(); ranks];
        for (_, recorded) in recorded {
            if let Recorded::Threshold { rank, threshold, .. } = recorded {
                by_rank[usize::from(rank)].push(threshold);
            }
        }
        by_rank
    };
    lab.thresholds_applied().into_iter().map(of_partition).collect()
}

#[test]
fn a_history_that_is_there_gives_the_thresholds_of_all_of_it_and_none_before() {
    let Some(lab) = Lab::new("first-load", 3, RULES) else { return };
    let rules = load("rules.toml", RULES).unwrap();
    let events = events(&mut Random::seeded("first-load"));
    write(&lab, &events, 0);
    let mut daemons = [lab.start("one", &SETS), lab.start("two", &SETS)];
    let expected = of_all(&rules, &events);
    let found = eventually("every partition has a threshold for every rank", || {
        daemons.iter_mut().for_each(super::daemon::Daemon::assert_running);
        let found = thresholds_applied(&lab, rules.ranks.len());
        found.iter().flatten().all(|thresholds_applied| !thresholds_applied.is_empty()).then_some(found)
    });
    for by_rank in &found {
        for (thresholds_applied, expected) in by_rank.iter().zip(&expected) {
            assert!(
                thresholds_applied.iter().all(|threshold| threshold == expected),
                "{thresholds_applied:?}, and not {expected:?}"
            );
        }
    }
    for daemon in &daemons {
        assert!(!daemon.says("Under 200 customers"), "{}", daemon.log());
    }
    for daemon in daemons {
        daemon.stop();
    }
}

/// The processes are there first. The beginning is written at once and is all there is for a while; the rest comes slowly.
#[test]
fn a_load_that_goes_on_while_it_is_read_ends_with_the_thresholds_of_all_of_it() {
    let Some(lab) = Lab::new("slow-load", 3, RULES) else { return };
    let rules = load("rules.toml", RULES).unwrap();
    let events = events(&mut Random::seeded("slow-load"));
    let mut daemons = [lab.start("one", &SETS), lab.start("two", &SETS)];
    daemons.iter_mut().for_each(super::daemon::Daemon::ready);
    let begun = events.len() / 4;
    write(&lab, &events[..begun], 0);
    lab.read_through();
    thread::sleep(Duration::from_secs(5));
    for (number, slice) in events[begun..].chunks(250).enumerate() {
        write(&lab, slice, begun + 250 * number);
        thread::sleep(Duration::from_millis(300));
    }
    let expected: Vec<Option<Standing>> = of_all(&rules, &events);
    eventually("every partition has the thresholds of the whole topic", || {
        daemons.iter_mut().for_each(super::daemon::Daemon::assert_running);
        let is_there = |by_rank: &Vec<Vec<Option<Standing>>>| {
            by_rank
                .iter()
                .zip(&expected)
                .all(|(thresholds_applied, expected)| thresholds_applied.last() == Some(expected))
        };
        thresholds_applied(&lab, rules.ranks.len()).iter().all(is_there).then_some(())
    });
    for daemon in daemons {
        daemon.stop();
    }
}
