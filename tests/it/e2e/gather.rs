//! Several topics of other shapes, under other keys, gathered into one log: each record's events exactly once, in the order
//! of their times, and decided as the naive evaluator decides that log.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use apache_avro::writer::datum::GenericDatumWriter;
use cohortd::clock::wall_clock;
use cohortd::codec::Output;
use cohortd::engine::Timing;
use serde_json::json;

use super::daemon::Daemon;
use super::lab::{Lab, Seen, Writer};
use super::registry::Registry;
use super::shop::{self, Random, Sent};
use super::{avro, eventually, judge};
use crate::naive::{Config, LogEvent, OwnedValue};

/// The shop's events, spread over three topics as three systems would write them.
const SOURCES: &str = r#"
[sources.clicks]
topic = "{name}-clicks"
format = "json"
customer = "visitor.id"
time = { field = "ts", unit = "milliseconds" }
event = { field = "action" }
properties = { n = "n" }

[sources.orders]
topic = "{name}-orders"
customer = "customer_id"
time = "occurred_at"
event = { field = "event" }
id = "event_id"
properties = { amount = "properties.amount", n = "properties.n" }

[sources.support]
topic = "{name}-support"
format = "json"
customer = ["requester.id", "requester.mail"]
time = "at"
event = { field = "kind", names = { "money back" = "refund" } }
"#;

const TOPICS: [(&str, i32); 3] = [("clicks", 3), ("orders", 2), ("support", 1)];

const QUICK: [&str; 4] = [
    "kafka.options.session.timeout.ms=6000",
    "kafka.options.heartbeat.interval.ms=500",
    "state.flush_after_events=300",
    "state.flush_after=2 s",
];

/// Of a log whose events do not move time.
fn config() -> Config {
    Config { arrives_within: Timing::MARKS, ..shop::config() }
}

/// The writers of the three topics.
struct Systems {
    clicks: Writer,
    orders: Writer,
    support: Writer,
}

impl Systems {
    fn of(lab: &Lab) -> Self {
        Self { clicks: lab.writer_to("clicks"), orders: lab.writer_to("orders"), support: lab.writer_to("support") }
    }

    /// Sends an event to the system that has such events, in its shape, under a key that is not the customer's.
    fn send(&self, sent: &Sent) {
        let Sent { number, event } = sent;
        match event.name.as_str() {
            "purchase" | "cart" => self.orders.send(&format!("order-{number}"), &avro::encode(event)),
            "refund" => {
                let at = cohortd::event::Instant(event.at.0).to_string();
                let who = if number % 2 == 0 { "id" } else { "mail" };
                let ticket =
                    json!({"ticket": number, "requester": {who: event.customer}, "at": at, "kind": "money back"});
                self.support.send(&format!("ticket-{number}"), ticket.to_string().as_bytes());
            }
            name => {
                let click = json!({"visitor": {"id": event.customer}, "ts": event.at.0, "action": name, "n": number});
                self.clicks.send(&format!("session-{}", number % 17), click.to_string().as_bytes());
            }
        }
    }
}

/// Who did what when, each as often as it is there.
fn counted<'e>(events: impl IntoIterator<Item = &'e LogEvent>) -> BTreeMap<(String, String, i64), u32> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry((event.customer.clone(), event.name.clone(), event.at.0)).or_default() += 1;
    }
    counts
}

fn events(log: &[Vec<Seen>]) -> Vec<LogEvent> {
    log.iter().flatten().map(|seen| avro::decode(seen.payload.as_ref().unwrap()).expect("a CustomerEvent")).collect()
}

/// The records of the sources, as the events that they must become.
fn sent(lab: &Lab, topics: &[(&str, i32)]) -> Vec<LogEvent> {
    let mut sent = Vec::new();
    for (kind, partitions) in topics {
        for seen in lab.with_partitions(*partitions).read(kind).concat() {
            let payload = seen.payload.unwrap();
            if *kind == "orders" {
                sent.push(avro::decode(&payload).unwrap());
                continue;
            }
            let record: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            sent.push(match *kind {
                "clicks" => {
                    let (customer, name) = (text(&record["visitor"]["id"]).unwrap(), text(&record["action"]).unwrap());
                    avro::event(&customer, &name, record["ts"].as_i64().unwrap(), None)
                }
                _ => {
                    let who = text(&record["requester"]["id"]).or_else(|| text(&record["requester"]["mail"])).unwrap();
                    let at = cohortd::event::Instant::parse(record["at"].as_str().unwrap()).unwrap();
                    avro::event(&who, "refund", at.0, None)
                }
            });
        }
    }
    sent
}

/// Each record of the sources is in the log exactly once, in its customer's partition, and the changes are those of that log.
fn everything_is_right(lab: &Lab, topics: &[(&str, i32)]) -> judge::Found {
    let log = lab.read("in");
    let (found, expected) = (counted(&events(&log)), counted(&sent(lab, topics)));
    for (event, count) in &expected {
        assert_eq!(found.get(event), Some(count), "of {event:?}, sent as often");
    }
    assert_eq!(found.len(), expected.len(), "nothing else is in the log");
    for (partition, records) in log.iter().enumerate() {
        for seen in records {
            let event = avro::decode(seen.payload.as_ref().unwrap()).unwrap();
            assert_eq!(seen.key(), event.customer);
            let partitions = u32::try_from(lab.partitions).unwrap();
            assert_eq!(cohortd::kafka::partition_of(&seen.key, partitions), i32::try_from(partition).unwrap());
        }
    }
    judge::check(lab, config())
}

