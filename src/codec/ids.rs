//! The state of schema ids: what is known, what is being requested, and what is requested next. Independent of clock
//! and network.
//!
//! An id is requested until there is a final answer: a schema, a rejection, or "not found" repeated for long enough. Of
//! these only "not found" expires. A missing answer never counts as an answer: the id is requested until there is one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::backoff::Backoff;

/// The first pause after "not found"; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: about the time to notice that a registry is back, or a schema was registered.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long "not found" is cached.
const NOT_FOUND_FOR: Duration = Duration::from_mins(5);
/// The maximum number of cached "not found". Each costs about 50 bytes; the oldest is dropped.
const NOT_FOUND_MAX: usize = 65_536;
/// The maximum number of pending ids. Beyond that the oldest with a "not found" is given up early, and a new one is
/// requested when it is looked up again.
const OPEN_MAX: usize = 4_096;
/// The long-term rate of requests per second: some hosted registries allow no more.
const QUESTIONS_PER_SECOND: u32 = 100;
/// The burst of requests after a pause.
const QUESTIONS_AT_ONCE: u32 = 200;
/// How far a plausible new id may be above the highest known one: registries count upwards.
const PLAUSIBLE_STEP: u32 = 1_000_000;

/// The state of an id. `T`: what is compiled from its schema.
#[derive(Debug)]
pub(super) enum Asked<T> {
    Ready(Arc<T>),
    /// Requested; there is no answer yet.
    Pending,
    /// The registry does not have it, and is asked again: it may be late.
    Missing {
        since: Instant,
        lacks: MissingPart,
    },
    /// The last attempt brought no answer.
    NoAnswer {
        since: Instant,
        reason: Arc<str>,
    },
    NotFound(MissingPart),
    Unusable(Arc<str>),
}

/// What the registry lacks, if it is not the schema itself but one of its references, as text.
pub(super) type MissingPart = Option<Arc<str>>;

/// The outcome of a request.
#[derive(Debug, Clone)]
pub(super) enum Outcome<T> {
    Ready(Arc<T>),
    Unusable(Arc<str>),
    NotFound(MissingPart),
    NoAnswer(Arc<str>),
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Ask(u32),
    /// No request may be sent before then.
    At(Instant),
    Nothing,
}

/// Whether the registry answers, when that has changed or is worth another log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RegistryEvent {
    /// No answer, this many times in a row.
    NoAnswer {
        tries: u32,
        reason: Arc<str>,
    },
    AnswersAgain {
        after: Duration,
    },
}

enum Settled<T> {
    Ready(Arc<T>),
    Unusable(Arc<str>),
}

/// An id without a final answer.
struct Open {
    pause: Backoff,
    /// "Not found" was final before: one more is enough.
    once_more: bool,
    missing_since: Option<Instant>,
    lacks: MissingPart,
    unanswered: bool,
    in_flight: bool,
}

/// The registry does not answer.
struct Outage {
    since: Instant,
    tries: u32,
    reason: Arc<str>,
    pause: Backoff,
    /// The next request, one at a time.
    next: Instant,
    /// Requests sent before then were sent before this failure was known, and do not count again.
    counted: Instant,
}

/// All ids of one registry.
pub(super) struct Ids<T> {
    retry_for: Duration,
    /// At most as many as the registry has schemas.
    settled: FxHashMap<u32, Settled<T>>,
    /// When cached "not found" expire, and in which order they came.
    not_found: FxHashMap<u32, (Instant, MissingPart)>,
    not_found_order: VecDeque<u32>,
    open: FxHashMap<u32, Open>,
    /// Ids without any answer yet; these come first.
    new: VecDeque<u32>,
    /// Ids to be requested again, and when.
    again: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The oldest "not found" being requested again comes first.
    missing_order: VecDeque<u32>,
    in_flight: usize,
    outage: Option<Outage>,
    /// When all requests so far would have been sent at the long-term rate.
    paid_until: Instant,
    highest: u32,
    /// Repeated requests.
    retries: u64,
}

