//! A broker that is reached in every secure way, and lets users do what access lists say: who gets in, who is refused and how,
//! and that the access lists in the documentation are exactly the ones that are needed.

mod access;
mod tokens;

use std::path::PathBuf;
use std::sync::OnceLock;

use cohortd::clock::wall_clock;
use tempfile::TempDir;

use super::lab::Lab;
use super::refusals::refusal;
use super::{avro, eventually};
use crate::support::broker::{Broker, free_ports};
use crate::support::certificates::{certificates, is_without_openssl};
use tokens::Endpoint;

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";
/// Users with the password `right`: `u0`, `u1`, ….
const USERS: usize = 40;
/// Makes access lists of lines such as `TOPIC name LITERAL READ user`, all by one request: Kafka's own command takes a second
/// for each.
const GRANTS: &str = "
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.resource.*;

public class Grants {
    public static void main(String[] words) throws Exception {
        List<AclBinding> all = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(words[1]))) {
            String[] of = line.split(\" \");
            all.add(new AclBinding(
                new ResourcePattern(ResourceType.valueOf(of[0]), of[1], PatternType.valueOf(of[2])),
                new AccessControlEntry(\"User:\" + of[4], \"*\", AclOperation.valueOf(of[3]), AclPermissionType.ALLOW)));
        }
        try (Admin admin = Admin.create(Map.of(\"bootstrap.servers\", (Object) words[0]))) {
            admin.createAcls(all).all().get();
        }
    }
}
";

struct Secured {
    broker: Broker,
    /// Certificates and keys.
    folder: TempDir,
    mutual: u16,
    passwords: u16,
    tokens: u16,
}

impl Secured {
    /// One for all tests here; `None` where there is no broker to be had.
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Secured>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                Broker::shared()?;
                if is_without_openssl() {
                    return None;
                }
                Self::start()
            })
            .as_ref()
    }

    fn start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        certificates(folder.path());
        let [mutual, passwords, tokens] = free_ports();
        let users: String = (0..USERS).map(|number| format!(" user_u{number}=\"right\"")).collect();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let settings = |plain, controller| {
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},MUTUAL://127.0.0.1:{mutual},PASSWORDS://127.0.0.1:{passwords},TOKENS://127.0.0.1:{tokens}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},MUTUAL://127.0.0.1:{mutual},PASSWORDS://127.0.0.1:{passwords},TOKENS://127.0.0.1:{tokens}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MUTUAL:SSL,PASSWORDS:SASL_SSL,TOKENS:SASL_PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keys}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.mutual.ssl.client.auth=required
listener.name.passwords.sasl.enabled.mechanisms=PLAIN
listener.name.passwords.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_shop=\"right\"{users};
listener.name.tokens.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.tokens.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:CN=cohortd;User:shop;User:tokens
",
                keys = file("server.both.pem"),
                ca = file("ca.pem"),
            )
        };
        let broker = Broker::start_with_class("Grants", GRANTS, &settings)?;
        Some(Self { broker, folder, mutual, passwords, tokens })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lab(&self, name: &str) -> Lab {
        let lab = Lab::at(self.broker.bootstrap(), name, 1, RULES);
        lab.create("in", 1, &[]);
        lab
    }

    /// Mutual TLS, with the client's certificate or without.
    fn by_certificate(&self, with: bool) -> Vec<String> {
        let mut options = vec![
            format!("kafka.bootstrap_servers=127.0.0.1:{}", self.mutual),
            "kafka.options.security.protocol=SSL".to_owned(),
            format!("kafka.options.ssl.ca.location={}", self.file("ca.pem").display()),
        ];
        if with {
            options.push(format!("kafka.options.ssl.certificate.location={}", self.file("client.pem").display()));
            options.push(format!("kafka.options.ssl.key.location={}", self.file("client.key").display()));
        }
        options
    }

    fn by_password(&self, user: &str, password: &str) -> Vec<String> {
        vec![
            format!("kafka.bootstrap_servers=127.0.0.1:{}", self.passwords),
            "kafka.options.security.protocol=SASL_SSL".to_owned(),
            format!("kafka.options.ssl.ca.location={}", self.file("ca.pem").display()),
            "kafka.options.sasl.mechanism=PLAIN".to_owned(),
            format!("kafka.options.sasl.username={user}"),
            format!("kafka.options.sasl.password={password}"),
        ]
    }

    fn by_token(&self, endpoint: &str, secret: &str) -> Vec<String> {
        vec![
            format!("kafka.bootstrap_servers=127.0.0.1:{}", self.tokens),
            "kafka.options.security.protocol=SASL_PLAINTEXT".to_owned(),
            "kafka.options.sasl.mechanism=OAUTHBEARER".to_owned(),
            "kafka.options.sasl.oauthbearer.method=oidc".to_owned(),
            "kafka.options.sasl.oauthbearer.client.id=cohortd".to_owned(),
            format!("kafka.options.sasl.oauthbearer.client.secret={secret}"),
            format!("kafka.options.sasl.oauthbearer.token.endpoint.url={endpoint}"),
        ]
    }
}

