//! What is put right before a start: one clear line, exit code 78. And what is waited for.

use std::fs;
use std::net::TcpListener;

use cohortd::clock::wall_clock;

use super::avro;
use super::daemon::Ended;
use super::lab::Lab;
use crate::support::broker::{Broker, free_ports};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// The one line that a person reads; log lines before it are in JSON. Returns all of it.
pub(super) fn refusal(ended: Ended, words: &[&str]) -> String {
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    println!("{}", lines.join("\n"));
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {:?}", lines[0]);
    }
    ended.stderr
}

#[test]
fn a_layout_that_would_break_the_guarantee_is_refused() {
    let Some(lab) = Lab::new("layout", 2, RULES) else { return };
    lab.create("log2", 2, &[("cleanup.policy", "delete")]);
    lab.create("log3", 2, &[("cleanup.policy", "compact"), ("max.message.bytes", "1300")]);
    lab.create("changes2", 3, &[]);
    let set = |key: &str, kind: &str| format!("topics.{key}={}", lab.topic(kind));
    let start = |set: &str| lab.start("one", &[set]).ended();
    refusal(start(&set("changelog", "log2")), &["topics.changelog", "cleanup.policy=delete", "compact"]);
    refusal(start(&set("changelog", "log3")), &["topics.changelog", "max.message.bytes=1300", "4096", "raise it"]);
    refusal(start(&set("changes", "changes2")), &["topics.changes", "3 partitions", "2"]);
    refusal(start(&set("input", "missing")), &["topics.input", "there is no topic", "create it"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    refusal(start(&format!("metrics.listen=127.0.0.1:{port}")), &["metrics.listen", &port.to_string()]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    refusal(start(&format!("admin.listen=127.0.0.1:{port}")), &["admin.listen", &port.to_string()]);
}

#[test]
fn more_replicas_than_there_are_brokers_end_the_start_with_the_brokers_words() {
    let Some(lab) = Lab::new("replicas", 1, RULES) else { return };
    let ended = lab.start("one", &["topics.replication=7"]).ended();
    assert!(ended.stderr.contains("\"ending\":\"topics\""), "{}", ended.stderr);
    refusal(ended, &["topics.changes", "7 time", "replication factor", "topics.replication"]);
}

/// Refuses every topic but the input.
const POLICY: &str = "
import java.util.Map;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

public class OnlyInputs implements CreateTopicPolicy {
    public void configure(Map<String, ?> settings) {}

    public void validate(RequestMetadata made) {
        if (!made.topic().endsWith(\"-in\")) {
            throw new PolicyViolationException(\"topics are made by the platform team alone\");
        }
    }

    public void close() {}
}
";

#[test]
fn a_policy_that_lets_no_topic_be_made_ends_the_start_with_the_brokers_words() {
    if Broker::shared().is_none() {
        return;
    }
    let settings = |_, _| "create.topic.policy.class.name=OnlyInputs\n".to_owned();
    let Some(broker) = Broker::start_with_class("OnlyInputs", POLICY, &settings) else { return };
    let lab = Lab::at(broker.bootstrap(), "policy", 1, RULES);
    lab.create("in", 1, &[]);
    let ended = lab.start("one", &[]).ended();
    assert!(ended.stderr.contains("\"ending\":\"topics\""), "{}", ended.stderr);
    refusal(ended, &["topics.changes", "topics are made by the platform team alone", "topics.create = false"]);
}

#[test]
fn a_first_start_and_a_clean_stop_warn_of_nothing() {
    let Some(lab) = Lab::new("calm-start", 3, RULES) else { return };
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.read_through();
    daemon.signal("-TERM");
    let ended = daemon.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let warned: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("\"WARN\"")).collect();
    assert!(warned.is_empty(), "{warned:#?}");
}

#[test]
fn a_topic_keyed_by_something_else_is_refused() {
    let Some(lab) = Lab::new("keys", 1, RULES) else { return };
    let writer = lab.writer();
    for n in 0..120 {
        writer.send(&format!("order{n}"), &avro::encode(&avro::event("a", "visit", wall_clock().0, None)));
    }
    writer.flush();
    refusal(lab.start("one", &[]).ended(), &["first 100 records", "customer id", "kafka.group_id"]);
}

#[test]
fn a_topic_of_something_else_is_refused() {
    let Some(lab) = Lab::new("foreign", 1, RULES) else { return };
    let writer = lab.writer();
    (0..120).for_each(|n| writer.send(&format!("c{n}"), b"{\"customer_id\": \"c\"}"));
    writer.flush();
    let words =
        ["first 100 records", "partition 0", "not customer events", "looks like JSON", "in Avro", "topics.input"];
    refusal(lab.start("one", &[]).ended(), &words);
}

#[test]
fn a_topic_of_another_shape_is_refused_with_the_field_and_the_schema() {
    let Some(lab) = Lab::new("shape", 1, RULES) else { return };
    fs::create_dir(lab.path("avsc")).unwrap();
    let schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "customer_id", "type": "string"}]}"#;
    fs::write(lab.path("avsc/7.avsc"), schema).unwrap();
    let writer = lab.writer();
    (0..120).for_each(|n| writer.send(&format!("c{n}"), &[&[0, 0, 0, 0, 7, 4][..], b"c1"].concat()));
    writer.flush();
    let dir = format!("schemas.dir={}", lab.path("avsc").display());
    let ended = lab.start("one", &[&dir]).ended();
    refusal(ended, &["first 100 records", "schema id 7: field `event` is missing", "topics.input"]);
}

#[test]
fn brokers_that_do_not_answer_are_waited_for_until_a_stop_is_requested() {
    // A port that nothing listens on any more.
    let [port] = free_ports();
    let lab = Lab::at(&format!("127.0.0.1:{port}"), "away", 1, RULES);
    let mut daemon = lab.start("one", &[]);
    super::eventually("it says that it waits", || daemon.says("Kafka is not ready; retrying.").then_some(()));
    assert_eq!(daemon.get("/health/ready").unwrap().0, 503);
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    let retries = |text: &str| text.lines().any(|line| line == "cohortd_retries_total{what=\"kafka\"} 0");
    assert!(!retries(&daemon.get("/metrics").unwrap().1), "they are not counted");
    // And before long why, with the setting.
    super::eventually("it says why", || {
        let (_, logged) = daemon.get("/health/ready")?;
        (logged.contains("refused") && logged.contains("kafka.bootstrap_servers")).then_some(())
    });
    daemon.stop();
    let mut daemon = lab.start("two", &["kafka.bootstrap_servers=kafka.invalid:9092"]);
    let names_host = |text: &str| text.contains("Failed to resolve 'kafka.invalid:9092'");
    super::eventually("it says that there is no such host", || {
        names_host(&daemon.get("/health/ready")?.1).then_some(())
    });
    let logged = &daemon.lines_of("Kafka is not ready; retrying.")[0]["reason"];
    assert!(names_host(logged.as_str().unwrap()), "the first line names it: {logged}");
    daemon.stop();
}

#[test]
fn a_broker_that_advertises_a_name_that_does_not_resolve_is_named() {
    if Broker::shared().is_none() {
        return;
    }
    let [outside] = free_ports();
    let broker = Broker::start_with(&|port, controller| {
        let listeners = |host: &str| format!("PLAINTEXT://127.0.0.1:{port},OUTSIDE://{host}:{outside}");
        let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:PLAINTEXT";
        format!(
            "listeners={},CONTROLLER://127.0.0.1:{controller}\nadvertised.listeners={}\n{map}\n",
            listeners("127.0.0.1"),
            listeners("kafka.invalid")
        )
    });
    let lab = Lab::at(broker.bootstrap(), "advertised", 1, RULES);
    lab.create("in", 1, &[]);
    let servers = format!("kafka.bootstrap_servers=127.0.0.1:{outside}");
    let names_host = |text: &str| {
        text.contains(&format!("Failed to resolve 'kafka.invalid:{outside}'")) && text.contains("advertised.listeners")
    };
    let (code, printed) = lab.check_connect("one", &[&servers]);
    assert!(code == Some(1) && names_host(&printed), "{code:?}: {printed}");
    let mut daemon = lab.start("one", &[&servers]);
    super::eventually("it names the host", || names_host(&daemon.get("/health/ready")?.1).then_some(()));
    let logged = &daemon.lines_of("Kafka is not ready; retrying.")[0]["reason"];
    assert!(names_host(logged.as_str().unwrap()), "the first line names it: {logged}");
    daemon.stop();
}

#[test]
fn it_is_not_ready_before_its_partitions_are_restored() {
    let Some(lab) = Lab::new("ready", 1, RULES) else { return };
    let mut daemon = lab.start("one", &[]);
    let mut answers = Vec::new();
    super::eventually("it is ready", || {
        let answer = daemon.get("/health/ready")?;
        let done = answer.0 == 200;
        if answers.last() != Some(&answer) {
            answers.push(answer);
        }
        done.then_some(())
    });
    println!("ready: {answers:?}");
    assert!(answers[0].0 == 503 && answers.len() >= 2, "{answers:?}");
    daemon.stop();
}
