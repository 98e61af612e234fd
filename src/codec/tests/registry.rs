//! A registry that is late, gone, or somebody else.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::codec::{Lookup, Output, Registry, RegistryError, SchemaKey, Schemas};

/// Answers by path, over HTTP, until dropped.
struct Stub {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    last: Arc<Mutex<String>>,
    server: Option<thread::JoinHandle<()>>,
}

impl Stub {
    fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let (requests, stop): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let last: Arc<Mutex<String>> = Arc::default();
        let server = {
            let (answers, requests, stop, last) = (answers.clone(), requests.clone(), stop.clone(), last.clone());
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut stream = stream.unwrap();
                    let mut input = BufReader::new(stream.try_clone().unwrap());
                    let (mut head, mut length) = (String::new(), 0);
                    loop {
                        let mut line = String::new();
                        input.read_line(&mut line).unwrap();
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        head.push_str(&line);
                        if line.trim().is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    input.read_exact(&mut body).unwrap();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    *last.lock().unwrap() = head + &String::from_utf8(body).unwrap();
                    let unknown = (404, json!({"error_code": 40403, "message": "Schema not found"}).to_string());
                    let (status, text) = answers.lock().unwrap().get(&path).cloned().unwrap_or(unknown);
                    requests.fetch_add(1, Ordering::SeqCst);
                    write!(
                        stream,
                        "HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                        text.len()
                    )
                    .unwrap();
                }
            })
        };
        Self { address, answers, requests, stop, last, server: Some(server) }
    }

    fn start() -> Self {
        Self::on("127.0.0.1:0")
    }

    fn answer(&self, path: &str, status: u16, body: &serde_json::Value) {
        self.answers.lock().unwrap().insert(path.into(), (status, body.to_string()));
    }

    fn registry(&self) -> Registry {
        Registry::new(&format!("http://user:secret@{}", self.address)).unwrap()
    }

    fn schemas(&self, retry_for: Duration) -> Schemas {
        Schemas::built_in().with_registry(self.registry(), retry_for).unwrap()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.address));
        self.server.take().unwrap().join().unwrap();
    }
}

fn event_schema() -> serde_json::Value {
    json!({"schema": json!({"type": "record", "name": "E", "fields": [{"name": "customer_id", "type": "string"},
        {"name": "event", "type": "string"}, {"name": "occurred_at", "type": "long"}]}).to_string()})
}