fn settled(lab: &Lab, daemon: &Daemon, last: i64) {
    lab.decided_until(last + shop::SETTLED_AFTER);
    assert!(!daemon.says("panicked"));
}

#[test]
fn three_systems_become_one_log_exactly_once_through_kills_and_rebalances() {
    let Some(lab) = Lab::gathering("gather", 4, shop::RULES, &TOPICS, SOURCES) else { return };
    let mut random = Random::seeded("gather");
    let sets = [&shop::SETS[..], &QUICK].concat();
    let systems = Systems::of(&lab);
    let open = shop::open_to(random.next(), 40, 150, move |sent| systems.send(sent));
    let mut one = lab.start("one", &sets);
    one.ready();
    for round in 0..6 {
        thread::sleep(Duration::from_millis(500 + random.next() % 1_500));
        one.kill9();
        one = lab.start("one", &sets);
        if round % 2 == 0 {
            one.ready();
        }
    }
    one.ready();
    let mut two = lab.start("two", &sets);
    two.ready();
    eventually("the second process gathers, too", || {
        (two.metric("cohortd_source_records_read_total") > 0.0).then_some(())
    });
    one.kill9();
    one = lab.start("one", &sets);
    one.ready();
    thread::sleep(Duration::from_secs(1));
    two.stop();
    let last = open.close();
    settled(&lab, &one, last);
    let figures = one.metrics();
    let sum = |name: &str| figures.get(name).copied().unwrap_or(0.0);
    assert_eq!(
        sum("cohortd_source_records_read_total"),
        sum("cohortd_source_records_mapped_total")
            + sum("cohortd_source_records_skipped_total")
            + sum("cohortd_source_dead_letters_total")
    );
    one.stop();
    let found = everything_is_right(&lab, &TOPICS);
    println!("gather: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50 && found.advances > 0, "too little happened: {found:?}");
}

/// Kafka's default partitioner sends the same key elsewhere from then on; the log is partitioned by customer.
#[test]
fn partitions_that_are_added_to_a_topic_are_gathered_from_their_beginning() {
    let Some(lab) = Lab::gathering("added", 2, shop::RULES, &TOPICS, SOURCES) else { return };
    let mut random = Random::seeded("added");
    // So that writers and daemon soon know of new partitions.
    let sets = [&shop::SETS[..], &QUICK, &["kafka.options.topic.metadata.refresh.interval.ms=500"]].concat();
    let mut one = lab.start("one", &sets);
    one.ready();
    let systems = Systems::of(&lab);
    let before = shop::open_to(random.next(), 40, 150, move |sent| systems.send(sent));
    thread::sleep(Duration::from_secs(2));
    let last_before = before.close();
    lab.enlarge("clicks", 5);
    lab.enlarge("support", 3);
    let systems = Systems::of(&lab);
    let after = shop::open_to(random.next(), 40, 150, move |sent| systems.send(sent));
    thread::sleep(Duration::from_secs(1));
    one.kill9();
    one = lab.start("one", &sets);
    one.ready();
    let topics = [("clicks", 5), ("orders", 2), ("support", 3)];
    // Time does not follow the clock where nothing has ever come.
    let has_records = |(kind, partitions): (&str, i32)| (0..partitions).all(|partition| lab.end(kind, partition) > 0);
    eventually("the added partitions get records", || topics.into_iter().all(has_records).then_some(()));
    thread::sleep(Duration::from_secs(2));
    let last = after.close().max(last_before);
    settled(&lab, &one, last);
    one.stop();
    for (kind, partitions) in [topics[0], topics[2]] {
        let read = lab.with_partitions(partitions).read(kind);
        assert!(read.iter().all(|records| !records.is_empty()), "the added partitions of {kind} got records");
    }
    let found = everything_is_right(&lab, &topics);
    println!("added: {found:?}");
    assert!(found.changes > 50, "too little happened: {found:?}");
}

/// Two years of orders beside clicks of the last days, all of it there before the start.
#[test]
fn a_backlog_comes_out_in_the_order_of_its_times_and_nothing_is_too_late() {
    let rules = "[cohorts.lapsed]\nwho = \"did purchase ever and did not visit in the last 30 days\"\n";
    let Some(lab) = Lab::gathering("backlog", 2, rules, &TOPICS, SOURCES) else { return };
    let mut random = Random::seeded("backlog");
    let systems = Systems::of(&lab);
    let (now, day) = (wall_clock().0, 86_400_000);
    let mut number = 0;
    let mut send = |name: &str, at: i64, random: &mut Random| {
        number += 1;
        let customer = format!("c{}", random.below(30));
        let mut event = avro::event(&customer, name, at, Some(format!("e{number}")));
        event.properties.push(("n".into(), OwnedValue::Number(cohortd::event::Number::from_integer(number))));
        systems.send(&Sent { number, event });
    };
    for step in 0..2_000 {
        send("purchase", now - 730 * day + step * 730 * day / 2_000 + 1, &mut random);
        if step % 10 == 0 {
            send("refund", now - 730 * day + step * 730 * day / 2_000 + 2, &mut random);
        }
    }
    for step in 0..5_000 {
        send("visit", now - 90 * day + step * 90 * day / 5_000 + 3, &mut random);
    }
    [&systems.clicks, &systems.orders, &systems.support].into_iter().for_each(Writer::flush);
    let mut daemon = lab.start("one", &["time.live_after=1 s"]);
    daemon.ready();
    eventually("everything is gathered", || {
        (daemon.metric("cohortd_source_records_mapped_total") as i64 == number).then_some(())
    });
    lab.decided_until(now - 60_000);
    daemon.stop();
    let log = lab.read("in");
    for records in &log {
        let times: Vec<i64> =
            records.iter().map(|seen| avro::decode(seen.payload.as_ref().unwrap()).unwrap().at.0).collect();
        assert!(times.is_sorted(), "the order of the log is not that of the times");
    }
    let changes = lab.read("changes").concat();
    let open = changes
        .iter()
        .filter(|seen| Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap()["automation"] == true);
    assert_eq!(open.count(), 0, "automation acts on a history");
    let config = Config { arrives_within: Timing::MARKS, ..Config::default() };
    let found = judge::check(&lab, config);
    println!("backlog: {found:?}");
    assert!(found.too_late == 0 && found.late == 0 && found.changes > 20, "{found:?}");
    assert_eq!(counted(&events(&log)), counted(&sent(&lab, &TOPICS)));
}

#[test]
fn a_source_of_something_else_is_held_with_what_is_wrong_and_the_others_go_on() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(lab) = Lab::gathering("held", 1, rules, &TOPICS, SOURCES) else { return };
    let systems = Systems::of(&lab);
    for number in 0..120 {
        systems.support.send(&format!("t{number}"), b"not JSON");
        let event = avro::event(&format!("c{number}"), "visit", wall_clock().0, None);
        systems.send(&Sent { number, event });
    }
    systems.clicks.flush();
    systems.support.flush();
    let mut daemon = lab.start("one", &["time.live_after=1 s"]);
    eventually("the visits are gathered", || {
        (daemon.metric("cohortd_source_records_mapped_total") as i64 == 120).then_some(())
    });
    let (_, text) = eventually("it is not ready, and says why", || {
        daemon.get("/health/ready").filter(|(status, text)| *status == 503 && text.contains("support"))
    });
    assert!(text.contains("the first 100 records of") && text.contains("undecodable"), "{text}");
    assert!(text.contains("cohortd sources try support"), "{text}");
    lab.read_through();
    assert!(lab.read("letters").concat().is_empty(), "nothing of it is committed");
    daemon.stop();
    assert_eq!(lab.read("changes").concat().len(), 120);
}

