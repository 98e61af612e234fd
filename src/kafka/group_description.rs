//! The consumer group as described by its coordinator: its members, and the partitions assigned to each.

use std::collections::BTreeSet;

/// The description of a group. It does not include heartbeats: a dead member is listed, with its partitions, until its
/// session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    pub state: GroupState,
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// Every member has its assignment. Only in this state assignments are reported.
    Stable,
    /// Members are joining, or assignments are being distributed.
    Rebalancing,
    /// It has no members.
    Empty,
}

impl GroupState {
    /// One word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Rebalancing => "rebalancing",
            Self::Empty => "empty",
        }
    }
}

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// `group.instance.id`; `None` for a member without one, such as a tool's.
    pub instance: Option<String>,
    /// `client.id`, `<group>-<instance>` for a lane.
    pub client: String,
    /// Its partitions of the topic asked for.
    pub partitions: BTreeSet<i32>,
}

impl GroupMember {
    /// Its instance id, or its client's if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.instance.as_deref().unwrap_or(&self.client)
    }
}
