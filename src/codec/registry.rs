//! The REST API of the schema registry, as spoken by Confluent's and compatible ones.

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::StatusCode;

use super::answer::{Answer, shortened, unreachable};
use super::reach::{Access, Reach};
use super::references::{self, Given, Reference, SchemaText};
use crate::tls::Unusable;

/// How long it is trusted that there is a registry at this address, when an answer looks different.
const PROVEN_FOR: Duration = Duration::from_secs(10);
/// The characters that are encoded in a path segment: subjects may have any characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A registry, by its addresses. Calls block the caller; lanes use [`Schemas`](super::Schemas) instead.
///
/// Clones share their state.
#[derive(Clone)]
pub struct Registry {
    pub(super) reach: Arc<Reach>,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    /// Had the last call a useful answer?
    answers: AtomicBool,
    /// When the last useful answer came.
    answered: Mutex<Option<Instant>>,
    /// An id with a schema; 0: none.
    id: AtomicU32,
    /// When it last answered like a registry.
    proven: Mutex<Option<Instant>>,
}

/// The error of a call, by what the caller can do. No text contains credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No answer, or a request to retry later (429, 5xx): try again.
    #[error("the schema registry does not answer: {0}")]
    Unreachable(String),
    /// 401 or 403, or a client certificate that it rejects. A person has to act, here or there; no other address is
    /// tried with the same credentials.
    #[error("the schema registry refuses {0}")]
    Denied(String),
    /// Its certificate is not trusted: a person has to act.
    #[error("the schema registry's certificate is not trusted: {0}; schemas.ca names the authorities that are")]
    Untrusted(String),
    /// The answer is not from a schema registry, or not at this path.
    #[error("no schema registry answers at this address: {0}")]
    Foreign(String),
    /// The registry itself says that it has no such schema. It may be late: retry for a while.
    #[error("the schema registry has no such schema")]
    NotFound,
    /// It has the schema, but not one of its references. It may be late: retry for a while.
    #[error("{0}")]
    Incomplete(String),
    /// The answer is final: a person has to act.
    #[error("the schema registry's answer cannot be used: {0}")]
    Refused(String),
}

/// How a schema relates to the versions of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is registered, with this id.
    Registered(u32),
    /// It is compatible with the registered versions.
    Compatible,
    /// The subject has no versions.
    First,
}

impl RegistryError {
    /// Does it say nothing about the request?
    pub(super) fn is_no_answer(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Denied(_) | Self::Untrusted(_) | Self::Foreign(_))
    }

    /// The detail.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::NotFound => "not found",
            Self::Unreachable(words)
            | Self::Denied(words)
            | Self::Untrusted(words)
            | Self::Foreign(words)
            | Self::Incomplete(words)
            | Self::Refused(words) => words,
        }
    }
}

#[derive(Deserialize)]
struct IdAnswer {
    id: u32,
}

#[derive(Deserialize)]
struct CompatibilityAnswer {
    is_compatible: bool,
    /// The differences, if the registry reports them.
    #[serde(default)]
    messages: Vec<String>,
}

impl Registry {
    /// The registry at `addresses`: `http(s)://[user:password@]host[:port][/path]`, several separated by commas. User and
    /// password may be percent-encoded; they are sent as basic authorization and shown nowhere. Connects to nothing yet.
    ///
    /// # Errors
    /// The first setting that cannot be used: an address with another scheme or no host, or one that could be read in two
    /// ways; a file that cannot be read or holds something else.
    pub fn new(addresses: &str, access: Access<'_>) -> Result<Self, Unusable> {
        Ok(Self { reach: Arc::new(Reach::new(addresses, access)?), known: Arc::default() })
    }

