//! One partition's customers in memory, and the order in which their events and timers are processed.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::index::CustomerIndex;
use super::resident::Resident;
use super::slot::Slot;
use super::timers::TimerQueue;
use super::timing::Timing;
use crate::engine::customer::CustomerState;
use crate::engine::decide::Engine;
use crate::engine::effects::{Counts, Effect, RiskEffect};
use crate::event::{DeadLetterReason, Instant};

/// An effect, and the customer it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerEffect {
    pub slot: Slot,
    pub effect: Effect,
}

/// The customers of one partition that are in memory, their timers, and stream time.
#[derive(Debug)]
pub struct Shard {
    pub(super) engine: Engine,
    pub(super) timing: Timing,
    pub(super) stream_time: Instant,
    /// Added to an offset where a state records its log position.
    position_shift: i64,
    pub(super) slots: Vec<Resident>,
    pub(super) free: Vec<Slot>,
    pub(super) by_customer: CustomerIndex,
    /// At least one timer at or before each resident's next deadline; stale timers are skipped when they fire.
    pub(super) timers: TimerQueue,
    /// Scratch for the effects of one decision.
    pub(super) effects: Vec<Effect>,
    /// Changes of risk levels since they were last taken.
    pub(super) risks: Vec<(Slot, RiskEffect)>,
    pub(super) counts: Counts,
    /// Where the current batch began: what changes in it is dirty since then.
    pub(super) batch_start: i64,
    /// By start of batch, ascending; entries of customers that are clean again, or dirty since later, are skipped.
    pub(super) dirty: VecDeque<(i64, Slot)>,
    /// How many customers have changes not yet flushed.
    pub(super) dirty_count: usize,
    /// About what the residents take in memory.
    pub(super) bytes: usize,
    /// The hand of the clock that picks customers to evict.
    pub(super) hand: usize,
    /// Customers whose state is decoded, the longest decoded first, once each; a customer who was removed leaves an entry
    /// behind, which the next one in that slot has.
    pub(super) decoded: VecDeque<Slot>,
    /// Scratch for a state's bytes.
    pub(super) scratch: Vec<u8>,
}

/// Stale entries that a queue may hold beside one for each resident before it is cleaned: cleaning then costs less than
/// a microsecond for each load and removal that made an entry stale.
pub(super) const STALE_ENTRIES: usize = 1_024;

