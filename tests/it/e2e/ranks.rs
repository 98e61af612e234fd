//! Ranks over two partitions in two processes, which add up each other's counters and take new thresholds up each second.

use std::thread;
use std::time::Duration;

use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};

const RULES: &str = r#"
[cohorts.best]
who = "among the 5 highest by sum(purchase.amount in the last 10 seconds)"

[cohorts.keen]
who      = "in the top 20 % by count(anything)"
stay     = "in the top 30 % by count(anything)"
at_least = "1 second"

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
    let open = shop::open(&lab, random.next(), 300, 200);
    let mut one = lab.start("one", &sets);
    let mut two = lab.start("two", &sets);
    one.ready();
    two.ready();
    let partitions = |daemon: &mut super::daemon::Daemon| daemon.metrics()["cohortd_partitions_assigned"] as i64;
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
    thread::sleep(Duration::from_secs(3));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    eventually("enough customers are ranked for a part of them to be in", || {
        let population = one.metrics().get("cohortd_rank_population").copied();
        population.filter(|population| *population >= 400.0)
    });
    one.stop();
    two.stop();
    let found = judge::check(&lab, shop::config());
    println!("ranks: {found:?}");
    assert!(found.changes > 100 && found.by_threshold > 50 && found.thresholds > 10, "too little happened: {found:?}");
}
