//! `check --connect` on a real broker: all that is wrong at once, and nothing changed by looking.

use std::process::Command;

use cohortd::clock::wall_clock;
use serde_json::Value;

use super::avro;
use super::lab::Lab;
use super::refusals::refusal;
use crate::support::broker::free_ports;

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// Its exit code, and what it wrote to stdout and stderr.
fn check(lab: &Lab, sets: &[&str], flags: &[&str]) -> (Option<i32>, String, String) {
    let settings = lab.settings("one");
    let output = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["check", "--connect"])
        .args(flags)
        .args(settings.iter().map(String::as_str).chain(sets.iter().copied()).flat_map(|set| ["--set", set]))
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    println!("check {sets:?} {flags:?}: {:?}\n{stdout}{stderr}", output.status.code());
    (output.status.code(), stdout, stderr)
}

fn visit(lab: &Lab, customers: std::ops::Range<usize>) {
    let writer = lab.writer();
    for number in customers {
        let customer = format!("c{number}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, "visit", wall_clock().0, None)));
    }
    writer.flush();
}

#[test]
fn a_good_set_up_passes_and_looking_changes_nothing() {
    let Some(lab) = Lab::new("preflight", 2, RULES) else { return };
    visit(&lab, 0..30);
    let (code, printed, _) = check(&lab, &["topics.dirty_percent=20"], &["--deny-warnings"]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(printed.matches("would be created: partitions=").count(), 8, "{printed}");
    assert!(
        printed
            .contains("partitions=2, cleanup.policy=compact, segment.bytes=134217728, min.cleanable.dirty.ratio=0.2")
    );
    assert!(printed.contains("of the first 30 records: 30 events of 30 customers"), "{printed}");
    assert!(printed.contains("where Kafka's default partitioner (murmur2) puts them"), "{printed}");
    assert!(printed.lines().count() < 30, "more than a screen: {printed}");

    // They are still to be made, and then there, as they were said to be.
    let mut daemon = lab.start("one", &["topics.dirty_percent=20"]);
    daemon.ready();
    for kind in ["changes", "members", "risks", "forecasts", "letters", "log", "summaries", "rules"] {
        assert!(daemon.says(&format!("\"topic\":\"{}\"", lab.topic(kind))), "{kind} was made before");
    }
    let (code, printed, _) = check(&lab, &[], &["--deny-warnings", "--json"]);
    let found: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &found["verdict"], &found["records"]["events"]), (Some(0), &"good".into(), &30.into()));
    let log = found["findings"].as_array().unwrap().iter().find(|found| found["about"] == lab.topic("log").as_str());
    assert_eq!(log.unwrap()["text"], "2 partitions, 1 replica, cleanup.policy=compact, min.insync.replicas=1");
    // Nobody was pushed out of the group by it.
    daemon.ready();
    daemon.stop();
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let Some(lab) = Lab::new("preflight-wrong", 2, RULES) else { return };
    lab.create("changes", 3, &[]);
    lab.create("log", 2, &[("cleanup.policy", "delete")]);
    lab.create("members", 2, &[("cleanup.policy", "compact"), ("delete.retention.ms", "1000")]);
    visit(&lab, 0..5);
    let writer = lab.writer();
    (0..3).for_each(|n| writer.send(&format!("c{n}"), b"{\"customer_id\": \"c\"}"));
    writer.send("somebody-else", &avro::encode(&avro::event("a", "visit", wall_clock().0, None)));
    let seconds = wall_clock().0 / 1_000;
    writer.send("b", &avro::encode(&avro::event("b", "visit", seconds, None)));
    writer.flush();
    let [port] = free_ports();
    let registry = format!("schemas.registry=http://127.0.0.1:{port}");
    let (code, printed, stderr) = check(&lab, &["topics.create=false", &registry], &[]);
    assert_eq!(code, Some(78), "{printed}");
    for words in [
        &format!("{}: topic {} has 3 partitions and the input 2", lab.topic("changes"), lab.topic("changes")),
        &format!("{}: topic {} has cleanup.policy=delete and needs compact", lab.topic("log"), lab.topic("log")),
        &format!("there is no topic {} and topics.create is false", lab.topic("risks")),
        &format!("there is no topic {} and topics.create is false", lab.topic("rules")),
        "delete.retention.ms is 1000",
        "the schema registry does not answer",
        "of the first 10 records: 5 events of 5 customers",
        "3 records would be dead letters, undecodable: ",
        "1 record would be a dead letter, wrong_key: ",
        "1 record would be a dead letter, bad_time: ",
    ] {
        assert!(printed.contains(words), "{words:?} is not in\n{printed}");
    }
    assert!(stderr.contains("7 things must be fixed before `cohortd run`"), "{stderr}");

    // An input that is not there hides nothing else.
    let (code, printed, _) = check(&lab, &[&format!("topics.input={}", lab.topic("nowhere"))], &[]);
    assert!(code == Some(78) && printed.contains(&format!("there is no topic {}", lab.topic("nowhere"))), "{printed}");
    assert!(
        printed.contains("cleanup.policy=delete and needs compact") && printed.contains("partitions=?"),
        "{printed}"
    );
}

#[test]
fn brokers_that_do_not_answer_are_no_mistake_in_the_settings() {
    let [port] = free_ports();
    let lab = Lab::at(&format!("127.0.0.1:{port}"), "preflight-away", 1, RULES);
    let (code, printed, stderr) = check(&lab, &[], &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("no broker answers at") && printed.contains("kafka.bootstrap_servers"), "{printed}");
    assert!(stderr.contains("1 question was not answered"), "{stderr}");
}

#[test]
fn a_state_that_a_start_would_refuse_is_told_beforehand_in_the_same_words() {
    let Some(lab) = Lab::new("preflight-state", 2, RULES) else { return };
    visit(&lab, 0..30);
    let mut daemon = lab.start("one", &["kafka.on_stop=leave"]);
    daemon.ready();
    lab.read_through();
    daemon.stop();
    let (code, printed, _) = check(&lab, &[], &["--deny-warnings"]);
    let fits = format!("the state of 2 of 2 partitions continues {}", lab.topic("in"));
    assert!(code == Some(0) && printed.contains(&fits), "{printed}");

    // Both say so, of whatever does not fit.
    let refused = |sets: &[&str], line: &str| {
        let (code, printed, _) = check(&lab, sets, &[]);
        assert!(code == Some(78) && printed.contains(line), "{line:?} is not in {printed}");
        refusal(lab.start("one", sets).ended(), &[line]);
    };
    lab.create("other", 2, &[]);
    let other = format!("topics.input={}", lab.topic("other"));
    let line = format!("the state is of topic {}, and topics.input is {}.", lab.topic("in"), lab.topic("other"));
    refused(&[&other], &line);
    lab.set_offsets(&[(1, 3)]);
    refused(&[], "was set to 3 by another program, and the state ends at");
    lab.make_anew("in", 2, &[]);
    refused(&[], "was made anew");
}
