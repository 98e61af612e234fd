//! The partitions that each lane of this process knows to be assigned to it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The partitions that each lane of a process knows to be assigned to it.
pub struct Ownership {
    lanes: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    assigned: Mutex<BTreeSet<i32>>,
    /// What the lane had when the group was found to have assigned others to it.
    rejoin: Mutex<Option<BTreeSet<i32>>>,
}

impl Ownership {
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        Self { lanes: (0..lanes).map(|_| Slot::default()).collect() }
    }

    /// What a lane is assigned and has acknowledged, after each change.
    pub(in crate::lane) fn assigned(&self, lane: usize, partitions: BTreeSet<i32>) {
        *self.lanes[lane].assigned.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
    }

    /// Takes the request that a lane with these partitions rejoin, if there is one; it is void once the lane has
    /// others.
    pub(super) fn take_rejoin_request(&self, lane: usize, assigned: &BTreeSet<i32>) -> bool {
        let taken = self.lanes[lane].rejoin.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.is_some_and(|then| then == *assigned)
    }

    pub(super) fn request_rejoin(&self, lane: usize, assigned: BTreeSet<i32>) {
        *self.lanes[lane].rejoin.lock().unwrap_or_else(PoisonError::into_inner) = Some(assigned);
    }

    pub(in crate::lane) fn all(&self) -> Vec<BTreeSet<i32>> {
        let assigned = |slot: &Slot| slot.assigned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.lanes.iter().map(assigned).collect()
    }
}