#[test]
fn one_bad_record_goes_to_the_dead_letters_with_its_source_and_stops_nothing() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(lab) = Lab::gathering("bad", 1, rules, &TOPICS, SOURCES) else { return };
    let systems = Systems::of(&lab);
    let send = |number: i64, at: i64| {
        systems.send(&Sent { number, event: avro::event(&format!("c{number}"), "visit", at, None) });
    };
    let now = wall_clock().0;
    send(1, now);
    systems.clicks.send("session-3", b"{\"visitor\":");
    systems.clicks.send("session-3", br#"{"visitor":{"id":"c2"},"ts":true,"action":"visit"}"#);
    systems.clicks.send("session-3", br#"{"visitor":{},"ts":1,"action":"visit"}"#);
    // A message of Protobuf, bare and as Confluent's serializer frames it.
    const PROTOBUF: &[u8] = b"\x0a\x02c9\x10\x96\x01\x1a\x05visit";
    for writer in [&systems.clicks, &systems.orders] {
        writer.send("protobuf", PROTOBUF);
        writer.send("protobuf", &[b"\0\0\0\0\x01\0", PROTOBUF].concat());
    }
    systems.orders.flush();
    send(2, now + 86_400_000);
    send(3, now);
    send(4, now / 1_000);
    systems.clicks.flush();
    let mut daemon = lab.start("one", &[]);
    eventually("everything is read", || {
        (daemon.metric("cohortd_source_records_read_total") as i64 == 11).then_some(())
    });
    daemon.stop();
    let letters = lab.read("letters").concat();
    let reasons_of = |source: &str| {
        let letters = letters.iter().filter(|letter| letter.header("cohortd_source") == source);
        let letters: Vec<&Seen> = letters.collect();
        assert!(letters.iter().all(|letter| letter.header("cohortd_topic") == lab.topic(source)));
        let mut reasons: Vec<&str> = letters.iter().map(|letter| letter.header("cohortd_reason")).collect();
        reasons.sort_unstable();
        reasons
    };
    assert_eq!(reasons_of("clicks"), ["bad_time", "bad_time", "future", "undecodable", "undecodable", "undecodable"]);
    assert_eq!(reasons_of("orders"), ["undecodable", "unknown_schema"]);
    let gathered = events(&lab.read("in"));
    let mut customers: Vec<&str> = gathered.iter().map(|event| event.customer.as_str()).collect();
    customers.sort_unstable();
    assert_eq!(customers, ["c1", "c3"]);
}

#[test]
fn a_member_that_took_the_place_of_a_gathering_thread_and_left_stops_no_process() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(lab) = Lab::gathering("ghost-source", 1, rules, &TOPICS, SOURCES) else { return };
    let systems = Systems::of(&lab);
    let mut daemon = lab.start("one", &QUICK);
    daemon.ready();
    // As in the twins of lanes.
    for number in 1..3 {
        lab.take_place_in(&format!("{}.gather", lab.name), "clicks", "one-0");
        let event = avro::event(&format!("c{number}"), "visit", wall_clock().0, None);
        systems.send(&Sent { number, event });
        systems.clicks.flush();
        eventually("the visit is gathered", || {
            (daemon.metric("cohortd_source_records_mapped_total") as i64 == number).then_some(())
        });
        // Under the same name, so that it is shut out the next time, too.
        eventually("it rejoins", || (daemon.log().matches("It rejoins.").count() as i64 == number).then_some(()));
        daemon.assert_running();
    }
    daemon.stop();
}

