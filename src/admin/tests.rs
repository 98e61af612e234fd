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

use super::{Posted, Resource, Ruling, Servers, Views, getrlimit};
use crate::inquiry::{Answer, Board, Coverage, Desk, InForce};
use crate::metrics::{GroupSeen, Health, Holder, Metrics};
use crate::rules;
use crate::settings::{self, Admin, Listen};
use crate::tls::rustls;
use crate::tls::rustls::pki_types::pem::PemObject;
use crate::tls::rustls::pki_types::{CertificateDer, ServerName};

/// A client of which nothing is heard for so long hangs.
const HANGS: Duration = Duration::from_secs(60);

struct House {
    runtime: Runtime,
    metrics: SocketAddr,
    admin: String,
    shown: Arc<Metrics>,
    health: Arc<Health>,
    desk: Arc<Desk>,
    board: Arc<Board>,
    posts: Option<tokio::sync::mpsc::Receiver<Posted>>,
    close: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// Both servers on free ports, before a single lane.
fn house() -> House {
    house_with(&Admin::local())
}

fn house_with(admin: &Admin) -> House {
    house_on(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(), admin)
}

fn house_on(runtime: Runtime, admin: &Admin) -> House {
    let listen = "127.0.0.1:0".parse().unwrap();
    let servers = Servers::bind(runtime.handle(), &settings::Metrics { listen }, admin).unwrap();
    let (metrics, admin) = (servers.metrics_address().unwrap(), servers.admin_address().unwrap());
    let shown = Arc::new(Metrics::new("0", "0"));
    let health = Arc::new(Health::new(1, &shown));
    let (desk, board) = (Arc::new(Desk::default()), Arc::new(Board::default()));
    let (post, posts) = tokio::sync::mpsc::channel(1);
    let views = Views {
        metrics: Arc::clone(&shown),
        health: Arc::clone(&health),
        desk: Arc::clone(&desk),
        board: Arc::clone(&board),
        rules: Some(post),
    };
    let (close, closing) = oneshot::channel::<()>();
    let closing = async move { drop(closing.await) };
    let serving = servers.serve(runtime.handle(), views, closing);
    House { runtime, metrics, admin, shown, health, desk, board, posts: Some(posts), close, serving }
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
    let house = house();
    let (status, text) = ask(house.metrics, "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("\ncohortd_rules_rejected_total 0\n"), "{text}");
    assert_eq!(ask(&house.admin, "GET", "/metrics").0, 404);
}

/// Another process holds these, and nobody those.
fn group(held: &[i32], unowned: &[i32]) -> GroupSeen {
    GroupSeen {
        state: "stable",
        holders: vec![Holder { name: "other-0".into(), partitions: held.to_vec() }],
        unowned: unowned.to_vec(),
        unowned_for: Duration::from_secs(4),
    }
}

#[test]
fn ready_says_in_json_what_is_waited_for() {
    let house = house();
    let joining = "{\"detail\":\"Lanes that the group has given no assignment yet: 1, for 0 s; its coordinator does not \
                   answer.\",\"status\":\"joining\"}\n";
    assert_eq!(ask(house.metrics, "GET", "/health/ready"), (503, joining.to_owned()));
    assert_eq!(ask(house.metrics, "GET", "/health/live").0, 200);
    house.health.lane(0).partitions(2, [7]);
    let (status, text) = ask(house.metrics, "GET", "/health/ready");
    assert_eq!(status, 503);
    assert!(text.contains("\"status\":\"restoring\"") && text.contains("\"partitions\":[7]"), "{text}");
    house.health.lane(0).partitions(2, []);
    assert_eq!(ask(&house.admin, "GET", "/health/ready"), (200, "{\"status\":\"ok\"}\n".to_owned()));
    house.health.set_group(Some(group(&[0, 1], &[7])));
    let (status, text) = ask(&house.admin, "GET", "/health/ready");
    assert_eq!(status, 200, "what others do not read makes this process no less ready");
    let shown = "\"group\":{\"members\":[{\"name\":\"other-0\",\"partitions\":[0,1]}],\"state\":\"stable\",\
                 \"unowned\":[7],\"unowned_seconds\":4}";
    assert!(text.contains(shown), "{text}");
}

#[test]
fn a_customer_is_asked_for_at_the_admin_api_only_and_where_their_partition_is() {
    let house = house();
    assert_eq!(ask(house.metrics, "GET", "/customers/c1").0, 404);
    let (status, text) = ask(&house.admin, "GET", "/customers/c1");
    assert_eq!(status, 503);
    assert!(text.contains("\"status\":\"starting\""), "{text}");
    let lanes = house.desk.open(1, 1);
    for (seen, status, word) in [
        (None, 503, "not_assigned"),
        (Some(group(&[], &[])), 503, "not_assigned"),
        (Some(group(&[], &[0])), 503, "unowned"),
        (Some(group(&[0], &[])), 421, "not_here"),
    ] {
        house.health.set_group(seen);
        let (found, text) = ask(&house.admin, "GET", "/customers/c1/cohorts/vip");
        assert_eq!(found, status);
        assert!(text.contains(&format!("\"status\":\"{word}\"")) && text.contains("\"partition\":0"), "{text}");
        assert_eq!(text.contains("other-0 has"), status == 421, "{text}");
    }
    lanes[0].has(|_| false, |_| true);
    assert_eq!(ask(&house.admin, "GET", "/customers/c1?lang=fr").0, 503);
    assert_eq!(ask(&house.admin, "GET", "/customers/c1?lang=de").0, 400);
    lanes[0].has(|_| true, |_| false);
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
    let (status, text) = ask(&house.admin, "GET", "/customers/c%2F1%20%C3%A9");
    assert_eq!(status, 404);
    assert!(text.contains("\"status\":\"unknown_customer\"") && !text.contains("c/1"), "{text}");
    answering.join().unwrap();
}

#[test]
fn a_wrong_path_or_method_is_told_what_there_is() {
    let house = house();
    let (status, text) = ask(house.metrics, "GET", "/metricz");
    assert_eq!(status, 404);
    assert!(text.contains("/health/ready"), "{text}");
    assert_eq!(ask(house.metrics, "POST", "/metrics").0, 405);
    assert!(ask(&house.admin, "GET", "/").1.starts_with("/  "));
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
    let house = house();
    let (key, error) = refused(&house.metrics.to_string(), &Admin::local());
    assert_eq!(key, "metrics.listen");
    assert!(error.starts_with(&format!("cannot listen on {} (", house.metrics)), "{error}");
    let taken = Admin { listen: Listen::Tcp(house.admin.parse().unwrap()), ..Admin::local() };
    assert_eq!(refused("127.0.0.1:0", &taken).0, "admin.listen");
}

#[test]
fn closing_does_not_wait_for_a_connection_that_says_nothing() {
    let House { runtime, metrics, close, serving, .. } = house();
    let _silent = TcpStream::connect(metrics).unwrap();
    ask(metrics, "GET", "/health/live");
    let began = Instant::now();
    close.send(()).unwrap();
    runtime.block_on(serving).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_admin_api_may_be_off() {
    let house = house_with(&Admin { listen: Listen::Off, ..Admin::local() });
    assert_eq!(house.admin, "off");
    assert_eq!(ask(house.metrics, "GET", "/health/live").0, 200);
    assert_eq!(ask(house.metrics, "GET", "/rules").0, 404);
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

#[test]
fn every_request_needs_a_token_and_one_that_writes_the_token_for_it() {
    let (folder, admin) = with_tokens(Admin::local());
    let house = house_with(&admin);
    let ask = |method: &str, path: &str, headers: &[&str]| {
        let headers = [&["Host: localhost"], headers].concat();
        ask_with(&house.admin, method, path, &headers, "")
    };
    let paths = ["/", "/rules", "/cohorts", "/customers/c1", "/health/live", "/nowhere"];
    let twice = [bearer("r"), bearer("r")];
    for path in paths {
        let refused = ask("GET", path, &[]);
        assert_eq!(status_of(&refused), 401, "{path}");
        assert!(refused.to_lowercase().contains("\r\nwww-authenticate: bearer realm=\"cohortd\"\r\n"), "{refused}");
        for wrong in [&[&*bearer("x")][..], &["Authorization: Basic cjpy"], &[&twice[0], &twice[1]]] {
            let other = ask("GET", path, wrong);
            assert_eq!((status_of(&other), body_of(&other)), (401, body_of(&refused)), "all hear the same");
        }
        for right in [bearer("r"), bearer("w")] {
            assert_ne!(status_of(&ask("GET", path, &[&right])), 401, "{path}");
        }
    }
    // Whoever may read is let on to try rules, and not to put them in force; nor to what does not exist yet.
    for (letter, path, status) in [
        ("r", "/rules", 403),
        ("r", "/rules?dry_run=TRUE", 403),
        ("r", "/later", 403),
        ("r", "/rules?dry_run=true", 415),
        ("w", "/rules", 415),
    ] {
        assert_eq!(status_of(&ask("POST", path, &[&bearer(letter)])), status, "{letter} {path}");
    }
    // Metrics and probes have no tokens.
    assert_eq!(self::ask(house.metrics, "GET", "/health/live").0, 200);
    // Another token counts from the next request on, the one before no more.
    fs::write(folder.path().join("read"), "s".repeat(32)).unwrap();
    assert_eq!(status_of(&ask("GET", "/", &[&bearer("r")])), 401);
    assert_eq!(status_of(&ask("GET", "/", &[&bearer("s")])), 200);
}

#[test]
fn a_token_that_cannot_be_used_ends_the_start() {
    let (folder, admin) = with_tokens(Admin::local());
    fs::write(folder.path().join("write"), "short").unwrap();
    let (key, error) = refused("127.0.0.1:0", &admin);
    assert_eq!(key, "admin.write_token_file");
    assert!(error.contains("openssl rand -hex 32") && !error.contains("short"), "{error}");
}

#[test]
fn no_web_page_can_ask_the_loopback() {
    let house = house();
    let status = |method: &str, headers: &[&str]| status_of(&ask_with(&house.admin, method, "/rules", headers, ""));
    let own = format!("Host: {}", house.admin);
    for host in ["Host: localhost:9465", "Host: LOCALHOST", "Host: [::1]:9465", &own] {
        assert_eq!(status("GET", &[host]), 503, "{host}");
    }
    // A name that was made to point here.
    for host in [
        "Host: rebound.example:9465",
        "Host: rebound.example",
        "Host: 10.0.0.1",
        "Host: localhost.rebound.example",
        "Host: a b",
    ] {
        assert_eq!(status("GET", &[host]), 403, "{host}");
    }
    assert_eq!((status("GET", &[]), status("GET", &[&own, "Host: rebound.example"])), (400, 400));
    let target = "GET http://rebound.example/rules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&exchange(connect(&house.admin), target).unwrap()), 403);
    // A page of another site, for reads and for writes.
    for method in ["GET", "POST"] {
        for header in
            ["Origin: http://shop.example", "Origin: null", "Origin: http://localhost:1", "Sec-Fetch-Site: cross-site"]
        {
            assert_eq!(status(method, &[&own, header]), 403, "{method} {header}");
        }
    }
    assert_eq!(status("GET", &[&own, &format!("Origin: http://{}", house.admin), "Sec-Fetch-Site: same-origin"]), 503);
    assert_eq!(status("POST", &[&own]), 415);
}

/// Keeps entries of the log, a line each.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut fields = Fields(event.metadata().target().to_owned());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn who_asks_for_a_customer_and_who_writes_stands_in_the_log_without_the_customer() {
    let (_folder, admin) = with_tokens(Admin::local());
    let log = Log::default();
    // Where there is but one subscriber, tracing asks whoever comes by a line first what is wanted there, which may be another
    // test's thread that wants nothing.
    let _another = tracing::Dispatch::new(Log::default());
    // All of the server runs on this thread, whose log this is.
    tracing::subscriber::with_default(log.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut house = house_on(runtime, &admin);
        drop(house.posts.take());
        let ask = |method: &str, path: &str, letter: &str, body: &str| {
            let headers = ["Host: localhost", &*bearer(letter), "Content-Type: application/toml"];
            let (address, text) = (house.admin.clone(), request(method, path, &headers, body));
            let asking = std::thread::spawn(move || status_of(&exchange(connect(&address), &text).unwrap()));
            house.runtime.block_on(async {
                while !asking.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            asking.join().unwrap()
        };
        assert_eq!(ask("GET", "/customers/c1", "r", ""), 503);
        assert_eq!(ask("GET", "/customers/c1/cohorts/vip", "w", ""), 503);
        assert_eq!(ask("GET", "/customers/c1", "x", ""), 401);
        assert_eq!(ask("POST", "/rules?dry_run=true", "r", "x"), 503);
        assert_eq!(ask("POST", "/rules", "w", "x"), 503);
    });
    let lines = log.0.lock().unwrap().clone();
    let audited: Vec<&String> = lines.iter().filter(|line| line.starts_with("cohortd::admin::audit ")).collect();
    assert_eq!(audited.len(), 4, "two reads; a write, before and after: {lines:?}");
    let has = |line: &str, words: &[&str]| words.iter().all(|word| line.contains(word));
    let customer = "customer_sha256=\"d0f631ca1ddba8db\"";
    let all = lines.join("\n");
    assert!(has(audited[0], &["read a customer", customer, "status=503", "\"admin.token_file", "127.0.0.1:"]), "{all}");
    assert!(has(audited[1], &["read a customer", customer, "admin.write_token_file"]), "{all}");
    assert!(has(audited[2], &["posts rules", "rules_sha256=\"2d711642b726b044\"", "admin.write_token_file"]), "{all}");
    assert!(has(audited[3], &["posted rules", "status=503"]), "{all}");
    assert!(has(&all, &["The admin API refused requests", "no token, or an unknown one"]), "{all}");
    for secret in ["c1", "rrr", "www", "xxx"] {
        assert!(!all.contains(secret), "{all}");
    }
}

const RULES: &str =
    "[cohorts.seen]\nwho = 'did visit in the last 1 day'\n[cohorts.buyers]\nwho = 'did purchase in the last 3 days'\n";

impl House {
    fn put_rules(&self, text: &str) {
        let rules = Arc::new(rules::load("rules.toml", text).unwrap());
        let (fingerprint, coverage) = (rules.fingerprint.clone(), Arc::new(Coverage::new(&rules)));
        self.board.put_rules(InForce { version: 3, fingerprint, coverage });
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

#[test]
fn a_dry_run_says_what_rules_would_change_and_changes_nothing() {
    let mut house = house();
    assert_eq!(house.post("?dry_run=true", RULES).0, 503, "no rules were read yet");
    house.put_rules(RULES);
    let edited = RULES.replace("last 3 days", "last 4 days").replace("cohorts.seen", "cohorts.visitors");
    let (status, body) = house.post("?dry_run=true", &edited);
    assert_eq!(status, 200, "{body}");
    let said: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(said["cohorts"]["new"], serde_json::json!(["visitors"]));
    assert_eq!(said["cohorts"]["changed"], serde_json::json!(["buyers"]));
    assert_eq!(said["cohorts"]["gone"], serde_json::json!(["seen"]));
    assert_eq!((&said["new"], &said["in_force"]["version"]), (&true.into(), &3.into()));
    let (_, same) = house.post("?dry_run=true", RULES);
    assert!(same.contains("\"new\":false") && same.contains("\"unchanged\":2"), "{same}");
    let for_good = format!("{RULES}[cohorts.x]\nwho = 'did purchase more than 30 days ago'\n");
    let (_, warned) = house.post("?dry_run=true", &for_good);
    assert!(warned.contains("warning: POST /rules:6"), "{warned}");
    let (status, mistakes) = house.post("?dry_run=true", "[cohorts.x]\nwho = 'did'\n");
    assert!(status == 422 && mistakes.contains("POST /rules:2"), "{status} {mistakes}");
    let (status, large) = house.post("?dry_run=true", &format!("{RULES}# {}\n", "x".repeat(rules::TEXT_BYTES_MAX)));
    assert!(status == 422 && large.contains("bytes are more than"), "{status} {large}");
    // A slip in the query puts nothing in force either.
    for query in ["?dry_run=True", "?dryrun=true", "?dry_run", "?dry_run=true&x=1"] {
        assert_eq!(house.post(query, RULES).0, 400, "{query}");
    }
    assert!(house.posts.as_mut().unwrap().try_recv().is_err(), "nobody was handed anything");
}

/// Answers what is posted next, on a thread of its own.
fn keeper(house: &mut House, ruling: Ruling) -> std::thread::JoinHandle<()> {
    let mut posts = house.posts.take().unwrap();
    std::thread::spawn(move || {
        let (text, answer) = posts.blocking_recv().unwrap().begin().unwrap();
        assert_eq!(text, RULES);
        answer.send(ruling).unwrap();
    })
}

#[test]
fn what_became_of_posted_rules_is_answered_and_doubt_is_no_refusal() {
    let in_force = Ruling::InForce { version: 4, fingerprint: "f".into(), new: true };
    let cases = [
        (in_force, 200, "\"version\":4"),
        (Ruling::Refused("POST /rules:1: no".into()), 422, "POST /rules:1: no"),
        (Ruling::Unavailable("no broker answers".into()), 503, "no broker answers"),
        (Ruling::Unknown("the commit was not confirmed".into()), 202, "Post the same rules again"),
    ];
    for (ruling, status, words) in cases {
        let mut house = house();
        let keeper = keeper(&mut house, ruling);
        let (found, body) = house.post("", RULES);
        assert!(found == status && body.contains(words), "{found} {body}");
        keeper.join().unwrap();
    }
    assert_eq!(ask_with(&house().admin, "POST", "/rules", &["Host: localhost"], "x").split(' ').nth(1), Some("415"));
}

#[test]
fn rules_that_were_answered_with_503_never_come_into_force() {
    let [mut idle, mut slow] = [house(), house()];
    let [mut ignored, mut taken] = [&mut idle, &mut slow].map(|house| house.posts.take().unwrap());
    let [refused, doubtful] = [&idle, &slow].map(|house| {
        let address = house.admin.clone();
        std::thread::spawn(move || post(&address, "", RULES))
    });
    // Somebody is at it when the time is over: then it is not known.
    let (_, answer) = taken.blocking_recv().unwrap().begin().unwrap();
    let (status, body) = doubtful.join().unwrap();
    assert!(status == 202 && body.contains("still being written"), "{status} {body}");
    drop(answer);
    // Nobody takes them up, as while a process waits for Kafka at its start.
    let (status, body) = refused.join().unwrap();
    assert!(status == 503 && body.contains("try again"), "{status} {body}");
    assert!(ignored.try_recv().unwrap().begin().is_none(), "they come too late");
}

#[test]
fn a_unix_socket_is_this_users_alone_and_a_stale_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let admin = Admin { listen: Listen::Unix(path.clone()), ..Admin::local() };
    // Left by a process that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let house = house_with(&admin);
    assert_eq!(house.admin, format!("unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |path: &Path| {
        let stream = UnixStream::connect(path).unwrap();
        exchange(stream, &request("GET", "/", &["Host: anything"], "")).unwrap()
    };
    assert_eq!(status_of(&ask(&path)), 200);
    let (key, error) = refused("127.0.0.1:0", &admin);
    assert!(key == "admin.listen" && error.contains("a process listens there"), "{error}");
    assert_eq!(status_of(&ask(&path)), 200, "it was left alone");
    let House { runtime, close, serving, .. } = house;
    close.send(()).unwrap();
    runtime.block_on(serving).unwrap();
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    let (_, error) = refused("127.0.0.1:0", &admin);
    assert!(error.contains("no socket") && fs::read_to_string(&path).unwrap() == "precious", "{error}");
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

#[test]
fn tls_has_the_certificate_of_its_file_also_when_that_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let admin = certificate(folder.path(), "one.example");
    let house = house_with(&admin);
    let trusted = admin.tls_certificate_file.clone().unwrap();
    assert_eq!(status_of(&ask_by_tls(&house.admin, &trusted, "one.example").unwrap()), 200);
    assert!(ask_by_tls(&house.admin, &trusted, "two.example").is_err());
    // Whoever speaks no TLS is told nothing.
    let plain = exchange(connect(&house.admin), &request("GET", "/", &["Host: localhost"], "")).unwrap_or_default();
    assert!(!plain.contains("HTTP/"), "{plain}");
    // Half a renewal: the certificate that fits no key is not taken, and the one before stays.
    let old = fs::read(&trusted).unwrap();
    fs::write(folder.path().join("old.pem"), &old).unwrap();
    let key = admin.tls_key_file.as_ref().unwrap();
    let replace = |with: &[u8]| {
        let beside = folder.path().join("beside");
        fs::write(&beside, with).unwrap();
        fs::rename(&beside, key).unwrap();
    };
    let old_key = fs::read(key).unwrap();
    certificate(folder.path(), "two.example");
    let new_key = fs::read(key).unwrap();
    replace(&old_key);
    let answer = ask_by_tls(&house.admin, &folder.path().join("old.pem"), "one.example").unwrap();
    assert_eq!(status_of(&answer), 200);
    replace(&new_key);
    assert_eq!(status_of(&ask_by_tls(&house.admin, &trusted, "two.example").unwrap()), 200);
    assert!(ask_by_tls(&house.admin, &folder.path().join("old.pem"), "one.example").is_err());
}

/// Reads until the other side closes.
fn closes(mut stream: TcpStream) {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it stays open");
    }
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_header_or_a_handshake_that_does_not_come_to_its_end_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let house = house_with(&certificate(folder.path(), "one.example"));
    let half = connect(&house.metrics.to_string());
    (&half).write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").unwrap();
    let [silent, no_handshake] = [house.metrics.to_string(), house.admin.clone()].map(|address| connect(&address));
    [half, silent, no_handshake].into_iter().for_each(closes);
    // Longer headers than anybody needs are refused; what was not read of them may make the system drop the answer.
    let long = format!("X: {}", "x".repeat(20 << 10));
    let request = request("GET", "/health/live", &["Host: x", &long], "");
    let answer = exchange(connect(&house.metrics.to_string()), &request).unwrap_or_default();
    assert!(answer.is_empty() || status_of(&answer) == 431, "{answer}");
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let admin = certificate(folder.path(), "one.example");
    let other = tempfile::tempdir().unwrap();
    let strange = Admin { tls_key_file: certificate(other.path(), "two.example").tls_key_file, ..admin.clone() };
    let (key, error) = refused("127.0.0.1:0", &strange);
    assert!(key == "admin.tls_certificate_file" && error.contains("cannot be used together"), "{error}");
    let missing = Admin { tls_key_file: Some("/nowhere.key".into()), ..admin.clone() };
    let (key, error) = refused("127.0.0.1:0", &missing);
    assert!(key == "admin.tls_key_file" && error.contains("/nowhere.key cannot be read"), "{error}");
    let swapped = Admin { tls_certificate_file: admin.tls_key_file.clone(), ..admin };
    assert!(refused("127.0.0.1:0", &swapped).1.contains("holds no certificate"));
}

/// Slow and hostile clients, as many as this process may have sockets for.
const HOSTILE: usize = 10_000;
/// Sockets and files that everything else in the process needs.
const FILES_BESIDES: usize = 1_500;

/// What a hostile client sends before it says no more, or goes on a byte at a time.
const SLOW: [&[u8]; 6] = [
    b"",
    b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"\x16\x03\x01\x02\x00\x01\x00",
    // It asks for much and reads nothing of it.
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /rules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
    b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n",
];

#[test]
fn slow_and_hostile_connections_fail_no_probe() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let files = maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap());
    let clients = HOSTILE.min(files.saturating_sub(FILES_BESIDES));
    let house = house();
    house.health.lane(0).partitions(2, []);
    // Megabytes, which wait for whoever does not read them.
    let cohorts: Vec<String> = (0..10_000).map(|number| format!("cohort_number_{number}")).collect();
    drop(house.shown.cohorts(cohorts.iter().map(String::as_str)));
    let text = house.shown.encode().unwrap();
    assert!(text.len() > 1 << 20, "{}", text.len());
    let (over, opened, busy) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let attackers = 2;
    std::thread::scope(|scope| {
        for attacker in 0..attackers {
            let (over, opened, busy, address) = (&over, &opened, &busy, house.metrics);
            scope.spawn(move || {
                let mut held: Vec<TcpStream> = Vec::new();
                for number in (attacker..).step_by(attackers) {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    // Once all are there, the oldest goes and another one comes.
                    if held.len() >= clients / attackers {
                        busy.fetch_add(1, Ordering::AcqRel);
                        let place = number / attackers % held.len();
                        drop(held.swap_remove(place));
                    }
                    let Ok(stream) = TcpStream::connect(address) else { continue };
                    stream.set_nonblocking(true).unwrap();
                    (&stream).write_all(SLOW[number / attackers % SLOW.len()]).ok();
                    // One that was closed meanwhile does not take it.
                    if let Some(other) = held.get(number % held.len().max(1)) {
                        (&*other).write_all(b"x").ok();
                    }
                    held.push(stream);
                    // A client that takes a tenth of a second to send its probe is still in time.
                    std::thread::sleep(Duration::from_micros(300));
                    opened.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let probes = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut probes = 0;
            // While they come, once all are there, and while they come and go.
            while opened.load(Ordering::Acquire) < clients || busy.load(Ordering::Acquire) < clients / 4 {
                for path in ["/health/live", "/health/ready"] {
                    assert_eq!(ask(house.metrics, "GET", path), (200, "{\"status\":\"ok\"}\n".to_owned()));
                    probes += 1;
                }
            }
            probes
        }));
        over.store(true, Ordering::Release);
        let probes = probes.unwrap();
        println!(
            "{probes} probes answered among {clients} hostile clients, {} connections",
            opened.load(Ordering::Acquire)
        );
        assert!(probes > 10);
    });
}
