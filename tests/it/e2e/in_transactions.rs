//! An input whose producers write in transactions: marks of their ends and aborted records have offsets that no reader is ever
//! given.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::kafka::partition_of;

use super::daemon::Daemon;
use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

const PARTITIONS: i32 = 3;
const CAUGHT_UP: &str = "Caught up with the input.";
const LIVE: &str = "Live: its time follows the wall clock from here on.";
/// Figures are brought up to date several times meanwhile.
const A_WHILE: Duration = Duration::from_secs(6);

/// A record of each of these customers.
fn visits<'c>(customers: &[&'c str]) -> Vec<(&'c str, Vec<u8>)> {
    let visit = |customer: &&'c str| (*customer, avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
    customers.iter().map(visit).collect()
}

/// Waits until nothing is left to be read in any partition, and checks that it stays so while nothing is written.
fn lag_is_and_stays_zero(daemon: &mut Daemon) {
    let zero: BTreeMap<i32, i64> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    // What is shown may be older than what was just written.
    thread::sleep(A_WHILE);
    eventually("the lag of every partition is 0", || (daemon.lags() == zero).then_some(()));
    for _ in 0..10 {
        thread::sleep(A_WHILE / 10);
        assert_eq!(daemon.lags(), zero);
    }
}

/// How many records each partition had read when it had caught up.
fn read_until_caught_up(daemon: &Daemon) -> BTreeMap<i64, i64> {
    let number = |field: &serde_json::Value| field.as_i64().unwrap();
    let lines = eventually("every partition has caught up", || {
        let lines = daemon.lines_of(CAUGHT_UP);
        (lines.len() >= PARTITIONS as usize).then_some(lines)
    });
    assert_eq!(lines.len(), PARTITIONS as usize, "once each: {lines:?}");
    lines.iter().map(|line| (number(&line["partition"]), number(&line["records"]))).collect()
}

#[test]
fn an_input_that_ends_with_marks_and_aborted_records_is_read_to_its_end() {
    let Some(lab) = Lab::new("in-transactions", PARTITIONS, RULES) else { return };
    let of = |partition| {
        let customers = (0..).map(|n| format!("c{n}"));
        customers.into_iter().find(|c| partition_of(c.as_bytes(), PARTITIONS as u32) == partition).unwrap()
    };
    let customers = [of(0), of(1), of(2)];
    let [a, b, c] = customers.each_ref().map(String::as_str);
    let source = lab.transactions();
    for _ in 0..5 {
        source.commit(&visits(&[a, b, c]));
        source.abort(&visits(&[a, b, c, a, b, c]));
    }
    // The one partition ends with the mark of a commit, the others with what was aborted.
    source.commit(&visits(&[a]));
    source.abort(&visits(&[b]));

    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    assert_eq!(read_until_caught_up(&daemon), [(0, 6), (1, 5), (2, 5)].into());
    lag_is_and_stays_zero(&mut daemon);
    assert_eq!(daemon.metric("cohortd_records_consumed_total"), 16.0);
    assert_eq!(daemon.partitions_of(LIVE), [0, 1, 2]);

    // Nothing to read, and the end is another.
    let end = lab.end("in", 0);
    source.abort(&visits(&[a, b, c]));
    // A broker answers before it has written the mark.
    eventually("the mark is written", || (lab.end("in", 0) == end + 2).then_some(()));
    lag_is_and_stays_zero(&mut daemon);
    assert_eq!(daemon.metric("cohortd_records_consumed_total"), 16.0);
    source.commit(&visits(&[c, b]));
    eventually("it is read", || (daemon.metric("cohortd_records_consumed_total") == 18.0).then_some(()));
    lag_is_and_stays_zero(&mut daemon);
    daemon.ready();
    assert_eq!((daemon.partitions_of(CAUGHT_UP), daemon.partitions_of(LIVE)), (vec![0, 1, 2], vec![0, 1, 2]));
    daemon.stop();

    // Who starts behind the last record has the same end before it.
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    assert_eq!(read_until_caught_up(&daemon), [(0, 0), (1, 0), (2, 0)].into());
    lag_is_and_stays_zero(&mut daemon);
    assert_eq!(daemon.partitions_of(LIVE), [0; 0], "it was live before");
    daemon.stop();
}