/// A broker that is killed may keep the offset of a transaction whose records it aborts. Another program's offset is obeyed
/// by nobody, and reported.
#[test]
fn an_offset_that_its_mark_does_not_confirm_leaves_no_record_out() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(lab) = Lab::gathering("leak", 1, rules, &TOPICS, SOURCES) else { return };
    let systems = Systems::of(&lab);
    let send = |number: i64| {
        let event = avro::event(&format!("c{number}"), "visit", wall_clock().0, None);
        // All in one partition.
        let click = json!({"visitor": {"id": event.customer}, "ts": event.at.0, "action": event.name, "n": number});
        systems.clicks.send("session", click.to_string().as_bytes());
        systems.clicks.flush();
    };
    let gathered = |daemon: &mut Daemon, count: i64| {
        eventually("the visits are gathered", || {
            (daemon.metric("cohortd_source_records_mapped_total") as i64 == count).then_some(())
        });
    };
    (0..5).for_each(send);
    let sets = [&QUICK[..], &["kafka.on_stop=leave"]].concat();
    let mut daemon = lab.start("one", &sets);
    gathered(&mut daemon, 5);
    daemon.stop();
    (5..8).for_each(send);
    let partition = cohortd::kafka::partition_of(b"session", 3);
    let group = format!("{}.gather", lab.name);
    lab.set_offset_in(&group, "clicks", partition, 7, "cohortd gather");
    let mut daemon = lab.start("one", &sets);
    gathered(&mut daemon, 3);
    assert!(daemon.says("gathering goes on at the mark"));
    daemon.stop();
    assert_eq!(events(&lab.read("in")).len(), 8);
    lab.set_offset_in(&group, "clicks", partition, 7, "");
    let mut daemon = lab.start("one", &sets);
    let (_, text) = eventually("it is not ready, and says why", || {
        daemon.get("/health/ready").filter(|(status, text)| *status == 503 && text.contains("by another program"))
    });
    assert!(text.contains("was set to 7 by another program, and its mark says 8"), "{text}");
    daemon.stop();
}

#[test]
fn a_topic_made_anew_is_held_and_goes_on_after_a_reset() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(lab) = Lab::gathering("anew", 1, rules, &TOPICS, SOURCES) else { return };
    let quick = ["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"];
    let visit = |systems: &Systems, number: i64| {
        let event = avro::event(&format!("c{number}"), "visit", wall_clock().0, None);
        systems.send(&Sent { number, event });
        systems.clicks.flush();
    };
    let gathered = |daemon: &mut Daemon, count: i64| {
        eventually("the visits are gathered", || {
            (daemon.metric("cohortd_source_records_mapped_total") as i64 == count).then_some(())
        });
    };
    let systems = Systems::of(&lab);
    (0..5).for_each(|number| visit(&systems, number));
    let (code, shown) = lab.check_connect("one", &[]);
    let would = format!("{}: would be created: partitions=1", lab.topic("in"));
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(0) && shown.contains(&would) && shown.contains(&lab.topic("support")), "{shown}");
    // The outputs have as many partitions as the events would.
    assert_eq!(shown.matches("would be created: partitions=1").count(), 10, "{shown}");
    let mut daemon = lab.start("one", &quick);
    gathered(&mut daemon, 5);
    daemon.stop();
    drop(systems);
    lab.make_anew("clicks", 3, &[]);
    let systems = Systems::of(&lab);
    (5..7).for_each(|number| visit(&systems, number));
    let mut daemon = lab.start("one", &quick);
    let (_, text) = eventually("it is not ready, and says why", || {
        daemon.get("/health/ready").filter(|(status, text)| *status == 503 && text.contains("made anew"))
    });
    let way_on = format!("cohortd sources reset {} --yes", lab.topic("clicks"));
    assert!(text.contains(&way_on), "{text}");
    daemon.stop();
    let topic = lab.topic("clicks");
    let (code, shown) = lab.command("one", &["sources", "reset", &topic]);
    assert!(code == Some(0) && shown.contains("made anew; begins at offset 0 of the new topic"), "{shown}");
    let shorter = ["--set", quick[0], "--set", quick[1]];
    let (code, shown) = lab.command("one", &[&["sources", "reset", &topic, "--yes"], &shorter[..]].concat());
    assert!(code == Some(0) && shown.contains("Done"), "{shown}");
    let mut daemon = lab.start("one", &quick);
    daemon.ready();
    gathered(&mut daemon, 2);
    visit(&systems, 7);
    gathered(&mut daemon, 3);
    daemon.stop();
    let customers: std::collections::BTreeSet<String> =
        events(&lab.read("in")).into_iter().map(|event| event.customer).collect();
    assert_eq!(customers.len(), 8, "{customers:?}");
}

