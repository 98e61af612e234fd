//! Records that cannot be used: each is set aside with its reason and its bytes, and the rest of the partition goes on.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;

use super::daemon::Daemon;
use super::lab::{Lab, Seen};
use super::registry::{Mood, Registry};
use super::{avro, eventually, judge};
use crate::alerts::has;
use crate::naive::Config;

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// Everything that was read is accounted for.
fn nothing_is_unaccounted_for(daemon: &mut Daemon, records: f64) {
    let sums = daemon.metrics();
    let sum = |name: &str| sums.get(&format!("cohortd_{name}_total")).copied().unwrap_or(0.0);
    let (consumed, applied) = (sum("records_consumed"), sum("events_applied"));
    let (skipped, dead) = (sum("events_skipped"), sum("dead_letters"));
    println!("consumed {consumed} = applied {applied} + skipped {skipped} + dead-lettered {dead}");
    assert!((consumed - records).abs() < 0.1, "{consumed} of {records}");
    assert!((consumed - applied - skipped - dead).abs() < 0.1);
}

/// What Prometheus' own checker says, where it is installed.
fn the_scrape_is_well_formed(daemon: &mut Daemon) {
    let (_, body) = daemon.get("/metrics").unwrap();
    if !has("promtool") {
        return;
    }
    let mut promtool = Command::new("promtool");
    let mut child = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_cannot_be_used_is_set_aside_and_the_rest_goes_on() {
    let Some(lab) = Lab::new("bad", 1, RULES) else { return };
    let writer = lab.writer();
    let now = wall_clock().0;
    let mut expected: Vec<(i64, &str)> = Vec::new();
    let mut records = 0;
    let good = |n: i64| avro::event(&format!("good{n}"), "visit", now - 1_000 + n, Some(format!("g{n}")));
    let mut send = |key: Option<&str>, payload: Option<&[u8]>, handling: Option<&'static str>| {
        writer.send_to(0, key, payload);
        if let Some(reason) = handling {
            expected.push((records, reason));
        }
        records += 1;
    };
    let with = |customer: &str, at: i64| avro::encode(&avro::event(customer, "visit", at, None));
    let fine = avro::encode(&good(0));
    let mut long = good(1);
    long.properties.push(("text".into(), crate::naive::OwnedValue::Text("x".repeat(200_000))));
    let (mut cut, mut longer) = (fine.clone(), fine.clone());
    cut.truncate(fine.len() - 3);
    longer.extend([0; 9]);
    for (key, payload, reason) in [
        ("k", b"not Avro at all".to_vec(), "undecodable"),
        ("k", Vec::new(), "undecodable"),
        ("good0", cut, "undecodable"),
        ("good0", vec![0, 0, 0, 0, 77, 1, 2, 3], "unknown_schema"),
        ("good0", [&[0xc3, 1], [9; 12].as_slice()].concat(), "unknown_schema"),
        ("", with("", now), "no_customer"),
        ("somebody else", with("good0", now), "wrong_key"),
        ("s", with("s", now / 1_000), "bad_time"),
        ("us", with("us", now * 1_000), "bad_time"),
        ("f", with("f", now + 600_000), "future"),
        ("good1", avro::encode(&long), "oversized"),
    ] {
        send(Some("good0"), Some(&fine), None);
        send(Some(key), Some(&payload), Some(reason));
    }
    send(None, Some(&fine), Some("no_key"));
    send(Some("good0"), None, None);
    send(Some("good5"), Some(&avro::encode(&good(5))), None);
    let late = avro::encode(&avro::event("tardy", "visit", now - 5 * 86_400_000, Some("tardy".into())));
    send(Some("tardy"), Some(&late), Some("too_late"));
    send(Some("good6"), Some(&avro::encode(&good(6))), None);
    writer.flush();

    let mut daemon = lab.start("one", &["batch.max_record_bytes=64 KiB", "state.flush_after_events=0"]);
    lab.read_through();
    daemon.ready();
    nothing_is_unaccounted_for(&mut daemon, records as f64);
    the_scrape_is_well_formed(&mut daemon);
    let log = daemon.log();
    for logged in ["the record begins with neither a schema id", "the key is null", "the key is not `customer_id`"] {
        let logged = format!("A record is set aside as a dead letter: {logged}");
        assert_eq!(log.matches(&logged).count(), 1, "{logged}: of each kind the first\n{log}");
    }
    for private in ["good0", "good5", "tardy", "somebody"] {
        assert!(!log.contains(private), "{private} is in the log:\n{log}");
    }
    daemon.stop();

    let dead_letters = dead_letters_in_order(&lab);
    let dead_letters: Vec<(i64, &str)> =
        dead_letters.iter().map(|(offset, reason)| (*offset, reason.as_str())).collect();
    assert_eq!(dead_letters, expected);
    // Judged: the good ones, their copies, and the late one.
    let used = |seen: &Seen| {
        let reason = expected.iter().find(|(offset, _)| *offset == seen.offset).map(|(_, reason)| *reason);
        if reason.is_some_and(|reason| reason != "too_late") { None } else { avro::decode(seen.payload.as_ref()?) }
    };
    let found = judge::check_with(&lab, Config::default(), used);
    println!("bad: {found:?}");
    assert_eq!((found.changes, found.duplicates, found.too_late), (3, 10, 1));
}

