//! A minimal schema registry: schemas by id and by subject, and errors on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

#[derive(Default)]
struct Content {
    /// Schema texts; the id is the place, from 1.
    schemas: Vec<String>,
    /// Ids of a subject's versions.
    subjects: BTreeMap<String, Vec<usize>>,
    /// What schemas refer to, by their ids.
    references: BTreeMap<usize, Value>,
}

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mood {
    #[default]
    Well,
    /// Closes every connection without a word.
    Down,
    /// Keeps every question to itself for longer than anybody waits.
    Hangs,
    /// With this status, whatever is asked.
    Says(u16),
}

/// Ids above it are refused by the web server alone, as Confluent's does with what is no integer.
const ID_MAX: usize = 2_000_000_000;

pub(super) struct Registry {
    pub(super) address: String,
    mood: Arc<Mutex<Mood>>,
    content: Arc<Mutex<Content>>,
    asked: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// Answers until the end of the test process.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (mood, content, asked) = (Arc::<Mutex<Mood>>::default(), Arc::<Mutex<Content>>::default(), Arc::default());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let registry = Self {
            address,
            mood: Arc::clone(&mood),
            content: Arc::clone(&content),
            asked: Arc::clone(&asked),
            heads: Arc::clone(&heads),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::SeqCst);
                let (known, heads) = (Arc::clone(&content), Arc::clone(&heads));
                // A client that hangs up in the middle is its own business.
                match *mood.lock().unwrap() {
                    Mood::Well => thread::spawn(move || answer(stream, None, &known, &heads).ok()),
                    Mood::Says(status) => thread::spawn(move || answer(stream, Some(status), &known, &heads).ok()),
                    Mood::Hangs => thread::spawn(move || {
                        thread::sleep(Duration::from_secs(60));
                        drop(stream);
                        None
                    }),
                    Mood::Down => continue,
                };
            }
        });
        registry
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Questions so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Recreated: nothing is registered, and the next schemas get other ids.
    pub(super) fn forget(&self) {
        let mut content = self.content.lock().unwrap();
        *content = Content::default();
        (0..50).for_each(|n| {
            content.register("other", &format!("{{\"type\":\"fixed\",\"name\":\"n{n}\",\"size\":1}}"));
        });
    }

    /// The id of a schema, registered if it is new.
    pub(super) fn register(&self, subject: &str, schema: &str) -> u32 {
        u32::try_from(self.content.lock().unwrap().register(subject, schema)).unwrap()
    }

    /// The id of a schema that refers to others: each a type, a subject and a version.
    pub(super) fn register_referring(&self, subject: &str, schema: &str, to: &[(&str, &str, u32)]) -> u32 {
        let id = self.register(subject, schema);
        let reference = |(name, subject, version): &(&str, &str, u32)| json!({"name": name, "subject": subject, "version": version});
        let references = to.iter().map(reference).collect();
        self.content.lock().unwrap().references.insert(usize::try_from(id).unwrap(), references);
        id
    }

    /// The lines of each request before its body, so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(super) fn subjects(&self) -> Vec<String> {
        self.content.lock().unwrap().subjects.keys().cloned().collect()
    }
}

impl Content {
    fn register(&mut self, subject: &str, schema: &str) -> usize {
        let id = self.schemas.iter().position(|known| known == schema).unwrap_or_else(|| {
            self.schemas.push(schema.to_owned());
            self.schemas.len() - 1
        }) + 1;
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        id
    }

    fn version(&self, subject: &str, id: usize) -> Option<Value> {
        let version = self.subjects.get(subject)?.iter().position(|known| *known == id)? + 1;
        let mut found = json!({"subject": subject, "id": id, "version": version, "schema": self.schemas[id - 1]});
        if let Some(references) = self.references.get(&id) {
            found["references"] = references.clone();
        }
        Some(found)
    }
}

fn answer(
    mut stream: TcpStream,
    refusal: Option<u16>,
    content: &Mutex<Content>,
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    heads.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let decoded = |part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let path: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let found = reply(method, &path, &body, &mut content.lock().unwrap());
    let beyond = matches!(path[..], ["schemas", "ids", id] if id.parse().is_ok_and(|id: usize| id > ID_MAX));
    let (status, text) = match (refusal, found) {
        (Some(status), _) => (status, json!({"error_code": status, "message": "not now"}).to_string()),
        (None, Some(found)) => (200, found.to_string()),
        (None, None) if beyond => (404, json!({"error_code": 404, "message": "HTTP 404 Not Found"}).to_string()),
        (None, None) => (404, json!({"error_code": 40403, "message": "Schema not found"}).to_string()),
    };
    write!(
        stream,
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    )
}

fn reply(method: &str, path: &[&str], body: &[u8], content: &mut Content) -> Option<Value> {
    let posted = || Some(serde_json::from_slice::<Value>(body).ok()?["schema"].as_str()?.to_owned());
    match (method, path) {
        ("GET", ["schemas", "ids", id]) => {
            let id: usize = id.parse().ok()?;
            let schema = content.schemas.get(id.checked_sub(1)?)?;
            match content.references.get(&id) {
                Some(references) => Some(json!({ "schema": schema, "references": references })),
                None => Some(json!({ "schema": schema })),
            }
        }
        ("POST", ["subjects", subject, "versions"]) => {
            let id = content.register(subject, &posted()?);
            content.version(subject, id)
        }
        ("POST", ["subjects", subject]) => {
            let schema = posted()?;
            let id = content.schemas.iter().position(|known| *known == schema)? + 1;
            content.version(subject, id)
        }
        ("GET", ["subjects"]) => Some(json!(content.subjects.keys().collect::<Vec<_>>())),
        ("GET", ["subjects", subject, "versions", "latest"]) => {
            let id = *content.subjects.get(*subject)?.last()?;
            content.version(subject, id)
        }
        ("GET", ["subjects", subject, "versions", version]) => {
            let id = *content.subjects.get(*subject)?.get(version.parse::<usize>().ok()?.checked_sub(1)?)?;
            content.version(subject, id)
        }
        _ => None,
    }
}
