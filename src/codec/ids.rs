//! What is known of schema ids, which are being asked for, and which is asked for next. Knows no clock and no network.
//!
//! An id is asked for until there is a final answer: a schema, a refusal, or "not found" repeated for long enough. Of
//! these only "not found" is forgotten again. No answer is never an answer: the id is asked for until there is one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Reader;
use crate::backoff::Backoff;

/// Between the first "not found" and the next try; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries: about what it takes to notice that a registry, or a schema, has come.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long "not found" is believed before the id is asked for again.
const NOT_FOUND_FOR: Duration = Duration::from_mins(5);
/// Ids that are remembered as not found. Each costs about 50 bytes; the oldest makes room for the next.
const NOT_FOUND_MAX: usize = 65_536;
/// Ids that are asked for at a time. Beyond that the oldest that was not found is given up early, and a new one is asked
/// for when it is looked up again.
const OPEN_MAX: usize = 4_096;
/// Questions a second that a registry gets from this process in the long run: some hosted ones allow no more.
const QUESTIONS_PER_SECOND: u32 = 100;
/// Questions that may come at once after a rest.
const QUESTIONS_AT_ONCE: u32 = 200;
/// How far above the highest id known a new one may plausibly be: registries count upwards.
const PLAUSIBLE_STEP: u32 = 1_000_000;

/// What an id has come to.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Ready(Arc<Reader>),
    /// Asked for; there is no answer yet.
    Pending,
    /// The registry has it not, and is asked again: it may be late.
    Missing {
        since: Instant,
        lacks: Lack,
    },
    /// The last try brought no answer.
    NoAnswer {
        since: Instant,
        reason: Arc<str>,
    },
    NotFound(Lack),
    Unusable(Arc<str>),
}

/// What the registry has not, where it is not the schema itself: one that this refers to, in words.
pub(super) type Lack = Option<Arc<str>>;

/// What a question came to.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Ready(Arc<Reader>),
    Unusable(Arc<str>),
    NotFound(Lack),
    NoAnswer(Arc<str>),
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Ask(u32),
    /// Nothing may be asked before then.
    At(Instant),
    Nothing,
}

/// Whether the registry answers, where that has changed or is worth another line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// No answer, so many times in a row.
    NoAnswer {
        tries: u32,
        reason: Arc<str>,
    },
    AnswersAgain {
        after: Duration,
    },
}

enum Settled {
    Ready(Arc<Reader>),
    Unusable(Arc<str>),
}

/// An id without a final answer.
struct Open {
    pause: Backoff,
    /// "Not found" was final before: one more of it is enough.
    once_more: bool,
    missing_since: Option<Instant>,
    lacks: Lack,
    unanswered: bool,
    in_flight: bool,
}

/// The registry gives no answers.
struct Outage {
    since: Instant,
    tries: u32,
    reason: Arc<str>,
    pause: Backoff,
    /// The next question, one at a time.
    next: Instant,
    /// Questions asked before then were asked before this failure was known, and count no further.
    counted: Instant,
}

/// All ids of one registry.
pub(super) struct Ids {
    retry_for: Duration,
    /// As many as the registry has schemas.
    settled: FxHashMap<u32, Settled>,
    /// Until when "not found" is believed, and in which order that was heard.
    not_found: FxHashMap<u32, (Instant, Lack)>,
    not_found_order: VecDeque<u32>,
    open: FxHashMap<u32, Open>,
    /// Ids that nobody has answered for; these come first.
    new: VecDeque<u32>,
    /// Ids to be asked for again, by when.
    again: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The oldest "not found" that is being asked again comes first.
    missing_order: VecDeque<u32>,
    in_flight: usize,
    outage: Option<Outage>,
    /// By when all questions so far would have been asked at the long-run rate.
    paid_until: Instant,
    highest: u32,
    /// Questions that were asked before.
    retries: u64,
}

impl Ids {
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

