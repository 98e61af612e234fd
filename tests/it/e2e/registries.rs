//! A daemon and a schema registry that is secured, several, or only read; and schemas that refer to others.

use std::net::TcpListener;
use std::process::Command;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;

use super::eventually;
use super::lab::{Follower, Lab};
use super::refusals::refusal;
use super::registry::{self, Mood};
use super::registry_access::{certified, secured};
use crate::support::apicurio::{Apicurio, PATH};
use crate::support::broker::free_ports;
use crate::support::fronts::{Clients, TlsFront};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// The schema of events that names a type of another schema.
fn event_schema(namespace: &str, kind: &str) -> String {
    serde_json::json!({"type": "record", "name": "Event", "namespace": namespace, "fields": [
        {"name": "customer_id", "type": "string"},
        {"name": "event", "type": kind},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]})
    .to_string()
}

fn kind_schema(namespace: &str) -> String {
    serde_json::json!({"type": "enum", "name": "Kind", "namespace": namespace, "symbols": ["leave", "visit"]})
        .to_string()
}

/// A visit as a record of [`event_schema`].
fn visit(id: u32, customer: &str) -> Vec<u8> {
    let mut record = vec![0];
    record.extend_from_slice(&id.to_be_bytes());
    let long = |value: i64, record: &mut Vec<u8>| {
        let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while bits >= 0x80 {
            record.push(0x80 | (bits & 0x7f) as u8);
            bits >>= 7;
        }
        record.push(bits as u8);
    };
    long(i64::try_from(customer.len()).unwrap(), &mut record);
    record.extend_from_slice(customer.as_bytes());
    long(1, &mut record);
    long(wall_clock().0, &mut record);
    record
}

/// Whose change is published next, and the id of its schema.
fn next(changes: &Follower) -> (String, u32) {
    let seen = eventually("a change", || changes.next(std::time::Duration::from_millis(100)));
    let id = u32::from_be_bytes(seen.payload.as_ref().unwrap()[1..5].try_into().unwrap());
    (seen.key().to_owned(), id)
}

fn strings(sets: &[String]) -> Vec<&str> {
    sets.iter().map(String::as_str).collect()
}

fn check(lab: &Lab, sets: &[String]) -> (Option<i32>, String) {
    let settings = lab.settings("one");
    let output = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["check", "--connect"])
        .args(settings.iter().chain(sets).flat_map(|set| ["--set", set.as_str()]))
        .env_clear()
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), printed)
}

#[test]
fn a_real_registry_over_mutual_tls_is_only_read_and_gives_what_schemas_refer_to() {
    let Some(lab) = Lab::new("readonly", 1, RULES) else { return };
    let (Some(apicurio), Some(folder)) = (Apicurio::shared(), certified()) else { return };
    let subject = |name: &str| format!("{}-{name}", lab.name);
    let (kind, events) = (kind_schema("shop.common"), event_schema("shop.events", "shop.common.Kind"));
    apicurio.register(&subject("kind"), &kind);
    let id = apicurio.register_referring(&subject("events"), &events, &[("shop.common.Kind", &subject("kind"), 1)]);
    let front = TlsFront::start(folder.path(), Clients::Certified, &apicurio.place());
    let [gone] = free_ports();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let sets = vec![
        format!("schemas.registry=https://127.0.0.1:{gone}{PATH}, {}{PATH}", front.address),
        format!("schemas.ca={}", file("ca.pem")),
        format!("schemas.certificate={}", file("client.pem")),
        format!("schemas.key={}", file("client.key")),
        "schemas.register=false".to_owned(),
        "schemas.subjects=topic-record".to_owned(),
    ];
    let outputs = [
        (lab.topic("changes"), "CohortChange", Output::CohortChange),
        (lab.topic("members"), "CohortMember", Output::CohortMember),
        (lab.topic("risks"), "ChurnRiskChange", Output::ChurnRiskChange),
        (lab.topic("forecasts"), "CohortForecast", Output::CohortForecast),
    ]
    .map(|(topic, record, output)| (format!("{topic}-cohortd.{record}"), output));

    // Nothing is registered, and nothing will be: everything missing is reported, with its location.
    let before = apicurio.subjects(&lab.name);
    let words: Vec<String> = outputs.iter().map(|(subject, output)| format!("{subject} ({})", output.file())).collect();
    let missing = [&["schemas.register", "have it registered"][..], &strings(&words)].concat();
    refusal(lab.start("one", &strings(&sets)).ended(), &missing);
    let (code, printed) = check(&lab, &sets);
    assert_eq!(code, Some(78), "{printed}");
    assert!(words.iter().all(|word| printed.contains(word)), "{printed}");
    assert_eq!(apicurio.subjects(&lab.name), before);

    let ids: Vec<u32> = outputs.iter().map(|(subject, output)| apicurio.register(subject, output.schema())).collect();
    let (code, printed) = check(&lab, &sets);
    assert_eq!(code, Some(0), "{printed}");
    assert!(ids.iter().all(|id| printed.contains(&format!("registered, id {id}"))), "{printed}");
    let mut daemon = lab.start("one", &strings(&sets));
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    writer.send("a", &visit(id, "a"));
    writer.flush();
    assert_eq!(next(&changes), ("a".to_owned(), ids[0]));
    daemon.ready();
    daemon.kill9();
    // All of it is known without the registry.
    front.close(true);
    let mut daemon = lab.start("one", &strings(&sets));
    writer.send("b", &visit(id, "b"));
    writer.flush();
    assert_eq!(next(&changes), ("b".to_owned(), ids[0]));
    assert!(daemon.metrics()["cohortd_registry_reachable"].abs() < 0.1);
    front.close(false);
    eventually("the ids of the outputs are confirmed", || daemon.says("confirms the ids").then_some(()));
    daemon.stop();
    assert!(lab.read("letters").concat().is_empty());
    assert_eq!(apicurio.subjects(&lab.name).len(), before.len() + 4);
}

