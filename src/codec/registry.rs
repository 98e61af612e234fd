//! The schema registry's REST interface, as Confluent's and its compatibles speak it.

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Response, StatusCode};

use super::address::{Address, BadRegistryAddress};

/// Longest wait for a connection: a host that drops packets is not worth a whole answer's time.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait for one answer, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The largest answer read, in bytes: far beyond any schema.
const MAX_ANSWER: u64 = 4 << 20;
/// The longest part of a registry's own message that is repeated, in characters.
const MAX_MESSAGE: usize = 300;
/// How long the proof is believed that a registry stands at this address, when it answers unlike one.
const PROVEN_FOR: Duration = Duration::from_secs(10);
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry, by its address. Calls block the caller; lanes ask through [`Schemas`](super::Schemas) instead.
///
/// It is reached directly: a proxy named in the environment is not used. Clones share what is known of it.
#[derive(Clone)]
pub struct Registry {
    agent: ureq::Agent,
    pub(super) address: Address,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    /// Was the last call answered to some use?
    answers: AtomicBool,
    /// When one last was.
    answered: Mutex<Option<Instant>>,
    /// An id that it has given a schema for; 0: none.
    id: AtomicU32,
    /// When it was last seen to answer as a registry does.
    proven: Mutex<Option<Instant>>,
}

/// What came of a call, by what the caller can do. No text holds credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No answer, or one that asks to come back later (429, 5xx): try again.
    #[error("the schema registry does not answer: {0}")]
    Unreachable(String),
    /// 401 or 403. Credentials may be changed on its side: try again, but say so.
    #[error("the schema registry refuses the credentials in schemas.registry: {0}")]
    Denied(String),
    /// Something answers that is no schema registry, or not at this path.
    #[error("no schema registry answers at this address: {0}")]
    Foreign(String),
    /// The registry itself says that it has no such schema. It may be late: ask again for a while.
    #[error("the schema registry has no schema with that id")]
    NotFound,
    /// The registry's answer is final: a person has to act.
    #[error("the schema registry's answer is of no use: {0}")]
    Refused(String),
}

/// How a schema stands to what is registered under a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there, with this id.
    Registered(u32),
    /// It may follow what is there.
    Compatible,
    /// Nothing is there.
    First,
}

impl RegistryError {
    /// Says nothing of what was asked for.
    pub(super) fn is_no_answer(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Denied(_) | Self::Foreign(_))
    }
}

#[derive(Deserialize)]
struct SchemaAnswer {
    schema: String,
    #[serde(default, rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize)]
struct IdAnswer {
    id: u32,
}

#[derive(Deserialize)]
struct CompatibilityAnswer {
    is_compatible: bool,
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

/// An answer, whatever it says.
struct Answer {
    url: String,
    status: StatusCode,
    body: String,
}

impl Registry {
    /// A registry at `http(s)://[user:password@]host[:port][/path]`. User and password may be percent-encoded; they are
    /// sent as basic authorization and shown nowhere. Connects to nothing yet.
    ///
    /// # Errors
    /// When the address has another scheme or no host, or could be read in two ways.
    pub fn new(address: &str) -> Result<Self, BadRegistryAddress> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_global(Some(ANSWER_WITHIN))
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .proxy(None)
            .build()
            .new_agent();
        Ok(Self { agent, address: Address::parse(address)?, known: Arc::default() })
    }

    /// Has it answered the last call to some use? False before the first.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.known.answers.load(Ordering::Relaxed)
    }

