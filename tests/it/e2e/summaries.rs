//! Foreign records in the summaries topic, and a missing topic.

use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::store::SummaryKind;

use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = "
[cohorts.first]
who = 'among the 2 highest by count(visit)'
";

/// What a newer release, or a slip of somebody's hand, may leave in the topic: key and value.
fn foreign() -> Vec<(Vec<u8>, Vec<u8>)> {
    let of_another_format = vec![99, 1, 2, 3];
    let cut_off = vec![1, 40, b'x'];
    vec![
        (vec![0, 0, 0, 0, b'N', 0, 0], of_another_format.clone()),
        (vec![0, 0, 0, 1, b'N', 0, 0], cut_off.clone()),
        (vec![0, 0, 0, 0, b'B', 0, 0, 0], cut_off.clone()),
        (vec![0, 0, 0, 0, b'W', 0, 0], of_another_format.clone()),
        (b"RT".to_vec(), of_another_format),
        (b"RP".to_vec(), cut_off),
        (b"a kind of tomorrow".to_vec(), b"?".to_vec()),
        (Vec::new(), Vec::new()),
    ]
}

#[test]
fn summaries_that_cannot_be_read_are_counted_and_ranks_go_on() {
    let Some(lab) = Lab::new("poison", 2, RULES) else { return };
    let sets = ["ranks.refresh=3 s", "time.arrives_within=1 s"];
    let (mut one, mut two) = (lab.start("one", &sets), lab.start("two", &sets));
    one.ready();
    two.ready();
    let results = lab.follow("summaries");
    let thresholds = || {
        eventually("thresholds are published", || {
            let seen = results.next(Duration::from_secs(1))?;
            (SummaryKind::of(&seen.key) == SummaryKind::Thresholds).then_some(())
        });
    };
    thresholds();
    let writer = lab.writer_to("summaries");
    for _ in 0..3 {
        for (key, value) in foreign() {
            (0..2).for_each(|partition| writer.put_bytes(partition, &key, &value));
        }
    }
    writer.flush();
    let skipped = |daemon: &mut super::daemon::Daemon| daemon.metrics().get("cohortd_summaries_skipped_total").copied();
    // One of them reads all of it, the other one what concerns it.
    eventually("all that is foreign is counted", || {
        let counts = [skipped(&mut one), skipped(&mut two)].map(Option::unwrap_or_default);
        (counts[0].max(counts[1]) >= 30.0).then_some(())
    });
    // Counters and results are written over by who owns them.
    (0..3).for_each(|_| thresholds());
    for daemon in [&mut one, &mut two] {
        daemon.assert_running();
        daemon.ready();
        let log = daemon.log();
        let logged = log.lines().filter(|line| line.contains("A summary cannot be read")).count();
        assert!(logged <= 2 * 9, "once for each partition and kind: {logged}");
    }
    // What is ranked is ranked on.
    let writer = lab.writer();
    for customer in ["ann", "bob", "cy"] {
        let event = avro::event(customer, "visit", wall_clock().0, Some(format!("e-{customer}")));
        writer.send(customer, &avro::encode(&event));
    }
    writer.flush();
    lab.read_through();
    eventually("all customers are ranked", || {
        // Shown by the process that holds partition 0.
        let shown = |daemon: &mut super::daemon::Daemon| daemon.metrics().get("cohortd_rank_population") == Some(&3.0);
        (shown(&mut one) || shown(&mut two)).then_some(())
    });
    one.stop();
    two.stop();
}

#[test]
fn a_missing_summaries_topic_stops_no_process_and_is_read_once_it_is_back() {
    let Some(lab) = Lab::new("no-summaries", 1, "[cohorts.seen]\nwho = 'did visit in the last 1 day'\n") else {
        return;
    };
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.delete("summaries");
    let waiting = |daemon: &mut super::daemon::Daemon| {
        let (_, metrics) = daemon.get("/metrics")?;
        metrics.lines().find_map(|line| line.strip_prefix("cohortd_waiting{cause=\"summaries\"} ")?.parse::<f64>().ok())
    };
    eventually("it waits for the summaries", || (waiting(&mut daemon) == Some(1.0)).then_some(()));
    eventually("and says so", || {
        let (status, body) = daemon.get("/health/ready")?;
        (status == 503 && body.contains("summaries")).then_some(())
    });
    // An event of long ago: nothing is published of a partition that is not live.
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    writer.send("ann", &avro::encode(&avro::event("ann", "visit", wall_clock().0 - 3_600_000, None)));
    writer.flush();
    eventually("decisions go on", || changes.next(Duration::from_millis(500)));
    thread::sleep(Duration::from_millis(500));
    daemon.assert_running();
    lab.create("summaries", 1, &[("cleanup.policy", "compact")]);
    eventually("it waits no longer", || (waiting(&mut daemon) == Some(0.0)).then_some(()));
    daemon.ready();
    daemon.stop();
}

#[test]
fn the_forecast_is_shown_again_after_a_restart_on_the_same_day() {
    let Some(lab) = Lab::new("forecast", 1, "[cohorts.seen]\nwho = 'did visit in the last 3 days'\n") else { return };
    let sets = ["ranks.refresh=1 s", "time.live_after=1 s", "time.arrives_within=1 s"];
    let writer = lab.writer();
    for customer in ["ann", "bob", "cy"] {
        let event = avro::event(customer, "visit", wall_clock().0 - 60_000, Some(format!("e-{customer}")));
        writer.send(customer, &avro::encode(&event));
    }
    writer.flush();
    for _ in 0..2 {
        let mut daemon = lab.start("one", &sets);
        daemon.ready();
        eventually("the next seven days are shown", || {
            let (_, metrics) = daemon.get("/metrics")?;
            let silent = "cohortd_cohort_forecast_changes_if_silent{change=\"exited\",cohort=\"seen\"} 3";
            metrics.lines().any(|line| line == silent).then_some(())
        });
        daemon.stop();
    }
}