#[test]
fn records_of_json_are_named_as_such_and_catching_up_without_an_event_is_a_warning() {
    let Some(lab) = Lab::new("json", 1, RULES) else { return };
    let writer = lab.writer();
    (0..20).for_each(|n| writer.send(&format!("c{n}"), b"{\"customer_id\": \"c\"}"));
    writer.flush();
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let caught_up = |daemon: &Daemon, message: &str| {
        let line = eventually(message, || daemon.lines_of(message).pop());
        (line["level"].clone(), line["records"].clone(), line["events"].clone())
    };
    let none = "Caught up with the input, but none of its records is an event; each dead letter has its reason.";
    assert_eq!(caught_up(&daemon, none), ("WARN".into(), 20.into(), 0.into()));
    daemon.stop();
    let letters = lab.read("letters").concat();
    assert_eq!(letters.len(), 20);
    for letter in &letters {
        assert!(letter.header("cohortd_detail").contains("looks like JSON"), "{:?}", letter.headers);
    }

    writer.send("a", &avro::encode(&avro::event("a", "visit", wall_clock().0, None)));
    writer.send("b", b"[]");
    writer.flush();
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    assert_eq!(caught_up(&daemon, "Caught up with the input."), ("INFO".into(), 2.into(), 1.into()));
    daemon.stop();
}

/// Offset and reason of every dead letter, each with key and value as in the input.
fn dead_letters_in_order(lab: &Lab) -> Vec<(i64, String)> {
    let input = lab.read("in").concat();
    let dead_letters = lab.read("letters").concat();
    let as_they_came = dead_letters.iter().map(|letter| {
        let offset: i64 = letter.header("cohortd_offset").parse().unwrap();
        let origin = input.iter().find(|seen| seen.offset == offset).unwrap();
        assert_eq!((&letter.key, &letter.payload), (&origin.key, &origin.payload), "the dead letter of {offset}");
        assert_eq!(letter.header("cohortd_topic"), lab.topic("in"));
        assert_eq!(letter.header("cohortd_partition"), origin.partition.to_string());
        assert!(letter.header("cohortd_at").starts_with("20"));
        assert!(!letter.header("cohortd_detail").is_empty(), "{:?}", letter.headers);
        (offset, letter.header("cohortd_reason").to_owned())
    });
    as_they_came.collect()
}

#[test]
fn a_registry_that_is_down_is_waited_for_and_one_that_does_not_know_is_not() {
    let Some(lab) = Lab::new("registry", 2, RULES) else { return };
    let registry = Registry::start();
    let schema = include_str!("../../../schemas/customer-event.avsc");
    let known = registry.register("events-value", schema);
    let writer = lab.writer();
    let event = |customer: &str| avro::event(customer, "visit", wall_clock().0, Some(format!("id-{customer}")));
    let sets = [format!("schemas.registry={}", registry.address), "schemas.retry_for=1 s".to_owned()];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let written = ["changes", "forecasts", "members", "risks"].map(|kind| lab.topic(kind) + "-value");
    assert_eq!(registry.subjects(), [&written[..], &["events-value".to_owned()]].concat());

    // Down: the one partition waits, the other, without a registry's schema, goes on.
    registry.set(Mood::Down);
    writer.send_to(0, Some("a"), Some(&avro::framed(known, &event("a"))));
    writer.send_to(0, Some("b"), Some(&avro::encode(&event("b"))));
    writer.send_to(1, Some("c"), Some(&avro::encode(&event("c"))));
    writer.flush();
    let changes = lab.follow("changes");
    let next = || eventually("a change", || changes.next(Duration::from_millis(100)));
    assert_eq!(next().key(), "c");
    thread::sleep(Duration::from_secs(2));
    assert!(changes.next(Duration::from_millis(500)).is_none(), "the partition waits");
    eventually("it says that it waits", || daemon.says("the schema registry does not answer").then_some(()));
    registry.set(Mood::Well);
    assert_eq!((next().key(), next().key()), ("a", "b"));

    // Up, and it does not know: set aside after a second, then on.
    writer.send_to(0, Some("d"), Some(&avro::framed(4711, &event("d"))));
    writer.send_to(0, Some("e"), Some(&avro::framed(known, &event("e"))));
    writer.flush();
    assert_eq!(next().key(), "e");
    nothing_is_unaccounted_for(&mut daemon, 5.0);
    daemon.stop();
    let dead_letters = lab.read("letters").concat();
    let dead_letters: Vec<_> = dead_letters.iter().map(|seen| (seen.key(), seen.header("cohortd_reason"))).collect();
    assert_eq!(dead_letters, [("d", "unknown_schema")]);
}

