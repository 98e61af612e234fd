//! The threads that request schemas from the registry, and their results.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, panic, thread};

use super::cache::SchemaCache;
use super::from_schema::FromSchema;
use super::ids::{Asked, Ids, Next, Outcome, RegistryEvent};
use super::registry::RegistryError;
use super::schema::WriterSchema;
use super::{Registry, SchemaText};

/// Concurrent requests to the registry.
const THREADS: usize = 8;

/// A registry and what is known about its ids. Its threads end when it is dropped.
pub(super) struct Fetcher<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    registry: Registry,
    retry_for: Duration,
    cache: Option<SchemaCache>,
    state: Mutex<State<T>>,
    /// There is a request to send, or the fetcher was closed.
    wake: Condvar,
}

struct State<T> {
    ids: Ids<T>,
    closed: bool,
}

impl<T: FromSchema> Fetcher<T> {
    /// Starts the threads. The contents of the cache are available at once.
    pub(super) fn start(registry: Registry, retry_for: Duration, cache: Option<SchemaCache>) -> io::Result<Self> {
        let mut ids = Ids::new(retry_for, Instant::now());
        for (id, text) in cache.iter().flat_map(SchemaCache::schemas) {
            ids.settle(id, compile(&text));
        }
        let state = Mutex::new(State { ids, closed: false });
        let shared = Arc::new(Shared { registry, retry_for, cache, state, wake: Condvar::new() });
        let fetcher = Self { shared: Arc::clone(&shared) };
        for number in 0..THREADS {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("schemas-{number}")).spawn(move || shared.work())?;
        }
        Ok(fetcher)
    }
}

impl<T> Fetcher<T> {
    pub(super) fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    pub(super) fn retry_for(&self) -> Duration {
        self.shared.retry_for
    }

    pub(super) fn cache(&self) -> Option<&SchemaCache> {
        self.shared.cache.as_ref()
    }

    /// What is known about an id; requests it if that was not done yet.
    pub(super) fn ask(&self, id: u32) -> Asked<T> {
        let asked = self.shared.state().ids.ask(id, Instant::now());
        if matches!(asked, Asked::Pending | Asked::NoAnswer { .. }) {
            self.shared.wake.notify_one();
        }
        asked
    }

    /// The number of repeated requests, after no or no final answer.
    pub(super) fn retries(&self) -> u64 {
        self.shared.state().ids.retries()
    }

    /// Was it never requested?
    pub(super) fn is_new(&self, id: u32) -> bool {
        self.shared.state().ids.is_new(id, Instant::now())
    }

    /// Treats an id as not found without a request, if the registry cannot plausibly have assigned it.
    pub(super) fn refuse_implausible(&self, id: u32) {
        let ids = &mut self.shared.state().ids;
        if !ids.is_plausible(id) {
            ids.refuse(id, Instant::now());
        }
    }

    /// The registry assigned this id to an output schema.
    pub(super) fn note_seen(&self, id: u32) {
        self.shared.state().ids.note_seen(id);
    }
}

impl<T> Drop for Fetcher<T> {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.wake.notify_all();
    }
}

impl<T: FromSchema> Shared<T> {
    fn work(&self) {
        let mut state = self.state();
        while !state.closed {
            match state.ids.next(Instant::now()) {
                Next::Ask(id) => {
                    drop(state);
                    let asked = Instant::now();
                    let outcome = self.fetch(id);
                    state = self.state();
                    let news = state.ids.answered(id, outcome, asked, Instant::now());
                    drop(state);
                    self.wake.notify_all();
                    news.into_iter().for_each(|news| self.log(&news));
                    state = self.state();
                }
                Next::At(at) => {
                    let pause = at.saturating_duration_since(Instant::now());
                    state = self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
                }
                Next::Nothing => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn fetch(&self, id: u32) -> Outcome<T> {
        match self.registry.schema(id) {
            Ok(text) => {
                if let Some(cache) = &self.cache {
                    cache.keep(id, &text);
                }
                compile(&text)
            }
            Err(RegistryError::NotFound) => Outcome::NotFound(None),
            Err(RegistryError::Incomplete(lacks)) => Outcome::NotFound(Some(lacks.into())),
            Err(RegistryError::Refused(reason)) => Outcome::Unusable(reason.into()),
            Err(error) => Outcome::NoAnswer(error.to_string().into()),
        }
    }

    fn log(&self, news: &RegistryEvent) {
        let registry = self.registry.shown();
        match news {
            RegistryEvent::NoAnswer { tries, reason } => {
                tracing::warn!(registry, tries, "Fetching a schema failed; retrying: {reason}.");
            }
            RegistryEvent::AnswersAgain { after } => {
                tracing::info!(registry, seconds = after.as_secs(), "The schema registry answers again.");
            }
        }
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Only compiling a schema can panic, and the lock is released then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compile<T: FromSchema>(text: &SchemaText) -> Outcome<T> {
    // The schema comes from outside and its parser is a library: a panic must not end the thread for all other ids.
    match panic::catch_unwind(|| WriterSchema::of_text(text).and_then(T::from_schema)) {
        Ok(Ok(compiled)) => Outcome::Ready(Arc::new(compiled)),
        Ok(Err(error)) => Outcome::Unusable(error.to_string().into()),
        Err(_) => Outcome::Unusable("the schema cannot be compiled".into()),
    }
}
