//! Ranks over two partitions in two processes, which add up each other's counters and take new thresholds up each second;
//! and a process killed while it does so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;
use cohortd::event::Number;
use cohortd::store::{Meta, Recorded, decode_meta};
use serde_json::Value;

use super::avro;
use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};
use crate::naive::OwnedValue;

const CUSTOMERS: i64 = 300;

const RULES: &str = r#"
[cohorts.best]
who = "among the 5 highest by sum(purchase.amount in the last 10 seconds)"

[cohorts.keen]
who      = "in the top 20 % by count(anything)"
stay     = "in the top 30 % by count(anything)"
at_least = "1 second"

[cohorts.first]
who = "among the 7 highest by count(anything)"

[cohorts.shy]
who = "among the 4 lowest by count(visit in the last 6 seconds) among keen and not in best"
"#;

#[test]
fn ranks_are_of_all_customers_and_each_change_follows_from_a_recorded_threshold() {
    let Some(lab) = Lab::new("ranks", 2, RULES) else { return };
    let mut random = Random::seeded("ranks");
    let sets = [
        &shop::SETS[..],
        &["ranks.refresh=1 s", "kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"],
        &["state.flush_after_events=300", "state.flush_after=2 s"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), CUSTOMERS, 200);
    let mut one = lab.start("one", &sets);
    let mut two = lab.start("two", &sets);
    one.ready();
    two.ready();
    let partitions = |daemon: &mut Daemon| daemon.metrics()["cohortd_partitions_assigned"] as i64;
    eventually("each has one partition", || (partitions(&mut one) == 1 && partitions(&mut two) == 1).then_some(()));
    thread::sleep(Duration::from_millis(4_000 + random.next() % 1_000));
    two.kill9();
    thread::sleep(Duration::from_millis(500 + random.next() % 1_000));
    two = lab.start("two", &sets);
    two.ready();
    thread::sleep(Duration::from_millis(2_000 + random.next() % 1_000));
    one.kill9();
    one = lab.start("one", &sets);
    one.ready();
    let (changes, mut by_threshold, mut refreshes) = (lab.follow("changes"), 0, BTreeSet::new());
    eventually("thresholds move often enough to tell", || {
        while let Some(seen) = changes.next(Duration::ZERO) {
            let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
            by_threshold += usize::from(change["reason"] == "THRESHOLD");
        }
        // Shown by the process that holds partition 0.
        let shown =
            [&mut one, &mut two].map(|daemon| daemon.metrics().get("cohortd_rank_refresh_timestamp_seconds").copied());
        refreshes.extend(shown.into_iter().flatten().map(|at| at as i64));
        (by_threshold > 60 && refreshes.len() > 12).then_some(())
    });
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    eventually("enough customers are ranked for a part of them to be in", || {
        // Shown by the process that holds partition 0.
        let shown = [&mut one, &mut two].map(|daemon| daemon.metrics().get("cohortd_rank_population").copied());
        shown.into_iter().flatten().find(|population| *population >= 400.0)
    });
    two.stop();
    eventually("one has both partitions", || (partitions(&mut one) == 2).then_some(()));
    one.ready();
    let thresholds_reported = thresholds_reported(&mut one);
    one.stop();
    // A start without customers in memory.
    let mut one = lab.start("one", &sets);
    one.ready();
    assert_eq!(thresholds_reported, self::thresholds_reported(&mut one));
    one.stop();
    let found = judge::check(&lab, shop::config());
    println!("ranks: {found:?}");
    assert!(found.changes > 100 && found.by_threshold > 50 && found.thresholds > 10, "too little happened: {found:?}");
}

/// The admin API's answers about customers in the rank or not; those in it are at or above the threshold.
fn thresholds_reported(daemon: &mut Daemon) -> BTreeMap<String, (bool, String)> {
    let mut thresholds_reported = BTreeMap::new();
    for customer in (0..CUSTOMERS).map(|number| format!("c{number}")) {
        let (status, body) = daemon.ask("admin", &format!("/customers/{customer}/cohorts/first")).unwrap();
        if status == 404 {
            continue;
        }
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let cohort = &answer["cohorts"][0];
        let (member, condition) = (cohort["member"].as_bool().unwrap(), &cohort["conditions"][0]);
        assert_eq!(condition["holds"], member, "{body}");
        let value = condition["value"]["en"].as_str().unwrap().to_owned();
        assert!(value.contains(", threshold "), "{body}");
        thresholds_reported.insert(customer, (member, value));
    }
    assert_eq!(thresholds_reported.values().filter(|(member, _)| *member).count(), 7, "{thresholds_reported:?}");
    thresholds_reported
}

