//! A topic without further events: deadlines are decided all the same, each at its own instant.

use std::collections::BTreeSet;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;

use super::lab::Lab;
use super::{avro, judge, shop};

const RULES: &str = r#"
activity = ["visit"]

[cohorts.silent]
who = "silent for 3 seconds and not silent for 5 seconds"

[cohorts.stuck]
who     = "start then no finish within 2 seconds"
at_most = "2 seconds"

[cohorts.recent]
who = "did visit in the last 4 seconds"
"#;

#[test]
fn deadlines_are_decided_at_their_instants_without_further_events() {
    let Some(lab) = Lab::new("idle", 1, RULES) else { return };
    let sets = [&shop::SETS[..], &["state.flush_after_events=1000000"]].concat();
    let write = |customers: &[&str]| {
        let writer = lab.writer();
        let mut expected = BTreeSet::new();
        let mut last = 0;
        for customer in customers {
            let at = wall_clock().0;
            writer.send(customer, &avro::encode(&avro::event(customer, "visit", at, Some(format!("{customer}v")))));
            let start = wall_clock().0 + 1;
            writer.send(customer, &avro::encode(&avro::event(customer, "start", start, Some(format!("{customer}s")))));
            let mut expect = |cohort: &str, change: &str, at: i64, reason: &str| {
                expected.insert(format!("{customer} {change} {cohort} at {at} {reason}"));
            };
            expect("recent", "ENTERED", at, "EVENT");
            expect("recent", "EXITED", at + 4_000, "TIME");
            expect("silent", "ENTERED", at + 3_000, "TIME");
            expect("silent", "EXITED", at + 5_000, "TIME");
            expect("stuck", "ENTERED", start + 2_000, "TIME");
            expect("stuck", "EXITED", start + 4_000, "TIME");
            last = start;
        }
        writer.flush();
        (expected, last)
    };
    // While it runs.
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let (mut expected, last) = write(&["a", "b", "c"]);
    lab.decided_until(last + 5_001);
    daemon.stop();
    // Due while nothing runs: read before the stop, and not decided yet.
    let daemon = lab.start("one", &sets);
    let (more, _) = write(&["d", "a2"]);
    expected.extend(more);
    lab.read_through();
    daemon.stop();
    let (more, _) = write(&["e"]);
    expected.extend(more);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let daemon = lab.start("one", &sets);
    lab.read_through();
    daemon.stop();

    // A deadline that had moved on: set again on the local disk alone, and that write is lost.
    let daemon = lab.start("one", &[&sets[..], &["state.flush_after_events=0"]].concat());
    let writer = lab.writer();
    let visit = |at: i64| {
        writer.send("g", &avro::encode(&avro::event("g", "visit", at, None)));
        writer.flush();
        lab.read_through();
    };
    let (first, second) = (wall_clock().0 - 300, wall_clock().0 + 1_700);
    visit(first);
    visit(second);
    for (change, at, reason) in [
        ("ENTERED recent", first, "EVENT"),
        ("ENTERED silent", second + 3_000, "TIME"),
        ("EXITED recent", second + 4_000, "TIME"),
        ("EXITED silent", second + 5_000, "TIME"),
    ] {
        expected.insert(format!("g {change} at {at} {reason}"));
    }
    daemon.stop();
    let daemon = lab.start("one", &sets);
    lab.decided_until(first + 3_001);
    daemon.kill9();
    let daemon = lab.start("one", &sets);
    // And due after a crash, with changes that were never written.
    let (more, last) = write(&["f"]);
    expected.extend(more);
    lab.read_through();
    daemon.kill9();
    let daemon = lab.start("one", &sets);
    lab.decided_until(last + 5_001);
    daemon.stop();

    let found = judge::check(&lab, shop::config());
    println!("idle: {found:?}");
    let logged: BTreeSet<String> = lab
        .read("changes")
        .concat()
        .iter()
        .map(|seen| {
            let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
            let text = |field: &str| change[field].as_str().unwrap().to_owned();
            format!(
                "{} {} {} at {} {}",
                text("customer_id"),
                text("change"),
                text("cohort"),
                change["occurred_at"],
                text("reason")
            )
        })
        .collect();
    assert_eq!(logged, expected);
}
