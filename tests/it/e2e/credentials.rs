//! Brokers that refuse who we say we are, and such as we refuse: 78, with their own words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::lab::Lab;
use super::refusals::refusal;
use crate::support::broker::{Broker, free_ports};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";
/// Of a broker that lets users do what access lists say.
pub(super) const AUTHORIZER: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
";

/// A broker that also asks who somebody is, with more settings of its own, and the setting of where it does so.
pub(super) fn broker(more: &str) -> (Broker, String) {
    let [port] = free_ports();
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
    let log = refusal(lab.start("one", &sets).ended(), &["kafka.options", "uthentication failed"]);
    assert!(!log.contains("guessed"), "the password is in the log");
}

#[test]
fn a_user_without_permission_ends_the_start_with_the_brokers_words() {
    if Broker::shared().is_none() {
        return;
    }
    let (broker, address) = broker(AUTHORIZER);
    let lab = Lab::at(broker.bootstrap(), "permission", 1, RULES);
    lab.create("in", 1, &[]);
    let sets = sets(&address, "kafka.options.sasl.password=right");
    let log = refusal(lab.start("one", &sets).ended(), &["uthorization failed", &lab.topic("in")]);
    assert!(log.contains("\"ending\":\"access\""), "{log}");
}

/// A key for `127.0.0.1` in a store that a broker reads, and its certificate for clients; `None`: no keytool.
fn certificate(folder: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let (store, pem) = (folder.join(format!("{name}.p12")), folder.join(format!("{name}.pem")));
    let keytool = |arguments: &[&str]| {
        let common = ["-alias", name, "-storetype", "PKCS12", "-storepass", "secret", "-keystore"];
        Command::new("keytool").args(arguments).args(common).arg(&store).output().ok()
    };
    let subject = ["-dname", "CN=127.0.0.1", "-ext", "SAN=ip:127.0.0.1", "-keyalg", "EC"];
    let made = keytool(&[&["-genkeypair"][..], &subject].concat())?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let exported = keytool(&["-exportcert", "-rfc"])?;
    fs::write(&pem, exported.stdout).unwrap();
    Some((store, pem))
}

#[test]
fn a_certificate_of_somebody_else_ends_the_start_with_the_words_of_the_handshake() {
    if Broker::shared().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (Some((store, _)), Some((_, other))) =
        (certificate(folder.path(), "ours"), certificate(folder.path(), "other"))
    else {
        return println!("skipped: there is no keytool");
    };
    let [port] = free_ports();
    let broker = Broker::start_with(&|plain, controller| {
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SSL://127.0.0.1:{port}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL
ssl.keystore.location={}
ssl.keystore.password=secret
ssl.keystore.type=PKCS12
",
            store.display()
        )
    });
    let lab = Lab::at(broker.bootstrap(), "certificate", 1, RULES);
    lab.create("in", 1, &[]);
    let ca = format!("kafka.options.ssl.ca.location={}", other.display());
    let address = format!("kafka.bootstrap_servers=127.0.0.1:{port}");
    let ended = lab.start("one", &[&address, "kafka.options.security.protocol=SSL", &ca]).ended();
    let log = refusal(ended, &["kafka.options", "certificate verify failed", "ssl.ca.location"]);
    assert!(log.contains("\"ending\":\"access\""), "{log}");

    // Without the setting that says so, at a listener that speaks TLS alone.
    let mut daemon = lab.start("plain", &[&address]);
    super::eventually("it says what may be wrong with the connection", || {
        let (_, logged) = daemon.get("/health/ready")?;
        logged.contains("security.protocol").then_some(())
    });
    daemon.stop();

    // Not there at all.
    let missing = format!("kafka.options.ssl.ca.location={}", folder.path().join("nothing.pem").display());
    let ended = lab.start("two", &[&address, "kafka.options.security.protocol=SSL", &missing]).ended();
    refusal(ended, &["kafka.options.ssl.ca.location", "nothing.pem"]);
}
