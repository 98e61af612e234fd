//! Which partitions are assigned to this lane.

use std::collections::BTreeSet;

use crate::lane::lane::Lane;

impl Lane {
    /// Is a partition ours, running or being restored?
    pub(in crate::lane) fn owns(&self, number: i32) -> bool {
        self.partitions.contains_key(&number) || self.restoring().any(|restoring| restoring == number)
    }

    /// Every partition that is ours.
    pub(in crate::lane) fn owned(&self) -> BTreeSet<i32> {
        self.partitions.keys().copied().chain(self.restoring()).collect()
    }

    /// Those of them that are not running.
    fn restoring(&self) -> impl Iterator<Item = i32> {
        self.restores.iter().map(|restore| restore.partition).chain(self.failures.waiting())
    }

    /// Updates what readiness, operators' questions and the watchdog know of this lane's partitions.
    pub(in crate::lane) fn show_partitions(&self) {
        let restoring: BTreeSet<i32> = self.restoring().collect();
        let owned = u32::try_from(self.partitions.len() + restoring.len()).unwrap_or(u32::MAX);
        self.inbox.set_partitions(|number| self.partitions.contains_key(&number), |number| restoring.contains(&number));
        self.health().partitions(owned, restoring);
        self.ownership.assigned(self.number, self.consumer.assigned());
    }
}
