//! Asking about topics and making them.

use std::time::Duration;

use cohortd::kafka::{Admin, Brokers, Created, Failure, Kind, TopicPlan, Watermarks};

use super::{LONG, Lab, eventually};
use crate::support::broker::free_ports;

#[test]
fn a_topic_is_made_as_planned_and_described_as_it_is() {
    let Some(lab) = Lab::new("topic", 1) else { return };
    let admin = lab.admin();
    let name = format!("{}-changelog", lab.name);
    assert_eq!(admin.topic(&name, LONG), Ok(None));
    let settings = [("cleanup.policy", "compact"), ("delete.retention.ms", "604800000")];
    let plan = TopicPlan { name: &name, partitions: 3, replicas: None, settings: &settings };
    assert_eq!(admin.create(&plan, LONG), Ok(Created::New));
    assert_eq!(admin.create(&plan, LONG), Ok(Created::Existing));
    // The broker answers before its metadata of the topic is up to date.
    let mut found = None;
    eventually("the topic is described", || {
        found = admin.topic(&name, LONG).unwrap();
        found.is_some()
    });
    let topic = found.unwrap();
    assert_eq!((topic.partitions, topic.replicas), (3, 1));
    assert_eq!(topic.settings["cleanup.policy"], "compact");
    assert_eq!(topic.settings["delete.retention.ms"], "604800000");
    assert!(topic.settings.contains_key("max.message.bytes"));
    assert_ne!(topic.id, admin.topic(&lab.name, LONG).unwrap().unwrap().id);
    assert!(topic.id.is_some());
    assert_eq!(admin.cluster_id(LONG).unwrap().len(), 22);
}

#[test]
fn what_cannot_be_made_is_refused_with_a_reason() {
    let Some(lab) = Lab::new("plan", 1) else { return };
    let admin = lab.admin();
    let name = format!("{}-new", lab.name);
    let plan = TopicPlan { name: &name, partitions: 1, replicas: Some(3), settings: &[] };
    let refused = admin.create(&plan, LONG).unwrap_err();
    println!("{refused}");
    let refused = admin.create(&TopicPlan { replicas: None, settings: &[("cleanup.policy", "burn")], ..plan }, LONG);
    println!("{}", refused.clone().unwrap_err());
    assert!(matches!(&refused, Err(Failure::Fatal(cause)) if cause.kind == Kind::Misconfigured), "{refused:?}");
    let watermarks = Watermarks::new(&lab.settings("host-0", &[]), &lab.brokers).unwrap();
    let unknown = watermarks.range("no-such-topic", 0, Duration::from_secs(5));
    assert!(matches!(&unknown, Err(Failure::Fatal(cause)) if cause.kind == Kind::UnknownTopic), "{unknown:?}");
}

#[test]
fn a_broker_that_is_not_there_is_unreachable_not_an_unknown_topic() {
    let [port] = free_ports();
    let lab = Lab::at(&format!("127.0.0.1:{port}"), "nobody");
    let brokers = Brokers::default();
    let admin = Admin::new(&lab.settings("host-0", &[]), &brokers).unwrap();
    let short = Duration::from_secs(1);
    for failure in [admin.topic("x", short).unwrap_err(), admin.cluster_id(short).unwrap_err()] {
        println!("{failure}");
        assert!(matches!(&failure, Failure::Retry(_)), "{failure:?}");
        assert!(matches!(failure.cause().kind, Kind::Unreachable | Kind::TimedOut), "{failure:?}");
    }
}