    /// Had the last call a useful answer? False before the first.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.known.answers.load(Ordering::Relaxed)
    }

    /// Its addresses, without credentials.
    #[must_use]
    pub fn shown(&self) -> String {
        self.reach.shown()
    }

    /// The Avro schema with this id, and its references.
    ///
    /// # Errors
    /// See [`RegistryError`]. Schemas of another type are refused, and those that refer to themselves or to very many others.
    pub fn schema(&self, id: u32) -> Result<SchemaText, RegistryError> {
        let asked = Instant::now();
        self.note_contact(self.ask_schema(id), asked)
    }

    /// Registers an Avro schema under a subject, or finds it there; returns its id. Without permission to register, it
    /// looks for the registered one.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] with the registry's message when it finds the schema incompatible (409) or invalid
    /// (422); otherwise see [`RegistryError`].
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let asked = Instant::now();
        let answer = self.send(&format!("/subjects/{}/versions", segment(subject)), schema);
        let id = answer.and_then(|answer| match registered(&answer) {
            Err(RegistryError::NotFound) => Err(answer.failure()),
            other => other,
        });
        let id = match id {
            // Many registries may only be written by a pipeline; what that registered is as good.
            Err(refused @ (RegistryError::Denied(_) | RegistryError::Refused(_))) => {
                self.look_up(subject, schema).map_err(|_| refused)
            }
            other => other,
        };
        if let Ok(id) = id {
            self.known.id.store(id, Ordering::Relaxed);
        }
        self.note_contact(id, asked)
    }

    /// The id under which an Avro schema is registered for a subject. Changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when it is not registered there; otherwise see [`RegistryError`].
    pub fn find(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let asked = Instant::now();
        self.note_contact(self.look_up(subject, schema), asked)
    }

    /// How an Avro schema relates to the versions of a subject: to all of them, or to the latest, as the compatibility
    /// level of the subject requires. Changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] with the registry's message when the schema is incompatible or invalid; otherwise see
    /// [`RegistryError`].
    pub fn standing(&self, subject: &str, schema: &str) -> Result<Standing, RegistryError> {
        let path = segment(subject);
        let found = self.send(&format!("/subjects/{path}"), schema)?;
        if found.is_without_subject() {
            return Ok(Standing::First);
        }
        match registered(&found) {
            Ok(id) => return Ok(Standing::Registered(id)),
            Err(RegistryError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let versions = format!("/compatibility/subjects/{path}/versions");
        let mut compared = self.send(&format!("{versions}?verbose=true"), schema)?;
        if matches!(compared.status.as_u16(), 404 | 405) && !compared.is_of_a_registry() {
            // Older registries only compare with one version.
            compared = self.send(&format!("{versions}/latest"), schema)?;
        }
        match compared.status.as_u16() {
            200 => {
                let answer: CompatibilityAnswer = compared.json()?;
                if answer.is_compatible {
                    return Ok(Standing::Compatible);
                }
                let differences = answer.messages.iter().map(|message| format!(": {message}")).collect::<String>();
                let text = format!("the schema is not compatible with those of {subject}{differences}");
                Err(RegistryError::Refused(shortened(&text)))
            }
            404 if compared.is_of_a_registry() => Ok(Standing::First),
            409 | 422 => Err(RegistryError::Refused(compared.summary())),
            _ => Err(compared.failure()),
        }
    }

    /// A failed call does not count if the registry has answered another one since it was sent.
    fn note_contact<T>(&self, outcome: Result<T, RegistryError>, asked: Instant) -> Result<T, RegistryError> {
        let mut answered = self.known.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.as_ref().err().is_none_or(|error| !error.is_no_answer()) {
            *answered = Some(Instant::now());
            self.known.answers.store(true, Ordering::Relaxed);
        } else if answered.is_none_or(|at| at < asked) {
            self.known.answers.store(false, Ordering::Relaxed);
        }
        outcome
    }

    fn ask_schema(&self, id: u32) -> Result<SchemaText, RegistryError> {
        let answer = self.get(&format!("/schemas/ids/{id}"))?;
        match answer.status.as_u16() {
            200 => {}
            // The registry's code for a missing schema, subject or version.
            404 if answer.is_of_a_registry() => return Err(RegistryError::NotFound),
            // The answer of a registry's web server to an invalid id; anything else means the same as a wrong path.
            400 | 404 | 410 | 422 if self.is_proven()? => return Err(RegistryError::NotFound),
            _ => return Err(answer.failure()),
        }
        let given: Given = answer.json()?;
        self.known.id.store(id, Ordering::Relaxed);
        references::resolve(given, |reference| self.ask_reference(reference))
    }

    /// A referenced schema.
    fn ask_reference(&self, reference: &Reference) -> Result<Given, RegistryError> {
        let version = if reference.version < 0 { "latest".to_owned() } else { reference.version.to_string() };
        let answer = self.get(&format!("/subjects/{}/versions/{version}", segment(&reference.subject)))?;
        match answer.status.as_u16() {
            200 => answer.json(),
            // It has just returned the schema with the reference, so this is the answer of a registry.
            400 | 404 | 410 | 422 => Err(RegistryError::Incomplete(format!(
                "the schema refers to {reference}, which the registry does not have"
            ))),
            _ => Err(answer.failure()),
        }
    }

    /// Does it answer other requests like a registry, so that "not found" is its answer and not that of a wrong path?
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
        Ok(answer.status == StatusCode::OK && answer.json::<Given>().is_ok())
    }

    /// Reads only the beginning: the list may be very long.
    fn lists_subjects(&self) -> Result<bool, RegistryError> {
        self.reach.ask("/subjects", None, |url, shown, mut response| {
            let mut start = [0; 1];
            match response.status().as_u16() {
                200 => {
                    let read = response.body_mut().as_reader().read(&mut start);
                    Ok(read.map_err(|error| unreachable(url, &error))? == 1 && start == *b"[")
                }
                404 => Ok(false),
                _ => Err(Answer::read(url, shown, response)?.failure()),
            }
        })
    }

    fn get(&self, path: &str) -> Result<Answer, RegistryError> {
        self.reach.ask(path, None, Answer::read)
    }

    fn send(&self, path: &str, schema: &str) -> Result<Answer, RegistryError> {
        self.reach.ask(path, Some(&serde_json::json!({ "schema": schema }).to_string()), Answer::read)
    }

    fn look_up(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        registered(&self.send(&format!("/subjects/{}", segment(subject)), schema)?)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("addresses", &self.shown()).finish_non_exhaustive()
    }
}

/// The id in an answer to a schema that was sent.
fn registered(answer: &Answer) -> Result<u32, RegistryError> {
    match answer.status.as_u16() {
        200 => answer.json().map(|found: IdAnswer| found.id),
        404 if answer.is_of_a_registry() => Err(RegistryError::NotFound),
        409 | 422 => Err(RegistryError::Refused(answer.summary())),
        _ => Err(answer.failure()),
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}
