//! The group and the input from outside: who has what, what is committed, where the input ends.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::ends::range;

const ASK: Duration = Duration::from_secs(3);
/// A client that has just connected, on a machine that has much else to do.
const ASK_ANEW: Duration = Duration::from_secs(15);

pub(super) struct Group {
    consumer: BaseConsumer,
    bootstrap: String,
    name: String,
    input: String,
    partitions: i32,
}

impl Group {
    pub(super) fn new(bootstrap: &str, name: &str, input: &str, partitions: i32) -> Self {
        let (bootstrap, name, input) = (bootstrap.to_owned(), name.to_owned(), input.to_owned());
        Self { consumer: client(&bootstrap, &name), bootstrap, name, input, partitions }
    }

    /// The partitions that a member has, by the coordinator. An error, for people, while it does not answer, or rebalances.
    pub(super) fn owned(&self) -> Result<BTreeSet<i32>, String> {
        // The list is asked of every broker that the client knows: one that was killed keeps it from an answer, and one that
        // came back, perhaps as the coordinator, it may not know.
        let list = self.consumer.fetch_group_list(Some(&self.name), ASK).ok().filter(|list| !list.groups().is_empty());
        let anew = || client(&self.bootstrap, &self.name).fetch_group_list(Some(&self.name), ASK_ANEW);
        let list = list.map_or_else(anew, Ok).map_err(|error| format!("the brokers do not list the group: {error}"))?;
        let states: Vec<&str> = list.groups().iter().map(|group| group.state()).collect();
        let Some(group) = list.groups().iter().find(|group| group.state() == "Stable") else {
            return Err(format!("the group is in no stable state: {states:?}"));
        };
        let assigned = group.members().iter().filter_map(|member| partitions(member.assignment()?));
        Ok(assigned.flatten().collect())
    }

    /// By partition; 0 where nothing is. `None` while no broker answers.
    pub(super) fn committed(&self) -> Option<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.input, partition);
        }
        let committed = self.consumer.committed_offsets(list, ASK).ok()?;
        let offset = |partition: i32| match committed.find_partition(&self.input, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => Some(0),
        };
        (0..self.partitions).map(offset).collect()
    }

    /// Where each partition of the input ends. `None` while no broker answers.
    pub(super) fn ends(&self) -> Option<Vec<i64>> {
        let end = |partition| Some(range(&self.consumer, &self.input, partition, ASK).ok()?.1);
        (0..self.partitions).map(end).collect()
    }
}

fn client(bootstrap: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        // What is committed, not what may be about to be.
        .set("isolation.level", "read_uncommitted")
        .set("log_level", "0")
        .create()
        .unwrap()
}

/// What a member was assigned: a version, topics with their partitions, and whatever else the assignor wrote.
fn partitions(assignment: &[u8]) -> Option<Vec<i32>> {
    let mut rest = assignment.get(2..)?;
    let mut number = |length: usize| {
        let (taken, left) = rest.split_at_checked(length)?;
        rest = left;
        Some(taken.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let mut found = Vec::new();
    for _ in 0..number(4)? {
        let name = number(2)?;
        for _ in 0..name {
            number(1)?;
        }
        for _ in 0..number(4)? {
            found.push(i32::try_from(number(4)?).ok()?);
        }
    }
    Some(found)
}
