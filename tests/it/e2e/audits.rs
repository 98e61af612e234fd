//! `audit` of topics on a real Kafka: through a registry, keyed and not, in a range.

use std::process::{Command, Output};

use cohortd::kafka::partition_of;
use serde_json::{Value as Json, json};

use super::avro;
use super::lab::Lab;
use super::registry::Registry;

const DAY: i64 = 86_400_000;
const START: i64 = 1_735_689_600_000;
const EVENTS: [&str; 3] = ["signup", "purchase", "visit"];

fn audit(lab: &Lab, registry: &Registry, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .arg("audit")
        .args(arguments)
        .args(["--set", &format!("kafka.bootstrap_servers={}", lab.bootstrap)])
        .args(["--set", &format!("kafka.group_id={}", lab.name)])
        .args(["--set", &format!("schemas.registry={}", registry.address)])
        .args(["--set", "schemas.retry_for=1 s"])
        .env_clear()
        .output()
        .unwrap()
}

fn reported(lab: &Lab, registry: &Registry, arguments: &[&str]) -> Json {
    let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = audit(lab, registry, &all);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn click(number: i64) -> String {
    json!({
        "type": "click",
        "messageId": format!("m{number}"),
        "email": format!("C{}@EXAMPLE.com", number % 30),
        "timestamp": jiff::Timestamp::from_millisecond(START + number * DAY / 10).unwrap().to_string(),
    })
    .to_string()
}

#[test]
fn topics_are_audited_with_their_keys_schemas_and_common_customers() {
    let Some(lab) = Lab::new("audit", 2, include_str!("../../../config/rules.toml")) else { return };
    lab.create("clicks", 3, &[]);
    let registry = Registry::start();
    let id = registry.register("in-value", include_str!("../../../schemas/customer-event.avsc"));
    let (orders, clicks) = (lab.writer(), lab.writer_to("clicks"));
    for number in 0..300_i64 {
        // The first twenty customers are in both topics.
        let customer = format!("c{}@example.com", 10 + number % 40);
        let name = EVENTS[usize::try_from(number % 3).unwrap()];
        let event = avro::event(&customer, name, START + number * DAY / 10, Some(format!("e{number}")));
        orders.send(&customer, &if number & 1 == 0 { avro::framed(id, &event) } else { avro::encode(&event) });
        // Not keyed by customer, and nowhere in particular.
        clicks.send_to(i32::try_from(number % 3).unwrap(), None, Some(click(number).as_bytes()));
    }
    orders.flush();
    // A copy, a record of a schema that nobody has, one that is nothing, and one without a value.
    orders.send(
        "c10@example.com",
        &avro::framed(id, &avro::event("c10@example.com", "signup", START, Some("e0".into()))),
    );
    let home = partition_of(b"k", 2);
    orders.send_to(home, Some("k"), Some(&[0, 0, 0, 99, 1, 2, 3]));
    orders.send_to(home, Some("k"), Some(&[0xff, 0xfe]));
    orders.send_to(home, Some("k"), None);
    orders.flush();
    clicks.flush();

    let (input, clicks) = (lab.topic("in"), lab.topic("clicks"));
    let rules = lab.path("rules.toml").display().to_string();
    let report = reported(&lab, &registry, &["--topic", &input, &clicks, "--rules", &rules]);
    let [orders, visits] = [0, 1].map(|place| &report["topics"][place]);
    assert_eq!((&orders["records"], &orders["partitions"], &visits["records"]), (&json!(304), &json!(2), &json!(300)));
    assert_eq!(orders["formats"], json!({"avro": 151, "avro_single_object": 150, "null": 1, "unreadable": 2}));
    assert_eq!(orders["unreadable"], json!({"unknown_format": 1, "unknown_schema": 1}));
    assert_eq!(
        orders["schemas"][0],
        json!({"schema": id.to_string(), "record": "cohortd.CustomerEvent", "records": 151})
    );
    assert_eq!((&orders["keys"]["partitioned"], &orders["keys"]["distinct"]), (&json!("murmur2"), &json!(41)));
    assert_eq!((&visits["keys"]["none"], &visits["keys"]["partitioned"]), (&json!(300), &Json::Null));
    assert_eq!(orders["customer"]["path"], "customer_id");
    assert_eq!(orders["customer"]["why"], json!(["name", "key"]));
    assert_eq!(
        [&orders["time"]["path"], &orders["event"]["path"], &orders["id"]["path"]],
        ["occurred_at", "event", "event_id"]
    );
    let copies = orders["duplicates"]["by_id"].as_f64().unwrap();
    assert!((copies - 1.0 / 301.0).abs() < 1e-9, "{copies}");
    // Customers 10 to 29 of 10 to 49, and of 0 to 29.
    let common = &report["customers_in_common"][0];
    assert_eq!(common["shares"], json!([0.5, 20.0 / 30.0]), "{common}");
    let written: u64 = orders["hours"]["hours"].as_array().unwrap().iter().map(|hour| hour[1].as_u64().unwrap()).sum();
    assert_eq!(written, 304);
    let kinds: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"unreadable") && kinds.contains(&"critical_missing") && kinds.len() <= 7, "{kinds:?}");

    // Before the first record was written, and until now.
    assert_eq!(reported(&lab, &registry, &["--topic", &input, "--until", "2001-01-01"])["records"], 0);
    assert_eq!(reported(&lab, &registry, &["--topic", &input, "--from", "2001-01-01"])["records"], 304);

    let text = audit(&lab, &registry, &["--topic", &input, &clicks]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains("example.com") && text.contains("partitioned by murmur2"), "{text}");

    // What is proposed reads as one source for each topic.
    let proposed = audit(&lab, &registry, &["--topic", &input, &clicks, "--propose"]);
    std::fs::write(lab.path("sources.toml"), &proposed.stdout).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["check", "--rules", &rules, "--sources"])
        .arg(lab.path("sources.toml"))
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && said.contains(&input) && said.contains(&clicks), "{said}");

    let missing = audit(&lab, &registry, &["--topic", "no-such-topic"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no topic no-such-topic"));
}
