//! Loads from memory ahead of their use.
//!
//! What an event needs is at the end of chains of pointers, and a load from memory takes as long as a part of a decision.
//! So the chains of several customers are followed together, link by link, and no load waits for another's. See Chen,
//! Ailamaki, Gibbons and Mowry, "Improving Hash Join Performance through Prefetching" (2004): for the customers' places
//! group prefetching, for their states software-pipelined prefetching.

use super::shard::Shard;
use super::slot::Slot;
use crate::engine::customer::CustomerState;
use crate::prefetch::prefetch;

/// Customers whose places are looked up together: about as many loads as a core can have under way.
const TOGETHER: usize = 32;

/// A link in the chain that leads to what an event needs.
#[derive(Clone, Copy)]
enum Link {
    Slot,
    /// What is packed, or the pointer to the decoded state.
    Place,
    State,
    Lists,
    Facts,
    /// To what the content of a fact points.
    Deeper,
}

/// How many events before its use each link is asked for: in the time of some events memory has answered.
const LINKS: [(usize, Link); 6] =
    [(22, Link::Slot), (18, Link::Place), (14, Link::State), (11, Link::Lists), (8, Link::Facts), (4, Link::Deeper)];

/// How far the states of those whose timers come next are asked for: of the first the most.
const TIMER_LINKS: [Link; 7] =
    [Link::Deeper, Link::Facts, Link::Facts, Link::Lists, Link::State, Link::Place, Link::Slot];

impl Shard {
    /// Appends the slot of each customer who is in memory. `None`: a record without a customer.
    pub fn find_all(&mut self, customers: &[Option<&str>], found: &mut Vec<Option<Slot>>) {
        for customers in customers.chunks(TOGETHER) {
            let begin = found.len();
            let by_hash = |customer: &Option<&str>| self.by_customer.find(customer.as_ref()?.as_bytes(), |_| true);
            found.extend(customers.iter().map(by_hash));
            let ids = found[begin..].iter().flatten().map(|slot| self.slab.get(self.slots[*slot].block));
            ids.for_each(|id| id.first().into_iter().for_each(prefetch));
            for (customer, found) in customers.iter().zip(&mut found[begin..]) {
                let (Some(customer), Some(candidate)) = (customer, *found) else { continue };
                if !self.is_of(candidate, customer) {
                    *found = self.slot_of(customer);
                }
                if let Some(slot) = *found {
                    self.slots[slot].recent = true;
                }
            }
        }
    }

    /// Asks for the next part of what the events of the next few customers will need. `slot_at`: the slot of the customer
    /// who comes so many places after the one to be decided now, if any.
    pub fn prefetch_ahead(&self, slot_at: impl Fn(usize) -> Option<Slot>) {
        for (ahead, link) in LINKS {
            if let Some(slot) = slot_at(ahead) {
                self.prefetch(slot, link);
            }
        }
    }

    /// The same for the timers that come next.
    pub(super) fn prefetch_timers(&self) {
        for ((_, slot), link) in self.timers.next_few().zip(TIMER_LINKS) {
            self.prefetch(slot, link);
        }
    }

    fn prefetch(&self, slot: Slot, link: Link) {
        let resident = &self.slots[slot];
        let state = || resident.place().map(|place| self.decoded.state(place));
        match link {
            // Nothing of it may be read: it is not here yet.
            Link::Slot => prefetch(resident),
            Link::Place => match resident.place() {
                Some(place) => self.decoded.prefetch_place(place),
                None if !resident.block.is_empty() => prefetch(self.slab.get(resident.block)),
                // A timer may outlive its customer.
                None => {}
            },
            Link::State => resident.place().into_iter().for_each(|place| self.decoded.prefetch(place)),
            Link::Lists => state().into_iter().for_each(CustomerState::prefetch_lists),
            Link::Facts => state().into_iter().for_each(CustomerState::prefetch_facts),
            Link::Deeper => state().into_iter().for_each(CustomerState::prefetch_facts_deeper),
        }
    }
}