const BUYERS: usize = 60_000;

fn buyer(number: usize) -> String {
    format!("c{number:05}")
}

/// Everyone's is another one, in no order.
fn spent(number: usize) -> i64 {
    i64::try_from(1 + number * 7_919 % BUYERS).unwrap()
}

fn purchase(number: usize, id: &str, amount: i64) -> Vec<u8> {
    let mut event = avro::event(&buyer(number), "purchase", wall_clock().0, Some(id.to_owned()));
    event.properties.push(("amount".into(), OwnedValue::Number(Number::from_integer(amount))));
    avro::encode(&event)
}

/// META as last committed.
fn meta(lab: &Lab) -> Meta {
    let follower = lab.follow("log");
    let (mut last, mut quiet) = (None, 0);
    while last.is_none() || quiet < 5 {
        let Some(seen) = follower.next(Duration::from_millis(100)) else {
            quiet += 1;
            continue;
        };
        quiet = 0;
        if seen.key == [b'M'] {
            last = Some(decode_meta(&seen.payload.unwrap()).unwrap());
        }
    }
    last.unwrap()
}

/// Nine tenths of the customers enter by the first threshold, in several transactions. The process is killed after one of
/// them, then after another, and then it has lost its disk.
#[test]
fn a_process_killed_while_it_applies_thresholds_goes_on_where_it_was() {
    let rules = "[cohorts.most]\nwho = 'in the top 90 % by sum(purchase.amount)'\n";
    let Some(lab) = Lab::new("taking-up", 1, rules) else { return };
    let writer = lab.writer();
    for number in 0..BUYERS {
        writer.send(&buyer(number), &purchase(number, "first", spent(number)));
    }
    writer.flush();
    let changes = lab.follow("changes");
    let mut through = String::new();
    for stop in 0..2 {
        let mut daemon = lab.start("one", &["ranks.refresh=1 s"]);
        eventually("some have entered", || changes.next(Duration::from_millis(500)));
        daemon.assert_running();
        daemon.kill9();
        while changes.next(Duration::from_secs(1)).is_some() {}
        let applying_thresholds = meta(&lab).applying_thresholds.expect("killed too late: all are decided");
        assert!(applying_thresholds.through > through, "{} {through}", applying_thresholds.through);
        println!("taking-up: killed with customers decided through {}", applying_thresholds.through);
        through = applying_thresholds.through;
        // These are still to be decided, and this must not come first.
        for number in BUYERS - 10..BUYERS {
            writer.send(&buyer(number), &purchase(number, &format!("again-{stop}"), 0));
        }
        writer.flush();
    }
    fs::remove_dir_all(lab.state("one")).unwrap();
    let mut daemon = lab.start("one", &["ranks.refresh=1 s"]);
    daemon.ready();
    lab.read_through();
    eventually("all are decided", || meta(&lab).applying_thresholds.is_none().then_some(()));
    daemon.stop();

    let recorded = lab.thresholds_applied().remove(0);
    let mut began: BTreeSet<(i64, Number)> = BTreeSet::new();
    for (position, recorded) in &recorded {
        if let Recorded::Threshold { threshold: Some(threshold), .. } = recorded {
            began.insert((*position, threshold.value));
        }
    }
    let [(position, threshold)] = began.into_iter().collect::<Vec<_>>()[..] else { panic!("{recorded:?}") };
    let above = (0..BUYERS).filter(|number| Number::from_integer(spent(*number)) >= threshold);
    let expected: BTreeSet<String> = above.map(buyer).collect();
    assert!((BUYERS * 9 / 10..BUYERS * 9 / 10 + 100).contains(&expected.len()), "{}", expected.len());
    let mut entered = BTreeSet::new();
    for seen in &lab.read("changes")[0] {
        let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
        assert_eq!((&change["change"], &change["reason"]), (&"ENTERED".into(), &"THRESHOLD".into()), "{change}");
        assert_eq!((&change["automation"], &change["sequence"]), (&false.into(), &1.into()), "{change}");
        assert_eq!(seen.header("cohortd_position"), position.to_string(), "{change}");
        assert!(entered.insert(change["customer_id"].as_str().unwrap().to_owned()), "twice: {change}");
    }
    assert_eq!(entered, expected);
    let members: BTreeSet<String> = lab.read("members")[0].iter().map(|seen| seen.key().to_owned()).collect();
    assert_eq!(members, expected.iter().map(|customer| format!("most/{customer}")).collect());
}
