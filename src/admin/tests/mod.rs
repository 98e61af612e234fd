//! Both servers on free ports, with clients of all kinds.

mod access;
mod hostile;
mod rules_posted;
mod transport;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Rlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{PostOutcome, Posted, Resource, Servers, Views, getrlimit};
use crate::inquiry::{Answer, Coverage, InForce, Latest, RequestRouter};
use crate::metrics::{GroupSeen, Health, Holder, Metrics};
use crate::rules;
use crate::settings::{self, Admin, Listen};
use crate::tls::rustls;
use crate::tls::rustls::pki_types::pem::PemObject;
use crate::tls::rustls::pki_types::{CertificateDer, ServerName};

/// A client that sends nothing for this long hangs.
const HANGS: Duration = Duration::from_secs(60);

struct Fixture {
    runtime: Runtime,
    metrics: SocketAddr,
    admin: String,
    shown: Arc<Metrics>,
    health: Arc<Health>,
    router: Arc<RequestRouter>,
    latest: Arc<Latest>,
    posts: Option<tokio::sync::mpsc::Receiver<Posted>>,
    close: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// Both servers on free ports, before a single lane.
fn fixture() -> Fixture {
    fixture_with(&Admin::local())
}

fn fixture_with(admin: &Admin) -> Fixture {
    fixture_on(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(), admin)
}

fn fixture_on(runtime: Runtime, admin: &Admin) -> Fixture {
    let listen = "127.0.0.1:0".parse().unwrap();
    let servers = Servers::bind(runtime.handle(), &settings::Metrics { listen }, admin).unwrap();
    let (metrics, admin) = (servers.metrics_address().unwrap(), servers.admin_address().unwrap());
    let shown = Arc::new(Metrics::new("0", "0"));
    let health = Arc::new(Health::new(1, 0, &shown));
    let (router, latest) = (Arc::new(RequestRouter::default()), Arc::new(Latest::default()));
    let (post, posts) = tokio::sync::mpsc::channel(1);
    let views = Views {
        metrics: Arc::clone(&shown),
        health: Arc::clone(&health),
        router: Arc::clone(&router),
        latest: Arc::clone(&latest),
        rules: Some(post),
    };
    let (close, closing) = oneshot::channel::<()>();
    let closing = async move { drop(closing.await) };
    let serving = servers.serve(runtime.handle(), views, closing);
    Fixture { runtime, metrics, admin, shown, health, router, latest, posts: Some(posts), close, serving }
}

/// Connects without hanging for ever later.
fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANGS)).unwrap();
    stream
}

/// The whole answer to one request, the last on its connection.
fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Status and body of one request.
fn ask(address: impl ToString, method: &str, path: &str) -> (u16, String) {
    let answer = ask_with(address, method, path, &["Host: localhost"], "");
    (status_of(&answer), body_of(&answer).to_owned())
}

/// The answer to one request with these headers.
fn ask_with(address: impl ToString, method: &str, path: &str, headers: &[&str], body: &str) -> String {
    exchange(connect(&address.to_string()), &request(method, path, headers, body)).unwrap()
}

fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n{body}")
}

