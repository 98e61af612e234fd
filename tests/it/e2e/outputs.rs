//! A topic that goes missing while the daemon runs: nothing is lost, it says what it waits for, and goes on by itself.

use cohortd::clock::wall_clock;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

#[test]
fn a_missing_output_topic_is_waited_for() {
    let Some(lab) = Lab::new("missing", 2, RULES) else { return };
    let writer = lab.writer();
    let send = |customer: &str| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
        writer.flush();
    };
    let mut daemon = lab.start("one", &["state.flush_after_events=0"]);
    send("before");
    lab.read_through();
    daemon.ready();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &lab.bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(admin.delete_topics(&[&lab.topic("changes")], &AdminOptions::new())).unwrap();
    eventually("the topic is gone", || {
        let found = admin.inner().fetch_metadata(Some(&lab.topic("changes")), super::LONG).ok()?;
        found.topics().first().is_none_or(|topic| topic.partitions().is_empty()).then_some(())
    });
    send("while it is missing");
    let reason = eventually("it says what it waits for", || {
        daemon.assert_running();
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("output")).then_some(text)
    });
    println!("missing: {reason}");
    assert!(reason.contains(&lab.topic("changes")), "{reason}");
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    assert!(!daemon.says("Revoked"), "it keeps its partitions");
    lab.create("changes", 2, &[]);
    lab.read_through();
    daemon.ready();
    daemon.stop();
    let changes = lab.read("changes").concat();
    assert_eq!(changes.iter().map(|seen| seen.key()).collect::<Vec<_>>(), ["while it is missing"]);
}
