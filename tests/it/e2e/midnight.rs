//! Very many deadlines at one instant, and brokers that are slow for so much: bounded transactions, each change once.

use std::collections::BTreeMap;
use std::time::Duration;

use cohortd::clock::wall_clock;

use super::daemon::Daemon;
use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";
const CUSTOMERS: usize = 100_000;

/// All enter by events of one instant, and so all leave at one instant, when an event of somebody else moves stream time.
fn fill(lab: &Lab) {
    let writer = lab.writer();
    let (then, later) = (wall_clock().0 - 5 * 86_400_000, wall_clock().0 - 2 * 86_400_000);
    for n in 0..CUSTOMERS {
        let customer = format!("c{n}");
        writer.send_to(0, Some(&customer), Some(&avro::encode(&avro::event(&customer, "visit", then, None))));
    }
    writer.send_to(0, Some("last"), Some(&avro::encode(&avro::event("last", "buy", later, None))));
    writer.flush();
}

fn changes(daemon: &mut Daemon) -> i64 {
    daemon.assert_running();
    daemon.metrics().get("cohortd_membership_changes_total").map_or(0, |changes| *changes as i64)
}

/// Waits for this many changes. Each part of them has its time: a busy machine takes minutes for all.
fn reach(daemon: &mut Daemon, goal: i64) {
    let mut known = 0;
    while known < goal {
        known = eventually("more of them came and left", || Some(changes(daemon)).filter(|now| *now > known));
    }
}

/// Everybody entered and left, once, in this order.
fn every_customer_left_once(lab: &Lab) {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for change in lab.read("changes").concat() {
        seen.entry(change.key().to_owned()).or_default().push(change.header("ce_type").to_owned());
    }
    assert_eq!(seen.len(), CUSTOMERS);
    for (customer, types) in &seen {
        assert_eq!(types, &["cohortd.cohort.entered.v1", "cohortd.cohort.exited.v1"], "{customer}");
    }
    let mut members: BTreeMap<String, bool> = BTreeMap::new();
    for row in lab.read("members").concat() {
        members.insert(row.key().to_owned(), row.payload.is_some());
    }
    assert_eq!((members.len(), members.values().filter(|is_in| **is_in).count()), (CUSTOMERS, 0));
}

#[test]
fn a_hundred_thousand_deadlines_at_midnight_are_decided_in_transactions_that_brokers_can_take() {
    let Some(lab) = Lab::new("midnight", 1, RULES) else { return };
    fill(&lab);
    // So short that not even the decisions that fit in memory at once fit in one transaction on a busy machine.
    let sets = ["kafka.options.transaction.timeout.ms=3000", "state.flush_after_events=20000"];
    let mut daemon = lab.start("one", &sets);
    reach(&mut daemon, i64::try_from(2 * CUSTOMERS).unwrap());
    daemon.stop();
    every_customer_left_once(&lab);
}

#[test]
fn deadlines_at_midnight_that_a_kill_interrupts_go_on_where_they_were() {
    let Some(lab) = Lab::new("cut", 1, RULES) else { return };
    fill(&lab);
    let sets = ["state.flush_after_events=20000"];
    let mut daemon = lab.start("one", &sets);
    // Twice somewhere among the exits: with its copy, and with none.
    for (round, share) in [(1, 3), (2, 3)] {
        let since = if round == 1 { CUSTOMERS } else { 0 };
        let goal = i64::try_from(since + CUSTOMERS * round / share / 2).unwrap();
        reach(&mut daemon, goal);
        daemon.kill9();
        if round == 2 {
            std::fs::remove_dir_all(lab.state("one")).unwrap();
        }
        daemon = lab.start("one", &sets);
        std::thread::sleep(Duration::from_millis(100));
    }
    lab.decided_until(wall_clock().0 - 3 * 86_400_000);
    daemon.ready();
    eventually("nobody is left", || {
        let members = daemon.metrics();
        (members["cohortd_cohort_members"] as i64 == 0).then_some(())
    });
    daemon.stop();
    every_customer_left_once(&lab);
}
