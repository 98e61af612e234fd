//! A hanging transaction of another program: the partition behind it waits and reports it, and blocks no other.

use std::time::Duration;

use cohortd::store::{decode_meta, encode_meta};

use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};

/// Of a metric with this label.
fn value(daemon: &mut Daemon, metric: &str, label: &str) -> f64 {
    let (_, body) = daemon.get("/metrics").unwrap();
    let is_it = |line: &&str| line.starts_with(metric) && line.contains(label);
    body.lines().find(is_it).map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_hanging_transaction_stops_one_partition_with_an_alarm_and_no_other() {
    let Some(lab) = Lab::new("hanging", 3, shop::RULES) else { return };
    let mut random = Random::seeded("hanging");
    let short = ["kafka.options.transaction.timeout.ms=3000", "state.flush_after_events=200", "state.flush_after=1 s"];
    let sets = [&shop::SETS[..], &short].concat();
    let open = shop::open(&lab, random.next(), 40, 60);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    eventually("customers are changed and not written", || {
        (daemon.metrics()["cohortd_customers_dirty"] > 0.0).then_some(())
    });
    let stranger = lab.open_transaction("log", 0);
    daemon.kill9();
    let at = lab.end("log", 0);

    // The first partition is also the first to be restored.
    let mut daemon = lab.start("one", &sets);
    let consumed = |daemon: &mut Daemon, partition: i32| {
        value(daemon, "cohortd_records_consumed_total", &format!("partition=\"{partition}\""))
    };
    eventually("the other partitions are at work", || {
        (consumed(&mut daemon, 1) > 0.0 && consumed(&mut daemon, 2) > 0.0).then_some(())
    });
    eventually("it is said which transaction hangs", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("kafka-transactions.sh"))?.to_owned();
        println!("{line}");
        let topic = lab.topic("log");
        for word in [&*format!("{topic}[0]"), "\"partition\":0", "WARN", "--start-offset", "hangs"] {
            assert!(line.contains(word), "{word:?} is not in {line}");
        }
        Some(())
    });
    assert!(value(&mut daemon, "cohortd_waiting", "hanging_transaction") > 0.0);
    eventually("readiness says what it waits for", || {
        let (status, reason) = daemon.get("/health/ready")?;
        assert_eq!(status, 503, "{reason}");
        (reason.contains("Partition 0 waits (hanging_transaction") && reason.contains("abort"))
            .then(|| println!("{reason}"))
    });
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    // The others go on meanwhile, and do not wait long for any question about the first.
    let before = (consumed(&mut daemon, 1), consumed(&mut daemon, 2));
    eventually("the other partitions go on", || {
        (consumed(&mut daemon, 1) > before.0 + 20.0 && consumed(&mut daemon, 2) > before.1 + 20.0).then_some(())
    });
    assert_eq!(consumed(&mut daemon, 0), 0.0);
    let remaining = |daemon: &mut Daemon, partition: i32| {
        value(daemon, "cohortd_restore_remaining_records", &format!("partition=\"{partition}\""))
    };
    let left = [0, 1, 2].map(|partition| remaining(&mut daemon, partition));
    assert!(left[0] > 0.0 && left[1..] == [0.0, 0.0], "{left:?}");
    // No more than the ends of what was open.
    assert!(lab.end("log", 0) < at + 10, "something was written to the partition that waits");

    stranger.abort();
    daemon.ready();
    assert_eq!(value(&mut daemon, "cohortd_waiting", "hanging_transaction"), 0.0);
    assert_eq!(remaining(&mut daemon, 0), 0.0);
    let caught_up = || daemon.lines_of("Caught up with the input.");
    eventually("each partition has caught up", || (caught_up().len() == 3).then_some(()));
    for line in caught_up() {
        // The shop was open all the while, and the first partition read nothing of it.
        let records = line["records"].as_i64().unwrap();
        assert!(line["partition"] != 0 || records > 20, "{line}");
    }
    std::thread::sleep(Duration::from_secs(1));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("hanging: {found:?}");
    assert!(found.changes > 100, "too little happened: {found:?}");
}

#[test]
fn a_log_that_does_not_fit_its_state_stops_one_partition_only() {
    let Some(lab) = Lab::new("unfit", 2, shop::RULES) else { return };
    let mut random = Random::seeded("unfit");
    let lazy = [&shop::SETS[..], &["state.flush_after=1 hour"]].concat();
    let open = shop::open(&lab, random.next(), 40, 60);
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    std::thread::sleep(Duration::from_secs(2));
    daemon.kill9();
    // Another time than the input gives.
    let last = lab.read("log").swap_remove(0).into_iter().rfind(|seen| seen.key == [b'M']).unwrap();
    let mut meta = decode_meta(&last.payload.unwrap()).unwrap();
    meta.stream_time.0 += 1;
    let mut bytes = Vec::new();
    encode_meta(&meta, &mut bytes);
    let log = lab.writer_to("log");
    log.send_to(0, Some("M"), Some(&bytes));
    log.flush();
    let mut daemon = lab.start("one", &lazy);
    eventually("readiness says what is wrong", || {
        let (_, reason) = daemon.get("/health/ready")?;
        let is_it = reason.contains("Partition 0 waits (damage") && reason.contains("`cohortd reset --rebuild --yes`");
        is_it.then(|| println!("{reason}"))
    });
    let consumed = |daemon: &mut Daemon| value(daemon, "cohortd_records_consumed_total", "partition=\"1\"");
    let before = consumed(&mut daemon);
    eventually("the other partition goes on", || (consumed(&mut daemon) > before + 20.0).then_some(()));
    open.close();
    daemon.stop();
}

#[test]
fn rules_behind_an_open_transaction_are_waited_for_and_never_half_read() {
    let Some(lab) = Lab::new("behind", 1, shop::RULES) else { return };
    let mut daemon = lab.start("one", &shop::SETS);
    daemon.ready();
    daemon.stop();
    let stranger = lab.open_transaction("rules", 0);
    let mut daemon = lab.start("one", &shop::SETS);
    eventually("it is said what is waited for", || {
        let (status, reason) = daemon.get("/health/ready")?;
        assert_eq!(status, 503, "{reason}");
        let topic = lab.topic("rules");
        // Not in the first seconds: an open transaction is nothing unusual.
        (daemon.says(&format!("a transaction is open in {topic} at offset"))).then_some(())
    });
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    stranger.abort();
    daemon.ready();
    daemon.stop();
}
