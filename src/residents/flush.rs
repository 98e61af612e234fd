//! Flushing: changed customers become writes of the current batch.

use super::due::DueIndex;
use super::residents::Residents;
use crate::engine::{CustomerState, RankMove, Slot};
use crate::event::Instant;
use crate::store::{Batch, StoreError, encode_state};

/// Bytes of most states.
const STATE_BYTES: usize = 384;

/// A customer's state as the current batch writes it.
#[derive(Debug)]
pub struct Flushed<'c> {
    pub customer: &'c str,
    /// The state's bytes.
    pub state: Vec<u8>,
    /// The customer's moves in rankings since they were last flushed.
    pub moves: Vec<RankMove>,
    /// The customer was never flushed before.
    pub is_first: bool,
    /// Set if the state was larger than a state may be.
    pub shrunk: Option<Shrunk>,
}

/// A state that was larger than a state may be. The oldest of it is forgotten, which may change later decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrunk {
    /// Its bytes before.
    pub before: usize,
    /// Bytes that a state may have.
    pub limit: usize,
}

impl Residents {
    /// Where the oldest batch began that has changes not yet flushed.
    pub fn oldest_dirty(&mut self) -> Option<i64> {
        self.shard.oldest_dirty()
    }

    /// Flushes one customer dirty since a batch that began at or before `batch_start`, the longest dirty first.
    pub fn flush_next(&mut self, batch_start: i64) -> Option<Flushed<'_>> {
        let slot = self.shard.take_dirty(batch_start)?;
        Some(self.flush(slot))
    }

    /// Flushes one customer, if they are dirty.
    pub fn flush_one(&mut self, slot: Slot) -> Option<Flushed<'_>> {
        if self.shard.take_if_dirty(slot) { Some(self.flush(slot)) } else { None }
    }

    /// Flushes a customer who was marked clean just now.
    fn flush(&mut self, slot: Slot) -> Flushed<'_> {
        let mut state = Vec::with_capacity(STATE_BYTES);
        self.shard.encode(slot, &mut state);
        let shard = &mut self.shard;
        let shrunk = shrink_below(self.state_bytes_max, &mut state, |state| {
            let shrunk = shard.shrink(slot);
            state.clear();
            shard.encode(slot, state);
            shrunk
        });
        let (old, deadline) = (self.shard.indexed_at(slot), self.shard.next_deadline(slot));
        // An index entry between stream time and the deadline is kept; it is moved when it comes up.
        let serves = old >= self.shard.stream_time() && old <= deadline && old < Instant::MAX;
        let indexed_at = if serves { old } else { deadline };
        let customer = self.shard.customer(slot);
        if !serves {
            move_timer(&mut self.writes, &mut self.due, customer, old, deadline);
        }
        self.writes.put_customer(customer, indexed_at, &state);
        self.shard.set_indexed_at(slot, indexed_at);
        let (moves, is_first) = (self.shard.take_rank_moves(slot), self.shard.mark_stored(slot));
        Flushed { customer: self.shard.customer(slot), state, moves, is_first, shrunk }
    }

    /// Replaces the state of a stored customer who is not in memory. `indexed_at`: where their index entry stands.
    pub fn replace<'c>(&mut self, customer: &'c str, mut state: CustomerState, indexed_at: Instant) -> Flushed<'c> {
        let mut bytes = Vec::with_capacity(STATE_BYTES);
        encode_state(&state, &mut bytes);
        let shrunk = shrink_below(self.state_bytes_max, &mut bytes, |bytes| {
            let shrunk = state.shrink();
            bytes.clear();
            encode_state(&state, bytes);
            shrunk
        });
        let deadline = state.next_deadline;
        if indexed_at != deadline {
            move_timer(&mut self.writes, &mut self.due, customer, indexed_at, deadline);
        }
        self.writes.put_customer(customer, deadline, &bytes);
        Flushed { customer, state: bytes, moves: Vec::new(), is_first: false, shrunk }
    }

    /// What the current batch writes of customers and their index entries. They are in effect, for `committed`, once
    /// the database has written them.
    #[must_use]
    pub fn take_writes(&mut self) -> Batch {
        std::mem::take(&mut self.writes)
    }

    /// Writes the current batch to the database: for one that nobody else has to know first. `committed` follows.
    ///
    /// # Errors
    /// The database cannot write; see [`Database::write`](crate::store::Database::write).
    pub fn write(&mut self) -> Result<(), StoreError> {
        let writes = self.take_writes();
        self.database.write(&writes)
    }
}

/// Moves a customer's entry in the timer index. `Instant::MAX`: no entry.
fn move_timer(writes: &mut Batch, due: &mut DueIndex, customer: &str, old: Instant, new: Instant) {
    if old < Instant::MAX {
        writes.delete_timer(old, customer);
        due.remove(old, customer);
    }
    if new < Instant::MAX {
        writes.put_timer(new, customer);
        due.insert(new, customer.into());
    }
}

/// Shrinks a state of more than `limit` bytes until it fits. The written state decides from then on, after a restart
/// too. `shrink` drops some of the history and encodes the state again; false: nothing is left to drop.
fn shrink_below(limit: usize, bytes: &mut Vec<u8>, mut shrink: impl FnMut(&mut Vec<u8>) -> bool) -> Option<Shrunk> {
    let before = bytes.len();
    if before <= limit {
        return None;
    }
    while bytes.len() > limit && shrink(bytes) {}
    Some(Shrunk { before, limit })
}