    /// Its address, without credentials.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.address.base
    }

    /// The Avro schema with this id, as JSON.
    ///
    /// # Errors
    /// See [`RegistryError`]. Schemas of another type, or with references, are refused.
    pub fn schema(&self, id: u32) -> Result<String, RegistryError> {
        let asked = Instant::now();
        self.heard(self.ask_schema(id), asked)
    }

    /// Registers an Avro schema under a subject, or finds it there; its id. Where it may not register, it looks for what
    /// is registered.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] with the registry's message when it finds the schema incompatible (409) or invalid
    /// (422); otherwise see [`RegistryError`].
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let asked = Instant::now();
        let id = match self.post(&format!("/subjects/{subject}/versions"), schema) {
            // Nobody but a pipeline may write to many a registry; what that registered is as good.
            Err(refused @ (RegistryError::Denied(_) | RegistryError::Refused(_))) => {
                self.post(&format!("/subjects/{subject}"), schema).map_err(|_| refused)
            }
            other => other,
        };
        if let Ok(id) = id {
            self.known.id.store(id, Ordering::Relaxed);
        }
        self.heard(id, asked)
    }

    /// How an Avro schema stands to what is registered under a subject. Changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] with the registry's message when the schema is incompatible or invalid; otherwise see
    /// [`RegistryError`].
    pub fn standing(&self, subject: &str, schema: &str) -> Result<Standing, RegistryError> {
        let found = self.send(&format!("/subjects/{subject}"), schema)?;
        match found.status.as_u16() {
            200 => return found.json().map(|found: IdAnswer| Standing::Registered(found.id)),
            404 if found.is_of_a_registry() => {}
            409 | 422 => return Err(RegistryError::Refused(found.summary())),
            _ => return Err(found.failure()),
        }
        let compared = self.send(&format!("/compatibility/subjects/{subject}/versions/latest"), schema)?;
        match compared.status.as_u16() {
            200 if compared.json::<CompatibilityAnswer>()?.is_compatible => Ok(Standing::Compatible),
            200 => Err(RegistryError::Refused(format!("the schema is not compatible with the latest of {subject}"))),
            404 if compared.is_of_a_registry() => Ok(Standing::First),
            409 | 422 => Err(RegistryError::Refused(compared.summary())),
            _ => Err(compared.failure()),
        }
    }

    /// A call that fails says nothing of a registry that has answered another one since it was made.
    fn heard<T>(&self, outcome: Result<T, RegistryError>, asked: Instant) -> Result<T, RegistryError> {
        let mut answered = self.known.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.as_ref().err().is_none_or(|error| !error.is_no_answer()) {
            *answered = Some(Instant::now());
            self.known.answers.store(true, Ordering::Relaxed);
        } else if answered.is_none_or(|at| at < asked) {
            self.known.answers.store(false, Ordering::Relaxed);
        }
        outcome
    }

    fn ask_schema(&self, id: u32) -> Result<String, RegistryError> {
        let answer = self.get(&format!("/schemas/ids/{id}"))?;
        match answer.status.as_u16() {
            200 => {}
            // Its own code for a missing schema, subject or version.
            404 if answer.is_of_a_registry() => return Err(RegistryError::NotFound),
            // What a registry's web server says of an id that it cannot take; anything else says the same of a wrong path.
            400 | 404 | 410 | 422 if self.is_proven()? => return Err(RegistryError::NotFound),
            _ => return Err(answer.failure()),
        }
        let found: SchemaAnswer = answer.json()?;
        if let Some(kind) = found.kind.filter(|kind| kind != "AVRO") {
            return Err(RegistryError::Refused(format!("the schema is {}, not Avro", shortened(&kind))));
        }
        if found.references.is_some_and(|references| !references.is_empty()) {
            return Err(RegistryError::Refused("the schema refers to other schemas; register it in one piece".into()));
        }
        self.known.id.store(id, Ordering::Relaxed);
        Ok(found.schema)
    }

    /// Does it answer other questions as a registry does, so that "not found" is its word and not a wrong path's?
    fn is_proven(&self) -> Result<bool, RegistryError> {
        let recent = |at: &Instant| at.elapsed() < PROVEN_FOR;
        if self.known.proven.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(recent) {
            return Ok(true);
        }
        let proven = self.gives_a_known_schema()? || self.lists_subjects()?;
        if proven {
            *self.known.proven.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(proven)
    }

    fn gives_a_known_schema(&self) -> Result<bool, RegistryError> {
        let id = self.known.id.load(Ordering::Relaxed);
        if id == 0 {
            return Ok(false);
        }
        let answer = self.get(&format!("/schemas/ids/{id}"))?;
        Ok(answer.status == StatusCode::OK && answer.json::<SchemaAnswer>().is_ok())
    }

    /// Reads only the beginning: there may be very many.
    fn lists_subjects(&self) -> Result<bool, RegistryError> {
        let url = format!("{}/subjects", self.address.base);
        let mut response = self.request(&url)?;
        let mut start = [0; 1];
        match response.status().as_u16() {
            200 => {
                let read =
                    response.body_mut().as_reader().read(&mut start).map_err(|error| unreachable(&url, &error))?;
                Ok(read == 1 && start == *b"[")
            }
            404 => Ok(false),
            _ => Err(Answer::read(url, response)?.failure()),
        }
    }

    fn get(&self, path: &str) -> Result<Answer, RegistryError> {
        let url = format!("{}{path}", self.address.base);
        let response = self.request(&url)?;
        Answer::read(url, response)
    }

    fn request(&self, url: &str) -> Result<Response<ureq::Body>, RegistryError> {
        let request = self.agent.get(url).header("accept", MEDIA_TYPE);
        let request = match &self.address.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        };
        request.call().map_err(|error| unreachable(url, &error))
    }

    /// Sends a schema; the id in the answer.
    fn post(&self, path: &str, schema: &str) -> Result<u32, RegistryError> {
        let answer = self.send(path, schema)?;
        match answer.status.as_u16() {
            200 => answer.json().map(|found: IdAnswer| found.id),
            409 | 422 => Err(RegistryError::Refused(answer.summary())),
            _ => Err(answer.failure()),
        }
    }

    fn send(&self, path: &str, schema: &str) -> Result<Answer, RegistryError> {
        let url = format!("{}{path}", self.address.base);
        let request = self.agent.post(&url).header("content-type", MEDIA_TYPE).header("accept", MEDIA_TYPE);
        let request = match &self.address.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        };
        let sent = request.send(serde_json::json!({ "schema": schema }).to_string());
        Answer::read(url.clone(), sent.map_err(|error| unreachable(&url, &error))?)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("base", &self.address.base).finish_non_exhaustive()
    }
}