impl Shard {
    #[must_use]
    pub fn new(engine: Engine, timing: Timing, stream_time: Instant) -> Self {
        Self {
            engine,
            timing,
            stream_time,
            position_shift: 0,
            slots: Vec::new(),
            free: Vec::new(),
            by_customer: CustomerIndex::default(),
            timers: TimerQueue::new(),
            effects: Vec::new(),
            risks: Vec::new(),
            counts: Counts::default(),
            batch_start: 0,
            dirty: VecDeque::new(),
            dirty_count: 0,
            bytes: 0,
            hand: 0,
            decoded: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds this to the offsets that states record as their log position, so that positions in an earlier log stay
    /// below those in this one.
    #[must_use]
    pub fn shifted(self, position_shift: i64) -> Self {
        Self { position_shift, ..self }
    }

    /// Stream time: up to here the log is taken to be complete.
    #[must_use]
    pub fn stream_time(&self) -> Instant {
        self.stream_time
    }

    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Why an event of this time is refused, by stream time or plausibility; `None`: it is accepted.
    #[must_use]
    pub fn refuses(&self, at: Instant) -> Option<DeadLetterReason> {
        self.timing.refuses(at, self.stream_time)
    }

    /// The customer's slot, if in memory.
    pub fn find(&mut self, customer: &str) -> Option<Slot> {
        let slot = self.by_customer.find(customer, &self.slots)?;
        self.resident_mut(slot).recent = true;
        Some(slot)
    }

    /// The customer's state, if in memory; for eviction this is no reference to it.
    #[must_use]
    pub fn peek(&self, customer: &str) -> Option<Cow<'_, CustomerState>> {
        self.by_customer.find(customer, &self.slots).map(|slot| self.state(slot))
    }

    /// Touches what an event of this customer will need, so that it is on its way to the cache while others are looked
    /// up.
    pub fn prefetch(&self, slot: Slot) {
        std::hint::black_box(self.slots[slot.0 as usize].body.prefetch());
    }

    /// Loads a stored customer into memory. `indexed_at`: the deadline under which the stored index has them; `MAX`:
    /// none.
    pub fn insert(&mut self, customer: &str, mut state: CustomerState, indexed_at: Instant) -> Slot {
        state.set_customer(customer);
        let resident = Resident::new(customer, state, indexed_at);
        self.bytes += resident.bytes as usize;
        let slot = match self.free.pop() {
            Some(slot) => {
                let is_queued = self.slots[slot.0 as usize].is_queued;
                self.slots[slot.0 as usize] = Resident { is_queued, ..resident };
                slot
            }
            None => {
                self.slots.push(resident);
                Slot(u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 customers are in memory"))
            }
        };
        self.by_customer.insert(slot, &self.slots);
        self.queue(slot);
        self.set_timer(slot);
        slot
    }

    /// The slot of a customer, who is created if not in memory. Correct only where every known customer is in memory.
    pub fn find_or_new(&mut self, customer: &str) -> Slot {
        match self.find(customer) {
            Some(slot) => slot,
            None => {
                let state = CustomerState::new(self.engine.rules());
                let slot = self.insert(customer, state, Instant::MAX);
                self.resident_mut(slot).is_stored = false;
                slot
            }
        }
    }

    /// Call after a change of the state in `slot`: marks it dirty, updates its timer, moves its effects to `out`. It
    /// includes every event before `as_of` now.
    pub(super) fn record_change(&mut self, slot: Slot, as_of: i64, out: &mut Vec<CustomerEffect>) {
        let resident = &mut self.slots[slot.0 as usize];
        resident.body.decoded().as_of = as_of.saturating_add(self.position_shift);
        resident.recent = true;
        if resident.dirty_since.is_none() {
            resident.dirty_since = Some(self.batch_start);
            self.dirty_count += 1;
            self.dirty.push_back((self.batch_start, slot));
        }
        if resident.count_change() {
            self.measure(slot);
        }
        out.extend(self.effects.drain(..).map(|effect| CustomerEffect { slot, effect }));
        self.risks.extend(self.engine.take_risks().into_iter().map(|effect| (slot, effect)));
        self.set_timer(slot);
        // A customer that is flushed before eviction leaves an entry behind.
        if self.dirty.len() > 2 * self.by_customer.len() + STALE_ENTRIES {
            let slots = &self.slots;
            self.dirty.retain(|(start, slot)| slots[slot.0 as usize].dirty_since == Some(*start));
        }
    }

    /// Sets a timer for the customer's next deadline, unless an earlier one is set.
    pub(super) fn set_timer(&mut self, slot: Slot) {
        let resident = &mut self.slots[slot.0 as usize];
        let deadline = resident.body.next_deadline();
        // An earlier timer stays in place; when it fires, one is set for the deadline.
        if deadline < resident.timer_at {
            resident.timer_at = deadline;
            self.timers.push(deadline, slot);
        }
        // An evicted customer leaves a timer behind, which could stay for months.
        if self.timers.len() > 2 * self.by_customer.len() + STALE_ENTRIES {
            self.rebuild_timers();
        }
    }

    fn rebuild_timers(&mut self) {
        self.timers = TimerQueue::new();
        for (resident, number) in self.slots.iter().zip(0..) {
            if resident.timer_at < Instant::MAX {
                self.timers.push(resident.timer_at, Slot(number));
            }
        }
    }

    #[must_use]
    pub fn customer(&self, slot: Slot) -> &str {
        &self.slots[slot.0 as usize].customer
    }

    /// The customer's state: a copy where it is packed.
    #[must_use]
    pub fn state(&self, slot: Slot) -> Cow<'_, CustomerState> {
        let Resident { customer, body, .. } = &self.slots[slot.0 as usize];
        body.state(customer, self.engine.rules())
    }

    /// Appends the bytes of the customer's state, as `encode_state` does.
    pub fn encode(&self, slot: Slot, out: &mut Vec<u8>) {
        self.slots[slot.0 as usize].body.encode(out);
    }

    #[must_use]
    pub fn next_deadline(&self, slot: Slot) -> Instant {
        self.slots[slot.0 as usize].body.next_deadline()
    }

    /// The log position after the last input in the customer's state.
    #[must_use]
    pub fn as_of(&self, slot: Slot) -> i64 {
        self.slots[slot.0 as usize].body.as_of()
    }

    /// Has no event been applied to the customer yet?
    #[must_use]
    pub fn is_new(&self, slot: Slot) -> bool {
        self.slots[slot.0 as usize].body.is_new()
    }

    /// Decodes the customer's state, before it is changed.
    pub(super) fn unpack(&mut self, slot: Slot) {
        let Resident { customer, body, .. } = &mut self.slots[slot.0 as usize];
        if body.unpack(customer, self.engine.rules()) {
            self.measure(slot);
            self.queue(slot);
        }
    }

    /// Lets a customer whose state is decoded be packed in time.
    pub(super) fn queue(&mut self, slot: Slot) {
        if !std::mem::replace(&mut self.resident_mut(slot).is_queued, true) {
            self.decoded.push_back(slot);
        }
    }

    /// Measures what the customer takes in memory.
    pub(super) fn measure(&mut self, slot: Slot) {
        let resident = &mut self.slots[slot.0 as usize];
        let bytes = resident.measured_bytes();
        self.bytes = self.bytes - resident.bytes as usize + bytes as usize;
        resident.bytes = bytes;
    }

    pub(super) fn resident_mut(&mut self, slot: Slot) -> &mut Resident {
        &mut self.slots[slot.0 as usize]
    }

    /// The deadline under which the stored index has this customer.
    #[must_use]
    pub fn indexed_at(&self, slot: Slot) -> Instant {
        self.slots[slot.0 as usize].indexed_at
    }

    pub fn set_indexed_at(&mut self, slot: Slot, at: Instant) {
        self.slots[slot.0 as usize].indexed_at = at;
    }

    /// All customers in memory.
    pub fn residents(&self) -> impl Iterator<Item = Slot> + use<> {
        let taken: Vec<Slot> =
            self.slots.iter().zip(0..).filter(|(r, _)| !r.customer.is_empty()).map(|(_, slot)| Slot(slot)).collect();
        taken.into_iter()
    }

    /// Customers in memory who were never flushed.
    pub fn unstored(&self) -> impl Iterator<Item = Slot> + '_ {
        let slots = self.slots.iter().zip(0..);
        slots.filter(|(r, _)| !r.customer.is_empty() && !r.is_stored).map(|(_, slot)| Slot(slot))
    }

    /// Changes of risk levels since the last call, of each customer in order.
    pub fn take_risks(&mut self) -> Vec<(Slot, RiskEffect)> {
        std::mem::take(&mut self.risks)
    }

    /// Counts since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Customers in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_customer.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
