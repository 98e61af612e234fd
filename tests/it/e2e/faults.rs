//! A process that sleeps through its session, and a broker that dies, while events flow.

use std::thread;
use std::time::Duration;

use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};
use crate::support::broker::Broker;

#[test]
fn a_process_that_slept_through_its_session_writes_nothing_more_for_what_it_lost() {
    let Some(lab) = Lab::new("asleep", 2, shop::RULES) else { return };
    let mut random = Random::seeded("asleep");
    let sets = [
        &shop::SETS[..],
        &["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"],
        &["state.flush_after_events=300", "state.flush_after=1 s"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut one = lab.start("one", &sets);
    one.ready();
    let mut two = lab.start("two", &sets);
    two.ready();
    for round in 0..2 {
        thread::sleep(Duration::from_millis(300 + random.next() % 1_000));
        // Wherever it is in its loop, with whatever transaction is open.
        one.signal("-STOP");
        eventually("the other process takes everything over", || {
            (two.metrics()["cohortd_partitions_assigned"] as i64 == 2).then_some(())
        });
        eventually("it is ready for it", || (two.get("/health/ready")?.0 == 200).then_some(()));
        thread::sleep(Duration::from_secs(1));
        one.signal("-CONT");
        eventually("the sleeper is given partitions again", || {
            (one.metrics()["cohortd_partitions_assigned"] as i64 > 0).then_some(())
        });
        println!("asleep: round {round} is over");
    }
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    one.stop();
    two.stop();
    let found = judge::check(&lab, shop::config());
    println!("asleep: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50, "too little happened: {found:?}");
}

#[test]
fn a_process_that_sleeps_while_it_lets_a_partition_go_writes_nothing_more_for_what_it_lost() {
    let Some(lab) = Lab::new("letting", 2, shop::RULES) else { return };
    let mut random = Random::seeded("letting");
    let sets = [
        &shop::SETS[..],
        &["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"],
        // There is something to flush when a partition goes, and something decided that is not written yet.
        &["state.flush_after_events=100000", "state.flush_after=10 minutes"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut one = lab.start("one", &sets);
    one.ready();
    for _ in 0..3 {
        let before = one.log().matches("Revoked.").count();
        let mut two = lab.start("two", &sets);
        // The other is given what this one lets go, and then all of it.
        let deadline = std::time::Instant::now() + super::LONG;
        while one.log().matches("Revoked.").count() == before {
            assert!(std::time::Instant::now() < deadline, "the first process never has to give it up");
            thread::sleep(Duration::from_micros(200));
        }
        one.signal("-STOP");
        eventually("the other process takes everything over", || {
            (two.metrics().get("cohortd_partitions_assigned") == Some(&2.0)).then_some(())
        });
        thread::sleep(Duration::from_secs(1));
        one.signal("-CONT");
        eventually("the sleeper is given partitions again", || {
            (one.metrics().get("cohortd_partitions_assigned") > Some(&0.0) && one.get("/health/ready")?.0 == 200)
                .then_some(())
        });
        two.kill9();
        eventually("the sleeper has all of them", || {
            (one.metrics().get("cohortd_partitions_assigned") == Some(&2.0)).then_some(())
        });
    }
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    one.stop();
    let found = judge::check(&lab, shop::config());
    println!("letting: {found:?}");
}

#[test]
fn a_broker_that_dies_and_comes_back_costs_nothing_but_time() {
    if Broker::shared().is_none() {
        return;
    }
    let mut broker = Broker::start_own();
    let lab = Lab::at(broker.bootstrap(), "broker", 2, shop::RULES);
    lab.create("in", 2, &[]);
    let mut random = Random::seeded("broker");
    let sets = [&shop::SETS[..], &["state.flush_after_events=300", "state.flush_after=1 s"]].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(500 + random.next() % 1_500));
        broker.kill9();
        thread::sleep(Duration::from_millis(random.next() % 2_000));
        broker.restart();
        let before = daemon.metrics()["cohortd_events_applied_total"];
        eventually("events are taken in again", || {
            (daemon.metrics()["cohortd_events_applied_total"] > before).then_some(())
        });
    }
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("broker: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50, "too little happened: {found:?}");
}

#[test]
fn brokers_that_do_not_answer_are_reported_by_a_running_process_and_waited_for() {
    if Broker::shared().is_none() {
        return;
    }
    let mut broker = Broker::start_own();
    let lab = Lab::at(broker.bootstrap(), "away", 2, shop::RULES);
    lab.create("in", 2, &[]);
    let mut random = Random::seeded("away");
    let open = shop::open(&lab, random.next(), 30, 100);
    let mut daemon = lab.start("one", &shop::SETS);
    daemon.ready();
    broker.kill9();
    let logged = eventually("it says that no broker answers", || {
        daemon.assert_running();
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("no Kafka broker answers")).then_some(text)
    });
    println!("away: {logged}");
    assert!(logged.contains("(kafka,"), "{logged}");
    assert!(daemon.metrics()["cohortd_waiting"] > 0.0);
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    broker.restart();
    daemon.ready();
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    judge::check(&lab, shop::config());
}
