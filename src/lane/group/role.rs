//! Which process works out what follows from the counters of all partitions: the one that holds partition 0.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The partition whose owner publishes what exists once.
pub(in crate::lane) const PUBLISHER: i32 = 0;

/// The lane of this process that holds that partition. Written by lanes, each of itself alone.
#[derive(Debug)]
pub(in crate::lane) struct Role(AtomicUsize);

const NOBODY: usize = usize::MAX;

impl Role {
    pub(in crate::lane) fn new() -> Self {
        Self(AtomicUsize::new(NOBODY))
    }

    /// A lane says whether it holds the partition.
    pub(in crate::lane) fn set(&self, lane: usize, holds: bool) {
        if holds {
            self.0.store(lane, Ordering::Release);
        } else {
            self.0.compare_exchange(lane, NOBODY, Ordering::AcqRel, Ordering::Acquire).ok();
        }
    }

    pub(in crate::lane) fn is_ours(&self) -> bool {
        self.0.load(Ordering::Acquire) != NOBODY
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn a_lane_that_lost_the_partition_does_not_take_it_from_the_one_that_got_it() {
        let role = Role::new();
        role.set(0, true);
        role.set(1, false);
        assert!(role.is_ours());
        role.set(1, true);
        role.set(0, false);
        assert!(role.is_ours());
        role.set(1, false);
        assert!(!role.is_ours());
    }
}
