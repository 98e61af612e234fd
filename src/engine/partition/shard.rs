//! One partition's customers in memory, and the order in which events and deadlines are decided.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::slot::Slot;
use super::timers::Agenda;
use super::timing::Timing;
use crate::engine::customer::{CustomerState, Places, Standing, Thresholds};
use crate::engine::decide::{Applied, Engine, Words};
use crate::engine::effects::{Counts, Effect, RiskEffect};
use crate::engine::model::Parameters;
use crate::event::{CustomerEvent, DeadLetterReason, Instant};

/// An effect and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub slot: Slot,
    pub effect: Effect,
}

/// A customer's step in one ranking, by the rule set's numbers: out of one place, into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    pub ranking: usize,
    pub from: Option<Standing>,
    pub to: Option<Standing>,
}

/// The customers of one partition that are in memory, their deadlines, and stream time.
#[derive(Debug)]
pub struct Shard {
    engine: Engine,
    timing: Timing,
    stream_time: Instant,
    /// Added to an offset where a state notes as of when it is.
    as_of_shift: i64,
    slots: Vec<Resident>,
    free: Vec<Slot>,
    by_customer: FxHashMap<Box<str>, Slot>,
    /// At least one entry at or before each resident's next deadline; entries that no longer fit are passed over.
    due: Agenda,
    effects: Vec<Effect>,
    /// What was said of risks since it was last taken.
    risks: Vec<(Slot, RiskEffect)>,
    counts: Counts,
    /// Where the batch under way began: what changes in it is dirty since then.
    mark: i64,
    /// By mark, ascending; entries of customers that are clean again, or dirty since later, are passed over.
    dirty: VecDeque<(i64, Slot)>,
    /// How many customers have changes not yet flushed.
    dirty_count: usize,
    /// About what the residents take in memory.
    bytes: usize,
    /// Where the next sweep goes on.
    hand: usize,
}

#[derive(Debug)]
struct Resident {
    /// Empty: the slot is free.
    customer: Box<str>,
    state: CustomerState,
    /// The earliest entry of `due` for this slot; `MAX`: none.
    armed: Instant,
    /// Where the batch began that made the first change not yet flushed; clean: none.
    dirty_since: Option<i64>,
    /// Flushed at least once.
    is_stored: bool,
    /// Looked at since the last sweep.
    recent: bool,
    /// Where the stored index has this customer; `MAX`: nowhere. Kept for the lane, unused here.
    indexed_at: Instant,
    /// The places by which the lane's counters count this customer.
    counted: Places,
    bytes: usize,
    /// Changes since `bytes` was counted.
    uncounted: u8,
}

/// How many changes of one state are not counted in its bytes at once: they add one time to a few lists.
const UNCOUNTED_MAX: u8 = 8;

/// Entries among the deadlines that may be stale before they are looked through, beside as many as there are residents:
/// looking through them costs less than a microsecond for each load and removal that made them stale.
const STALE_ENTRIES: usize = 1_024;

/// What a resident takes besides its state's own heap: slot, map entry, deadline entry, id twice.
const RESIDENT_BYTES: usize = size_of::<Resident>() + 96;

impl Shard {
    #[must_use]
    pub fn new(engine: Engine, timing: Timing, stream_time: Instant) -> Self {
        Self {
            engine,
            timing,
            stream_time,
            as_of_shift: 0,
            slots: Vec::new(),
            free: Vec::new(),
            by_customer: FxHashMap::default(),
            due: Agenda::new(),
            effects: Vec::new(),
            risks: Vec::new(),
            counts: Counts::default(),
            mark: 0,
            dirty: VecDeque::new(),
            dirty_count: 0,
            bytes: 0,
            hand: 0,
        }
    }

    /// As of when a state is, is noted with this added to the offset: so what was decided of an earlier log stays before it.
    #[must_use]
    pub fn shifted(self, as_of_shift: i64) -> Self {
        Self { as_of_shift, ..self }
    }

    /// `S`: up to where the log is taken to be complete.
    #[must_use]
    pub fn stream_time(&self) -> Instant {
        self.stream_time
    }

    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Is an event of this time refused, by stream time or plausibility?
    #[must_use]
    pub fn refuses(&self, at: Instant) -> Option<DeadLetterReason> {
        self.timing.refuses(at, self.stream_time)
    }

