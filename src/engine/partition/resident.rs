//! One customer in memory, beside their state: what timers, flushes and eviction need to know.

use std::borrow::Cow;

use crate::engine::customer::{CustomerState, RankedValues, as_of, decode_state, encode_state, next_deadline, places};
use crate::event::Instant;
use crate::rules::RuleSet;

/// A customer in memory. The slot is free where `customer` is empty.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) customer: Box<str>,
    pub(super) body: Body,
    /// The earliest timer of this slot; `MAX`: none.
    pub(super) timer_at: Instant,
    /// Where the batch began that made the first change not yet flushed; `None`: clean.
    pub(super) dirty_since: Option<i64>,
    /// Flushed at least once.
    pub(super) is_stored: bool,
    /// Has an entry among the decoded.
    pub(super) is_queued: bool,
    /// Referenced since the clock hand last passed.
    pub(super) recent: bool,
    /// Under which deadline the stored index has this customer; `MAX`: under none. Kept for `residents`, unused
    /// here.
    pub(super) indexed_at: Instant,
    /// The values by which the lane's counters count this customer.
    pub(super) reported: RankedValues,
    pub(super) bytes: u32,
    /// Changes since `bytes` was measured.
    pub(super) unmeasured: u8,
}

/// A customer's state in memory.
#[derive(Debug)]
pub(super) enum Body {
    /// As decisions need it.
    Decoded(Box<CustomerState>),
    /// As the store writes it, which takes a fifth of the memory: of a customer who was not referenced for a while.
    Packed(Box<[u8]>),
}

/// Changes of one state after which its bytes are measured again: until then they add one time to a few lists.
const UNMEASURED_MAX: u8 = 8;

/// What a resident takes besides their state: slot, entry of the index, timer, and what the allocator rounds up.
const RESIDENT_BYTES: usize = size_of::<Resident>() + 64;

const WRITTEN_HERE: &str = "these bytes were written by this process, under the same rules";

impl Body {
    /// What a free slot has.
    pub(super) fn none() -> Self {
        Self::Packed(Box::default())
    }

    /// A copy where it must be decoded first.
    pub(super) fn state(&self, customer: &str, rules: &RuleSet) -> Cow<'_, CustomerState> {
        match self {
            Self::Decoded(state) => Cow::Borrowed(state),
            Self::Packed(bytes) => Cow::Owned(decoded(bytes, customer, rules)),
        }
    }

    /// Decodes it where it is packed. False: it was decoded already.
    pub(super) fn unpack(&mut self, customer: &str, rules: &RuleSet) -> bool {
        let Self::Packed(bytes) = self else { return false };
        *self = Self::Decoded(Box::new(decoded(bytes, customer, rules)));
        true
    }

    /// Packs it where it is decoded; `scratch` is reused. False: it was packed already, or no event was applied to it yet.
    pub(super) fn pack(&mut self, scratch: &mut Vec<u8>) -> bool {
        if self.is_packed() || self.is_new() {
            return false;
        }
        scratch.clear();
        self.encode(scratch);
        *self = Self::Packed(scratch.as_slice().into());
        true
    }

    /// Of a state that was unpacked before.
    pub(super) fn decoded(&mut self) -> &mut CustomerState {
        match self {
            Self::Decoded(state) => state,
            Self::Packed(_) => unreachable!("whoever changes a state unpacks it first"),
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Appends the bytes of the state.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Decoded(state) => encode_state(state, out),
            Self::Packed(bytes) => out.extend_from_slice(bytes),
        }
    }

    pub(super) fn next_deadline(&self) -> Instant {
        match self {
            Self::Decoded(state) => state.next_deadline,
            Self::Packed(bytes) => next_deadline(bytes).expect(WRITTEN_HERE),
        }
    }

    pub(super) fn as_of(&self) -> i64 {
        match self {
            Self::Decoded(state) => state.as_of,
            Self::Packed(bytes) => as_of(bytes).expect(WRITTEN_HERE),
        }
    }

    /// Has no event been applied to the customer yet?
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Decoded(state) if state.known_since == Instant::MAX)
    }

    /// The customer's value in each ranking.
    pub(super) fn ranked_values(&self, rankings: usize) -> Cow<'_, RankedValues> {
        match self {
            Self::Decoded(state) => Cow::Borrowed(&state.ranked_values),
            Self::Packed(bytes) => Cow::Owned(places(bytes, rankings).expect(WRITTEN_HERE).0),
        }
    }

    /// Touches what an event of this customer will need. Returns something that depends on it.
    pub(super) fn prefetch(&self) -> i64 {
        match self {
            Self::Decoded(state) => {
                let facts = state.facts.iter().fold(0, |sum: i64, (_, fact)| sum.wrapping_add(fact.prefetch()));
                let id = state.recent.first().map_or(0, |id| id.at.0);
                let armed = state.memberships.iter().next_back().is_some_and(|(_, membership)| membership.armed);
                facts.wrapping_add(id).wrapping_add(i64::from(armed))
            }
            // One byte of each cache line.
            Self::Packed(bytes) => bytes.iter().step_by(64).map(|byte| i64::from(*byte)).sum(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Decoded(state) => size_of::<CustomerState>() + state.heap_bytes(),
            Self::Packed(bytes) => bytes.len(),
        }
    }
}

fn decoded(bytes: &[u8], customer: &str, rules: &RuleSet) -> CustomerState {
    let mut state = decode_state(bytes, rules).expect(WRITTEN_HERE);
    state.set_customer(customer);
    state
}

impl Resident {
    pub(super) fn new(customer: &str, state: CustomerState, indexed_at: Instant) -> Self {
        let mut resident = Self {
            customer: customer.into(),
            reported: state.ranked_values.clone(),
            body: Body::Decoded(Box::new(state)),
            timer_at: Instant::MAX,
            dirty_since: None,
            is_stored: true,
            is_queued: false,
            recent: true,
            indexed_at,
            bytes: 0,
            // The first change gives a new customer most of their lists.
            unmeasured: UNMEASURED_MAX - 1,
        };
        resident.bytes = resident.measured_bytes();
        resident
    }

    /// Counts a change of the state. True: `bytes` should be measured again.
    pub(super) fn count_change(&mut self) -> bool {
        self.unmeasured += 1;
        let is_due = self.unmeasured >= UNMEASURED_MAX;
        if is_due {
            self.unmeasured = 0;
        }
        is_due
    }

    pub(super) fn measured_bytes(&self) -> u32 {
        let reported = self.reported.len() * size_of_val(&None::<crate::event::Number>);
        let bytes = RESIDENT_BYTES + self.customer.len() + reported + self.body.heap_bytes();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}
