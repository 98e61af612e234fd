//! One customer in memory, beside their state: what timers, flushes and eviction need to know.

use crate::engine::customer::{CustomerState, RankedValues};
use crate::event::Instant;

/// A customer in memory. The slot is free where `customer` is empty.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) customer: Box<str>,
    pub(super) state: CustomerState,
    /// The earliest timer of this slot; `MAX`: none.
    pub(super) timer_at: Instant,
    /// Where the batch began that made the first change not yet flushed; `None`: clean.
    pub(super) dirty_since: Option<i64>,
    /// Flushed at least once.
    pub(super) is_stored: bool,
    /// Referenced since the clock hand last passed.
    pub(super) recent: bool,
    /// Under which deadline the stored index has this customer; `MAX`: under none. Kept for the lane, unused here.
    pub(super) indexed_at: Instant,
    /// The values by which the lane's counters count this customer.
    pub(super) reported: RankedValues,
    pub(super) bytes: usize,
    /// Changes since `bytes` was measured.
    pub(super) unmeasured: u8,
}

/// Changes of one state after which its bytes are measured again: until then they add one time to a few lists.
const UNMEASURED_MAX: u8 = 8;

/// What a resident takes besides its state's own heap: slot, map entry, timer, and the id twice.
const RESIDENT_BYTES: usize = size_of::<Resident>() + 96;

impl Resident {
    pub(super) fn new(customer: &str, state: CustomerState, indexed_at: Instant) -> Self {
        let mut resident = Self {
            customer: customer.into(),
            reported: state.ranked_values.clone(),
            state,
            timer_at: Instant::MAX,
            dirty_since: None,
            is_stored: true,
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

    pub(super) fn measured_bytes(&self) -> usize {
        RESIDENT_BYTES + 2 * self.customer.len() + self.state.heap_bytes()
    }
}