/// An event becomes a change, over a connection as `sets` say.
fn works(lab: &Lab, sets: &[String], customer: &str) {
    let sets: Vec<&str> = sets.iter().map(String::as_str).chain(["kafka.on_stop=leave"]).collect();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let writer = lab.writer();
    writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
    writer.flush();
    let changes = lab.follow("changes");
    eventually(&format!("{customer} enters"), || {
        let seen = changes.next(std::time::Duration::from_millis(50))?;
        (seen.key() == customer).then_some(())
    });
    daemon.stop();
}

fn refused(lab: &Lab, sets: &[String], words: &[&str]) {
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let log = refusal(lab.start("refused", &sets).ended(), words);
    assert!(log.contains("\"ending\":\"access\""), "{log}");
    assert!(!log.contains("guessed"), "a secret is in the log");
}

#[test]
fn a_certificate_of_ones_own_lets_in_and_without_it_the_brokers_words_end_the_start() {
    let Some(secured) = Secured::shared() else { return };
    let lab = secured.lab("mutual");
    works(&lab, &secured.by_certificate(true), "by-certificate");
    refused(&lab, &secured.by_certificate(false), &["kafka.options", "certificate"]);
}

#[test]
fn a_password_in_the_plain_lets_in_over_tls_and_a_wrong_one_ends_the_start() {
    let Some(secured) = Secured::shared() else { return };
    let lab = secured.lab("plain");
    works(&lab, &secured.by_password("shop", "right"), "by-password");
    refused(&lab, &secured.by_password("shop", "guessed"), &["kafka.options", "uthentication failed"]);
}

#[test]
fn a_token_for_the_clients_credentials_lets_in_and_a_wrong_secret_ends_the_start() {
    let Some(secured) = Secured::shared() else { return };
    let lab = secured.lab("tokens");
    let endpoint = Endpoint::giving("tokens", 3600);
    works(&lab, &secured.by_token(&endpoint.url, "right"), "by-token");
    assert!(endpoint.given() > 0);
    refused(&lab, &secured.by_token(&endpoint.url, "guessed"), &["kafka.options", "invalid_client"]);
    // A token that has expired already.
    let late = Endpoint::giving("tokens", -60);
    refused(&lab, &secured.by_token(&late.url, "right"), &["kafka.options"]);
}

#[test]
fn a_token_endpoint_that_gives_none_for_now_is_waited_for_by_name() {
    let Some(secured) = Secured::shared() else { return };
    let lab = secured.lab("endpoint");
    let [port] = free_ports();
    for endpoint in [format!("http://127.0.0.1:{port}/token"), Endpoint::overloaded().url] {
        let sets = secured.by_token(&endpoint, "right");
        let mut daemon = lab.start("one", &sets.iter().map(String::as_str).collect::<Vec<_>>());
        eventually(&format!("it says that {endpoint} may not answer"), || {
            daemon.assert_running();
            let (_, printed) = daemon.get("/health/ready")?;
            printed.contains("token.endpoint.url").then_some(())
        });
        daemon.stop();
    }
}
