//! Which process computes and publishes the results: the one that owns partition 0.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The partition whose owner publishes the results.
pub(in crate::lane) const PUBLISHER_PARTITION: i32 = 0;

/// The lane of this process that owns that partition. Each lane writes only about itself.
#[derive(Debug)]
pub(in crate::lane) struct Role(AtomicUsize);

const NOBODY: usize = usize::MAX;

impl Role {
    pub(in crate::lane) fn new() -> Self {
        Self(AtomicUsize::new(NOBODY))
    }

    /// A lane owns the partition.
    pub(in crate::lane) fn take(&self, lane: usize) {
        self.0.store(lane, Ordering::Release);
    }

    /// A lane does not own the partition.
    pub(in crate::lane) fn release(&self, lane: usize) {
        self.0.compare_exchange(lane, NOBODY, Ordering::AcqRel, Ordering::Acquire).ok();
    }

    /// Does a lane of this process own the partition?
    pub(super) fn is_ours(&self) -> bool {
        self.0.load(Ordering::Acquire) != NOBODY
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn a_lane_that_lost_the_partition_does_not_take_it_from_the_one_that_got_it() {
        let role = Role::new();
        role.take(0);
        role.release(1);
        assert!(role.is_ours());
        role.take(1);
        role.release(0);
        assert!(role.is_ours());
        role.release(1);
        assert!(!role.is_ours());
    }
}
