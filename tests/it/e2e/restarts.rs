//! One process, stopped, killed, and robbed of its disk while events flow.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};

const KILLS: usize = 12;

/// Lets time pass until all short deadlines came due, stops cleanly and judges.
fn settle(lab: &Lab, daemon: Daemon, last: i64) {
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(lab, shop::config());
    println!("{}: {found:?}", lab.name);
    assert!(found.changes > 100 && found.by_time > 50 && found.advances > 0, "too little happened: {found:?}");
    assert!(found.duplicates > 0 && found.late > 0, "too little happened: {found:?}");
}

#[test]
fn a_clean_stop_and_a_lost_disk_lose_nothing() {
    let Some(lab) = Lab::new("stops", 2, shop::RULES) else { return };
    let mut random = Random::seeded("stops");
    let sets = [&shop::SETS[..], &["state.flush_after_events=200", "state.flush_after=2 s"]].concat();
    let open = shop::open(&lab, random.next(), 30, 150);
    let mut daemon = lab.start("one", &sets);
    for lost in [false, true, false, true] {
        daemon.ready();
        thread::sleep(Duration::from_secs(2));
        if lost {
            daemon.kill9();
        } else {
            daemon.stop();
        }
        if random.percent(50) || lost {
            fs::remove_dir_all(lab.state("one")).unwrap();
        }
        daemon = lab.start("one", &sets);
    }
    daemon.ready();
    thread::sleep(Duration::from_secs(1));
    let last = open.close();
    settle(&lab, daemon, last);
}

#[test]
fn kills_at_any_moment_lose_nothing_when_every_batch_is_written() {
    killed("eager", &["state.flush_after_events=0"]);
}

#[test]
fn kills_at_any_moment_lose_nothing_when_states_are_written_lazily() {
    killed("lazy", &["state.flush_after_events=500", "state.flush_after=1 s"]);
}

/// Kills it over and over: half of the times at a random moment from its start on, restores included, half of the times
/// in the moment in which a commit becomes visible, when the local database may not have it yet.
fn killed(name: &str, sets: &[&str]) {
    let Some(lab) = Lab::new(name, 2, shop::RULES) else { return };
    let mut random = Random::seeded(name);
    let sets = [&shop::SETS[..], sets].concat();
    let open = shop::open(&lab, random.next(), 30, 150);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let changes = lab.follow("changes");
    for number in 0..KILLS {
        if number % 2 == 0 {
            thread::sleep(Duration::from_millis(random.next() % 1_500));
        } else {
            daemon.ready();
            while changes.next(Duration::from_millis(1)).is_some() {}
            let patience = Instant::now();
            eventually("a commit becomes visible", || changes.next(Duration::from_millis(500)));
            println!("{name}: killed {:?} after ready, at a commit", patience.elapsed());
        }
        daemon.assert_running();
        daemon.kill9();
        daemon = lab.start("one", &sets);
    }
    daemon.ready();
    thread::sleep(Duration::from_secs(1));
    let last = open.close();
    settle(&lab, daemon, last);
}

/// Each process is another member, so that only its timeout ends the transaction that the one before left open; and
/// the one that takes over is killed before that, or while it waits.
#[test]
fn handovers_within_the_time_out_of_a_transaction_lose_nothing() {
    let Some(lab) = Lab::new("handovers", 2, shop::RULES) else { return };
    let mut random = Random::seeded("handovers");
    let sets = [
        &shop::SETS[..],
        &["kafka.options.session.timeout.ms=2000", "kafka.options.heartbeat.interval.ms=300"],
        &["state.flush_after_events=200", "state.flush_after=1 s"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 30, 150);
    let changes = lab.follow("changes");
    for (number, instance) in ["one", "two", "three", "one", "two", "three"].into_iter().enumerate() {
        let mut daemon = lab.start(instance, &sets);
        if number % 3 == 0 {
            daemon.ready();
            while changes.next(Duration::from_millis(1)).is_some() {}
            eventually("a commit becomes visible", || changes.next(Duration::from_millis(500)));
        } else {
            thread::sleep(Duration::from_millis(1_500 + random.next() % 3_000));
        }
        daemon.assert_running();
        daemon.kill9();
    }
    let mut daemon = lab.start("four", &sets);
    daemon.ready();
    thread::sleep(Duration::from_secs(1));
    let last = open.close();
    settle(&lab, daemon, last);
}