    /// The customer's slot, if in memory.
    pub fn find(&mut self, customer: &str) -> Option<Slot> {
        let slot = self.by_customer.get(customer).copied()?;
        self.resident_mut(slot).recent = true;
        Some(slot)
    }

    /// The customer's state, if in memory; it counts as not looked at.
    #[must_use]
    pub fn peek(&self, customer: &str) -> Option<&CustomerState> {
        self.by_customer.get(customer).map(|slot| self.state(*slot))
    }

    /// Looks at what an event of this customer will need, so that it is on its way from memory while others are looked up.
    pub fn warm(&self, slot: Slot) {
        let state = &self.slots[slot.0 as usize].state;
        let facts = state.facts.iter().fold(0, |sum: i64, (_, fact)| sum.wrapping_add(fact.prefetch()));
        std::hint::black_box((
            facts,
            state.recent.first().copied(),
            state.memberships.iter().next_back().map(|(_, m)| m.armed),
        ));
    }

    /// Puts a stored customer into memory. `indexed_at`: where the stored index has them; `MAX`: nowhere.
    pub fn insert(&mut self, customer: &str, mut state: CustomerState, indexed_at: Instant) -> Slot {
        state.set_customer(customer);
        let bytes = RESIDENT_BYTES + 2 * customer.len() + state.heap_bytes();
        self.bytes += bytes;
        let resident = Resident {
            customer: customer.into(),
            counted: state.places.clone(),
            state,
            armed: Instant::MAX,
            dirty_since: None,
            is_stored: true,
            recent: true,
            indexed_at,
            bytes,
            // The first change gives a new customer most of their lists.
            uncounted: UNCOUNTED_MAX - 1,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = resident;
                slot
            }
            None => {
                self.slots.push(resident);
                Slot(u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 customers are in memory"))
            }
        };
        self.by_customer.insert(customer.into(), slot);
        self.arm(slot);
        slot
    }

    /// The slot of a customer, new if not in memory. Only right where every customer is in memory.
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

    /// Takes an accepted event in, then moves stream time, then decides what is due of the customers in memory.
    ///
    /// A duplicate moves nothing. What was said since the last `take` waits there.
    pub fn apply(
        &mut self,
        slot: Slot,
        event: &CustomerEvent<'_>,
        position: i64,
        words: Words,
        said: &mut Vec<Said>,
    ) -> bool {
        let applied = self.take_in(slot, event, position, words, said);
        if applied {
            self.fire_due(position + 1, words, said);
        }
        applied
    }

    /// As [`apply`](Self::apply), without the deadlines that stream time has passed by it: only those of this customer that
    /// it had passed before are decided.
    pub fn take_in(
        &mut self,
        slot: Slot,
        event: &CustomerEvent<'_>,
        position: i64,
        words: Words,
        said: &mut Vec<Said>,
    ) -> bool {
        let resident = &mut self.slots[slot.0 as usize];
        let applied =
            self.engine.apply(&mut resident.state, event, position, self.stream_time, words, &mut self.effects);
        let Applied::Applied(counts) = applied else { return false };
        self.counts += counts;
        self.touched(slot, position + 1, said);
        self.fire_due(position + 1, words, said);
        self.advance(event.at - self.timing.arrives_within);
        true
    }

    /// Moves stream time forward; never back. What is due then is decided by `fire_due`.
    pub fn advance(&mut self, to: Instant) {
        self.stream_time = self.stream_time.max(to);
    }

    /// Decides every deadline before stream time of the customers in memory. `as_of`: the position of the next event,
    /// which is not applied yet: that after the last one, or where the log goes on after an advance.
    pub fn fire_due(&mut self, as_of: i64, words: Words, said: &mut Vec<Said>) {
        self.fire_before(self.stream_time, as_of, words, said);
    }

    /// Decides every deadline before `until` of the customers in memory, in the order of their instants.
    pub fn fire_before(&mut self, until: Instant, as_of: i64, words: Words, said: &mut Vec<Said>) {
        while self.fire_next(until, as_of, words, said).is_some() {}
    }

    /// The same, until `most` are decided: one for each instant of each customer. Returns them in the order of their instants;
    /// none that is left is before the last.
    pub fn fire_some(
        &mut self,
        until: Instant,
        most: usize,
        as_of: i64,
        words: Words,
        said: &mut Vec<Said>,
    ) -> Vec<(Instant, Slot)> {
        let mut fired = Vec::new();
        while fired.len() < most
            && let Some(next) = self.fire_next(until, as_of, words, said)
        {
            fired.push(next);
        }
        fired
    }

