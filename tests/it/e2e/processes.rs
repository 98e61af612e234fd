//! Several lanes, and a second process that joins, leaves and dies while events flow.

use std::thread;
use std::time::Duration;

use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};

#[test]
fn a_second_process_that_comes_goes_and_dies_changes_nothing() {
    let Some(lab) = Lab::new("two", 4, shop::RULES) else { return };
    let mut random = Random::seeded("two");
    let sets = [
        &shop::SETS[..],
        &["lanes=2", "kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"],
        &["state.flush_after_events=300", "state.flush_after=2 s"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 40, 150);
    let mut one = lab.start("one", &sets);
    one.ready();
    let partitions = |daemon: &mut super::daemon::Daemon| daemon.metrics()["cohortd_partitions_assigned"] as i64;
    // Its two lanes may still be sharing them out.
    eventually("the first process has them all", || (partitions(&mut one) == 4).then_some(()));

    for end in ["stop", "kill", "kill the first"] {
        let mut two = lab.start("two", &sets);
        two.ready();
        eventually("the second process is given partitions", || (partitions(&mut two) > 0).then_some(()));
        thread::sleep(Duration::from_millis(500 + random.next() % 1_000));
        match end {
            "stop" => two.stop(),
            "kill" => two.kill9(),
            _ => {
                one.kill9();
                eventually("the second process has them all", || (partitions(&mut two) == 4).then_some(()));
                one = lab.start("one", &sets);
                one.ready();
                thread::sleep(Duration::from_millis(500));
                two.kill9();
            }
        }
        eventually("the first process has them all", || (partitions(&mut one) == 4).then_some(()));
        println!("two: after {end:?} the first process has all partitions again");
    }
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    one.stop();
    let found = judge::check(&lab, shop::config());
    println!("two: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50 && found.advances > 0, "too little happened: {found:?}");
}