#[test]
fn an_edit_of_the_sources_maps_what_comes_from_then_on_and_adds_a_topic() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let before = SOURCES.split("[sources.support]").next().unwrap();
    let Some(lab) = Lab::gathering("edited", 1, rules, &TOPICS, before) else { return };
    let systems = Systems::of(&lab);
    let send = |name: &str, number: i64| {
        let event = avro::event(&format!("c{number}"), name, wall_clock().0, None);
        systems.send(&Sent { number, event });
        [&systems.clicks, &systems.support].into_iter().for_each(Writer::flush);
    };
    send("visit", 1);
    send("refund", 2);
    let mut daemon = lab.start("one", &[]);
    let gathered = |daemon: &mut Daemon, count: i64| {
        eventually("the records are gathered", || {
            (daemon.metric("cohortd_source_records_mapped_total") as i64 == count).then_some(())
        });
    };
    gathered(&mut daemon, 1);
    lab.write_sources(&SOURCES.replace("action\" }", "action\", names = { visit = \"look\" } }"));
    eventually("the edit is in force", || daemon.says("New sources").then_some(()));
    // What was there before it joined, within time.max_lateness.
    gathered(&mut daemon, 2);
    send("visit", 3);
    gathered(&mut daemon, 3);
    lab.write_sources("[sources.clicks]\ntopic = 7\n");
    eventually("a mistake is refused", || daemon.says("The edit of the sources is refused").then_some(()));
    send("visit", 4);
    gathered(&mut daemon, 4);
    daemon.stop();
    let mut names: Vec<String> = events(&lab.read("in")).into_iter().map(|event| event.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["look", "look", "refund", "visit"]);
}

