//! Brokers that refuse who we say we are: 78, with their own words.

use std::net::TcpListener;

use super::lab::Lab;
use crate::support::broker::Broker;

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// A broker that also asks who somebody is, with more settings of its own, and the setting of where it does so.
pub(super) fn broker(more: &str) -> (Broker, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let broker = Broker::start_with(&|plain, controller| {
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL_PLAINTEXT://127.0.0.1:{port}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config={module}
{more}"
        )
    });
    (broker, format!("kafka.bootstrap_servers=127.0.0.1:{port}"))
}

/// Who we say we are.
pub(super) fn sets<'a>(address: &'a str, password: &'a str) -> [&'a str; 5] {
    [
        address,
        "kafka.options.security.protocol=SASL_PLAINTEXT",
        "kafka.options.sasl.mechanism=SCRAM-SHA-256",
        "kafka.options.sasl.username=shop",
        password,
    ]
}

#[test]
fn a_wrong_password_ends_the_start_with_the_brokers_words() {
    if Broker::shared().is_none() {
        return;
    }
    let (broker, address) = broker("");
    let lab = Lab::at(broker.bootstrap(), "password", 1, RULES);
    lab.create("in", 1, &[]);
    let sets = sets(&address, "kafka.options.sasl.password=guessed");
    let ended = lab.start("one", &sets).ended();
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|line| !line.starts_with('{')).unwrap();
    println!("{line}");
    assert!(line.contains("kafka.options") && line.contains("uthentication failed"), "{line}");
    assert!(!ended.stderr.contains("guessed"), "the password is in the log");
}

#[test]
fn a_user_without_permission_ends_the_start_with_the_brokers_words() {
    if Broker::shared().is_none() {
        return;
    }
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    let (broker, address) = broker(&format!("authorizer.class.name={authorizer}\nsuper.users=User:ANONYMOUS\n"));
    let lab = Lab::at(broker.bootstrap(), "permission", 1, RULES);
    lab.create("in", 1, &[]);
    let sets = sets(&address, "kafka.options.sasl.password=right");
    let ended = lab.start("one", &sets).ended();
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|line| !line.starts_with('{')).unwrap();
    println!("{line}");
    assert!(line.contains("uthorization failed") && line.contains(&lab.topic("in")), "{line}");
    assert!(ended.stderr.contains("\"ending\":\"access\""), "{}", ended.stderr);
}
