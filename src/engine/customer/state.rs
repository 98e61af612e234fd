//! All that is remembered about one customer.

use super::deadlines::Deadlines;
use super::membership::Membership;
use super::recent_ids::RecentId;
use super::risk::Risk;
use super::spares::Spares;
use super::sparse::Sparse;
use super::standing::RankedValues;
use crate::event::stored_hash::tie_hash;
use crate::event::{Instant, Number};
use crate::fact::Fact;
use crate::prefetch::{prefetch, prefetch_ends};
use crate::rules::RuleSet;

/// One customer, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerState {
    /// The earliest event's time; `MAX` before the first.
    pub known_since: Instant,
    /// The customer's clock: no decision is made before it.
    pub clock: Instant,
    /// The earliest instant at which anything may change without further events.
    pub next_deadline: Instant,
    /// Changes emitted so far, without those of shadow cohorts.
    pub sequence: u64,
    /// This state includes every event of the log before this position, and none from it on.
    pub as_of: i64,
    /// Ids of recent events, ascending by `(at, hash)`.
    pub recent: Vec<RecentId>,
    /// By the rule set's numbers; only those with content.
    pub facts: Sparse<Fact>,
    /// By the rule set's numbers; only those that are not as at first.
    pub memberships: Sparse<Membership>,
    /// The values by which the customer is ranked, as of the last decision.
    pub ranked_values: RankedValues,
    /// Hash of the customer's id, which breaks ties in rankings; not stored, as it follows from the id.
    pub(in crate::engine) tie_hash: u64,
    pub risk: Risk,
    pub deadlines: Deadlines,
}

impl CustomerState {
    /// A customer without any event.
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
            ranked_values: rules.rankings.iter().map(|_| None).collect(),
            tie_hash: 0,
            risk: Risk::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Becomes the state of a customer without any event, and keeps the memory; that of facts goes to `spares`.
    pub(in crate::engine) fn recycle(&mut self, spares: &mut Spares) {
        self.facts.drain().for_each(|(number, fact)| spares.put(number, fact));
        self.recent.clear();
        self.memberships.clear();
        self.ranked_values.fill(None);
        self.deadlines.clear();
        (self.known_since, self.clock, self.next_deadline) = (Instant::MAX, Instant::MIN, Instant::MAX);
        (self.sequence, self.as_of, self.tie_hash, self.risk) = (0, 0, 0, Risk::default());
    }

    /// Asks for the lists to which the state points.
    pub(in crate::engine) fn prefetch_lists(&self) {
        self.facts.prefetch();
        self.memberships.prefetch();
        self.deadlines.prefetch();
        prefetch_ends(&self.recent);
        prefetch(&self.ranked_values[..]);
    }

    /// Asks for what the facts point to; their list is there by then.
    pub(in crate::engine) fn prefetch_facts(&self) {
        self.facts.iter().for_each(|(_, fact)| fact.prefetch());
    }

    /// Asks for what that points to in turn.
    pub(in crate::engine) fn prefetch_facts_deeper(&self) {
        self.facts.iter().for_each(|(_, fact)| fact.prefetch_deeper());
    }

    /// Drops what is computed and not stored, so that another engine can take the state as if it had just been read.
    pub fn forget_deadlines(&mut self) {
        self.deadlines = Deadlines::default();
    }

    /// Sets whose state it is, which breaks ties in rankings: a state that was just read does not have it.
    pub fn set_customer(&mut self, customer: &str) {
        if !self.ranked_values.is_empty() {
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
            + self.deadlines.heap_bytes()
            + self.recent.capacity() * size_of::<RecentId>()
            + self.ranked_values.len() * size_of::<Option<Number>>()
    }
}