#[test]
fn fields_beside_the_properties_are_named_in_the_log_once() {
    let rules = "[cohorts.spent]\nwho = \"sum(purchase.amount in the last 1 day) > 10\"\n";
    let Some(lab) = Lab::new("beside", 2, rules) else { return };
    let field = |name: &str, kind: &str| serde_json::json!({"name": name, "type": kind});
    let fields =
        [("customer_id", "string"), ("event", "string"), ("occurred_at", "long"), ("shop", "int"), ("amount", "int")];
    let fields: Vec<_> = fields.iter().map(|(name, kind)| field(name, kind)).collect();
    let schema = serde_json::json!({"type": "record", "name": "Order", "fields": fields});
    std::fs::create_dir(lab.path("avsc")).unwrap();
    std::fs::write(lab.path("avsc/17.avsc"), schema.to_string()).unwrap();
    let writer = lab.writer();
    let text = |text: &str| [&[(text.len() * 2) as u8][..], text.as_bytes()].concat();
    for n in 0..10 {
        let customer = format!("c{n}");
        let mut bits = wall_clock().0.cast_unsigned() << 1;
        let mut record = [&[0, 0, 0, 0, 17][..], &text(&customer), &text("purchase")].concat();
        while bits >= 0x80 {
            record.push((bits & 0x7f) as u8 | 0x80);
            bits >>= 7;
        }
        record.extend([bits as u8, 2, 40]);
        writer.send_to(n % 2, Some(&customer), Some(&record));
    }
    writer.flush();
    let mut daemon = lab.start("one", &[&format!("schemas.dir={}", lab.path("avsc").display())]);
    lab.read_through();
    daemon.ready();
    nothing_is_unaccounted_for(&mut daemon, 10.0);
    let log = daemon.log();
    let logged = "Fields of schema id 17 are not read: shop, amount; put them into properties. The rules use amount.";
    assert_eq!(log.matches(logged).count(), 1, "{log}");
    daemon.stop();
}

#[test]
fn names_in_rules_that_no_event_has_are_reported_with_the_nearest() {
    let rules = "
[cohorts.french]
who = 'did visit where country = \"FR\" in the last 1 day'
[cohorts.signed]
who = 'did sigup in the last 1 day'
";
    let Some(lab) = Lab::new("named", 2, rules) else { return };
    let writer = lab.writer();
    let send = |n: i64, name: &str, country: &str| {
        let mut event = avro::event(&format!("c{n}"), name, wall_clock().0 - 1_000, None);
        event.properties.push(("country".into(), crate::naive::OwnedValue::Text(country.into())));
        writer.send(&event.customer, &avro::encode(&event));
    };
    (0..10).for_each(|n| send(n, if n == 0 { "signup" } else { "visit" }, "fr"));
    writer.flush();
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.read_through();
    let not_found = |daemon: &mut Daemon| {
        let (status, body) = daemon.ask("admin", "/rules").unwrap();
        assert_eq!(status, 200, "{body}");
        println!("{body}");
        let logged: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(logged["version"], 1);
        let line = |found: &serde_json::Value| {
            let part = |key: &str| found[key].as_str().unwrap().to_owned();
            format!("{}: {}; {}", part("key"), part("text"), part("hint"))
        };
        logged["not_found"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        not_found(&mut daemon),
        [
            "cohorts.french.who: no `visit` has the value \"FR\" for `country`; nearest: \"fr\"",
            "cohorts.signed.who: no event is called `sigup`; did you mean `signup`?",
        ]
    );
    assert!(!daemon.log().contains("\"fr\""), "a value of an event is in the log");
    send(11, "visit", "FR");
    writer.flush();
    eventually("the value is found once it comes", || (not_found(&mut daemon).len() == 1).then_some(()));
    daemon.stop();
}