impl Answer {
    fn read(url: String, mut response: Response<ureq::Body>) -> Result<Self, RegistryError> {
        let status = response.status();
        let body = response.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string();
        let body = body.map_err(|error| unreachable(&url, &error))?;
        Ok(Self { url, status, body })
    }

    /// Of a "not found": is it a registry's own, and not that of a path which leads to none?
    fn is_of_a_registry(&self) -> bool {
        (40_400..40_500).contains(&self.error().error_code)
    }

    fn error(&self) -> ErrorAnswer {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RegistryError> {
        serde_json::from_str(&self.body).map_err(|_| RegistryError::Foreign(self.summary()))
    }

    /// An answer that says nothing of what was asked for.
    fn failure(&self) -> RegistryError {
        match self.status.as_u16() {
            401 | 403 => RegistryError::Denied(self.summary()),
            408 | 425 | 429 | 500.. => RegistryError::Unreachable(self.summary()),
            _ => RegistryError::Foreign(self.summary()),
        }
    }

    /// Status, address and the registry's own words; other pages are not repeated.
    fn summary(&self) -> String {
        let message = self.error().message;
        let reason = self.status.canonical_reason().unwrap_or_default();
        let words = if message.is_empty() { reason } else { &message };
        format!("HTTP {} from {}: {}", self.status.as_u16(), self.url, shortened(words))
    }
}

fn unreachable(url: &str, error: &dyn fmt::Display) -> RegistryError {
    RegistryError::Unreachable(format!("{url}: {}", shortened(&error.to_string())))
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}