#[test]
fn metrics_are_shown_at_their_own_address_only() {
    let fixture = fixture();
    let (status, text) = ask(fixture.metrics, "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("\ncohortd_rules_rejected_total 0\n"), "{text}");
    assert_eq!(ask(&fixture.admin, "GET", "/metrics").0, 404);
}

fn other(partitions: &[i32]) -> Holder {
    Holder { name: "other-0".into(), partitions: partitions.to_vec(), is_here: false }
}

/// Partitions of another process, and partitions without an owner.
fn group(held: &[i32], unowned: &[i32]) -> GroupSeen {
    GroupSeen {
        state: "stable",
        holders: vec![other(held)],
        unowned: unowned.to_vec(),
        unowned_for: Duration::from_secs(4),
        reserved: Vec::new(),
        session: Duration::from_secs(45),
    }
}

#[test]
fn ready_says_in_json_what_is_waited_for() {
    let fixture = fixture();
    let joining = "{\"detail\":\"Lanes waiting for an assignment by the consumer group: 1, for 0 s; its coordinator does not \
                   answer.\",\"status\":\"joining\"}\n";
    assert_eq!(ask(fixture.metrics, "GET", "/health/ready"), (503, joining.to_owned()));
    assert_eq!(ask(fixture.metrics, "GET", "/health/live").0, 200);
    fixture.health.lane(0).partitions(2, [7]);
    let (status, text) = ask(fixture.metrics, "GET", "/health/ready");
    assert_eq!(status, 503);
    assert!(text.contains("\"status\":\"restoring\"") && text.contains("\"partitions\":[7]"), "{text}");
    fixture.health.lane(0).partitions(2, []);
    assert_eq!(ask(&fixture.admin, "GET", "/health/ready"), (200, "{\"status\":\"ok\"}\n".to_owned()));
    fixture.health.set_group(Some(group(&[0, 1], &[7])));
    let (status, text) = ask(&fixture.admin, "GET", "/health/ready");
    assert_eq!(status, 200, "what others do not read makes this process no less ready");
    let shown = "\"group\":{\"members\":[{\"name\":\"other-0\",\"partitions\":[0,1]}],\"reserved\":[],\"state\":\"stable\",\
                 \"unowned\":[7],\"unowned_seconds\":4}";
    assert!(text.contains(shown) && !text.contains("detail"), "{text}");
    fixture.health.set_group(Some(GroupSeen { reserved: vec![other(&[0, 1])], ..group(&[0, 1], &[]) }));
    let (status, text) = ask(&fixture.admin, "GET", "/health/ready");
    assert_eq!(status, 200);
    let detail = "\"detail\":\"Waiting for the session of other-0, which has stopped, to end (at most 45 s), or for its return: \
                  nobody reads partitions 0, 1 meanwhile.\"";
    let shown = "\"reserved\":[{\"name\":\"other-0\",\"partitions\":[0,1]}]";
    assert!(text.contains(detail) && text.contains(shown), "{text}");
}

#[test]
fn a_customer_is_asked_for_at_the_admin_api_only_and_where_their_partition_is() {
    let fixture = fixture();
    assert_eq!(ask(fixture.metrics, "GET", "/customers/c1").0, 404);
    let (status, text) = ask(&fixture.admin, "GET", "/customers/c1");
    assert_eq!(status, 503);
    assert!(text.contains("\"status\":\"starting\""), "{text}");
    let lanes = fixture.router.open(1, 1);
    for (seen, status, word) in [
        (None, 503, "not_assigned"),
        (Some(group(&[], &[])), 503, "not_assigned"),
        (Some(group(&[], &[0])), 503, "unowned"),
        (Some(group(&[0], &[])), 421, "not_here"),
        (Some(GroupSeen { reserved: vec![other(&[0])], ..group(&[0], &[]) }), 503, "reserved"),
    ] {
        fixture.health.set_group(seen);
        let (found, text) = ask(&fixture.admin, "GET", "/customers/c1/cohorts/vip");
        assert_eq!(found, status);
        assert!(text.contains(&format!("\"status\":\"{word}\"")) && text.contains("\"partition\":0"), "{text}");
        assert_eq!(text.contains("other-0 owns"), status == 421, "{text}");
    }
    lanes[0].set_partitions(|_| false, |_| true);
    assert_eq!(ask(&fixture.admin, "GET", "/customers/c1?lang=fr").0, 503);
    assert_eq!(ask(&fixture.admin, "GET", "/customers/c1?lang=de").0, 400);
    lanes[0].set_partitions(|_| true, |_| false);
    let answering = std::thread::spawn(move || {
        let question = loop {
            match lanes[0].next() {
                Some(question) => break question,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(question.customer, "c/1 é");
        question.answer(Answer::Unknown);
    });
    let (status, text) = ask(&fixture.admin, "GET", "/customers/c%2F1%20%C3%A9");
    assert_eq!(status, 404);
    assert!(text.contains("\"status\":\"unknown_customer\"") && !text.contains("c/1"), "{text}");
    answering.join().unwrap();
}

#[test]
fn cohorts_have_their_members_now_before_any_survey_and_it_is_said_of_which_partitions() {
    let fixture = fixture();
    let (status, text) = ask(&fixture.admin, "GET", "/cohorts");
    assert!(status == 503 && text.contains("starting"), "{text}");
    let lanes = fixture.router.open(1, 4);
    lanes[0].set_partitions(|partition| partition < 2, |partition| partition == 3);
    let mut partitions = [0, 1].map(|number| fixture.shown.partition("in", number, ["vip", "new"]));
    partitions[0].set_cohort_members(&[5, 0]);
    partitions[1].set_cohort_members(&[2, 1]);
    let json = |path: &str| {
        let (status, text) = ask(&fixture.admin, "GET", path);
        (status, serde_json::from_str::<serde_json::Value>(&text).unwrap())
    };
    let (status, all) = json("/cohorts");
    let expected = serde_json::json!({
        "members": {"new": 1, "vip": 7}, "decided_to": null,
        "partitions": [0, 1], "partitions_not_counted": [2, 3],
    });
    assert_eq!((status, &all["now"]), (200, &expected));
    assert!(all["detail"].as_str().unwrap().contains("no survey yet"), "{all}");
    partitions[1].set_cohort_members(&[3, 1]);
    let (status, vip) = json("/cohorts/vip");
    assert_eq!((status, &vip["now"]["members"]), (200, &8.into()));
    let (status, none) = json("/cohorts/vap");
    assert_eq!((status, &none["status"]), (404, &"unknown_cohort".into()));
    assert!(none["detail"].as_str().unwrap().contains("Did you mean vip?"), "{none}");
}

#[test]
fn a_wrong_path_or_method_is_answered_with_what_there_is() {
    let fixture = fixture();
    let (status, text) = ask(fixture.metrics, "GET", "/metricz");
    assert_eq!(status, 404);
    assert!(text.contains("/health/ready"), "{text}");
    assert_eq!(ask(fixture.metrics, "POST", "/metrics").0, 405);
    assert!(ask(&fixture.admin, "GET", "/").1.starts_with("/  "));
}

/// The setting that refuses to be bound, and why.
fn refused(metrics: &str, admin: &Admin) -> (&'static str, String) {
    let runtime = Runtime::new().unwrap();
    let metrics = settings::Metrics { listen: metrics.parse().unwrap() };
    let error = Servers::bind(runtime.handle(), &metrics, admin).unwrap_err();
    (error.key, error.to_string())
}

#[test]
fn an_address_in_use_is_named_with_its_setting() {
    let fixture = fixture();
    let (key, error) = refused(&fixture.metrics.to_string(), &Admin::local());
    assert_eq!(key, "metrics.listen");
    assert!(error.starts_with(&format!("cannot listen on {} (", fixture.metrics)), "{error}");
    let taken = Admin { listen: Listen::Tcp(fixture.admin.parse().unwrap()), ..Admin::local() };
    assert_eq!(refused("127.0.0.1:0", &taken).0, "admin.listen");
}

#[test]
fn closing_does_not_wait_for_a_connection_that_says_nothing() {
    let Fixture { runtime, metrics, close, serving, .. } = fixture();
    let _silent = TcpStream::connect(metrics).unwrap();
    ask(metrics, "GET", "/health/live");
    let began = Instant::now();
    close.send(()).unwrap();
    runtime.block_on(serving).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_admin_api_may_be_off() {
    let fixture = fixture_with(&Admin { listen: Listen::Off, ..Admin::local() });
    assert_eq!(fixture.admin, "off");
    assert_eq!(ask(fixture.metrics, "GET", "/health/live").0, 200);
    assert_eq!(ask(fixture.metrics, "GET", "/rules").0, 404);
}

/// A folder with a token that may read and one that may write; settings with both.
fn with_tokens(admin: Admin) -> (tempfile::TempDir, Admin) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, token: String| {
        let path = folder.path().join(name);
        fs::write(&path, format!("{token}\n")).unwrap();
        Some(path)
    };
    let (token_file, write_token_file) = (write("read", "r".repeat(32)), write("write", "w".repeat(32)));
    (folder, Admin { token_file, write_token_file, ..admin })
}

fn bearer(letter: &str) -> String {
    format!("Authorization: Bearer {}", letter.repeat(32))
}

const RULES: &str =
    "[cohorts.seen]\nwho = 'did visit in the last 1 day'\n[cohorts.buyers]\nwho = 'did purchase in the last 3 days'\n";

impl Fixture {
    fn put_rules(&self, text: &str) {
        let rules = Arc::new(rules::load("rules.toml", text).unwrap());
        let (fingerprint, coverage) = (rules.fingerprint.clone(), Arc::new(Coverage::new(&rules)));
        self.latest.set_rules(InForce { version: 3, fingerprint, coverage });
    }

    fn post(&self, query: &str, rules: &str) -> (u16, String) {
        post(&self.admin, query, rules)
    }
}

fn post(address: &str, query: &str, rules: &str) -> (u16, String) {
    let headers = ["Host: localhost", "Content-Type: application/toml"];
    let answer = ask_with(address, "POST", &format!("/rules{query}"), &headers, rules);
    (status_of(&answer), body_of(&answer).to_owned())
}

/// Writes a certificate of `name`, signed by itself, and its key.
fn certificate(folder: &Path, name: &str) -> Admin {
    let [certificate, key] = ["pem", "key"].map(|kind| folder.join(format!("admin.{kind}")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Admin { tls_certificate_file: Some(certificate), tls_key_file: Some(key), ..Admin::local() }
}

/// A request over TLS to somebody who must be `name`.
fn ask_by_tls(address: &str, trusted: &Path, name: &str) -> io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(connection, connect(address));
    stream.write_all(request("GET", "/", &["Host: localhost"], "").as_bytes())?;
    let mut answer = Vec::new();
    // A server that closes without saying so by TLS is as good.
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    String::from_utf8(answer).map_err(io::Error::other)
}

/// Reads until the other side closes.
fn closes(mut stream: TcpStream) {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it stays open");
    }
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}