    /// Decides the deadlines of one instant of one customer, the earliest before `until`. `None`: there is none.
    fn fire_next(&mut self, until: Instant, as_of: i64, words: Words, said: &mut Vec<Said>) -> Option<(Instant, Slot)> {
        while let Some((at, slot)) = self.due.peek() {
            if at >= until {
                break;
            }
            self.due.pop();
            let resident = &mut self.slots[slot.0 as usize];
            // An entry of a customer since removed, or one that an earlier entry has replaced.
            if resident.armed != at {
                continue;
            }
            resident.armed = Instant::MAX;
            let limit = until.min(at.next());
            let fired = self.engine.fire(&mut resident.state, limit, words, &mut self.effects);
            self.counts.deadlines += fired;
            if fired == 0 {
                self.arm(slot);
            } else {
                self.touched(slot, as_of, said);
                return Some((at, slot));
            }
        }
        None
    }

    /// After the state in `slot` changed; it includes every event before `as_of`.
    fn touched(&mut self, slot: Slot, as_of: i64, said: &mut Vec<Said>) {
        let resident = &mut self.slots[slot.0 as usize];
        resident.state.as_of = as_of.saturating_add(self.as_of_shift);
        resident.recent = true;
        if resident.dirty_since.is_none() {
            resident.dirty_since = Some(self.mark);
            self.dirty_count += 1;
            self.dirty.push_back((self.mark, slot));
        }
        resident.uncounted += 1;
        if resident.uncounted >= UNCOUNTED_MAX {
            let bytes = RESIDENT_BYTES + 2 * resident.customer.len() + resident.state.heap_bytes();
            self.bytes = self.bytes - resident.bytes + bytes;
            (resident.bytes, resident.uncounted) = (bytes, 0);
        }
        said.extend(self.effects.drain(..).map(|effect| Said { slot, effect }));
        self.risks.extend(self.engine.take_risks().into_iter().map(|effect| (slot, effect)));
        self.arm(slot);
        // Whoever was flushed to make room leaves an entry behind.
        if self.dirty.len() > 2 * self.by_customer.len() + STALE_ENTRIES {
            let slots = &self.slots;
            self.dirty.retain(|(mark, slot)| slots[slot.0 as usize].dirty_since == Some(*mark));
        }
    }

    fn arm(&mut self, slot: Slot) {
        let resident = &mut self.slots[slot.0 as usize];
        let deadline = resident.state.next_deadline;
        // A later deadline leaves the earlier entry in place; when that comes up the customer is armed anew.
        if deadline < resident.armed {
            resident.armed = deadline;
            self.due.push(deadline, slot);
        }
        // Whoever is put out of memory leaves an entry behind, which could lie there for months.
        if self.due.len() > 2 * self.by_customer.len() + STALE_ENTRIES {
            self.rebuild_due();
        }
    }

    fn rebuild_due(&mut self) {
        self.due = Agenda::new();
        for (resident, number) in self.slots.iter().zip(0..) {
            if resident.armed < Instant::MAX {
                self.due.push(resident.armed, Slot(number));
            }
        }
    }

    #[must_use]
    pub fn customer(&self, slot: Slot) -> &str {
        &self.slots[slot.0 as usize].customer
    }

    #[must_use]
    pub fn state(&self, slot: Slot) -> &CustomerState {
        &self.slots[slot.0 as usize].state
    }

    /// Begins a batch at a log position: what changes from now on is dirty since then.
    pub fn begin(&mut self, mark: i64) {
        self.mark = mark;
    }

    /// Where the oldest batch began that has changes not yet flushed.
    pub fn oldest_dirty(&mut self) -> Option<i64> {
        while let Some((mark, slot)) = self.dirty.front().copied() {
            if self.slots[slot.0 as usize].dirty_since == Some(mark) {
                return Some(mark);
            }
            self.dirty.pop_front();
        }
        None
    }

    /// Customers with changes not yet flushed.
    #[must_use]
    pub fn dirty_count(&self) -> usize {
        self.dirty_count
    }