/// The records' schemas are in a registry that the sources file names; the settings have none.
#[test]
fn the_schemas_of_sources_come_from_the_registry_that_their_file_names() {
    const ORDER: &str = r#"{"type":"record","name":"Order","fields":[
        {"name":"buyer","type":"string"},{"name":"paid_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
    let registry = Registry::start();
    let id = registry.register("orders-value", ORDER);
    let sources = format!(
        "[schemas]\nregistry = \"{}\"\n\n[sources.orders]\ntopic = \"{{name}}-orders\"\ncustomer = \"buyer\"\n\
         time = \"paid_at\"\nevent = \"purchase\"\n",
        registry.address
    );
    let rules = "[cohorts.buyers]\nwho = 'did purchase ever'\n";
    let Some(lab) = Lab::gathering("registered", 1, rules, &[("orders", 1)], &sources) else { return };
    let schema = apache_avro::Schema::parse_str(ORDER).unwrap();
    let order = apache_avro::types::Value::Record(vec![
        ("buyer".to_owned(), apache_avro::types::Value::String("b-1".to_owned())),
        ("paid_at".to_owned(), apache_avro::types::Value::TimestampMillis(wall_clock().0)),
    ]);
    let datum = GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(order).unwrap();
    let writer = lab.writer_to("orders");
    writer.send("order-1", &[&[0][..], &id.to_be_bytes(), &datum].concat());
    writer.flush();
    let (code, shown) = lab.command("one", &["sources", "try", "orders", "--topic"]);
    assert!(code == Some(0) && shown.contains("b-1"), "{shown}");
    let daemon = lab.start("one", &[]);
    eventually("the order is decided", || (lab.read("changes").concat().len() == 1).then_some(()));
    daemon.stop();
    assert!(
        registry.subjects().iter().all(|subject| subject == "orders-value"),
        "the outputs are not registered there"
    );
}

#[test]
fn gathering_and_deciding_are_split_over_processes() {
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(lab) = Lab::gathering("split", 2, rules, &TOPICS, SOURCES) else { return };
    let systems = Systems::of(&lab);
    let mut gathers = lab.start("gathers", &["lanes=none"]);
    let mut decides = lab.start("decides", &["gather.lanes=0"]);
    gathers.ready();
    decides.ready();
    for number in 0..20 {
        let event = avro::event(&format!("c{number}"), "visit", wall_clock().0, None);
        systems.send(&Sent { number, event });
    }
    systems.clicks.flush();
    eventually("all are decided", || (lab.read("changes").concat().len() == 20).then_some(()));
    let mut figures = |name: &str| (gathers.metric(name) as i64, decides.metric(name) as i64);
    assert_eq!(figures("cohortd_source_records_mapped_total"), (20, 0));
    assert_eq!(figures("cohortd_events_applied_total"), (0, 20));
    gathers.stop();
    decides.stop();
}

/// Purchases that are plugged in today say nothing of the month before.
#[test]
fn the_absence_of_an_event_counts_from_when_its_source_joined() {
    let rules = "[cohorts.lapsed]\nwho = 'did visit ever and did not purchase in the last 30 days'\n\
                 [cohorts.seen]\nwho = 'did visit ever'\n";
    let named = SOURCES
        .replace("{ field = \"action\" }", "{ field = \"action\", names = { visit = \"visit\" } }")
        .replace("{ field = \"event\" }", "{ field = \"event\", names = { purchase = \"purchase\" } }");
    let before = named.split("[sources.orders]").next().unwrap();
    let Some(lab) = Lab::gathering("joined", 1, rules, &TOPICS, before) else { return };
    let systems = Systems::of(&lab);
    let (now, day) = (wall_clock().0, 86_400_000);
    let send = |name: &str, customer: i64, at: i64| {
        let event = avro::event(&format!("c{customer}"), name, at, Some(format!("{name}-{customer}-{at}")));
        systems.send(&Sent { number: customer, event });
        [&systems.clicks, &systems.orders].into_iter().for_each(Writer::flush);
    };
    for at in [now - 60 * day, now - day, now] {
        (0..4).for_each(|customer| send("visit", customer, at));
    }
    let sets = ["time.live_after=1 s", "time.arrives_within=1 s"];
    let changes = |change: &str| -> Vec<serde_json::Value> {
        let changes = lab.read("changes").concat();
        let changes = changes.iter().map(|seen| Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap());
        changes.filter(|found| found["cohort"] == "lapsed" && found["change"] == change).collect()
    };
    let mut daemon = lab.start("one", &sets);
    eventually("without purchases all are lapsed", || (changes("ENTERED").len() == 4).then_some(()));
    lab.write_sources(&named);
    eventually("purchases join", || daemon.says("These events have joined").then_some(()));
    let left = eventually("nobody is known to be lapsed any more", || {
        let left = changes("EXITED");
        (left.len() == 4).then_some(left)
    });
    assert!(left.iter().all(|change| change["reason"] == "DEFINITION_CHANGED"), "{left:?}");
    send("purchase", 1, now);
    send("visit", 2, now + 1);
    eventually("purchases are gathered", || {
        (daemon.metric("cohortd_source_records_mapped_total") as i64 == 14).then_some(())
    });
    lab.decided_until(wall_clock().0 - 3_000);
    daemon.stop();
    // It stays so over a restart, and in a process that never knew it otherwise.
    let mut daemon = lab.start("two", &sets);
    daemon.ready();
    send("visit", 3, wall_clock().0);
    lab.decided_until(wall_clock().0 - 1_000);
    daemon.stop();
    assert_eq!((changes("ENTERED").len(), changes("EXITED").len()), (4, 4));
}

/// A source that stands still holds back what time decides for everybody, until an operator lets it go.
#[test]
fn a_source_that_is_silent_for_too_long_holds_time_until_it_is_ignored_or_heard_again() {
    let rules = "[cohorts.silent]\nwho = 'did visit ever and did not visit in the last 70 seconds even if new'\n";
    let sources = SOURCES.replace("[sources.support]\n", "[sources.support]\nexpect_every = \"1 minute\"\n");
    let Some(lab) = Lab::gathering("quiet", 1, rules, &TOPICS, &sources) else { return };
    let systems = Systems::of(&lab);
    let send = |name: &str, number: i64| {
        let event = avro::event(&format!("c{number}"), name, wall_clock().0, None);
        systems.send(&Sent { number, event });
        [&systems.clicks, &systems.support].into_iter().for_each(Writer::flush);
    };
    let sets = ["time.arrives_within=1 s", "time.live_after=1 s"];
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let began = wall_clock().0;
    send("refund", 1);
    send("visit", 2);
    let complete = |daemon: &mut Daemon, topic: &str| {
        let place = format!("topic=\"{}\"", lab.topic(topic));
        let text = daemon.get("/metrics").unwrap().1;
        let series = text.lines().filter(|line| line.starts_with("cohortd_source_complete_to_timestamp_seconds{"));
        let of =
            series.filter(|line| line.contains(&place)).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        of.fold(f64::MAX, f64::min) * 1_000.0
    };
    eventually("the source is said to be quiet", || daemon.says("The source says nothing for longer").then_some(()));
    thread::sleep(Duration::from_secs(15));
    assert!(complete(&mut daemon, "support") < began as f64 + 70_000.0, "its silence counts");
    assert!(complete(&mut daemon, "clicks") > began as f64 + 70_000.0, "the others follow the clock");
    assert!(lab.read("changes").concat().is_empty(), "silence is invented");

    let (code, shown) = lab.command("one", &["sources", "ignore", "support"]);
    assert!(code == Some(0) && shown.contains("support is not waited for any more"), "{shown}");
    eventually("the silent customer enters", || (lab.read("changes").concat().len() == 1).then_some(()));
    // It holds over a restart, and what is ignored is gathered all the same.
    daemon.stop();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    eventually("it is still ignored", || daemon.says("not waited for").then_some(()));
    send("visit", 3);
    send("refund", 4);
    eventually("both are gathered", || {
        (daemon.metric("cohortd_source_records_mapped_total") as i64 == 2).then_some(())
    });
    assert!(!daemon.says("The source says nothing for longer"), "it is ignored");
    let (code, shown) = lab.command("one", &["sources", "ignore", "support", "--undo"]);
    assert!(code == Some(0) && shown.contains("support is waited for again"), "{shown}");
    let (code, shown) = lab.command("one", &["sources", "ignore", "suport"]);
    assert!(code == Some(64) && shown.contains("did you mean support?"), "{shown}");
    daemon.stop();
    assert_eq!(lab.read("in").concat().len(), 4);
}

#[test]
fn the_first_records_of_a_sources_topic_are_tried_as_gathering_maps_them() {
    let Some(lab) = Lab::gathering("tried", 1, "[cohorts.seen]\nwho = 'did visit ever'\n", &TOPICS, SOURCES) else {
        return;
    };
    let systems = Systems::of(&lab);
    for number in 0..20 {
        for name in ["visit", "purchase"] {
            let event = avro::event(&format!("c{number}"), name, wall_clock().0, Some(format!("e{name}{number}")));
            systems.send(&Sent { number, event });
        }
    }
    systems.clicks.send_with_header("session-1", b"nonsense", ("trace-id", "secret"));
    systems.orders.send("order-1", b"nonsense");
    [&systems.clicks, &systems.orders].into_iter().for_each(Writer::flush);
    let tried = |source: &str, more: &[&str]| {
        let (code, shown) = lab.command("one", &[&["sources", "try", source, "--topic"], more].concat());
        (code, shown.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    for source in ["clicks", "orders"] {
        let (code, shown) = tried(source, &["--events", "1"]);
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains(&format!("21 read with the source {source} 20 mapped to 20 events")), "{shown}");
        assert!(shown.contains(&format!("of {}/", lab.topic(source))) && shown.contains("1 refused"), "{shown}");
    }
    let (_, shown) = tried("clicks", &[]);
    assert!(shown.contains("Records with each header 1 header.trace-id") && !shown.contains("secret"), "{shown}");
    let (code, shown) = tried("orders", &["--records", "4", "--json"]);
    assert!(code == Some(0) && shown.contains("\"read\":4") && shown.contains("\"offset\":0"), "{shown}");
    let (code, shown) = tried("support", &[]);
    assert!(code == Some(1) && shown.contains("there is no record in"), "{shown}");
    // What is checked besides the mapping.
    let ahead = avro::event("c20", "visit", wall_clock().0 + 172_800_000, None);
    systems.send(&Sent { number: 20, event: ahead });
    systems.clicks.send("session-1", "x".repeat(1_500).as_bytes());
    systems.clicks.flush();
    let (code, shown) = tried("clicks", &["--set", "batch.max_record_bytes=1 KiB"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("1 future: its time is ahead of the clock by more than time.max_future_skew"), "{shown}");
    assert!(shown.contains("1 oversized: the value is larger than batch.max_record_bytes, 1024 bytes"), "{shown}");
    lab.write_sources(&SOURCES.replacen("format", "from = \"2100-01-01\"\nformat", 1));
    let (code, shown) = tried("clicks", &[]);
    assert!(code == Some(1) && shown.contains("written since 2100-01-01"), "{shown}");
    // Nothing was made.
    let shown = lab.check_connect("one", &[]).1.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains(&format!("{}: would be created", lab.topic("in"))), "{shown}");
}

/// A record that comes too late is known as such only by the lane.
#[test]
fn the_dead_letter_of_what_is_gathered_too_late_says_where_it_lies() {
    let Some(lab) = Lab::gathering("late", 1, "[cohorts.seen]\nwho = 'did visit ever'\n", &TOPICS, SOURCES) else {
        return;
    };
    let systems = Systems::of(&lab);
    let send = |number: i64, at: i64| {
        systems.send(&Sent { number, event: avro::event(&format!("c{number}"), "visit", at, None) });
        systems.clicks.flush();
    };
    let mut daemon = lab.start("one", &["time.live_after=1 s", "time.arrives_within=1 s", "time.max_lateness=1 hour"]);
    daemon.ready();
    let now = wall_clock().0;
    send(1, now);
    eventually("the first is decided", || (lab.read("changes").concat().len() == 1).then_some(()));
    lab.decided_until(now - 2_000);
    send(2, now - 7_200_000);
    let letter = eventually("it is a dead letter", || lab.read("letters").concat().pop());
    assert_eq!(letter.header("cohortd_reason"), "too_late");
    assert_eq!((letter.header("cohortd_topic"), letter.header("cohortd_source")), (&*lab.topic("in"), "clicks"));
    let lies = (letter.header("cohortd_source_partition").parse().unwrap(), letter.header("cohortd_source_offset"));
    let original = lab.with_partitions(3).read("clicks").concat();
    let original = original.iter().find(|seen| (seen.partition, &*seen.offset.to_string()) == lies).unwrap();
    let original: serde_json::Value = serde_json::from_slice(original.payload.as_ref().unwrap()).unwrap();
    assert_eq!((&original["visitor"]["id"], letter.key()), (&"c2".into(), "c2"));
    assert_eq!(letter.header("cohortd_source_topic"), lab.topic("clicks"));
    // The cause of a change is the record of the source, too.
    let change = lab.read("changes").concat().pop().unwrap();
    let change = Output::CohortChange.to_json(change.payload.as_ref().unwrap()).unwrap();
    assert_eq!(change["cause"]["topic"], lab.topic("clicks"));
    daemon.stop();
}

/// Processor seconds so far of the threads of a process, by name without numbers.
fn processor_seconds(daemon: &Daemon) -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten() {
        // A thread that has just ended has none.
        let Ok(text) = std::fs::read_to_string(thread.path().join("stat")) else { continue };
        let (head, rest) = text.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        let name = head.split_once('(').unwrap().1.trim_end_matches(|end: char| end.is_ascii_digit());
        *seconds.entry(name.to_owned()).or_default() += (ticks(11) + ticks(12)) / 100.0;
    }
    seconds
}

/// A number from the environment.
fn number(variable: &str, otherwise: i64) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
    let text = std::env::var(variable);
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Prints how fast records are gathered that are all there before the start.
#[test]
#[ignore = "prints figures; COHORTD_EVENTS sets how many events"]
fn figures() {
    let events = number("COHORTD_EVENTS", 500_000);
    let rules = "[cohorts.seen]\nwho = 'did purchase at least 3 times in the last 30 days'\n";
    let Some(lab) = Lab::gathering("figures", 2, rules, &TOPICS, SOURCES) else { return };
    let systems = Systems::of(&lab);
    let (now, mut random) = (wall_clock().0, Random::seeded("figures"));
    let others: serde_json::Map<String, serde_json::Value> =
        (0..24).map(|field| (format!("field_{field}"), json!(format!("value {field}")))).collect();
    for number in 0..events {
        let at = now - 30 * 86_400_000 + number * (30 * 86_400_000 / events);
        let customer = format!("c{}", random.below(100_000));
        if number % 2 == 0 {
            let event = avro::event(&customer, "purchase", at, Some(format!("e{number}")));
            systems.send(&Sent { number, event });
        } else {
            let mut click = others.clone();
            click.insert("visitor".into(), json!({"id": customer}));
            click.extend([("ts".into(), json!(at)), ("action".into(), json!("visit")), ("n".into(), json!(number))]);
            let click = serde_json::Value::Object(click).to_string();
            systems.clicks.send(&format!("session-{}", number % 17), click.as_bytes());
        }
        if number % 50_000 == 0 {
            [&systems.clicks, &systems.orders].into_iter().for_each(Writer::flush);
        }
    }
    drop(systems);
    let mut daemon = lab.start("one", &["batch.max_wait=100 ms", "memory.limit=1 GiB"]);
    let started = std::time::Instant::now();
    eventually("everything is gathered", || {
        (daemon.metric("cohortd_source_records_mapped_total") as i64 == events).then_some(())
    });
    let seconds = started.elapsed().as_secs_f64();
    let threads = processor_seconds(&daemon);
    let all: f64 = threads.values().sum();
    let gather = threads["gather-"];
    println!(
        "figures: {events} events gathered in {seconds:.1} s, {:.0} a second; the gathering thread used {gather:.1} s, {:.0} \
         events a processor second; the process {all:.1} s, {:.0}",
        events as f64 / seconds,
        events as f64 / gather,
        events as f64 / all
    );
    println!("figures: seconds by threads: {threads:?}");
    daemon.stop();
}

/// Prints how long it takes from sending a record to a source until a reader has the change that it makes, through the
/// gathered log. The settings are the defaults.
#[test]
#[ignore = "prints figures; COHORTD_RATE sets how many records a second"]
fn figures_of_the_time_to_a_change() {
    const SECONDS: i64 = 30;
    const TICKS: i64 = 100;
    let rate = number("COHORTD_RATE", 20_000);
    let Some(lab) = Lab::gathering("hops", 2, "[cohorts.new]\nwho = 'did join ever'\n", &TOPICS, SOURCES) else {
        return;
    };
    let systems = Systems::of(&lab);
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let changes = lab.follow("changes");
    let sender = thread::spawn(move || {
        let (started, mut random) = (std::time::Instant::now(), Random::seeded("hops"));
        let mut joined = 0;
        for number in 0..rate * SECONDS {
            let at = wall_clock().0;
            // One in a hundred is a customer's first, and changes something; its key says when it was sent.
            let (customer, action) = match number % 100 {
                0 => (format!("{at}-{number}"), "join"),
                _ => (format!("c{}", random.below(50_000)), "visit"),
            };
            joined += usize::from(action == "join");
            let click = json!({"visitor": {"id": customer}, "ts": at, "action": action, "n": number});
            systems.clicks.send(&format!("session-{}", number % 17), click.to_string().as_bytes());
            if number % (rate / TICKS) == 0 {
                let due = Duration::from_millis(u64::try_from(number * 1_000 / rate).unwrap());
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
        }
        joined
    });
    let mut took = Vec::new();
    while (took.len() as i64) < rate * SECONDS / 100 {
        let seen = changes.next(Duration::from_secs(10));
        let key = seen.as_ref().unwrap_or_else(|| panic!("no more than {} changes came", took.len())).key();
        took.push(wall_clock().0 - key.split('-').next().unwrap().parse::<i64>().unwrap());
    }
    assert_eq!(sender.join().unwrap(), took.len());
    // The first seconds are those of a program that has just started.
    took.drain(..took.len() / 5);
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "figures: {rate} records a second, {} changes: median {} ms, 99 in 100 within {} ms, longest {} ms",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("figures: processor seconds by threads: {:?}", processor_seconds(&daemon));
    daemon.stop();
}
