//! The consumer group as this process last saw it, for the readiness check and for whoever asks about a customer.

use std::time::Duration;

/// What the group's coordinator told, at most some seconds ago.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSeen {
    /// `stable`, `rebalancing` or `empty`.
    pub state: &'static str,
    pub holders: Vec<Holder>,
    /// Partitions that the group has given to nobody, as of the last time that it was stable.
    pub unowned: Vec<i32>,
    /// For how long at least one of them has had no owner.
    pub unowned_for: Duration,
}

/// A member of the group, and the partitions that it was assigned. One that died is among them until its session ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its instance id: that of the process, and the number of its lane.
    pub name: String,
    pub partitions: Vec<i32>,
}

impl GroupSeen {
    /// Who was assigned a partition.
    #[must_use]
    pub fn holder(&self, partition: i32) -> Option<&str> {
        let holder = self.holders.iter().find(|holder| holder.partitions.contains(&partition));
        holder.map(|holder| holder.name.as_str())
    }
}
