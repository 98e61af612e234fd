//! All that is remembered about one customer.

use super::chain::Chain;
use super::days::{Bought, Used};
use super::periods::Period;
use super::rank::Places;
use super::risk::Risk;
use super::sparse::Sparse;
use super::stored_hash::tie_hash;
use crate::event::{ChangeReason, Instant, Kept, Number};
use crate::rules::RuleSet;

/// One customer, decoded. Its bytes are the store's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerState {
    /// The earliest event's time; `MAX` before the first.
    pub known_since: Instant,
    /// The customer's clock `C`: decisions never go back behind it.
    pub clock: Instant,
    /// The earliest instant at which anything may change if the customer stays silent.
    pub next_deadline: Instant,
    /// Changes emitted so far: those of cohorts in the shadow are not among them.
    pub sequence: u64,
    /// This state includes every event of the log before this position, and none from it on.
    pub as_of: i64,
    /// Ids of recent events, ascending by `(at, hash)`.
    pub recent: Vec<RecentId>,
    /// By the rule set's numbers; only those with content.
    pub facts: Sparse<Fact>,
    /// By the rule set's numbers; only those that are not as at first.
    pub memberships: Sparse<Membership>,
    /// By what the customer is ranked, as of the last decision.
    pub places: Places,
    /// Of the customer's id; follows from it, so it is not stored.
    pub(super) tie_hash: u64,
    pub risk: Risk,
    pub deadlines: Deadlines,
}

/// When each cohort must next be looked at. Equal to any other: it can be computed again at any time.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// By the rule set's numbers; a cohort that is not here changes only by events.
    pub by_cohort: Sparse<Instant>,
    /// When each place in a ranking may change by time alone, as far as computed since the state was read; not stored.
    pub(super) by_ranking: Vec<Instant>,
    /// When the level of risk rises; `MAX`: never by time alone.
    pub risk: Instant,
    /// The last instant that was decided. None: nothing is known, look at every cohort.
    pub decided_at: Option<Instant>,
    /// How often the engine's thresholds had been set by then; of a state just read nobody knows.
    pub(super) thresholds_set: u32,
}

impl Deadlines {
    pub(super) fn set(&mut self, cohort: usize, deadline: Instant) {
        if deadline < Instant::MAX {
            self.by_cohort.put(cohort, deadline);
        } else {
            self.by_cohort.remove(cohort);
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            by_cohort: Sparse::new(),
            by_ranking: Vec::new(),
            risk: Instant::MAX,
            decided_at: None,
            thresholds_set: u32::MAX,
        }
    }
}

impl PartialEq for Deadlines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Deadlines {}

/// One event's identity, by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecentId {
    pub at: Instant,
    pub hash: u64,
}

/// The content of one fact; which variant it is follows from the rule set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Ascending.
    Times(Vec<Instant>),
    Total(Box<Total>),
    Series(Box<Series>),
    Distinct(Box<Distinct>),
    /// Ascending by key.
    Followed(Vec<Pair>),
    Chain(Box<Chain>),
    /// Ascending by number.
    Periods(Vec<Period>),
    /// The least or greatest number so far.
    Extreme(Option<Box<Number>>),
    Values(Box<Values>),
    /// Ascending by time.
    Answer(Vec<Encounter>),
    Steps(Box<Steps>),
    Bought(Box<Bought>),
    Used(Box<Used>),
}

/// How many there were, and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    pub count: u64,
    pub sum: Number,
}

/// Times of different keys, or all times with their keys: ascending by `(time, key)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distinct {
    pub times: Vec<Instant>,
    /// As long as `times`.
    pub keys: Vec<u64>,
}

/// Times with values of any type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values {
    /// Ascending by `(time, value)`.
    pub times: Vec<Instant>,
    /// As long as `times`.
    pub values: Vec<Kept>,
}

/// The A's and B's of `time from A to B` at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encounter {
    pub at: Instant,
    /// At least one is an A and no B.
    pub a: bool,
    /// At least one is a B and no A.
    pub b: bool,
    /// How many are both; counted up to 2.
    pub both: u8,
}

impl Encounter {
    pub(super) fn has_a(&self) -> bool {
        self.a || self.both > 0
    }

    pub(super) fn has_b(&self) -> bool {
        self.b || self.both > 0
    }

    /// Is there an A and another event that is a B?
    pub(super) fn answers_itself(&self) -> bool {
        (self.has_a() && self.b) || (self.a && self.has_b()) || self.both > 1
    }
}

/// What lies after the latest A.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steps {
    pub a: Option<Instant>,
    /// B's after it: the first, and those that would be the first after a late A.
    pub b: Vec<Instant>,
    /// Counted steps that no event to come can make void, and are therefore not among `via`.
    pub settled: u64,
    /// The other steps, ascending; those after the first B too, for the sake of a late A.
    pub via: Vec<Instant>,
}

/// Times with numbers: the latest one by one, older ones by day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    /// Ascending by day, all older than the oldest of `times`.
    pub days: Vec<DayBucket>,
    /// Ascending by `(time, number)`.
    pub times: Vec<Instant>,
    /// As long as `times`, or empty where the fact has no property.
    pub numbers: Vec<Number>,
}

