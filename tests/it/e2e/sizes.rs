//! Records, ids and outputs of any size and compressibility: through, or to the dead letters, and never round and round.

use std::collections::BTreeSet;

use cohortd::clock::wall_clock;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::daemon::Daemon;
use super::lab::{Lab, Seen};
use super::shop::Random;
use super::{LONG, avro, eventually};
use crate::naive::OwnedValue;

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// What no codec makes smaller, in letters.
fn noise(random: &mut Random, length: usize) -> String {
    let dead_letters = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let draw = |_| char::from(dead_letters[usize::try_from(random.below(64)).unwrap()]);
    (0..length).map(draw).collect()
}

fn producer(lab: &Lab, codec: &str) -> ThreadedProducer<DefaultProducerContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &lab.bootstrap)
        .set("message.max.bytes", "24000000")
        .set("queue.buffering.max.kbytes", "200000")
        .set("compression.type", codec)
        .create()
        .unwrap()
}

fn visit(customer: &str, id: &str) -> Vec<u8> {
    avro::encode(&avro::event(customer, "visit", wall_clock().0, Some(id.to_owned())))
}

fn dead_letters(lab: &Lab) -> Vec<Seen> {
    lab.read("letters").concat()
}

#[test]
fn whatever_its_size_a_record_goes_through_or_to_the_dead_letters() {
    let Some(lab) = Lab::made("sizes", 1, RULES, &[("in", &[("max.message.bytes", "12000000")]), ("letters", &[])])
    else {
        return;
    };
    let mut random = Random::seeded("sizes");
    let topic = lab.topic("in");
    let writer = producer(&lab, "lz4");
    let send = |key: &[u8], payload: &[u8], header: Option<&[u8]>| {
        let mut record = BaseRecord::to(&topic).partition(0).key(key).payload(payload);
        record.headers = header.map(|value| OwnedHeaders::new().insert(Header { key: "theirs", value: Some(value) }));
        writer.send(record).map_err(|(error, _)| error).unwrap();
        writer.flush(LONG).unwrap();
    };
    let (long_id, huge) = (noise(&mut random, 2_000), noise(&mut random, 9 << 20));
    send(b"zeros", &vec![0; 20 << 20], None);
    send(b"noise", huge.as_bytes(), None);
    send(&huge.as_bytes()[..3 << 20], b"not Avro", None);
    send(b"headers", b"not Avro", Some(&huge.as_bytes()[..2 << 20]));
    send(long_id.as_bytes(), &visit(&long_id, "1"), None);
    send(b"long", &visit("long", &long_id), None);
    let fits = &long_id[..1_000];
    send(fits.as_bytes(), &visit(fits, fits), None);
    send(b"last", &visit("last", "2"), None);

    let mut daemon = lab.start("one", &["batch.max_bytes=64 MiB"]);
    lab.read_through();
    daemon.ready();
    daemon.stop();
    let changed: BTreeSet<String> = lab.read("changes").concat().iter().map(|seen| seen.key().to_owned()).collect();
    assert_eq!(changed, [fits, "last"].map(str::to_owned).into());
    let found: Vec<(i64, String, Option<String>)> = dead_letters(&lab)
        .iter()
        .map(|letter| {
            let number = letter.header("cohortd_offset").parse().unwrap();
            (number, letter.header("cohortd_reason").to_owned(), letter.headers.get("cohortd_truncated").cloned())
        })
        .collect();
    let cut = |key: usize, value: usize, headers: usize| Some(format!("key={key} value={value} headers={headers}"));
    let expected: Vec<(i64, String, Option<String>)> = [
        ("oversized", cut(5, 20 << 20, 0)),
        ("oversized", cut(5, 9 << 20, 0)),
        ("undecodable", cut(3 << 20, 8, 0)),
        ("undecodable", cut(7, 8, (2 << 20) + 16)),
        ("oversized", None),
        ("oversized", None),
    ]
    .into_iter()
    .zip(0..)
    .map(|((reason, truncated), number)| (number, reason.to_owned(), truncated))
    .collect();
    assert_eq!(found, expected);
    let noise = &dead_letters(&lab)[1];
    assert!(noise.payload.as_ref().unwrap().len() > 900_000, "as much of it as fits");
}

