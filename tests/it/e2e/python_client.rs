//! A client in another language, with a schema registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use cohortd::codec::Output;
use serde_json::Value;

use super::lab::Lab;
use super::registry::Registry;
use super::{avro, eventually};
use crate::support::apicurio::Apicurio;
use crate::support::limit::{waited, waiting_for};
use crate::support::python::python;

const RULES: &str = r#"
[cohorts.buyers]
who = "did purchase where amount > 10 in the last 30 days"
until = "did refund since last purchase"
"#;

/// What a client of another language printed.
fn printed(client: &mut Command) -> String {
    waiting_for("the Python client ends");
    let output = client.output().unwrap();
    waited();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_python_client_writes_the_events_and_reads_the_changes() {
    let Some(lab) = Lab::new("outside", 2, RULES) else { return };
    let Some(python) = python() else { return };
    let registry = Registry::start();
    let mut daemon = lab.start("one", &[&format!("schemas.registry={}", registry.address)]);
    daemon.ready();
    let client = |arguments: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/client.py");
        printed(Command::new(&python).arg(script).args([&lab.bootstrap, &registry.address]).args(arguments))
    };
    client(&["write", &lab.topic("in"), "schemas/customer-event.avsc"]);
    lab.read_through();
    daemon.stop();

    let rows = |topic: &str| -> Vec<Value> {
        client(&["read", &lab.topic(topic)]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let changes = rows("changes");
    let answer: BTreeSet<String> = changes
        .iter()
        .map(|row| {
            let change = &row["value"];
            assert_eq!(row["key"], change["customer_id"]);
            assert_eq!(row["headers"]["ce_id"], change["event_id"]);
            for language in ["en", "fr"] {
                assert!(change["why_text"][language].as_str().is_some_and(|text| !text.is_empty()), "{change}");
            }
            let text = |field: &str| change[field].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {} {}",
                text("customer_id"),
                text("cohort"),
                text("change"),
                text("reason"),
                change["cause"]["event_id"]
            )
        })
        .collect();
    let expected = [
        "newer buyers ENTERED EVENT \"n1\"",
        "older buyers ENTERED EVENT null",
        "plain buyers ENTERED EVENT \"p1\"",
        "plain buyers EXITED EVENT \"p2\"",
    ];
    assert_eq!(answer, expected.map(str::to_owned).into());
    assert_eq!(changes.len(), expected.len());
    let rows = rows("members");
    let members: BTreeSet<(&str, bool)> =
        rows.iter().map(|row| (row["key"].as_str().unwrap(), row["value"].is_null())).collect();
    let expected = [("buyers/newer", false), ("buyers/older", false), ("buyers/plain", false), ("buyers/plain", true)];
    assert_eq!(members, expected.into());
}

#[test]
fn the_python_of_the_page_sends_events_that_are_applied() {
    let Some(lab) = Lab::new("snippets", 2, RULES) else { return };
    let Some(python) = python() else { return };
    let registry = Registry::start();
    let mut daemon = lab.start("one", &[&format!("schemas.registry={}", registry.address)]);
    daemon.ready();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/inputs.md")).unwrap();
    let snippets: Vec<&str> = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(snippets.len(), 2, "with a registry, and without one");
    for snippet in snippets {
        let script = snippet
            .replace("customer-events", &lab.topic("in"))
            .replace("http://schema-registry:8081", &registry.address)
            .replace("kafka-1:9092", &lab.bootstrap);
        println!("{script}");
        printed(Command::new(&python).args(["-c", &script]).current_dir(root));
    }
    lab.read_through();
    let input = lab.read("in").concat();
    let framings: BTreeSet<&[u8]> = input.iter().map(|seen| &seen.payload.as_ref().unwrap()[..1]).collect();
    assert_eq!(framings, [&[0][..], &[0xc3]].into());
    assert!((daemon.metric("cohortd_events_applied_total") - 2.0).abs() < 0.1, "{}", daemon.log());
    let changes = lab.read("changes").concat();
    assert_eq!(changes.iter().map(|seen| seen.key()).collect::<Vec<_>>(), ["ana"]);
    daemon.stop();
}

/// Orders by Confluent's serializer for Avro, clicks by that for JSON Schema, tickets in bare JSON; a real registry.
#[test]
fn records_of_confluents_serializers_with_a_real_registry_are_gathered() {
    let (Some(python), Some(registry)) = (python(), Apicurio::shared()) else { return };
    let sources = format!(
        r#"
[schemas]
registry = "{}"

[sources.orders]
topic = "{{name}}-orders"
customer = "buyer.id"
time = "paid_at"
id = "order_id"
event = "purchase"
where = 'status = "PAID"'
properties = {{ amount = "total", due = "due" }}

[sources.clicks]
topic = "{{name}}-clicks"
format = "json"
customer = "user.id"
time = {{ field = "at", unit = "seconds" }}
event = {{ field = "action", names = {{ view = "product_viewed" }} }}
properties = {{ page = "page.path" }}

[sources.tickets]
topic = "{{name}}-tickets"
format = "json"
customer = ["requester.id", "requester.mail"]
time = "at"
event = "ticket_opened"
properties = {{ stars = "stars" }}
"#,
        registry.address()
    );
    let rules = "[cohorts.buyers]\nwho = 'did purchase where amount > 10 ever'\n\n[cohorts.helped]\nwho = 'did ticket_opened ever'\n";
    let topics = [("orders", 2), ("clicks", 1), ("tickets", 1)];
    let Some(lab) = Lab::gathering("serializers", 2, rules, &topics, &sources) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/sources.py");
    let topics = topics.map(|(kind, _)| lab.topic(kind));
    printed(Command::new(python).arg(script).args([&lab.bootstrap, &registry.address()]).args(topics));
    let mut daemon = lab.start("one", &[]);
    eventually("every record is gathered, and the changes are decided", || {
        let read = daemon.metric("cohortd_source_records_read_total") as u32;
        (read == 8 && lab.read("changes").concat().len() == 2).then_some(())
    });
    daemon.stop();
    let mut events: Vec<String> = lab
        .read("in")
        .concat()
        .iter()
        .map(|seen| {
            let event = avro::decode(seen.payload.as_ref().unwrap()).unwrap();
            format!("{} {} {:?}", event.customer, event.name, event.properties)
        })
        .collect();
    events.sort();
    let expected: [&str; 5] = [
        r#"ann purchase [("amount", Number(Number(19990000))), ("due", Text("2026-01-31"))]"#,
        r#"ann ticket_opened []"#,
        r#"bob product_viewed [("page", Text("/p/1"))]"#,
        r#"bob purchase [("amount", Number(Number(10000000))), ("due", Text("2026-01-31"))]"#,
        r#"cléo product_viewed [("page", Text("/é"))]"#,
    ];
    assert_eq!(events, expected);
    let changes: BTreeSet<(String, String)> = lab
        .read("changes")
        .concat()
        .iter()
        .map(|seen| {
            let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
            (seen.key().to_owned(), change["cohort"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(changes, [("ann", "buyers"), ("ann", "helped")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert!(lab.read("letters").concat().is_empty());
}