#[test]
fn what_a_schema_refers_to_that_is_missing_or_leads_in_circles_holds_nothing_up() {
    let Some(lab) = Lab::new("referring", 1, RULES) else { return };
    let registry = registry::Registry::start();
    registry.register("my-shop/kind", &kind_schema("com.my-shop.common"));
    let refers = |name: &str, subject: &str, version: u32| {
        // A namespace of its own, so that each has an id of its own.
        let schema = event_schema(&format!("com.my-shop.{name}"), "com.my-shop.common.Kind");
        registry.register_referring(name, &schema, &[("com.my-shop.common.Kind", subject, version)])
    };
    let good = refers("good", "my-shop/kind", 1);
    let missing = refers("missing", "my-shop/kind", 7);
    let circle = refers("circle", "circle", 1);
    let sets = [
        format!("schemas.registry={}", registry.address),
        "schemas.retry_for=1 s".to_owned(),
        "schemas.subjects=record".to_owned(),
    ];
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    for (id, customer) in [(good, "a"), (missing, "m"), (circle, "c"), (good, "b")] {
        writer.send(customer, &visit(id, customer));
    }
    writer.flush();
    // What the environment says of proxies does not count.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let proxy = format!("http://{}", elsewhere.local_addr().unwrap());
    let environment = ["ALL_PROXY", "HTTP_PROXY", "http_proxy"].map(|name| (name.to_owned(), proxy.clone()));
    let mut daemon = lab.start_with(&environment, "one", &strings(&sets));
    assert_eq!((next(&changes).0, next(&changes).0), ("a".to_owned(), "b".to_owned()));
    assert!(elsewhere.accept().is_err(), "nobody came");
    daemon.ready();
    lab.read_through();
    daemon.kill9();
    let dead_letters = lab.read("letters").concat();
    let printed: Vec<_> = dead_letters.iter().map(|seen| (seen.key(), seen.header("cohortd_reason"))).collect();
    assert_eq!(printed, [("m", "unknown_schema"), ("c", "undecodable")]);
    let details: Vec<&str> = dead_letters.iter().map(|seen| seen.header("cohortd_detail")).collect();
    println!("{details:?}");
    assert!(details[0].contains("version 7 of subject my-shop/kind, which the registry does not have"), "{details:?}");
    assert!(details[1].contains("refers to itself through version 1 of subject circle"), "{details:?}");
    let records =
        ["ChurnRiskChange", "CohortChange", "CohortForecast", "CohortMember"].map(|name| format!("cohortd.{name}"));
    assert!(records.iter().all(|record| registry.subjects().contains(record)), "{:?}", registry.subjects());

    registry.set(Mood::Down);
    let daemon = lab.start("one", &strings(&sets));
    writer.send("d", &visit(good, "d"));
    writer.flush();
    assert_eq!(next(&changes).0, "d");
    daemon.stop();
}

#[test]
fn unknown_credentials_and_an_untrusted_registry_end_a_start_with_the_setting() {
    let Some(lab) = Lab::new("strangers", 1, RULES) else { return };
    let Some(folder) = certified() else { return };
    let (front, stub, _) = secured(folder.path(), Clients::Certified);
    let of_tls = format!("schemas.registry={}", front.address);
    let ca = format!("schemas.ca={}", folder.path().join("ca.pem").display());
    refusal(lab.start("one", &[&of_tls]).ended(), &["schemas.registry", "is not trusted", "schemas.ca"]);
    refusal(lab.start("one", &[&of_tls, &ca]).ended(), &["schemas.registry", "schemas.certificate"]);
    refusal(
        lab.start("one", &[&of_tls, "schemas.ca=/nowhere.pem"]).ended(),
        &["schemas.ca", "/nowhere.pem cannot be read"],
    );
    for status in [401, 403] {
        stub.set(Mood::Says(status));
        let plain = format!("schemas.registry={}", stub.address);
        let log = refusal(
            lab.start("one", &[&plain, "schemas.token=hunter2"]).ended(),
            &["schemas.registry", "the token in schemas.token", &format!("HTTP {status}")],
        );
        assert!(!log.contains("hunter2"), "{log}");
        assert!(stub.heads().last().unwrap().contains("Bearer hunter2"));
    }
}