    /// Takes one customer dirty since a batch that began at or before `mark`, the longest dirty first. The caller
    /// flushes it; it counts as clean from now on.
    pub fn take_dirty(&mut self, mark: i64) -> Option<Slot> {
        if self.oldest_dirty()? > mark {
            return None;
        }
        let (_, slot) = self.dirty.pop_front()?;
        let resident = self.resident_mut(slot);
        (resident.dirty_since, resident.is_stored) = (None, true);
        self.dirty_count -= 1;
        Some(slot)
    }

    /// Has nothing changed since the customer was last flushed?
    #[must_use]
    pub fn is_clean(&self, slot: Slot) -> bool {
        self.slots[slot.0 as usize].dirty_since.is_none()
    }

    /// Marks one customer clean, because the caller flushes it. False: it was clean.
    pub fn take_if_dirty(&mut self, slot: Slot) -> bool {
        let resident = self.resident_mut(slot);
        let was_dirty = resident.dirty_since.take().is_some();
        resident.is_stored |= was_dirty;
        self.dirty_count -= usize::from(was_dirty);
        was_dirty
    }

    /// Drops the older half of the customer's longest list; see [`CustomerState::shrink`].
    pub fn shrink(&mut self, slot: Slot) -> bool {
        let shrunk = self.resident_mut(slot).state.shrink();
        self.counts.approximated += u64::from(shrunk);
        shrunk
    }

    /// About how many bytes the customers in memory take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Customers to put out of memory so that about `bytes` become free: those not looked at since the hand last passed.
    /// At most all but those of the last turn.
    pub fn sweep(&mut self, bytes: usize) -> Vec<Slot> {
        let (mut victims, mut freed) = (Vec::new(), 0);
        // Twice around clears every mark and then takes what is there.
        for _ in 0..self.slots.len() * 2 {
            if freed >= bytes {
                break;
            }
            self.hand = (self.hand + 1) % self.slots.len();
            let resident = &mut self.slots[self.hand];
            if resident.customer.is_empty() || std::mem::take(&mut resident.recent) {
                continue;
            }
            freed += resident.bytes;
            // Taken once: looks recent until it is removed.
            resident.recent = true;
            victims.push(Slot(u32::try_from(self.hand).expect("slots are numbered in 32 bits")));
        }
        victims
    }

    /// Puts a customer out of memory.
    pub fn remove(&mut self, slot: Slot) {
        let resident = &mut self.slots[slot.0 as usize];
        self.bytes -= resident.bytes;
        self.by_customer.remove(&resident.customer);
        resident.bytes = 0;
        resident.customer = Box::default();
        resident.state.release();
        resident.counted = Box::default();
        resident.armed = Instant::MAX;
        self.dirty_count -= usize::from(resident.dirty_since.take().is_some());
        self.free.push(slot);
    }

    /// The earliest entry among the deadlines of customers in memory; it may be one that no longer fits.
    #[must_use]
    pub fn next_due(&mut self) -> Instant {
        self.due.peek().map_or(Instant::MAX, |(at, _)| at)
    }

    /// Where the stored index has this customer.
    #[must_use]
    pub fn indexed_at(&self, slot: Slot) -> Instant {
        self.slots[slot.0 as usize].indexed_at
    }

    pub fn set_indexed_at(&mut self, slot: Slot, at: Instant) {
        self.slots[slot.0 as usize].indexed_at = at;
    }

    /// Changes how event times move stream time from now on, and how many ids are remembered.
    pub fn set_timing(&mut self, timing: Timing, ids_max: usize) {
        self.timing = timing;
        self.engine.set_limits(timing.max_lateness, ids_max);
    }

