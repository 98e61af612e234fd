//! No partition stays without an owner, whatever dies while partitions change hands.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use cohortd::clock::wall_clock;
use cohortd::kafka::partition_of;

use super::avro;
use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};

const PARTITIONS: i32 = 4;

/// How long the group may take to mend itself once nothing is killed any more, and the machine has time: what took longer is
/// counted. A group that does not mend itself is so for ever.
const MENDED_WITHIN: Duration = Duration::from_secs(15);

/// Enough rounds for every change; the long runs take theirs from the environment.
const KILLS: usize = 3;
const RANDOM_KILLS: usize = 10;

/// Several times what the rounds of one group take.
const GROUP_LIMIT: Duration = Duration::from_secs(1_800);
/// Topics and groups are recreated after so many rounds, and compared.
const ROUNDS_IN_ONE_GROUP: usize = 10;

const SETS: [&str; 6] = [
    "lanes=2",
    // There is something to flush when a partition goes.
    "state.flush_after_events=100000",
    "state.flush_after=10 minutes",
    // A process that is stopped hands its partitions over.
    "kafka.on_stop=leave",
    "time.arrives_within=1 s",
    "time.max_lateness=10 s",
];

fn start(lab: &Lab, name: &str) -> Daemon {
    lab.start(name, &SETS)
}

fn assigned(daemon: &mut Daemon) -> i64 {
    daemon.metrics().get("cohortd_partitions_assigned").map_or(0, |assigned| *assigned as i64)
}

