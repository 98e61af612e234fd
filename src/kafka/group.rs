//! The consumer group as its coordinator describes it: who is in it, and which partitions each member was assigned.

use std::collections::BTreeSet;
use std::time::Duration;

use super::consumer::Committed;
use super::failure::{Cause, Failure};
use super::native::ask;
use super::watermarks::Watermarks;

/// What the coordinator tells of a group. Heartbeats are not in it: a member that died is shown, with its partitions,
/// until its session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    pub state: GroupState,
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// Every member has its assignment. Only now are assignments told.
    Stable,
    /// Members are joining, or assignments are being handed out.
    Rebalancing,
    /// Nobody is in it.
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
    /// What it was assigned of the topic asked for.
    pub partitions: BTreeSet<i32>,
}

impl Watermarks {
    /// Describes a group, with what its members were assigned of `topic`. Blocks for about `timeout` at most.
    ///
    /// # Errors
    /// `Retry` while the coordinator does not answer, or does not know how to.
    pub fn group(&self, group: &str, topic: &str, timeout: Duration) -> Result<GroupView, Failure> {
        let described = ask::group(self.native(), group, topic, timeout);
        self.served(described.map_err(|(code, text)| Cause::new(code, &format!("describing group {group}"), &text)))
    }

    /// What a group has committed in partitions of `topic`. Blocks for about `timeout` at most.
    ///
    /// # Errors
    /// `Retry` while the coordinator does not answer.
    pub fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: &[i32],
        timeout: Duration,
    ) -> Result<Vec<Committed>, Failure> {
        let told = ask::committed(self.native(), group, topic, partitions, timeout);
        self.served(told.map_err(|(code, text)| Cause::new(code, &format!("reading offsets of group {group}"), &text)))
    }
}