#[test]
fn an_output_that_its_topic_does_not_take_goes_to_the_dead_letters_and_the_rest_goes_through() {
    let Some(lab) = Lab::made("outputs", 1, RULES, &[("in", &[]), ("changes", &[("max.message.bytes", "2500")])])
    else {
        return;
    };
    let mut random = Random::seeded("outputs");
    let writer = lab.writer();
    let mut long = BTreeSet::new();
    for n in 0..200 {
        let customer = match n % 40 {
            7 => noise(&mut random, 1_000),
            _ => format!("c{n}"),
        };
        let id = if n % 40 == 7 { noise(&mut random, 1_000) } else { n.to_string() };
        if n % 40 == 7 {
            long.insert(customer.clone());
        }
        writer.send(&customer, &visit(&customer, &id));
    }
    writer.flush();
    let mut daemon = lab.start("one", &["state.flush_after_events=0"]);
    lab.read_through();
    daemon.ready();
    let sums = daemon.metrics();
    assert_eq!(sums["cohortd_outputs_oversized_total"] as i64, 5);
    assert_eq!((sums["cohortd_events_applied_total"] as i64, sums["cohortd_dead_letters_total"] as i64), (200, 0));
    daemon.stop();
    let changes = lab.read("changes").concat();
    let changed: BTreeSet<&str> = changes.iter().map(Seen::key).collect();
    assert_eq!((changes.len(), changed.len()), (195, 195), "each once");
    assert_eq!(lab.read("members").concat().len(), 200);
    let dead_letters = dead_letters(&lab);
    let aside: BTreeSet<String> = dead_letters.iter().map(|letter| letter.key().to_owned()).collect();
    assert_eq!((dead_letters.len(), aside), (5, long));
    for letter in &dead_letters {
        assert_eq!(letter.header("cohortd_reason"), "oversized");
        assert_eq!(letter.header("cohortd_output"), lab.topic("changes"));
        assert_eq!(letter.header("ce_type"), "cohortd.cohort.entered.v1");
    }
}

#[test]
fn a_topic_that_takes_less_from_now_on_gets_smaller_batches() {
    let Some(lab) = Lab::new("less", 1, RULES) else { return };
    let mut random = Random::seeded("less");
    let writer = lab.writer();
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.alter("changes", &[("max.message.bytes", "20000")]);
    for n in 0..2_000 {
        writer.send(&format!("c{n}"), &visit(&format!("c{n}"), &noise(&mut random, 500)));
    }
    writer.flush();
    eventually("all changes are there", || {
        daemon.assert_running();
        (daemon.metrics()["cohortd_membership_changes_total"] as i64 == 2_000).then_some(())
    });
    assert_eq!(daemon.metrics()["cohortd_outputs_oversized_total"] as i64, 0, "each of them fits");
    daemon.stop();
    let changes = lab.read("changes").concat();
    let changed: BTreeSet<&str> = changes.iter().map(Seen::key).collect();
    assert_eq!((changes.len(), changed.len()), (2_000, 2_000));
}

const PAGES: &str = "
[cohorts.broad]
who = \"did visit with at least 1000 different page in the last 30 days\"
";
const SECTIONS: &str = "
[cohorts.all_over]
who = \"did visit with at least 1000 different section in the last 30 days\"

[cohorts.new]
who = \"did visit in the last 2 days\"
";

/// Visits of one customer to as many pages.
fn visit_pages(lab: &Lab, customer: &str, pages: std::ops::Range<i64>) {
    let writer = lab.writer();
    for page in pages {
        let mut event = avro::event(customer, "visit", wall_clock().0, Some(format!("{customer}-{page}")));
        event.properties.push(("page".into(), OwnedValue::Text(format!("/p/{page}"))));
        event.properties.push(("section".into(), OwnedValue::Text(format!("/s/{page}"))));
        writer.send(customer, &avro::encode(&event));
    }
    writer.flush();
}