/// The events of one UTC day that are no longer held one by one; they count as if all were at `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBucket {
    /// Days since 1970-01-01 UTC.
    pub day: i64,
    pub last: Instant,
    pub count: u64,
    pub sum: Number,
}

/// What is open for one key of `A then no B`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Hash of the key's value; 0 where the rule names no key.
    pub key: u64,
    /// The latest B; `MIN` before the first.
    pub b_at: Instant,
    /// How many B's at that very instant; counted up to 2.
    pub b_count: u8,
    /// A's at or after the latest B, ascending; only the latest where the rule looks at no other.
    pub a: Vec<Opening>,
}

/// The A's at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    pub at: Instant,
    /// At least one of them is not a B as well.
    pub plain: bool,
    /// At least one of them is also a B.
    pub also_b: bool,
}

/// A customer's standing in one cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub member: bool,
    /// May enter. Everyone starts armed.
    pub armed: bool,
    /// Start of the present or last stay; `MIN` before the first.
    pub entered_at: Instant,
    /// End of the last stay; `MIN` before the first.
    pub exited_at: Instant,
    /// `MIN` before the first.
    pub first_entered_at: Instant,
    pub times_entered: u32,
    /// The last 16 changes, ascending; kept only where a rule asks for them. True: entered.
    pub history: Vec<(Instant, bool)>,
    /// A change that was wanted at an instant at which it is not allowed; decided at the next millisecond.
    pub wish: Option<Box<Wish>>,
}

/// Why a change is wanted that must wait a millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
}

/// The event that caused a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCause {
    pub event: String,
    pub event_id: Option<String>,
    /// Its log position.
    pub position: i64,
}

impl Membership {
    /// Changes of membership that are remembered.
    pub const HISTORY_MAX: usize = 16;

    #[must_use]
    pub const fn new() -> Self {
        Self {
            member: false,
            armed: true,
            entered_at: Instant::MIN,
            exited_at: Instant::MIN,
            first_entered_at: Instant::MIN,
            times_entered: 0,
            history: Vec::new(),
            wish: None,
        }
    }

    /// As at first: then it is not kept.
    #[must_use]
    pub fn is_new(&self) -> bool {
        // Who has left or is a member has entered before.
        self.armed && self.times_entered == 0 && self.wish.is_none()
    }
}

impl Membership {
    fn heap_bytes(&self) -> usize {
        let text = |cause: &EventCause| cause.event.capacity() + cause.event_id.as_ref().map_or(0, String::capacity);
        let wish = self.wish.as_ref().map_or(0, |wish| size_of::<Wish>() + wish.cause.as_ref().map_or(0, text));
        self.history.capacity() * size_of::<(Instant, bool)>() + wish
    }

    /// Adds a change to the history; over capacity the oldest goes.
    pub(super) fn remember(&mut self, at: Instant, entered: bool) {
        if self.history.len() == Self::HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push((at, entered));
    }
}

impl Default for Membership {
    fn default() -> Self {
        Self::new()
    }
}

impl CustomerState {
    /// A customer of whom nothing is known.
    #[must_use]
    pub fn new(rules: &RuleSet) -> Self {
        Self {
            known_since: Instant::MAX,
            clock: Instant::MIN,
            next_deadline: Instant::MAX,
            sequence: 0,
            as_of: 0,
            recent: Vec::new(),
            facts: Sparse::new(),
            memberships: Sparse::new(),
            places: rules.rankings.iter().map(|_| None).collect(),
            tie_hash: 0,
            risk: Risk::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Forgets what was computed and is not stored, as if the state had just been read: for another engine.
    pub fn forget_deadlines(&mut self) {
        self.deadlines = Deadlines::default();
    }

    /// Gives back all memory that it holds; what is left stands for nobody.
    pub(super) fn release(&mut self) {
        self.recent = Vec::new();
        self.facts = Sparse::new();
        self.memberships = Sparse::new();
        self.places = Box::default();
        self.risk = Risk::default();
        self.deadlines = Deadlines::default();
    }

    /// Says whose it is, which where customers are ranked breaks ties; a state just read does not know.
    pub fn belongs_to(&mut self, customer: &str) {
        if !self.places.is_empty() {
            self.tie_hash = tie_hash(customer);
        }
    }

    /// About how many bytes it takes in memory, with its own heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let facts: usize = self.facts.iter().map(|(_, fact)| fact.heap_bytes()).sum();
        let memberships: usize = self.memberships.iter().map(|(_, m)| m.heap_bytes()).sum();
        facts
            + memberships
            + self.facts.heap_bytes()
            + self.memberships.heap_bytes()
            + self.deadlines.by_cohort.heap_bytes()
            + self.recent.capacity() * size_of::<RecentId>()
            + self.places.len() * size_of::<Option<Number>>()
            + self.deadlines.by_ranking.capacity() * size_of::<Instant>()
    }
}
