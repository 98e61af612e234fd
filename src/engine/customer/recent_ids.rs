//! The ids of a customer's recent events, by which duplicates are recognized.
//!
//! How long: until `time.max_lateness` has passed in stream time (`Context::oldest_arrival`). How many: `dedupe.ids`.

use crate::event::Instant;

/// One event's identity, by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecentId {
    pub at: Instant,
    pub hash: u64,
}

/// Is one of the remembered ids this one? Ids older than `oldest_arrival` no longer count.
pub(in crate::engine) fn is_duplicate(recent: &[RecentId], hash: u64, oldest_arrival: Instant) -> bool {
    recent.iter().any(|known| known.hash == hash && known.at >= oldest_arrival)
}

/// Inserts an id into the list, which is ascending by time, then hash. It is remembered until no copy of its event can
/// still be accepted; over capacity the oldest by event time is evicted. True: one was evicted before it expired.
pub(in crate::engine) fn remember(
    recent: &mut Vec<RecentId>,
    id: RecentId,
    oldest_arrival: Instant,
    cap: usize,
) -> bool {
    if cap == 0 {
        return false;
    }
    let expired = recent.partition_point(|known| known.at < oldest_arrival);
    recent.drain(..expired);
    let index = recent.partition_point(|known| *known < id);
    recent.insert(index, id);
    let is_full = recent.len() > cap;
    if is_full {
        recent.remove(0);
    }
    is_full
}