impl<T> Ids<T> {
    pub(super) fn new(retry_for: Duration, now: Instant) -> Self {
        Self {
            retry_for,
            settled: FxHashMap::default(),
            not_found: FxHashMap::default(),
            not_found_order: VecDeque::new(),
            open: FxHashMap::default(),
            new: VecDeque::new(),
            again: BinaryHeap::new(),
            missing_order: VecDeque::new(),
            in_flight: 0,
            outage: None,
            paid_until: now,
            highest: 0,
            retries: 0,
        }
    }

    /// What is known about an id; requests it if that was not done yet.
    pub(super) fn ask(&mut self, id: u32, now: Instant) -> Asked<T> {
        match self.settled.get(&id) {
            Some(Settled::Ready(compiled)) => return Asked::Ready(Arc::clone(compiled)),
            Some(Settled::Unusable(reason)) => return Asked::Unusable(reason.clone()),
            None => {}
        }
        if let Some(open) = self.open.get(&id) {
            return match open.missing_since {
                Some(since) => Asked::Missing { since, lacks: open.lacks.clone() },
                None => self.unanswered(),
            };
        }
        let once_more = match self.not_found.get(&id) {
            Some((until, lacks)) if now < *until => return Asked::NotFound(lacks.clone()),
            found => found.is_some(),
        };
        if self.open.len() >= OPEN_MAX && !self.give_up_oldest(now) {
            return self.unanswered();
        }
        self.not_found.remove(&id);
        let pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let open = Open { pause, once_more, missing_since: None, lacks: None, unanswered: false, in_flight: false };
        self.open.insert(id, open);
        self.new.push_back(id);
        self.unanswered()
    }

    /// For an id about which the registry has said nothing, or nothing since it was away.
    fn unanswered(&self) -> Asked<T> {
        match &self.outage {
            Some(outage) => Asked::NoAnswer { since: outage.since, reason: outage.reason.clone() },
            None => Asked::Pending,
        }
    }

    /// Was it never requested, or has its "not found" expired?
    pub(super) fn is_new(&self, id: u32, now: Instant) -> bool {
        !self.settled.contains_key(&id)
            && !self.open.contains_key(&id)
            && self.not_found.get(&id).is_none_or(|(until, _)| *until <= now)
    }

    /// Could the registry have assigned this id by counting upwards?
    pub(super) fn is_plausible(&self, id: u32) -> bool {
        id <= self.highest.saturating_add(PLAUSIBLE_STEP)
    }

    /// Counts as not found without a request.
    pub(super) fn refuse(&mut self, id: u32, now: Instant) {
        if !self.settled.contains_key(&id) && !self.open.contains_key(&id) {
            self.insert_not_found(id, None, now);
        }
    }

    /// A schema that need not be requested.
    pub(super) fn settle(&mut self, id: u32, outcome: Outcome<T>) {
        let settled = match outcome {
            Outcome::Ready(compiled) => Settled::Ready(compiled),
            Outcome::Unusable(reason) => Settled::Unusable(reason),
            Outcome::NotFound(_) | Outcome::NoAnswer(_) => return,
        };
        self.highest = self.highest.max(id);
        self.settled.insert(id, settled);
    }

    /// The number of repeated requests.
    pub(super) fn retries(&self) -> u64 {
        self.retries
    }

    /// The registry assigned an id to something else.
    pub(super) fn note_seen(&mut self, id: u32) {
        self.highest = self.highest.max(id);
    }

