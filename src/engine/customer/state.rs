//! All that is remembered about one customer.

use super::membership::Membership;
use super::recent_ids::RecentId;
use super::risk::Risk;
use super::sparse::Sparse;
use super::standing::Places;
use crate::event::stored_hash::tie_hash;
use crate::event::{Instant, Number};
use crate::fact::Fact;
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
    pub(in crate::engine) tie_hash: u64,
    pub risk: Risk,
    pub deadlines: Deadlines,
}

/// When each cohort must next be looked at. Equal to any other: it can be computed again at any time.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// By the rule set's numbers; a cohort that is not here changes only by events.
    pub by_cohort: Sparse<Instant>,
    /// When each place in a ranking may change by time alone, as far as computed since the state was read; not stored.
    pub(in crate::engine) by_ranking: Vec<Instant>,
    /// When the level of risk rises; `MAX`: never by time alone.
    pub risk: Instant,
    /// The last instant that was decided. None: nothing is known, look at every cohort.
    pub decided_at: Option<Instant>,
    /// How often the engine's thresholds had been set by then; of a state just read nobody knows.
    pub(in crate::engine) thresholds_set: u32,
}

impl Deadlines {
    pub(in crate::engine) fn set(&mut self, cohort: usize, deadline: Instant) {
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
    pub(in crate::engine) fn release(&mut self) {
        self.recent = Vec::new();
        self.facts = Sparse::new();
        self.memberships = Sparse::new();
        self.places = Box::default();
        self.risk = Risk::default();
        self.deadlines = Deadlines::default();
    }

    /// Says whose state it is, which breaks ties where customers are ranked: a state that was just read does not know.
    pub fn set_customer(&mut self, customer: &str) {
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
