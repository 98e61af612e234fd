//! One partition's customers in memory, and the order in which their events and timers are processed.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::decoded::DecodedStates;
use super::dirty::DirtyQueue;
use super::index::CustomerIndex;
use super::packed::{Packed, WRITTEN_HERE, customer_of, pack, pack_stored};
use super::slab::Slab;
use super::slot::Slot;
use super::slots::{Resident, Slots};
use super::timers::TimerQueue;
use super::timing::Timing;
use crate::bytes::Corrupt;
use crate::engine::customer::{
    CustomerState, RankedValues, Spares, as_of, encode_state, is_new, next_deadline, places,
};
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
    pub(super) slots: Slots,
    /// The customers' ids and packed states.
    pub(super) slab: Slab,
    /// The states that are decoded; what the slab has of them may be outdated.
    pub(super) decoded: DecodedStates,
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
    /// Entries of customers that are clean again, or dirty since later, are skipped.
    pub(super) dirty: DirtyQueue,
    /// How many customers have changes not yet flushed.
    pub(super) dirty_count: usize,
    /// The hand of the clock that picks customers to evict.
    pub(super) hand: usize,
    /// The values by which the lane's counters count a customer, where those of the state are others.
    pub(super) counted: FxHashMap<Slot, RankedValues>,
    /// The customer's values in rankings before the current change.
    pub(super) values_before: RankedValues,
    /// Scratch for a customer's bytes.
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
            slots: Slots::default(),
            slab: Slab::new(),
            decoded: DecodedStates::new(),
            by_customer: CustomerIndex::new(),
            timers: TimerQueue::new(),
            effects: Vec::new(),
            risks: Vec::new(),
            counts: Counts::default(),
            batch_start: 0,
            dirty: DirtyQueue::default(),
            dirty_count: 0,
            hand: 0,
            counted: FxHashMap::default(),
            values_before: RankedValues::default(),
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
        let slot = self.slot_of(customer)?;
        self.slots[slot].recent = true;
        Some(slot)
    }

    /// Where the customer is, if in memory; for eviction this is no reference to it.
    #[must_use]
    pub fn slot_of(&self, customer: &str) -> Option<Slot> {
        self.by_customer.find(customer.as_bytes(), |slot| self.is_of(slot, customer))
    }

    /// Is this the slot of the customer?
    pub(super) fn is_of(&self, slot: Slot, customer: &str) -> bool {
        customer_of(self.slab.get(self.slots[slot].block)) == customer.as_bytes()
    }

    /// The customer's state, if in memory; for eviction this is no reference to it.
    #[must_use]
    pub fn peek(&self, customer: &str) -> Option<Cow<'_, CustomerState>> {
        self.slot_of(customer).map(|slot| self.state(slot))
    }

    /// Loads a customer into memory. `indexed_at`: the deadline under which the stored index has them; `MAX`: none.
    pub fn insert(&mut self, customer: &str, mut state: CustomerState, indexed_at: Instant) -> Slot {
        state.set_customer(customer);
        pack(customer, &state, self.engine.rules(), &mut self.scratch);
        let slot = self.add(customer, indexed_at);
        self.set_timer(slot);
        slot
    }

    /// The same from the state's bytes, which are decoded: an event or a deadline of the customer follows.
    ///
    /// # Errors
    /// Bytes that are no state under these rules.
    pub fn insert_stored(&mut self, customer: &str, state: &[u8], indexed_at: Instant) -> Result<Slot, Corrupt> {
        pack_stored(customer, state, self.engine.rules(), &mut self.scratch);
        let slot = self.add(customer, indexed_at);
        match self.decode(slot) {
            Ok(_) => {
                self.set_timer(slot);
                Ok(slot)
            }
            Err(damage) => {
                self.remove(slot);
                Err(damage)
            }
        }
    }

    /// Adds the customer whose bytes are in the scratch.
    fn add(&mut self, customer: &str, indexed_at: Instant) -> Slot {
        let block = self.slab.store(&self.scratch);
        let slot = self.slots.add(Resident { block, indexed_at, recent: true, ..Resident::NONE });
        self.by_customer.insert(customer.as_bytes(), slot);
        slot
    }

    /// The slot of a customer, who is created if not in memory. Correct only where every known customer is in memory.
    pub fn find_or_new(&mut self, customer: &str) -> Slot {
        match self.find(customer) {
            Some(slot) => slot,
            None => {
                let state = CustomerState::new(self.engine.rules());
                let slot = self.insert(customer, state, Instant::MAX);
                self.slots[slot].is_stored = false;
                slot
            }
        }
    }

    /// Call before a change of the customer's state, which it decodes if it is packed. Returns its place among the
    /// decoded ones.
    pub(super) fn begin_change(&mut self, slot: Slot) -> usize {
        let place = match self.slots[slot].place() {
            Some(place) => place,
            None => self.decode(slot).expect(WRITTEN_HERE),
        };
        self.values_before.clone_from(&self.decoded.state(place).ranked_values);
        place
    }

    /// Call after a change of the state in `slot`: marks it dirty, updates its timer, moves its effects to `out`. It
    /// includes every event before `as_of` now.
    pub(super) fn record_change(&mut self, slot: Slot, place: usize, as_of: i64, out: &mut Vec<CustomerEffect>) {
        let state = self.decoded.state_mut(place);
        state.as_of = as_of.saturating_add(self.position_shift);
        if self.values_before != state.ranked_values {
            let before = &self.values_before;
            self.counted.entry(slot).or_insert_with(|| before.clone());
        }
        let deadline = state.next_deadline;
        self.decoded.count_change(place);
        let resident = &mut self.slots[slot];
        resident.recent = true;
        if resident.is_clean() {
            resident.dirty_since = self.batch_start;
            self.dirty_count += 1;
            self.dirty.push(self.batch_start, slot);
        }
        out.extend(self.effects.drain(..).map(|effect| CustomerEffect { slot, effect }));
        self.engine.drain_risks(|effect| self.risks.push((slot, effect)));
        self.set_timer_at(slot, deadline);
        // A customer that is flushed before eviction leaves an entry behind.
        if self.dirty.len() > 2 * self.by_customer.len() + STALE_ENTRIES {
            let slots = &self.slots;
            self.dirty.retain(|start, slot| slots[slot].dirty_since == start);
        }
    }

    /// Decodes the state of a customer, which is packed. Returns its place.
    fn decode(&mut self, slot: Slot) -> Result<usize, Corrupt> {
        while self.decoded.is_full()
            && let Some((place, other)) = self.decoded.victim()
        {
            self.pack_one(place, other);
        }
        let rules = self.engine.rules();
        let packed = Packed::of(self.slab.get(self.slots[slot].block), rules);
        let place = self.decoded.add(slot, rules, |state, spares| packed.read(rules, state, spares))?;
        self.slots[slot].decoded = u32::try_from(place).expect("few customers are decoded");
        Ok(place)
    }

    /// Packs a customer whose state is decoded.
    pub(super) fn pack_one(&mut self, place: usize, slot: Slot) {
        let rules = self.engine.rules();
        let resident = &mut self.slots[slot];
        if self.decoded.is_changed(place) {
            let customer = Packed::of(self.slab.get(resident.block), rules).customer();
            pack(customer, self.decoded.state(place), rules, &mut self.scratch);
            self.slab.replace(&mut resident.block, &self.scratch);
        }
        resident.decoded = super::slots::PACKED;
        self.decoded.remove(place, rules);
        if self.slab.is_sparse() {
            self.slab.compact(self.slots.blocks_mut());
        }
    }

    /// Sets a timer for the customer's next deadline, unless an earlier one is set.
    pub(super) fn set_timer(&mut self, slot: Slot) {
        self.set_timer_at(slot, self.next_deadline(slot));
    }

    #[inline]
    fn set_timer_at(&mut self, slot: Slot, deadline: Instant) {
        let resident = &mut self.slots[slot];
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
        for (slot, resident) in self.slots.iter() {
            if resident.timer_at < Instant::MAX {
                self.timers.push(resident.timer_at, slot);
            }
        }
    }

    /// The customer's bytes, which are outdated where the state is decoded.
    fn packed(&self, slot: Slot) -> Packed<'_> {
        Packed::of(self.slab.get(self.slots[slot].block), self.engine.rules())
    }

    /// The customer's state, if it is decoded.
    fn decoded(&self, slot: Slot) -> Option<&CustomerState> {
        self.slots[slot].place().map(|place| self.decoded.state(place))
    }

    #[must_use]
    pub fn customer(&self, slot: Slot) -> &str {
        self.packed(slot).customer()
    }

    /// The customer's state: a copy where it is packed.
    #[must_use]
    pub fn state(&self, slot: Slot) -> Cow<'_, CustomerState> {
        match self.decoded(slot) {
            Some(state) => Cow::Borrowed(state),
            None => {
                let rules = self.engine.rules();
                let mut state = CustomerState::new(rules);
                self.packed(slot).read(rules, &mut state, &mut Spares::default()).expect(WRITTEN_HERE);
                Cow::Owned(state)
            }
        }
    }

    /// Copies the customer's state into one that is reused. For eviction this is no reference to it.
    pub fn copy_state(&self, slot: Slot, into: &mut CustomerState, spares: &mut Spares) {
        match self.decoded(slot) {
            Some(state) => *into = state.clone(),
            None => self.packed(slot).read(self.engine.rules(), into, spares).expect(WRITTEN_HERE),
        }
    }

    /// Appends the bytes of the customer's state, as `encode_state` does.
    pub fn encode(&self, slot: Slot, out: &mut Vec<u8>) {
        match self.decoded(slot) {
            Some(state) => encode_state(state, out),
            None => out.extend_from_slice(self.packed(slot).state),
        }
    }

    #[must_use]
    pub fn next_deadline(&self, slot: Slot) -> Instant {
        match self.decoded(slot) {
            Some(state) => state.next_deadline,
            None => next_deadline(self.packed(slot).state).expect(WRITTEN_HERE),
        }
    }

    /// The log position after the last input in the customer's state.
    #[must_use]
    pub fn as_of(&self, slot: Slot) -> i64 {
        match self.decoded(slot) {
            Some(state) => state.as_of,
            None => as_of(self.packed(slot).state).expect(WRITTEN_HERE),
        }
    }

    /// Has no event been applied to the customer yet?
    #[must_use]
    pub fn is_new(&self, slot: Slot) -> bool {
        match self.decoded(slot) {
            Some(state) => state.known_since == Instant::MAX,
            None => is_new(self.packed(slot).state).expect(WRITTEN_HERE),
        }
    }

    /// The customer's value in each ranking.
    pub(super) fn ranked_values(&self, slot: Slot) -> RankedValues {
        match self.decoded(slot) {
            Some(state) => state.ranked_values.clone(),
            None => places(self.packed(slot).state, self.engine.rules().rankings.len()).expect(WRITTEN_HERE).0,
        }
    }

    /// The deadline under which the stored index has this customer.
    #[must_use]
    pub fn indexed_at(&self, slot: Slot) -> Instant {
        self.slots[slot].indexed_at
    }

    pub fn set_indexed_at(&mut self, slot: Slot, at: Instant) {
        self.slots[slot].indexed_at = at;
    }

    /// All customers in memory.
    pub fn residents(&self) -> impl Iterator<Item = Slot> + use<> {
        let taken: Vec<Slot> = self.slots.iter().map(|(slot, _)| slot).collect();
        taken.into_iter()
    }

    /// The next customers in memory who were never flushed, from a slot on, `most` at most, of at most `looks` slots;
    /// and where to go on. `None`: those were the last.
    #[must_use]
    pub fn unstored_from(&self, from: Slot, most: usize, looks: usize) -> (Vec<Slot>, Option<Slot>) {
        let mut found = Vec::new();
        let end = u32::try_from(self.slots.len()).expect("slots are numbered in 32 bits");
        let until = end.min(from.0.saturating_add(u32::try_from(looks).unwrap_or(u32::MAX)));
        for slot in (from.0..until).map(Slot) {
            if found.len() == most {
                return (found, Some(slot));
            }
            let resident = &self.slots[slot];
            if !resident.block.is_empty() && !resident.is_stored {
                found.push(slot);
            }
        }
        (found, (until < end).then_some(Slot(until)))
    }

    /// Are there changes of risk levels since they were last taken?
    #[must_use]
    pub fn has_risks(&self) -> bool {
        !self.risks.is_empty()
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