    /// The next request; it counts as sent, and [`answered`](Self::answered) must follow.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        self.forget_stale_entries();
        let due = match (self.new.front(), self.again.peek()) {
            (Some(_), _) => now,
            (None, Some(Reverse((at, _)))) => *at,
            (None, None) => return Next::Nothing,
        };
        let mut at = due.max(self.affordable(now));
        if let Some(outage) = &self.outage {
            if self.in_flight > 0 {
                // Its answer wakes the waiting threads.
                return Next::Nothing;
            }
            at = at.max(outage.next);
        }
        if at > now {
            return Next::At(at);
        }
        let id = match self.new.pop_front() {
            Some(id) => id,
            None => {
                self.retries += 1;
                self.again.pop().expect("it was just looked at").0.1
            }
        };
        self.paid_until = self.paid_until.max(now) + Duration::from_secs(1) / QUESTIONS_PER_SECOND;
        self.in_flight += 1;
        self.open.get_mut(&id).expect("what waits to be asked is open").in_flight = true;
        Next::Ask(id)
    }

    /// The outcome of a request that was sent at `asked`.
    pub(super) fn answered(
        &mut self,
        id: u32,
        outcome: Outcome<T>,
        asked: Instant,
        now: Instant,
    ) -> Option<RegistryEvent> {
        self.in_flight -= 1;
        let mut open = self.open.remove(&id).expect("what was asked is open");
        open.in_flight = false;
        if let Outcome::NoAnswer(reason) = outcome {
            // Whatever it said before: a registry that has just come back may not have loaded everything yet.
            (open.missing_since, open.unanswered) = (None, true);
            self.again.push(Reverse((now + open.pause.pause(), id)));
            self.open.insert(id, open);
            return self.no_answer(reason, asked, now);
        }
        let news =
            self.outage.take().map(|outage| RegistryEvent::AnswersAgain { after: now.duration_since(outage.since) });
        let Outcome::NotFound(lacks) = outcome else {
            self.settle(id, outcome);
            return news;
        };
        open.lacks = lacks;
        if open.unanswered {
            (open.unanswered, open.pause) = (false, Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
        }
        // Counted from the first "not found", not from the first request.
        let is_first = open.missing_since.is_none();
        let since = *open.missing_since.get_or_insert(now);
        let left = self.retry_for.saturating_sub(now.duration_since(since));
        if open.once_more || left.is_zero() {
            self.insert_not_found(id, open.lacks, now);
        } else {
            self.again.push(Reverse((now + open.pause.pause().min(left), id)));
            self.open.insert(id, open);
            if is_first {
                self.missing_order.push_back(id);
            }
        }
        news
    }

    fn no_answer(&mut self, reason: Arc<str>, asked: Instant, now: Instant) -> Option<RegistryEvent> {
        let outage = self.outage.get_or_insert_with(|| Outage {
            since: now,
            tries: 0,
            reason: Arc::clone(&reason),
            pause: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            next: now,
            counted: asked,
        });
        if asked < outage.counted {
            return None;
        }
        outage.tries += 1;
        outage.reason = Arc::clone(&reason);
        outage.counted = now;
        outage.next = now + outage.pause.pause();
        outage.tries.is_power_of_two().then_some(RegistryEvent::NoAnswer { tries: outage.tries, reason })
    }

    /// When the long-term rate allows the next request.
    fn affordable(&self, now: Instant) -> Instant {
        let ahead = Duration::from_secs(1) / QUESTIONS_PER_SECOND * QUESTIONS_AT_ONCE;
        self.paid_until.checked_sub(ahead).unwrap_or(now)
    }

    fn insert_not_found(&mut self, id: u32, lacks: MissingPart, now: Instant) {
        while self.not_found_order.len() >= NOT_FOUND_MAX {
            let oldest = self.not_found_order.pop_front().expect("it is not empty");
            self.not_found.remove(&oldest);
        }
        self.not_found.insert(id, (now + NOT_FOUND_FOR, lacks));
        self.not_found_order.push_back(id);
    }

    /// Frees a pending id; false if none of them has an answer.
    fn give_up_oldest(&mut self, now: Instant) -> bool {
        while let Some(id) = self.missing_order.pop_front() {
            let gives_way = |open: &Open| open.missing_since.is_some() && !open.in_flight;
            if self.open.get(&id).is_some_and(gives_way) {
                let lacks = self.open.remove(&id).and_then(|open| open.lacks);
                self.insert_not_found(id, lacks, now);
                return true;
            }
        }
        false
    }

    /// Drops ids at the front that were given up meanwhile.
    fn forget_stale_entries(&mut self) {
        let waits = |open: &FxHashMap<u32, Open>, id| open.get(&id).is_some_and(|open| !open.in_flight);
        while self.new.front().is_some_and(|id| !waits(&self.open, *id)) {
            self.new.pop_front();
        }
        while self.again.peek().is_some_and(|Reverse((_, id))| !waits(&self.open, *id)) {
            self.again.pop();
        }
        while self.missing_order.front().is_some_and(|id| !self.open.contains_key(id)) {
            self.missing_order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
