//! Input that is not partitioned as Kafka's default partitioner does it: customers are found wherever they are, and what may be
//! wrong is said.

use std::process::{Command, Output};

use cohortd::clock::wall_clock;
use cohortd::kafka::partition_of;
use serde_json::Value;

use super::daemon::Daemon;
use super::lab::{Lab, Writer};
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";
const PARTITIONS: u32 = 3;
const CUSTOMERS: usize = 40;

fn home(customer: &str) -> i32 {
    partition_of(customer.as_bytes(), PARTITIONS)
}

/// Never where murmur2 puts them.
fn elsewhere(customer: &str) -> i32 {
    (home(customer) + 1) % PARTITIONS.cast_signed()
}

fn customer(number: usize) -> String {
    format!("c{number}")
}

fn visit(writer: &Writer, partition: i32, customer: &str) {
    let event = avro::event(customer, "visit", wall_clock().0, Some(format!("{customer}-{partition}")));
    writer.send_to(partition, Some(customer), Some(&avro::encode(&event)));
}

fn asked(daemon: &mut Daemon, path: &str) -> (u16, Value) {
    let (status, body) = daemon.ask("admin", path).unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

fn explain(lab: &Lab, customer: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["explain", "--json", "--customer", customer, "--topic", &lab.topic("in"), "--rules"])
        .arg(lab.path("rules.toml"))
        .args(["--set", &format!("kafka.bootstrap_servers={}", lab.bootstrap)])
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn customers_are_found_wherever_another_partitioner_has_put_them() {
    let Some(lab) = Lab::new("partitioner", 3, RULES) else { return };
    let writer = lab.writer();
    for customer in (0..CUSTOMERS).map(customer) {
        visit(&writer, elsewhere(&customer), &customer);
    }
    writer.flush();
    let mut one = lab.start("one", &[]);
    one.ready();
    lab.read_through();
    for customer in (0..CUSTOMERS).map(customer) {
        let (status, answer) = asked(&mut one, &format!("/customers/{customer}"));
        assert_eq!((status, &answer["customer_id"]), (200, &customer.clone().into()), "{answer}");
        assert_eq!(answer["also_in_partitions"], Value::Null, "{answer}");
    }
    let (status, answer) = asked(&mut one, "/customers/nobody");
    assert_eq!((status, &answer["status"]), (404, &"unknown_customer".into()), "all partitions are here: {answer}");
    assert_eq!(one.metrics()["cohortd_events_elsewhere_total"], CUSTOMERS as f64);
    let warning = "Customers are not in the partitions in which Kafka's default partitioner (murmur2) puts them.";
    assert_eq!(one.log().matches(warning).count(), 1, "{}", one.log());

    let found = explain(&lab, "c7");
    let thresholds_reported = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{thresholds_reported}");
    assert!(
        thresholds_reported.contains(&format!("[{}], of ", elsewhere("c7"))) && thresholds_reported.contains("murmur2"),
        "{thresholds_reported}"
    );
    let nobody = explain(&lab, "nobody");
    let thresholds_reported = String::from_utf8_lossy(&nobody.stderr);
    assert!(
        !nobody.status.success() && thresholds_reported.contains("no partition of the topic"),
        "{thresholds_reported}"
    );

    // With two processes none of them can say of anybody that there is no such customer.
    let mut two = lab.start("two", &[]);
    two.ready();
    let partitions = |daemon: &mut Daemon| daemon.metrics()["cohortd_partitions_assigned"];
    eventually("both have partitions", || (partitions(&mut one) > 0.0 && partitions(&mut two) > 0.0).then_some(()));
    eventually("each customer is found by one of them, and the other names it", || {
        let found = |customer: String| {
            let path = format!("/customers/{customer}");
            let (here, there) = (asked(&mut one, &path).0, asked(&mut two, &path).0);
            assert!(here != 404 && there != 404, "{customer}: {here} {there}");
            [here, there].contains(&200)
        };
        (0..CUSTOMERS).map(customer).all(found).then_some(())
    });
    eventually("whoever is not known here may be with the other", || {
        let (status, answer) = asked(&mut one, "/customers/nobody");
        assert_ne!(status, 404, "{answer}");
        (status == 421 && answer["detail"].as_str().unwrap().contains("two-")).then_some(())
    });
    one.stop();
    two.stop();
}

#[test]
fn a_customer_that_producers_have_split_is_shown_in_two_partitions() {
    let Some(lab) = Lab::new("split", 3, RULES) else { return };
    let writer = lab.writer();
    visit(&writer, home("c1"), "c1");
    visit(&writer, elsewhere("c1"), "c1");
    visit(&writer, home("c2"), "c2");
    writer.flush();
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.read_through();
    let (status, answer) = asked(&mut daemon, "/customers/c1");
    assert_eq!((status, &answer["also_in_partitions"]), (200, &vec![elsewhere("c1")].into()), "{answer}");
    let (_, text) = daemon.ask("admin", "/customers/c1/cohorts/seen?lang=en").unwrap();
    assert!(text.contains(&format!("the rest is in partition {}", elsewhere("c1"))), "{text}");
    let (status, answer) = asked(&mut daemon, "/customers/c2");
    assert_eq!((status, &answer["also_in_partitions"]), (200, &Value::Null), "{answer}");
    daemon.stop();
}