/// Looks an id up until the answer is one of those wanted, and names it.
fn until(schemas: &mut Schemas, id: u32, wanted: &[&str]) -> String {
    let started = Instant::now();
    loop {
        let (kind, text) = match schemas.lookup(SchemaKey::Id(id)) {
            Lookup::Ready(_) => ("ready", String::new()),
            Lookup::Pending => ("pending", String::new()),
            Lookup::Unreachable { reason, .. } => ("unreachable", reason.to_string()),
            Lookup::NotFound => ("not found", String::new()),
            Lookup::Unusable(reason) => ("unusable", reason.to_string()),
        };
        if wanted.contains(&kind) {
            return format!("{kind} {text}").trim().to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{kind} {text}, not {wanted:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_schema_is_fetched_once_and_kept_when_the_registry_goes() {
    let stub = Stub::start();
    stub.answer("/schemas/ids/7", 200, &event_schema());
    let mut schemas = stub.schemas(LONG);
    assert!(matches!(schemas.lookup(SchemaKey::Id(7)), Lookup::Pending), "the first look does not wait");
    assert_eq!(until(&mut schemas, 7, &["ready"]), "ready");
    let mut of_another_lane = schemas.clone();
    assert_eq!(stub.requests.load(Ordering::SeqCst), 1);
    assert!(stub.last.lock().unwrap().contains("Basic dXNlcjpzZWNyZXQ="), "credentials are sent");
    drop(stub);
    assert_eq!(until(&mut schemas, 7, &["ready"]), "ready");
    assert_eq!(until(&mut of_another_lane, 7, &["ready"]), "ready");
}

#[test]
fn an_unreachable_registry_is_never_an_answer_and_is_asked_until_it_is_back() {
    let address = Stub::start().address.to_string();
    let registry = Registry::new(&format!("http://user:secret@{address}")).unwrap();
    let mut schemas = Schemas::built_in().with_registry(registry, Duration::ZERO).unwrap();
    let said = until(&mut schemas, 7, &["unreachable", "not found"]);
    assert!(said.starts_with("unreachable") && !said.contains("secret"), "{said}");
    let stub = Stub::on(&address);
    stub.answer("/schemas/ids/7", 200, &event_schema());
    assert_eq!(until(&mut schemas, 7, &["ready", "not found"]), "ready");
}

#[test]
fn refusals_and_strangers_are_unreachable_and_say_why() {
    let stub = Stub::start();
    stub.answer("/schemas/ids/1", 401, &json!({}));
    stub.answer("/schemas/ids/2", 503, &json!({}));
    stub.answer("/schemas/ids/3", 404, &json!({"error": "no such page"}));
    stub.answer("/schemas/ids/4", 200, &json!({"welcome": true}));
    let mut schemas = stub.schemas(Duration::ZERO);
    let wanted = ["unreachable", "not found", "unusable", "ready"];
    assert_eq!(until(&mut schemas, 1, &wanted), "unreachable HTTP 401");
    assert_eq!(until(&mut schemas, 2, &wanted), "unreachable HTTP 503");
    assert_eq!(until(&mut schemas, 3, &wanted), "unreachable HTTP 404, but not from a schema registry");
    assert_eq!(until(&mut schemas, 4, &wanted), "unreachable HTTP 200, but not from a schema registry");
}

#[test]
fn not_found_is_final_only_when_it_has_been_said_for_long_enough() {
    let stub = Stub::start();
    let mut schemas = stub.schemas(Duration::from_millis(500));
    let started = Instant::now();
    assert_eq!(until(&mut schemas, 7, &["not found"]), "not found");
    assert!(started.elapsed() >= Duration::from_millis(500));
    let asked = stub.requests.load(Ordering::SeqCst);
    assert!(asked >= 3, "{asked}");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(until(&mut schemas, 7, &["not found", "pending"]), "not found");
    assert_eq!(stub.requests.load(Ordering::SeqCst), asked, "and is believed for a while");
}

#[test]
fn a_schema_that_the_registry_learns_late_is_found() {
    let stub = Stub::start();
    let mut schemas = stub.schemas(LONG);
    assert_eq!(until(&mut schemas, 7, &["pending"]), "pending");
    while stub.requests.load(Ordering::SeqCst) < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    stub.answer("/schemas/ids/7", 200, &event_schema());
    assert_eq!(until(&mut schemas, 7, &["ready", "not found"]), "ready");
}

#[test]
fn a_schema_whose_records_are_no_events_is_unusable_and_says_why() {
    let stub = Stub::start();
    stub.answer("/schemas/ids/1", 200, &json!({"schema": "\"string\""}));
    stub.answer("/schemas/ids/2", 200, &json!({"schema": "syntax", "schemaType": "PROTOBUF"}));
    stub.answer("/schemas/ids/3", 200, &json!({"schema": "\"x\"", "references": [{"name": "x"}]}));
    let mut schemas = stub.schemas(LONG);
    assert_eq!(until(&mut schemas, 1, &["unusable"]), "unusable the schema is a string, not a record");
    assert_eq!(until(&mut schemas, 2, &["unusable"]), "unusable the schema is PROTOBUF, not Avro");
    assert!(until(&mut schemas, 3, &["unusable"]).contains("in one piece"));
}

#[test]
fn registering_gives_the_id_or_says_who_must_act() {
    let stub = Stub::start();
    let registry = stub.registry();
    let path = "/subjects/cohort-changes-value/versions";
    let register = || registry.register("cohort-changes-value", Output::CohortChange.schema());
    stub.answer(path, 200, &json!({"id": 12}));
    assert_eq!(register(), Ok(12));
    let sent = stub.last.lock().unwrap().clone();
    let body: serde_json::Value = serde_json::from_str(&sent[sent.find("\r\n\r\n").unwrap()..]).unwrap();
    assert_eq!(body["schema"], Output::CohortChange.schema());
    stub.answer(path, 409, &json!({"error_code": 409, "message": "incompatible with an earlier schema"}));
    let said = register().unwrap_err();
    assert!(matches!(&said, RegistryError::Refused(text) if text.contains("incompatible")), "{said}");
    stub.answer(path, 422, &json!({"error_code": 42201, "message": "invalid"}));
    assert!(matches!(register(), Err(RegistryError::Refused(_))));
    stub.answer(path, 500, &json!({}));
    assert_eq!(register(), Err(RegistryError::Unreachable("HTTP 500".into())));
    drop(stub);
    assert!(matches!(register(), Err(RegistryError::Unreachable(_))));
}