    /// What is known of an id; asks for it unless that has been done.
    pub(super) fn ask(&mut self, id: u32, now: Instant) -> Asked {
        match self.settled.get(&id) {
            Some(Settled::Ready(reader)) => return Asked::Ready(reader.clone()),
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

    /// Of an id about which the registry has said nothing, or nothing since it was away.
    fn unanswered(&self) -> Asked {
        match &self.outage {
            Some(outage) => Asked::NoAnswer { since: outage.since, reason: outage.reason.clone() },
            None => Asked::Pending,
        }
    }

    /// Was it never asked for, or has its "not found" run out?
    pub(super) fn is_new(&self, id: u32, now: Instant) -> bool {
        !self.settled.contains_key(&id)
            && !self.open.contains_key(&id)
            && self.not_found.get(&id).is_none_or(|(until, _)| *until <= now)
    }

    /// Could the registry have given this id by counting upwards?
    pub(super) fn is_plausible(&self, id: u32) -> bool {
        id <= self.highest.saturating_add(PLAUSIBLE_STEP)
    }

    /// Counts as not found without being asked for.
    pub(super) fn refuse(&mut self, id: u32, now: Instant) {
        if !self.settled.contains_key(&id) && !self.open.contains_key(&id) {
            self.insert_not_found(id, None, now);
        }
    }

    /// A schema that need not be asked for.
    pub(super) fn settle(&mut self, id: u32, outcome: Outcome) {
        let settled = match outcome {
            Outcome::Ready(reader) => Settled::Ready(reader),
            Outcome::Unusable(reason) => Settled::Unusable(reason),
            Outcome::NotFound(_) | Outcome::NoAnswer(_) => return,
        };
        self.highest = self.highest.max(id);
        self.settled.insert(id, settled);
    }

    /// How often an id was asked for again.
    pub(super) fn retries(&self) -> u64 {
        self.retries
    }

    /// The registry gave an id for something else.
    pub(super) fn saw(&mut self, id: u32) {
        self.highest = self.highest.max(id);
    }

    /// What to ask for now; it counts as asked, and [`answered`](Self::answered) must follow.
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
                // The answer to it wakes whoever asks.
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

    /// What became of a question that was asked at `asked`.
    pub(super) fn answered(&mut self, id: u32, outcome: Outcome, asked: Instant, now: Instant) -> Option<News> {
        self.in_flight -= 1;
        let mut open = self.open.remove(&id).expect("what was asked is open");
        open.in_flight = false;
        if let Outcome::NoAnswer(reason) = outcome {
            // Whatever it said before: one that has just come back may not have read everything yet.
            (open.missing_since, open.unanswered) = (None, true);
            self.again.push(Reverse((now + open.pause.pause(), id)));
            self.open.insert(id, open);
            return self.no_answer(reason, asked, now);
        }
        let news = self.outage.take().map(|outage| News::AnswersAgain { after: now.duration_since(outage.since) });
        let Outcome::NotFound(lacks) = outcome else {
            self.settle(id, outcome);
            return news;
        };
        open.lacks = lacks;
        if open.unanswered {
            (open.unanswered, open.pause) = (false, Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
        }
        // Counted from the registry's first "not found", not from the first question.
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

    fn no_answer(&mut self, reason: Arc<str>, asked: Instant, now: Instant) -> Option<News> {
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
        outage.tries.is_power_of_two().then_some(News::NoAnswer { tries: outage.tries, reason })
    }

    /// When the long-run rate allows the next question.
    fn affordable(&self, now: Instant) -> Instant {
        let ahead = Duration::from_secs(1) / QUESTIONS_PER_SECOND * QUESTIONS_AT_ONCE;
        self.paid_until.checked_sub(ahead).unwrap_or(now)
    }

    fn insert_not_found(&mut self, id: u32, lacks: Lack, now: Instant) {
        while self.not_found_order.len() >= NOT_FOUND_MAX {
            let oldest = self.not_found_order.pop_front().expect("it is not empty");
            self.not_found.remove(&oldest);
        }
        self.not_found.insert(id, (now + NOT_FOUND_FOR, lacks));
        self.not_found_order.push_back(id);
    }

    /// Makes room among the open ids; false if none of them has an answer.
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

    /// Drops from the front what was given up meanwhile.
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
mod tests {
    use super::{Asked, Ids, NOT_FOUND_FOR, NOT_FOUND_MAX, News, Next, OPEN_MAX, Outcome, QUESTIONS_AT_ONCE};
    use std::time::{Duration, Instant};

    const RETRY_FOR: Duration = Duration::from_secs(30);

    fn unreachable() -> Outcome {
        Outcome::NoAnswer("HTTP 503".into())
    }

    fn asked(ids: &mut Ids, now: Instant) -> u32 {
        let Next::Ask(id) = ids.next(now) else { panic!("there is something to ask") };
        id
    }

    /// Asks whatever may be asked now, each question answered alike; how many were.
    fn answer_all(ids: &mut Ids, now: Instant, outcome: &Outcome) -> u32 {
        let mut asked = 0;
        while let Next::Ask(id) = ids.next(now) {
            asked += 1;
            ids.answered(id, outcome.clone(), now, now);
        }
        asked
    }

    #[test]
    fn not_found_is_final_when_it_has_been_said_for_long_enough_and_is_asked_again_later() {
        let start = Instant::now();
        let mut ids = Ids::new(RETRY_FOR, start);
        assert!(matches!(ids.ask(7, start), Asked::Pending));
        assert_eq!(answer_all(&mut ids, start, &Outcome::NotFound(None)), 1);
        assert!(matches!(ids.ask(7, start), Asked::Missing { .. }));
        let mut now = start;
        while now < start + RETRY_FOR {
            assert!(matches!(ids.ask(7, now), Asked::Missing { .. }));
            let Next::At(at) = ids.next(now) else { panic!("it is asked again") };
            now = at;
            assert_eq!(answer_all(&mut ids, now, &Outcome::NotFound(None)), 1);
        }
        assert!(matches!(ids.ask(7, now), Asked::NotFound(None)));
        assert_eq!(ids.next(now), Next::Nothing);
        // Once that has run out, one more "not found" is enough.
        let later = now + NOT_FOUND_FOR;
        assert!(matches!(ids.ask(7, later), Asked::Pending));
        answer_all(&mut ids, later, &Outcome::NotFound(None));
        assert!(matches!(ids.ask(7, later), Asked::NotFound(None)));
    }

    #[test]
    fn no_answer_is_waited_out_with_one_question_at_a_time_and_few_lines() {
        let start = Instant::now();
        let mut ids = Ids::new(RETRY_FOR, start);
        (1..=100).for_each(|id| drop(ids.ask(id, start)));
        // Eight are on their way when the first fails; the others are no failures of their own.
        let flights: Vec<u32> = (0..8).map(|_| asked(&mut ids, start)).collect();
        let mut lines: u32 =
            flights.iter().map(|id| u32::from(ids.answered(*id, unreachable(), start, start).is_some())).sum();
        let (mut now, mut questions) = (start, 0);
        while now < start + Duration::from_secs(600) {
            match ids.next(now) {
                Next::Ask(id) => {
                    questions += 1;
                    assert_eq!(ids.next(now), Next::Nothing, "one at a time");
                    lines += u32::from(ids.answered(id, unreachable(), now, now).is_some());
                }
                Next::At(at) => now = at,
                Next::Nothing => panic!("all ids are open"),
            }
        }
        assert!((100..400).contains(&questions), "{questions}");
        assert!(lines <= 9, "{lines}");
        assert!(matches!(ids.ask(50, now), Asked::NoAnswer { since, .. } if since == start));
        let id = loop {
            match ids.next(now) {
                Next::Ask(id) => break id,
                Next::At(at) => now = at,
                Next::Nothing => panic!("all ids are open"),
            }
        };
        let news = ids.answered(id, Outcome::NotFound(None), now, now);
        assert_eq!(news, Some(News::AnswersAgain { after: now.duration_since(start) }));
    }

    #[test]
    fn an_id_without_an_answer_of_its_own_does_not_stand_in_the_way_of_the_others() {
        let start = Instant::now();
        let mut ids = Ids::new(RETRY_FOR, start);
        (1..=20).for_each(|id| drop(ids.ask(id, start)));
        let mut now = start;
        while (2..=20).any(|id| !matches!(ids.ask(id, now), Asked::Unusable(_))) {
            match ids.next(now) {
                Next::Ask(1) => drop(ids.answered(1, unreachable(), now, now)),
                Next::Ask(id) => drop(ids.answered(id, Outcome::Unusable("x".into()), now, now)),
                Next::At(at) => now = at,
                Next::Nothing => panic!("one is still open"),
            }
        }
        assert!(now < start + Duration::from_secs(10), "{:?}", now - start);
    }

    #[test]
    fn what_is_remembered_of_ids_that_nobody_has_is_bounded() {
        let start = Instant::now();
        let mut ids = Ids::new(RETRY_FOR, start);
        let mut now = start;
        for id in 0..100_000 {
            ids.ask(id, now);
            if id % 100 == 0 {
                now += Duration::from_secs(1);
                answer_all(&mut ids, now, &Outcome::NotFound(None));
            }
        }
        assert!(ids.open.len() <= OPEN_MAX, "{}", ids.open.len());
        assert!(ids.not_found.len() <= NOT_FOUND_MAX && ids.not_found_order.len() <= NOT_FOUND_MAX);
        assert!(ids.missing_order.len() <= 2 * OPEN_MAX && ids.again.len() <= 4 * OPEN_MAX);
    }

    #[test]
    fn the_registry_is_asked_no_more_than_so_often_and_new_ids_come_first() {
        let start = Instant::now();
        let mut ids = Ids::new(RETRY_FOR, start);
        (0..1_000).for_each(|id| drop(ids.ask(id, start)));
        let mut asked = answer_all(&mut ids, start, &Outcome::NotFound(None));
        assert!(asked <= QUESTIONS_AT_ONCE + 1, "{asked}");
        let mut now = start;
        while ids.new.front().is_some() {
            now += Duration::from_millis(100);
            asked += answer_all(&mut ids, now, &Outcome::NotFound(None));
        }
        assert!(asked < 1_100, "those that were not found wait for the new ones: {asked}");
        assert!(now - start < Duration::from_secs(12), "{:?}", now - start);
    }

    #[test]
    fn ids_far_beyond_what_the_registry_has_counted_to_are_not_plausible() {
        let now = Instant::now();
        let mut ids = Ids::new(RETRY_FOR, now);
        ids.saw(100_001);
        assert!(ids.is_plausible(100_900) && !ids.is_plausible(0x0a63_6f6e));
        assert!(ids.is_new(9, now));
        ids.refuse(9, now);
        assert!(!ids.is_new(9, now) && matches!(ids.ask(9, now), Asked::NotFound(None)));
    }
}
