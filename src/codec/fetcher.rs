//! The thread that asks the registry, and what it has learned.
//!
//! An id is asked for until there is a final answer: a schema, a refusal, or "not found" repeated for long enough. Of
//! these only "not found" is forgotten again, after a while. An unreachable registry is never an answer.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, panic, thread};

use rustc_hash::FxHashMap;

use super::registry::RegistryError;
use super::{Reader, Registry};

/// Between the first and the second try; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long "not found" is believed before it is asked again.
const NOT_FOUND_FOR: Duration = Duration::from_mins(5);

/// A request for a schema.
pub(super) struct Ask {
    id: u32,
    /// "Not found" was final before: one more of it is enough.
    again: bool,
}

/// What the threads have learned of each id asked for.
#[derive(Default)]
pub(super) struct Shared {
    outcomes: Mutex<FxHashMap<u32, Outcome>>,
}

enum Outcome {
    Known(Asked),
    NotFound { until: Instant },
}

/// What an id has come to.
#[derive(Clone)]
pub(super) enum Asked {
    Ready(Arc<Reader>),
    Pending,
    Unreachable { since: Instant, reason: Arc<str> },
    NotFound,
    Unusable(Arc<str>),
}

/// Starts the thread; it ends when every sender is gone.
pub(super) fn start(registry: Registry, retry_for: Duration) -> io::Result<(Sender<Ask>, Arc<Shared>)> {
    let shared = Arc::new(Shared::default());
    let (sender, requests) = channel();
    let fetcher = Fetcher { registry, retry_for, shared: shared.clone(), waiting: Vec::new() };
    thread::Builder::new().name("schemas".into()).spawn(move || fetcher.run(&requests))?;
    Ok((sender, shared))
}

impl Shared {
    /// What is known of an id; asks for it unless that has been done.
    pub(super) fn ask(&self, id: u32, requests: &Sender<Ask>) -> Asked {
        let mut outcomes = self.outcomes();
        let again = match outcomes.get(&id) {
            Some(Outcome::Known(known)) => return known.clone(),
            Some(Outcome::NotFound { until }) if Instant::now() < *until => return Asked::NotFound,
            Some(Outcome::NotFound { .. }) => true,
            None => false,
        };
        let outcome = match requests.send(Ask { id, again }) {
            Ok(()) => Asked::Pending,
            Err(_) => Asked::Unreachable { since: Instant::now(), reason: "its thread has ended".into() },
        };
        outcomes.insert(id, Outcome::Known(outcome.clone()));
        outcome
    }

    fn outcomes(&self) -> MutexGuard<'_, FxHashMap<u32, Outcome>> {
        // Entries are replaced whole, so a thread that ended in the middle left none half-written.
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id without a final answer.
struct Waiting {
    id: u32,
    next_try: Instant,
    pause: Duration,
    again: bool,
    not_found_since: Option<Instant>,
    unreachable_since: Option<Instant>,
}

struct Fetcher {
    registry: Registry,
    retry_for: Duration,
    shared: Arc<Shared>,
    waiting: Vec<Waiting>,
}

impl Fetcher {
    fn run(mut self, requests: &Receiver<Ask>) {
        loop {
            let ask = match self.waiting.iter().map(|waiting| waiting.next_try).min() {
                Some(next) => match requests.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Ok(ask) => Some(ask),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match requests.recv() {
                    Ok(ask) => Some(ask),
                    Err(_) => return,
                },
            };
            if let Some(Ask { id, again }) = ask {
                self.waiting.push(Waiting {
                    id,
                    next_try: Instant::now(),
                    pause: FIRST_PAUSE,
                    again,
                    not_found_since: None,
                    unreachable_since: None,
                });
                // All that has been asked is noted before the first answer is waited for.
                continue;
            }
            let now = Instant::now();
            let (due, rest) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.next_try <= now);
            self.waiting = rest;
            for waiting in due {
                let again = self.attempt(waiting);
                self.waiting.extend(again);
            }
        }
    }

    /// Asks once; what remains to be asked.
    fn attempt(&self, mut waiting: Waiting) -> Option<Waiting> {
        let answer = self.registry.schema(waiting.id);
        let now = Instant::now();
        let outcome = match answer {
            Ok(text) => Outcome::Known(compile(&text)),
            Err(RegistryError::Refused(reason)) => Outcome::Known(Asked::Unusable(reason.into())),
            Err(RegistryError::NotFound) => {
                waiting.unreachable_since = None;
                // Counted from the registry's first "not found", not from the first request: one that has just come back
                // may not have read everything yet.
                let since = *waiting.not_found_since.get_or_insert(now);
                if waiting.again || now.duration_since(since) >= self.retry_for {
                    Outcome::NotFound { until: now + NOT_FOUND_FOR }
                } else {
                    Outcome::Known(Asked::Pending)
                }
            }
            Err(RegistryError::Unreachable(reason)) => {
                waiting.not_found_since = None;
                let since = *waiting.unreachable_since.get_or_insert(now);
                Outcome::Known(Asked::Unreachable { since, reason: reason.into() })
            }
        };
        let open = matches!(outcome, Outcome::Known(Asked::Pending | Asked::Unreachable { .. }));
        self.shared.outcomes().insert(waiting.id, outcome);
        open.then(|| {
            waiting.next_try = now + waiting.pause;
            waiting.pause = (waiting.pause * 2).min(LONGEST_PAUSE);
            waiting
        })
    }
}

fn compile(text: &str) -> Asked {
    // The schema comes from outside and its parser is not ours: a panic must not end the thread for all other ids.
    match panic::catch_unwind(|| Reader::compile(text)) {
        Ok(Ok(reader)) => Asked::Ready(Arc::new(reader)),
        Ok(Err(error)) => Asked::Unusable(error.to_string().into()),
        Err(_) => Asked::Unusable("the schema cannot be compiled".into()),
    }
}
