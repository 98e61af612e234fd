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
    /// Members that have stopped, with the partitions that the group keeps for them until their sessions end.
    pub reserved: Vec<Holder>,
    /// How long a session lasts after the last sign of its member, by the settings of this process.
    pub session: Duration,
}

/// A member of the group, and its partitions. A dead member is listed until its session ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its instance id: the id of the process, and the number of its lane.
    pub name: String,
    pub partitions: Vec<i32>,
    /// Is it a lane of this process?
    pub is_here: bool,
}

impl Holder {
    /// What nobody reads while it is away, and when that ends. For a member that has stopped.
    #[must_use]
    pub fn wait(&self, session: Duration) -> String {
        let numbers: Vec<String> = self.partitions.iter().map(ToString::to_string).collect();
        let partitions = if numbers.len() == 1 { "partition" } else { "partitions" };
        format!(
            "waiting for the session of {}, which has stopped, to end (at most {} s), or for its return: nobody reads {partitions} \
             {} meanwhile",
            self.name,
            session.as_secs(),
            numbers.join(", ")
        )
    }
}

impl GroupSeen {
    /// The members of other processes, for people; empty if there are none.
    pub(super) fn others(&self) -> String {
        let others = self.holders.iter().filter(|holder| !holder.is_here && !holder.name.is_empty());
        let names: Vec<&str> = others.map(|holder| holder.name.as_str()).collect();
        names.join(", ")
    }

    /// What nobody reads for as long as a stopped member may come back, in a sentence for each; `None`: there is nothing.
    #[must_use]
    pub fn reservations(&self) -> Option<String> {
        let sentence = |holder: &Holder| format!("{}.", capitalized(&holder.wait(self.session)));
        let sentences: Vec<String> = self.reserved.iter().map(sentence).collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    /// Has the owner of a partition stopped, and does the group keep it for that one?
    #[must_use]
    pub fn is_reserved(&self, partition: i32) -> bool {
        self.reserved.iter().any(|holder| holder.partitions.contains(&partition))
    }

    /// The member that a partition is assigned to.
    #[must_use]
    pub fn holder(&self, partition: i32) -> Option<&str> {
        let holder = self.holders.iter().find(|holder| holder.partitions.contains(&partition));
        holder.map(|holder| holder.name.as_str())
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}