/// Waits until these customers, and no others, have entered a cohort.
fn entered(lab: &Lab, daemon: &mut Daemon, cohort: &str, customers: &[&str]) {
    let expected: Vec<String> = customers.iter().map(|customer| (*customer).to_owned()).collect();
    eventually(&format!("{customers:?} entered {cohort}"), || {
        daemon.assert_running();
        let changes = lab.read("changes").concat();
        let of_cohort = changes.iter().filter(|seen| seen.header("cohort") == cohort);
        let entered: Vec<String> = of_cohort.map(|seen| seen.key().to_owned()).collect();
        (entered.len() >= expected.len()).then(|| assert_eq!(entered, expected, "{cohort}"))
    });
}

#[test]
fn a_state_larger_than_the_changelog_takes_is_shrunk_and_blocks_nothing() {
    let rules = format!("{RULES}{PAGES}");
    let Some(lab) = Lab::new("states", 1, &rules) else { return };
    let sets = ["state.flush_after_events=0"];
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    visit_pages(&lab, "whale", 0..1_500);
    entered(&lab, &mut daemon, "seen", &["whale"]);
    // The topic takes less while it runs.
    lab.read_through();
    lab.alter("log", &[("cleanup.policy", "compact"), ("max.message.bytes", "5000")]);
    visit_pages(&lab, "whale", 1_500..1_600);
    visit_pages(&lab, "second", 0..1);
    entered(&lab, &mut daemon, "seen", &["whale", "second"]);
    lab.read_through();
    daemon.ready();
    assert!(daemon.says("states are kept below this size"), "{}", daemon.log());
    assert!(daemon.says("the oldest of it is forgotten"), "{}", daemon.log());
    assert!(daemon.metrics()["cohortd_decisions_approximated_total"] > 0.0);
    // Other rules keep something else of everybody, and read all of it again.
    lab.write_rules(&format!("{rules}{SECTIONS}"));
    entered(&lab, &mut daemon, "new", &["second", "whale"]);
    visit_pages(&lab, "third", 0..1);
    entered(&lab, &mut daemon, "seen", &["whale", "second", "third"]);
    daemon.ready();
    daemon.stop();
    // A start that knows from the beginning what the topic takes, and reads everything back from there.
    std::fs::remove_dir_all(lab.state("one")).unwrap();
    let mut daemon = lab.start("one", &sets);
    visit_pages(&lab, "whale", 1_600..3_000);
    visit_pages(&lab, "fourth", 0..1);
    entered(&lab, &mut daemon, "seen", &["whale", "second", "third", "fourth"]);
    lab.read_through();
    daemon.ready();
    daemon.stop();
    let states = lab.read("log").concat().into_iter().filter(|seen| seen.key == b"Cwhale");
    println!("states: {:?}", states.map(|seen| seen.payload.map_or(0, |state| state.len())).collect::<Vec<_>>());
    assert_eq!(dead_letters(&lab), []);
}

#[test]
fn a_changelog_that_takes_not_even_where_a_partition_stands_is_waited_for_with_the_setting_to_raise() {
    let Some(lab) = Lab::new("standing", 1, RULES) else { return };
    let mut daemon = lab.start("one", &["state.flush_after_events=0"]);
    daemon.ready();
    visit_pages(&lab, "first", 0..1);
    entered(&lab, &mut daemon, "seen", &["first"]);
    lab.alter("log", &[("cleanup.policy", "compact"), ("max.message.bytes", "150")]);
    visit_pages(&lab, "second", 0..1);
    let logged = eventually("it says what it waits for", || {
        daemon.assert_running();
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("output")).then_some(text)
    });
    println!("standing: {logged}");
    assert!(logged.contains(&lab.topic("log")) && logged.contains("raise its max.message.bytes"), "{logged}");
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    assert!(!daemon.says("Revoked"), "it keeps its partitions");
    lab.alter("log", &[("cleanup.policy", "compact"), ("max.message.bytes", "1048588")]);
    entered(&lab, &mut daemon, "seen", &["first", "second"]);
    daemon.ready();
    daemon.stop();
    assert_eq!(dead_letters(&lab), []);
}
