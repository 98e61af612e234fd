//! The admin API's answers about customers, compared with `explain` over the same events in a file.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use super::avro;
use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::Random;

const DAY: i64 = 86_400_000;
const START: i64 = 1_735_689_600_000;
const CUSTOMERS: [&str; 6] = ["c1", "c2", "gone", "with/slash", "with space & é", "100%"];
const COHORTS: [&str; 3] = ["recurring_at_risk", "recent_visitors_no_purchase", "new_signups"];

/// An id in a path.
fn in_path(id: &str) -> String {
    id.bytes().fold(String::new(), |mut path, byte| {
        write!(path, "%{byte:02X}").unwrap();
        path
    })
}

/// What `explain` says, of one cohort at an instant.
fn explained(lab: &Lab, customer: &str, cohort: &str, at: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["explain", "--customer", customer, "--cohort", cohort, "--at", at, "--rules"])
        .arg(lab.path("rules.toml"))
        .args(more)
        .arg(lab.path("events.jsonl"))
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Asks of everybody, and holds the answers against `explain`.
fn compare(lab: &Lab, daemon: &mut Daemon) {
    for customer in CUSTOMERS {
        let path = format!("/customers/{}", in_path(customer));
        let (status, body) = daemon.ask("admin", &path).unwrap();
        assert_eq!(status, 200, "{body}");
        let standings: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(standings["customer_id"], customer);
        for cohort in COHORTS {
            let path = format!("{path}/cohorts/{cohort}");
            let (status, body) = daemon.ask("admin", &path).unwrap();
            assert_eq!(status, 200, "{body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            let at = answer["at"].to_string();
            assert_eq!(body, explained(lab, customer, cohort, &at, &["--json"]), "{customer}");
            for language in ["en", "fr"] {
                let (_, text) = daemon.ask("admin", &format!("{path}?lang={language}")).unwrap();
                assert_eq!(text, explained(lab, customer, cohort, &at, &["--lang", language]), "{customer}");
            }
            let short = standings["cohorts"].as_array().unwrap().iter().find(|found| found["cohort"] == cohort);
            for key in ["member", "since", "standing", "next_change"] {
                assert_eq!(short.unwrap()[key], answer["cohorts"][0][key], "{customer} {cohort} {key}");
            }
        }
    }
}

#[test]
fn an_operator_gets_the_answer_of_explain_from_memory_and_from_disk_alike() {
    let Some(lab) = Lab::new("asked", 2, include_str!("../../../config/rules.toml")) else { return };
    let mut random = Random::seeded("asked");
    let writer = lab.writer();
    let mut lines = String::new();
    for n in 0..400 {
        let at = START + n * DAY / 4 + random.below(1_000);
        let customer = CUSTOMERS[usize::try_from(random.below(if n < 100 { 6 } else { 5 })).unwrap()];
        // Who is gone comes up by deadlines alone, while others move the clock.
        let customer = if n >= 100 && customer == "gone" { "c1" } else { customer };
        let names = ["signup", "purchase", "visit", "product_viewed"];
        let name = names[usize::try_from(random.below(4)).unwrap()];
        let event = avro::event(customer, name, at, Some(format!("e{n}")));
        writer.send(customer, &avro::encode(&event));
        let line =
            serde_json::json!({ "event_id": format!("e{n}"), "customer_id": customer, "event": name, "time": at });
        writeln!(lines, "{line}").unwrap();
    }
    writer.flush();
    std::fs::write(lab.path("events.jsonl"), lines).unwrap();

    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.read_through();
    compare(&lab, &mut daemon);
    let metrics = daemon.metrics();
    let late = ["cohortd_timer_lateness_seconds_count", "cohortd_timers_fired_total"].map(|name| metrics[name]);
    assert!(late[0] == 0.0 && late[1] > 0.0, "what a history brings is not late: {late:?}");
    daemon.stop();
    // A start without customers in memory.
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    compare(&lab, &mut daemon);

    for (door, path, status, word) in [
        ("admin", "/customers/nobody", 404, "unknown_customer"),
        ("admin", "/customers/c1/cohorts/new_singups", 404, "`new_signups`"),
        ("metrics", "/customers/c1", 404, ""),
    ] {
        let (found, body) = daemon.ask(door, path).unwrap();
        assert!(found == status && body.contains(word), "{path}: {found} {body}");
    }
    let (_, metrics) = daemon.get("/metrics").unwrap();
    for customer in ["slash", "nobody", "gone"] {
        assert!(!metrics.contains(customer) && !daemon.says(customer), "an id is told");
    }
    // Two processes share two partitions; each names the owner of the other partition.
    let mut other = lab.start("two", &[]);
    other.ready();
    let path = |customer: &str| format!("/customers/{}", in_path(customer));
    super::eventually("each of two processes has one partition", || {
        let statuses = CUSTOMERS.map(|customer| {
            let mut statuses = [&mut daemon, &mut other].map(|asked| asked.ask("admin", &path(customer)).unwrap().0);
            statuses.sort_unstable();
            statuses
        });
        statuses.iter().all(|statuses| *statuses == [200, 421]).then_some(())
    });
    daemon.stop();
    other.stop();
}
