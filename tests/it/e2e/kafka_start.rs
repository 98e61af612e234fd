//! Logs that are not read from their beginning: rules conclude nothing from events that were not read.

use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;

use super::lab::{Lab, Writer};
use super::{avro, eventually, shop};

const QUIET: &str = r#"
[cohorts.quiet]
who = "did not refund in the last 6 seconds"
"#;

/// One event, some milliseconds ago.
fn send(writer: &Writer, customer: &str, name: &str, ago: i64) {
    let event = avro::event(customer, name, wall_clock().0 - ago, Some(format!("{customer}-{name}-{ago}")));
    writer.send(customer, &avro::encode(&event));
    writer.flush();
}

/// When each customer entered a cohort for the first time, and why.
fn entered(lab: &Lab, cohort: &str) -> Vec<(String, i64, String)> {
    let changes = lab.read("changes").concat().into_iter();
    let changes = changes.map(|seen| Output::CohortChange.to_json(&seen.payload.unwrap()).unwrap());
    let entered = changes.filter(|change| change["cohort"] == cohort && change["change"] == "ENTERED");
    let thresholds_reported = |change: serde_json::Value| {
        let text = |field: &str| change[field].as_str().unwrap().to_owned();
        (text("customer_id"), change["occurred_at"].as_i64().unwrap(), text("reason"))
    };
    entered.map(thresholds_reported).collect()
}

#[test]
fn a_start_at_latest_concludes_nothing_from_what_it_did_not_read() {
    let Some(lab) = Lab::new("latest", 1, QUIET) else { return };
    let writer = lab.writer();
    send(&writer, "old", "refund", 0);
    let mut daemon = lab.start("one", &[&shop::SETS[..], &["kafka.start=latest"]].concat());
    daemon.ready();
    let began = wall_clock().0;
    // Late: the refund may have been before the start.
    send(&writer, "late", "visit", 5_000);
    lab.read_through();
    lab.decided_until(began + 8_000);
    daemon.stop();
    let found = entered(&lab, "quiet");
    assert_eq!(found.len(), 1, "{found:?}");
    // It began to read before it was ready.
    let (customer, at, reason) = &found[0];
    assert!(customer == "late" && reason == "TIME" && *at > began + 2_000 && *at <= began + 6_000, "{found:?} {began}");
}

#[test]
fn a_new_rule_concludes_nothing_from_what_retention_has_dropped() {
    let Some(lab) = Lab::new("dropped", 1, "[cohorts.seen]\nwho = 'did visit ever'\n") else { return };
    let writer = lab.writer();
    let mut daemon = lab.start("one", &shop::SETS);
    for customer in ["ann", "bob", "cy"] {
        send(&writer, customer, "visit", 0);
    }
    send(&writer, "bob", "refund", 0);
    daemon.ready();
    // Longer than the new rule looks back.
    thread::sleep(Duration::from_secs(7));
    send(&writer, "ann", "refund", 0);
    thread::sleep(Duration::from_secs(1));
    send(&writer, "cy", "visit", 1);
    let written = lab.read("in").concat().last().unwrap().written;
    lab.read_through();
    lab.forget_before(5);
    lab.write_rules(&format!("{}{QUIET}", lab.rules));
    eventually("retention is told of", || daemon.says("Retention has dropped the beginning").then_some(()));
    let refunded = wall_clock().0;
    send(&writer, "cy", "refund", 0);
    lab.read_through();
    lab.decided_until(wall_clock().0 + 7_000);
    daemon.stop();
    let found = entered(&lab, "quiet");
    // Ann's and Bob's refunds are forgotten: nothing is known from before the first record still there.
    assert_eq!(found.iter().filter(|(customer, ..)| customer != "cy").count(), 2, "{found:?}");
    for (customer, at, reason) in &found {
        // On a slow machine Cy was quiet for long enough before the refund, too.
        let also = refunded >= written + 6_000 && *at == written + 6_000;
        let expected = if customer == "cy" { *at > written + 6_000 || also } else { *at == written + 6_000 };
        assert!(expected && reason == "TIME", "{found:?} {written}");
    }
}
