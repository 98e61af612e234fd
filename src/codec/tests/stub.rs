//! A registry for tests with a prepared answer for each path.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::codec::{Access, Lookup, Registry, SchemaKey, Schemas};

/// Answers by path, over HTTP, until dropped.
pub(super) struct Stub {
    pub(super) address: SocketAddr,
    pub(super) state: Arc<State>,
    pub(super) server: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) answers: Mutex<HashMap<String, (u16, String)>>,
    pub(super) requests: AtomicUsize,
    /// Requests being answered, and the most that ever were at a time.
    pub(super) open: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) slowness: Mutex<Duration>,
    /// A path, and what its next answer waits for the end of.
    pub(super) held: Mutex<Option<(String, mpsc::Receiver<()>)>>,
    pub(super) last: Mutex<String>,
    /// Where redirects point to.
    pub(super) location: Mutex<Option<String>>,
    pub(super) stop: AtomicBool,
}

impl Stub {
    pub(super) fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                // A client that hangs up in the middle is its own business.
                thread::spawn(move || state.answer(stream).ok());
            }
        });
        Self { address, state, server: Some(server) }
    }

    pub(super) fn start() -> Self {
        Self::on("127.0.0.1:0")
    }

    pub(super) fn answer(&self, path: &str, status: u16, body: &serde_json::Value) {
        self.page(path, status, &body.to_string());
    }

    pub(super) fn page(&self, path: &str, status: u16, body: &str) {
        self.state.answers.lock().unwrap().insert(path.into(), (status, body.to_owned()));
    }

    pub(super) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Answers under this path wait until what is returned is dropped.
    pub(super) fn hold(&self, path: &str) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel();
        *self.state.held.lock().unwrap() = Some((path.to_owned(), held));
        release
    }

    pub(super) fn registry(&self) -> Registry {
        registry(&format!("http://user:secret@{}", self.address))
    }

    pub(super) fn schemas(&self, retry_for: Duration) -> Schemas {
        Schemas::built_in().with_registry(self.registry(), retry_for, None).unwrap()
    }
}

pub(super) fn registry(addresses: &str) -> Registry {
    Registry::new(addresses, Access::default()).unwrap()
}

impl State {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut input = BufReader::new(stream.try_clone()?);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        *self.last.lock().unwrap() = head + &String::from_utf8(body).unwrap();
        let unknown = (404, json!({"error_code": 40403, "message": "Schema not found"}).to_string());
        let (status, text) = self.answers.lock().unwrap().get(&path).cloned().unwrap_or(unknown);
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let slowness = *self.slowness.lock().unwrap();
        thread::sleep(slowness);
        let held = self.held.lock().unwrap().take_if(|(held, _)| *held == path);
        if let Some((_, release)) = held {
            // Nothing is sent: it ends when the other side is dropped.
            release.recv().ok();
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
        let location = self.location.lock().unwrap().as_ref().map(|place| format!("location: {place}\r\n"));
        write!(
            stream,
            "HTTP/1.1 {status} x\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{text}",
            location.unwrap_or_default(),
            text.len()
        )
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.server.take().unwrap().join().unwrap();
    }
}

pub(super) fn event_schema() -> serde_json::Value {
    json!({"schema": json!({"type": "record", "name": "E", "fields": [{"name": "customer_id", "type": "string"},
        {"name": "event", "type": "string"}, {"name": "occurred_at", "type": "long"}]}).to_string()})
}

/// Looks an id up until the answer is one of those wanted, and names it.
pub(super) fn until<T>(schemas: &mut Schemas<T>, id: u32, wanted: &[&str]) -> String {
    let started = Instant::now();
    loop {
        let (kind, text) = match schemas.lookup(SchemaKey::Id(id)) {
            Lookup::Ready(_) => ("ready", String::new()),
            Lookup::Pending => ("pending", String::new()),
            Lookup::Missing { .. } => ("missing", String::new()),
            Lookup::NoAnswer { reason, .. } => ("no answer", reason.to_string()),
            Lookup::NotFound { .. } => ("not found", String::new()),
            Lookup::Unusable(reason) => ("unusable", reason.to_string()),
        };
        if wanted.contains(&kind) {
            return format!("{kind} {text}").trim().to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{kind} {text}, not {wanted:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) const LONG: Duration = Duration::from_secs(600);
