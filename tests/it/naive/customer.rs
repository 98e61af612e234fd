//! The full history of one customer.

use std::cell::RefCell;

use cohortd::event::{Change, ChangeReason, Instant};

use super::churn::Solved;
use super::log::LogEvent;

/// Membership history keeps this many changes of each cohort.
const CHANGES_KEPT: usize = 16;

#[derive(Clone)]
pub(crate) struct Customer<'a> {
    pub(crate) id: &'a str,
    /// All accepted events, as they arrived.
    pub(crate) events: Vec<&'a LogEvent>,
    /// For each of them, the instant before which no event could arrive any more.
    pub(crate) oldest_arrivals: Vec<Instant>,
    /// In the order in which cohorts are decided.
    pub(crate) memberships: Vec<Membership>,
    /// The instants of all changes of membership and level, and of all times that a cohort was armed.
    pub(crate) changed_at: Vec<Instant>,
    /// The customer's clock: no decision is made before it.
    pub(crate) clock: Instant,
    /// The last instant decided. An event may bring it back, not behind the clock.
    pub(crate) decided: Instant,
    /// How many changes came out.
    pub(crate) sequence: u64,
    /// Index of the risk level; 0 is the lowest.
    pub(crate) level: usize,
    /// How many changes of level came out.
    pub(crate) levels: u64,
    /// Cached since the last event and the last parameters, on which alone it depends.
    pub(crate) solved: RefCell<Solved>,
}

#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) member: bool,
    pub(crate) armed: bool,
    /// Of this stay, or of the last.
    pub(crate) entered_at: Option<Instant>,
    pub(crate) left_at: Option<Instant>,
    pub(crate) first_entered_at: Option<Instant>,
    pub(crate) times_entered: u32,
    /// The latest changes, oldest first.
    pub(crate) changes: Vec<(Instant, Change)>,
    pub(crate) pending: Option<PendingChange>,
}

/// A change that is due at an instant at which the opposite one was made.
#[derive(Clone, Copy)]
pub(crate) struct PendingChange {
    /// The next millisecond.
    pub(crate) due: Instant,
    pub(crate) reason: ChangeReason,
    pub(crate) cause: Option<usize>,
}

impl<'a> Customer<'a> {
    pub(crate) fn new(id: &'a str, cohorts: usize) -> Self {
        Self {
            id,
            events: Vec::new(),
            oldest_arrivals: Vec::new(),
            memberships: (0..cohorts).map(|_| Membership::new()).collect(),
            changed_at: Vec::new(),
            clock: Instant::MIN,
            decided: Instant::MIN,
            sequence: 0,
            level: 0,
            levels: 0,
            solved: RefCell::default(),
        }
    }

    /// The customer's earliest event time, any event, whatever its name.
    pub(crate) fn known_since(&self) -> Instant {
        self.events.iter().map(|event| event.at).min().expect("a customer is known by an event")
    }
}

impl Membership {
    /// Every customer starts armed.
    fn new() -> Self {
        Self {
            member: false,
            armed: true,
            entered_at: None,
            left_at: None,
            first_entered_at: None,
            times_entered: 0,
            changes: Vec::new(),
            pending: None,
        }
    }

    pub(crate) fn enter(&mut self, now: Instant) {
        self.member = true;
        self.entered_at = Some(now);
        self.first_entered_at.get_or_insert(now);
        self.times_entered += 1;
        self.remember(now, Change::Entered);
    }

    pub(crate) fn leave(&mut self, now: Instant) {
        self.member = false;
        self.left_at = Some(now);
        self.remember(now, Change::Exited);
    }

    fn remember(&mut self, now: Instant, change: Change) {
        self.changes.push((now, change));
        if self.changes.len() > CHANGES_KEPT {
            self.changes.remove(0);
        }
    }

    /// When it was entered, or left, as far as it is remembered.
    pub(crate) fn times(&self, wanted: Change) -> impl Iterator<Item = Instant> {
        self.changes.iter().filter(move |(_, change)| *change == wanted).map(|(at, _)| *at)
    }
}
