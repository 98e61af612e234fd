//! Limits the connections at one address, and decides which one is closed for a new one.
//!
//! A new connection is always accepted: if all places are taken, the one that has waited longest for a request, or for
//! its answer to be read, is closed. However many connections send nothing, send slowly, or do not read their answers,
//! a probe that sends its request at once is answered. A connection whose answer is being computed keeps its place, for
//! which the timeout of an answer is enough.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(super) struct ConnectionSlots {
    max: usize,
    /// The time from an answer to the end of the next request's headers, in which a client may read and be idle.
    idle_max: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    taken: usize,
    /// Numbers the connections in the order in which they started to wait.
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection, freed on drop.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    state: Mutex<State>,
    evicted: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The client's turn, with its number among the waiting ones.
    WaitsForClient { number: u64, since: Instant },
    /// An answer is worked out.
    Answering,
}

/// While it lives an answer is worked out.
#[derive(Debug)]
pub(super) struct Answering(Arc<ConnectionSlot>);

impl ConnectionSlots {
    pub(super) fn new(max: usize, idle_max: Duration) -> Arc<Self> {
        Arc::new(Self { max, idle_max, held: Mutex::default() })
    }

    /// A place for a new connection. `None`: answers are being computed for all of them.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Arc<ConnectionSlot>> {
        let evicted = Arc::new(Notify::new());
        let state = self.with(|held| {
            if held.taken >= self.max {
                let (_, oldest) = held.waiting.pop_first()?;
                held.taken -= 1;
                oldest.notify_one();
            }
            held.taken += 1;
            Some(held.wait(&evicted))
        })?;
        Some(Arc::new(ConnectionSlot { slots: Arc::clone(self), state: Mutex::new(state), evicted }))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    fn wait(&mut self, evicted: &Arc<Notify>) -> State {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, Arc::clone(evicted));
        State::WaitsForClient { number, since: Instant::now() }
    }
}

impl ConnectionSlot {
    /// A request has come. The client waits again once the value is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        let mut state = self.state();
        if let State::WaitsForClient { number, .. } = *state {
            // Not found: it was evicted, and closes in a moment.
            if self.slots.with(|held| held.waiting.remove(&number)).is_some() {
                *state = State::Answering;
            }
        }
        drop(state);
        Answering(Arc::clone(self))
    }

    /// Resolves when the connection must close: another one needs its place, or the client was idle for too long.
    pub(super) async fn lost(&self) {
        tokio::select! {
            () = self.evicted.notified() => {}
            () = self.overdue() => {}
        }
    }

    async fn overdue(&self) {
        loop {
            let since = match *self.state() {
                State::WaitsForClient { since, .. } => since,
                State::Answering => Instant::now(),
            };
            if since.elapsed() >= self.slots.idle_max {
                return;
            }
            sleep_until(since + self.slots.idle_max).await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if matches!(*state, State::Answering) {
            *state = self.0.slots.with(|held| held.wait(&self.0.evicted));
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let state = *self.state();
        self.slots.with(|held| match state {
            State::WaitsForClient { number, .. } => {
                // Evicted connections were already removed.
                if held.waiting.remove(&number).is_some() {
                    held.taken -= 1;
                }
            }
            State::Answering => held.taken -= 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::ConnectionSlots;

    const LONG: Duration = Duration::from_secs(60);

    /// Was the place given to another connection?
    async fn is_lost(slot: &super::ConnectionSlot) -> bool {
        tokio::select! {
            biased;
            () = slot.lost() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn whoever_has_waited_longest_gives_way_and_whoever_is_answered_does_not() {
        let slots = ConnectionSlots::new(3, LONG);
        let [a, b, c] = [0; 3].map(|_| slots.enter().unwrap());
        let answering = a.answering();
        let d = slots.enter().unwrap();
        assert_eq!((is_lost(&a).await, is_lost(&b).await, is_lost(&c).await), (false, true, false));
        drop(b);
        drop(answering);
        // It waits again, and from now on.
        let e = slots.enter().unwrap();
        assert_eq!((is_lost(&c).await, is_lost(&a).await, is_lost(&d).await), (true, false, false));
        drop(c);
        let all = [&a, &d, &e].map(|slot| slot.answering());
        assert!(slots.enter().is_none(), "nobody waits");
        drop(all);
        drop(d);
        let f = slots.enter().unwrap();
        assert!(!is_lost(&a).await && !is_lost(&e).await && !is_lost(&f).await, "one place was free");
    }

    #[tokio::test]
    async fn a_request_that_comes_with_the_eviction_brings_the_place_back_to_nobody() {
        let slots = ConnectionSlots::new(1, LONG);
        let a = slots.enter().unwrap();
        let b = slots.enter().unwrap();
        drop(a.answering());
        drop(a);
        assert!(!is_lost(&b).await);
        let c = slots.enter().unwrap();
        assert!(is_lost(&b).await);
        drop((b, c));
        assert!(slots.enter().is_some());
    }

    #[tokio::test]
    async fn whoever_is_quiet_for_too_long_is_closed_unless_an_answer_is_worked_out() {
        let idle = Duration::from_millis(20);
        let slots = ConnectionSlots::new(9, idle);
        let [silent, asking] = [0; 2].map(|_| slots.enter().unwrap());
        let answering = asking.answering();
        timeout(LONG, silent.lost()).await.unwrap();
        tokio::select! {
            () = asking.lost() => panic!("it was being answered"),
            () = sleep(3 * idle) => {}
        }
        drop(answering);
        timeout(LONG, asking.lost()).await.unwrap();
    }
}