    /// Changes where ranks begin. Whom that concerns is decided by `reconsider`.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.engine.set_thresholds(thresholds);
    }

    /// Decides a customer again, if they stand between thresholds `old` and those now in force. Every deadline before
    /// stream time is decided already; `as_of` as for `fire_due`.
    pub fn reconsider(&mut self, slot: Slot, old: &Thresholds, as_of: i64, words: Words, said: &mut Vec<Said>) {
        let resident = &mut self.slots[slot.0 as usize];
        if self.engine.reconsider(&mut resident.state, old, self.stream_time, words, &mut self.effects) {
            self.touched(slot, as_of, said);
        }
    }

    /// Changes the parameters of the model of churn, as of `since`; every deadline before it is decided already. Each
    /// customer is decided under them as of then, by `catch_up` or before anything else is decided of them.
    pub fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>, since: Instant) {
        self.engine.set_parameters(parameters, since);
    }

    /// Decides a customer under the parameters in force, if that is still to be done; `as_of` as for `fire_due`.
    pub fn catch_up(&mut self, slot: Slot, as_of: i64, words: Words, said: &mut Vec<Said>) {
        let resident = &mut self.slots[slot.0 as usize];
        if self.engine.catch_up(&mut resident.state, words, &mut self.effects) {
            self.touched(slot, as_of, said);
            self.fire_due(as_of, words, said);
        }
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

    /// A customer's present places, as steps from nowhere.
    pub fn places(&self, slot: Slot) -> impl Iterator<Item = Moved> + '_ {
        let state = &self.slots[slot.0 as usize].state;
        let standing = |value| Standing { value, hash: state.tie_hash };
        let places = state.places.iter().enumerate();
        places.filter_map(move |(ranking, place)| Some(Moved { ranking, from: None, to: Some(standing((*place)?)) }))
    }

    /// The steps that a customer took in rankings since they were last asked for: the caller counts them.
    pub fn take_moves(&mut self, slot: Slot) -> Vec<Moved> {
        let Resident { state, counted, .. } = &mut self.slots[slot.0 as usize];
        let hash = state.tie_hash;
        let standing = |value: Option<crate::event::Number>| value.map(|value| Standing { value, hash });
        let mut moves = Vec::new();
        for (ranking, (from, to)) in counted.iter_mut().zip(&state.places).enumerate() {
            if from != to {
                moves.push(Moved { ranking, from: standing(*from), to: standing(*to) });
                *from = *to;
            }
        }
        moves
    }

    fn resident_mut(&mut self, slot: Slot) -> &mut Resident {
        &mut self.slots[slot.0 as usize]
    }

    /// What was said of risks since the last call, of each customer in order.
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
        self.by_customer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Span;

    fn shard() -> Shard {
        let rules =
            crate::rules::load("rules.toml", "[cohorts.quiet]\nwho = \"silent for 90 days\"\n").expect("sound rules");
        let timing = Timing { arrives_within: Span(0), max_lateness: Span::DAY, earliest: Instant(0) };
        Shard::new(Engine::new(Arc::new(rules), Span::DAY, 64), timing, Instant(0))
    }

    fn event(customer: &str, at: i64) -> CustomerEvent<'_> {
        CustomerEvent {
            customer,
            name: "visit",
            name_id: crate::event::NameId(0),
            at: Instant(at),
            id: None,
            source: None,
            record_hash: at.cast_unsigned(),
            unusable_values: 0,
            properties: &[],
        }
    }

    /// A customer comes, is put out of memory, and the next one comes, for months: nothing of them may be left.
    #[test]
    fn loading_and_removing_leaves_nothing_behind() {
        let mut shard = shard();
        let mut said = Vec::new();
        for round in 0..200_000_i64 {
            let customer = format!("c{}", round % 1_000);
            shard.begin(round);
            let slot = shard.find_or_new(&customer);
            shard.apply(slot, &event(&customer, round), round, Words::None, &mut said);
            assert!(shard.state(slot).next_deadline > Instant(0), "a deadline 90 days ahead");
            shard.take_if_dirty(slot);
            shard.remove(slot);
        }
        assert_eq!((shard.len(), shard.bytes()), (0, 0));
        assert!(shard.due.len() <= STALE_ENTRIES, "{} entries among the deadlines", shard.due.len());
        assert!(shard.dirty.len() <= STALE_ENTRIES, "{} entries among the dirty", shard.dirty.len());
        for resident in &shard.slots {
            assert_eq!((resident.state.heap_bytes(), resident.state.recent.capacity()), (0, 0));
        }
    }

    #[test]
    fn deadlines_of_one_instant_can_be_decided_a_few_at_a_time() {
        let mut shard = shard();
        let mut said = Vec::new();
        for n in 0..10 {
            let customer = format!("c{n}");
            let slot = shard.find_or_new(&customer);
            shard.apply(slot, &event(&customer, 1_000), n, Words::None, &mut said);
        }
        let due = Instant(1_000) + Span(90 * Span::DAY.0);
        let mut turns = Vec::new();
        loop {
            let fired = shard.fire_some(due.next(), 4, 10, Words::None, &mut said);
            if fired.is_empty() {
                break;
            }
            assert!(shard.next_due() >= due);
            turns.push(fired.len());
        }
        assert_eq!((turns, said.len()), (vec![4, 4, 2], 10));
    }
}
