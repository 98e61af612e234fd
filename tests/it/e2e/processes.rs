//! Several lanes, and processes that join, leave, die and are restarted while events flow.

use std::thread;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
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
    let partitions = |daemon: &mut Daemon| daemon.metrics()["cohortd_partitions_assigned"] as i64;
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

const PARTITIONS: i32 = 6;

/// The partitions that each process holds, once together they hold all of them and every one is ready.
fn shared_out(daemons: &mut [Daemon]) -> Vec<i64> {
    eventually("all partitions have an owner that is ready", || {
        let mut shares = Vec::new();
        for daemon in daemons.iter_mut() {
            daemon.assert_running();
            daemon.get("/health/ready").filter(|(status, _)| *status == 200)?;
            shares.push(daemon.metrics()["cohortd_partitions_assigned"] as i64);
        }
        (shares.iter().sum::<i64>() == i64::from(PARTITIONS)).then_some(shares)
    })
}

/// As a StatefulSet does with a new image or new settings: the last one first, the next once the one before is ready.
fn restart_each(lab: &Lab, daemons: &mut Vec<Daemon>, sets: &[&str], what: &str) {
    for number in (0..daemons.len()).rev() {
        let stopped = Instant::now();
        daemons.remove(number).stop();
        let mut daemon = lab.start(&format!("pod-{number}"), sets);
        daemon.ready();
        let away = stopped.elapsed();
        daemons.insert(number, daemon);
        let shares = shared_out(daemons);
        println!("rolling: {what}: pod-{number} was not ready for {away:?}; then {shares:?} partitions each");
    }
}

#[test]
fn rolling_restarts_and_changes_of_scale_under_load_lose_and_repeat_nothing() {
    let Some(lab) = Lab::new("rolling", PARTITIONS, shop::RULES) else { return };
    let mut random = Random::seeded("rolling");
    let sets = [&shop::SETS[..], &["state.flush_after_events=300", "state.flush_after=2 s"]].concat();
    let leaving = [&sets[..], &["kafka.on_stop=leave"]].concat();
    let open = shop::open(&lab, random.next(), 40, 150);
    let mut daemons: Vec<Daemon> = (0..2).map(|number| lab.start(&format!("pod-{number}"), &sets)).collect();
    shared_out(&mut daemons);

    restart_each(&lab, &mut daemons, &sets, "members keep their places");
    daemons.push(lab.start("pod-2", &sets));
    let grown = eventually("the new process is given partitions", || {
        Some(shared_out(&mut daemons)).filter(|shares| shares[2] > 0)
    });
    println!("rolling: three processes hold {grown:?} partitions");
    restart_each(&lab, &mut daemons, &leaving, "members give up their places from now on");
    restart_each(&lab, &mut daemons, &leaving, "members give up their places");

    let asked = Instant::now();
    daemons.remove(2).stop();
    let shares = shared_out(&mut daemons);
    println!("rolling: {:?} after the stop of the third the two others hold {shares:?}", asked.elapsed());

    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemons.into_iter().for_each(Daemon::stop);
    let found = judge::check(&lab, shop::config());
    println!("rolling: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50, "too little happened: {found:?}");
}