/// Waits until the processes hold all partitions between them and are ready; since `peace`, at most as long as that may take.
fn mended(daemons: &mut [&mut Daemon], peace: Instant) -> Duration {
    loop {
        let mut held = 0;
        let mut ready = true;
        for daemon in daemons.iter_mut() {
            daemon.assert_running();
            ready &= daemon.get("/health/ready").is_some_and(|(status, _)| status == 200);
            held += if ready { assigned(daemon) } else { 0 };
        }
        if ready && held == i64::from(PARTITIONS) {
            return peace.elapsed();
        }
        assert!(
            peace.elapsed() < super::LONG,
            "{held} of {PARTITIONS} partitions have an owner after {:?}; {:?}",
            super::LONG,
            daemons.iter_mut().map(|daemon| daemon.get("/health/ready")).collect::<Vec<_>>()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every partition's lag is shown once.
fn lags_are_whole(daemons: &mut [&mut Daemon]) {
    eventually("the lag of every partition is shown by one process", || {
        let shown: Vec<i32> = daemons.iter_mut().flat_map(|daemon| daemon.lags().into_keys()).collect();
        let each: BTreeSet<i32> = shown.iter().copied().collect();
        (shown.len() == each.len() && each.len() == PARTITIONS as usize).then_some(())
    });
}

fn report(test: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let late = took.iter().filter(|took| **took > MENDED_WITHIN).count();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{test}: {} rounds, mended in {median:?} (median), {worst:?} (worst), {late} after {MENDED_WITHIN:?}",
        took.len()
    );
}

/// The first of two processes is killed when it has let partitions go that the second has not been given yet.
fn kill_between_two_rounds(lab: &Lab, rounds: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut one = start(lab, "one");
    one.ready();
    for round in 0..rounds {
        eventually("the first process has all partitions", || {
            (assigned(&mut one) == i64::from(PARTITIONS)).then_some(())
        });
        // Something to be flushed, so that it gives the partition up a moment after the request.
        thread::sleep(Duration::from_millis(500));
        let before = one.log().matches("Revoked.").count();
        let mut two = start(lab, "two");
        let deadline = Instant::now() + super::LONG;
        while one.log().matches("Revoked.").count() == before {
            assert!(Instant::now() < deadline, "the first process never had to give it up");
            thread::sleep(Duration::from_millis(1));
        }
        one.kill9();
        one = start(lab, "one");
        took.push(mended(&mut [&mut one, &mut two], Instant::now()));
        println!("ownership: kill {round} mended after {:?}", took[round]);
        lags_are_whole(&mut [&mut one, &mut two]);
        two.stop();
    }
    one.stop();
    took
}

/// Processes come, go and die at random moments, also while the group shares out partitions.
fn kill_at_random(lab: &Lab, random: &mut Random, rounds: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut running: BTreeMap<&str, Daemon> = ["one", "two"].map(|name| (name, start(lab, name))).into();
    for round in 0..rounds {
        match running.remove("three") {
            Some(three) => three.stop(),
            None => drop(running.insert("three", start(lab, "three"))),
        }
        let kills = 1 + random.below(3);
        for _ in 0..kills {
            thread::sleep(Duration::from_millis(random.next() % 2_500));
            let names: Vec<&str> = running.keys().copied().collect();
            let name = names[usize::try_from(random.below(names.len() as i64)).unwrap()];
            running.remove(name).unwrap().kill9();
            thread::sleep(Duration::from_millis(random.next() % 500));
            running.insert(name, start(lab, name));
        }
        let mut daemons: Vec<&mut Daemon> = running.values_mut().collect();
        took.push(mended(&mut daemons, Instant::now()));
        println!("ownership: round {round} of {kills} kills mended after {:?}", took[round]);
        lags_are_whole(&mut daemons);
    }
    running.into_values().for_each(Daemon::stop);
    took
}

/// Runs rounds in groups of their own, with a shop open meanwhile, and judges what each decided.
fn judged(name: &str, rounds: usize, mut work: impl FnMut(&Lab, &mut Random, usize) -> Vec<Duration>) {
    let mut random = Random::seeded(name);
    let mut took = Vec::new();
    while took.len() < rounds {
        let Some(lab) = Lab::new(name, PARTITIONS, shop::RULES) else { return };
        let lab = lab.limited_to(GROUP_LIMIT);
        let open = shop::open(&lab, random.next(), 30, 50);
        took.extend(work(&lab, &mut random, ROUNDS_IN_ONE_GROUP.min(rounds - took.len())));
        let last = open.close();
        let mut last_one = start(&lab, "one");
        last_one.ready();
        lab.decided_until(last + shop::SETTLED_AFTER);
        last_one.stop();
        let found = judge::check(&lab, shop::config());
        println!("{name}: {found:?}");
    }
    report(name, took);
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
fn rounds(default: usize) -> usize {
    std::env::var("COHORTD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

#[test]
fn partitions_let_go_by_a_process_that_dies_then_find_an_owner() {
    judged("between", rounds(KILLS), |lab, _, rounds| kill_between_two_rounds(lab, rounds));
}

#[test]
fn a_member_that_joins_and_dies_again_and_again_stops_no_process() {
    let Some(lab) = Lab::new("flaps", PARTITIONS, shop::RULES) else { return };
    let mut random = Random::seeded("flaps");
    // It does not come back under the same name: each round waits for the end of its session.
    let sets = [
        &SETS[..],
        &["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"],
        &["state.flush_after=1 s"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 30, 100);
    let mut one = lab.start("one", &sets);
    one.ready();
    for flap in 0..5 {
        let mut other = lab.start(&format!("flap-{flap}"), &sets);
        eventually("it is in the group, or has been", || other.says("Assigned.").then_some(()));
        other.assert_running();
        thread::sleep(Duration::from_millis(random.next() % 1_000));
        other.kill9();
        let before = one.metrics()["cohortd_events_applied_total"];
        eventually("the other goes on", || (one.metrics()["cohortd_events_applied_total"] > before).then_some(()));
    }
    eventually("it has all partitions in the end", || {
        one.assert_running();
        (assigned(&mut one) == i64::from(PARTITIONS)).then_some(())
    });
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    one.stop();
    let found = judge::check(&lab, shop::config());
    println!("flaps: {found:?}");
    assert!(found.changes > 50, "too little happened: {found:?}");
}

/// The group keeps partitions for a process that is expected back. Nobody reads them meanwhile, and the sum of all lags still
/// says so.
#[test]
fn a_process_that_stops_and_may_come_back_leaves_no_lag_unreported() {
    let Some(lab) = Lab::new("stays", PARTITIONS, shop::RULES) else { return };
    let sets = ["lanes=1", "kafka.on_stop=stay", "kafka.options.session.timeout.ms=30000"];
    // By name it is the first of the group, which shows the lags of partitions without an owner.
    let mut away = lab.start("a", &sets);
    away.ready();
    let mut other = lab.start("b", &sets);
    eventually("each has half of the partitions", || {
        (assigned(&mut away) == 2 && assigned(&mut other) == 2).then_some(())
    });
    lags_are_whole(&mut [&mut away, &mut other]);
    let kept: BTreeSet<i32> = away.lags().into_keys().collect();
    away.stop();
    let (writer, mut waiting) = (lab.writer(), BTreeMap::new());
    for number in 0..40 {
        let customer = format!("c{number}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, "visit", wall_clock().0, Some(customer.clone()))));
        let partition = partition_of(customer.as_bytes(), PARTITIONS as u32);
        *waiting.entry(partition).or_default() += i64::from(kept.contains(&partition));
    }
    writer.flush();
    eventually("the other says how far all partitions are behind", || (other.lags() == waiting).then_some(()));
    // And what is waited for, without being less ready itself.
    let session = "the session of a-0, which has stopped, to end (at most 30 s)";
    let detail = eventually("the other says what is waited for", || {
        let (status, body) = other.get("/health/ready")?;
        let body: serde_json::Value = serde_json::from_str(&body).ok()?;
        (status == 200).then(|| body["detail"].as_str().map(str::to_owned))?
    });
    assert!(detail.starts_with(&format!("Waiting for {session}")), "{detail}");
    assert_eq!(other.log().matches(&format!("The group is waiting for {session}")).count(), 1, "{}", other.log());
    let mut back = lab.start("a", &sets);
    back.ready();
    eventually("all is read", || {
        let both = [back.lags(), other.lags()];
        both.iter().flat_map(BTreeMap::values).all(|lag| *lag == 0).then_some(())
    });
    lags_are_whole(&mut [&mut back, &mut other]);
    eventually("nothing is waited for", || {
        let (status, body) = other.get("/health/ready")?;
        (status == 200 && !body.contains("detail")).then_some(())
    });
    // Nothing has come since: it has logged that it is back.
    back.stop();
    let mut back = lab.start("a", &sets);
    back.ready();
    lags_are_whole(&mut [&mut back, &mut other]);
    back.stop();
    other.stop();
}

#[test]
fn kills_at_any_moment_of_a_rebalance_leave_no_partition_without_an_owner() {
    judged("random", rounds(RANDOM_KILLS), kill_at_random);
}

#[test]
fn partitions_between_two_owners_are_shown_until_the_one_lets_go() {
    let Some(lab) = Lab::new("unowned", PARTITIONS, shop::RULES) else { return };
    let holder = lab.member();
    eventually("the other member has all partitions", || (holder.takes_part() == PARTITIONS).then_some(()));
    // The group has taken half of them from the other member, which has not let go of them yet, and gives them to nobody
    // before that.
    // One lane: a second that joins a moment later would have the group share out again.
    let mut one = lab.start("one", &["lanes=1", "kafka.on_stop=leave"]);
    let unowned = |one: &mut Daemon| one.metrics().get("cohortd_partitions_unowned").copied();
    eventually("half of them have no owner", || (unowned(&mut one) == Some(2.0)).then_some(()));
    eventually("it is said", || one.says("Partitions of the input have no owner").then_some(()));
    assert_eq!((unowned(&mut one), assigned(&mut one)), (Some(2.0), 0));

    eventually("each has an owner", || {
        holder.takes_part();
        (unowned(&mut one) == Some(0.0)).then_some(())
    });
    eventually("it is said", || {
        holder.takes_part();
        one.says("Every partition of the input has an owner again.").then_some(())
    });
    eventually("the half is here", || (holder.takes_part() == 2 && assigned(&mut one) == 2).then_some(()));
    drop(holder);
    eventually("all are here", || (assigned(&mut one) == i64::from(PARTITIONS)).then_some(()));
    assert_eq!(unowned(&mut one), Some(0.0));
    one.stop();
}
