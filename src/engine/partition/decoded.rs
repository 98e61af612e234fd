//! The customers whose state is decoded: those of recent events, as many as there is memory for. To decode a state and
//! to encode it again costs as much as a third of an event. The memory of a customer who is packed serves the next ones.

use super::slot::Slot;
use crate::bytes::Read;
use crate::engine::customer::{CustomerState, Spares};
use crate::prefetch::prefetch;
use crate::rules::RuleSet;

/// Customers at least, however little memory there is.
const LEAST: usize = 64;
/// Bytes of most decoded states.
const DECODED_BYTES: usize = 3_072;
/// Places of customers who were packed that keep their memory for the next ones.
const REUSED_PLACES: usize = 256;
/// A decoded state that takes more is not used again for another customer.
const REUSED_MAX: usize = 32 << 10;
/// Changes of one state after which its bytes are measured again: until then they add one time to a few lists.
const UNMEASURED_MAX: u8 = 8;

/// A customer's state as decisions need it.
#[derive(Debug)]
struct Decoded {
    slot: Slot,
    state: CustomerState,
    /// Referenced since the clock hand last passed.
    recent: bool,
    /// Changed since it was decoded: the packed bytes are another state.
    changed: bool,
    /// About what it takes in memory; 0: there is no customer here.
    bytes: u32,
    /// Changes since `bytes` was measured.
    unmeasured: u8,
}

/// The decoded states, by place.
#[derive(Debug)]
#[expect(clippy::vec_box, reason = "when the list grows, pointers are moved, and no states")]
pub(super) struct DecodedStates {
    entries: Vec<Box<Decoded>>,
    free: Vec<u32>,
    /// The hand of the clock that picks those to pack.
    hand: usize,
    spares: Spares,
    bytes: usize,
    /// Bytes that they may take, about.
    limit: usize,
}

impl DecodedStates {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), hand: 0, spares: Spares::default(), bytes: 0, limit: usize::MAX }
    }

    /// About what they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Customers whose state is decoded.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Sets how much memory they may take, about; at first there is no limit.
    pub(super) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Must one be packed before another customer is decoded?
    pub(super) fn is_full(&self) -> bool {
        self.bytes + DECODED_BYTES > self.limit && self.len() >= LEAST
    }

    /// The next customer to pack: one who was not referenced since the hand last passed. `None`: there is nobody.
    pub(super) fn victim(&mut self) -> Option<(usize, Slot)> {
        for _ in 0..2 * self.entries.len() {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &mut self.entries[self.hand];
            if entry.bytes > 0 && !std::mem::take(&mut entry.recent) {
                return Some((self.hand, entry.slot));
            }
        }
        None
    }

    /// Asks for the pointer to a state.
    pub(super) fn prefetch_place(&self, place: usize) {
        prefetch(&self.entries[place]);
    }

    /// Asks for a state's own memory, and what is noted of it; the pointer to them is there by then.
    pub(super) fn prefetch(&self, place: usize) {
        prefetch(&*self.entries[place]);
    }

    pub(super) fn state(&self, place: usize) -> &CustomerState {
        &self.entries[place].state
    }

    /// The state, to be changed.
    #[inline]
    pub(super) fn state_mut(&mut self, place: usize) -> &mut CustomerState {
        let entry = &mut self.entries[place];
        (entry.recent, entry.changed) = (true, true);
        &mut entry.state
    }

    /// Has it changed since it was decoded?
    pub(super) fn is_changed(&self, place: usize) -> bool {
        self.entries[place].changed
    }

    /// Decodes the state of a customer by `read`, and returns its place.
    pub(super) fn add(
        &mut self,
        slot: Slot,
        rules: &RuleSet,
        read: impl FnOnce(&mut CustomerState, &mut Spares) -> Read<()>,
    ) -> Read<usize> {
        let place = match self.free.pop() {
            Some(place) => place as usize,
            None => {
                let state = CustomerState::new(rules);
                let entry = Decoded { slot, state, recent: true, changed: false, bytes: 0, unmeasured: 0 };
                self.entries.push(Box::new(entry));
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[place];
        (entry.slot, entry.recent, entry.changed) = (slot, true, false);
        if let Err(damage) = read(&mut entry.state, &mut self.spares) {
            entry.state = CustomerState::new(rules);
            self.free.push(place as u32);
            return Err(damage);
        }
        self.measure(place);
        // The first change gives a new customer most of their lists.
        self.entries[place].unmeasured = UNMEASURED_MAX - 1;
        Ok(place)
    }

    /// Takes the customer's state away.
    pub(super) fn remove(&mut self, place: usize, rules: &RuleSet) {
        let entry = &mut self.entries[place];
        let bytes = std::mem::take(&mut entry.bytes) as usize;
        self.bytes -= bytes;
        if bytes > REUSED_MAX || self.free.len() >= REUSED_PLACES {
            entry.state = CustomerState::new(rules);
        } else {
            entry.state.recycle(&mut self.spares);
        }
        self.free.push(place as u32);
    }

    /// Counts a change of a state, which is measured from time to time.
    pub(super) fn count_change(&mut self, place: usize) {
        let entry = &mut self.entries[place];
        entry.unmeasured += 1;
        if entry.unmeasured >= UNMEASURED_MAX {
            self.measure(place);
        }
    }

    fn measure(&mut self, place: usize) {
        let entry = &mut self.entries[place];
        let bytes = size_of::<Decoded>() + entry.state.heap_bytes();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes - entry.bytes as usize + bytes as usize;
        (entry.bytes, entry.unmeasured) = (bytes, 0);
    }
}
