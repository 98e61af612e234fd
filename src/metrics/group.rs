//! The consumer group as this process last saw it, for the readiness check and the admin API.

use std::time::Duration;

/// The description by the group coordinator, at most some seconds old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSeen {
    /// `stable`, `rebalancing` or `empty`.
    pub state: &'static str,
    pub holders: Vec<Holder>,
    /// Partitions without an owner, as of the last time that the group was stable.
    pub unowned: Vec<i32>,
    /// For how long at least one of them has had no owner.
    pub unowned_for: Duration,
}

/// A member of the group, and its partitions. A dead member is listed until its session ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its instance id: the id of the process, and the number of its lane.
    pub name: String,
    pub partitions: Vec<i32>,
}

impl GroupSeen {
    /// The member that a partition is assigned to.
    #[must_use]
    pub fn holder(&self, partition: i32) -> Option<&str> {
        let holder = self.holders.iter().find(|holder| holder.partitions.contains(&partition));
        holder.map(|holder| holder.name.as_str())
    }
}
