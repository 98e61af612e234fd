//! A group and what it reads, from outside: who has what, what is committed, where the topics end.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::ends::range;

const ASK: Duration = Duration::from_secs(3);
/// A client that has just connected, on a machine that has much else to do.
const ASK_ANEW: Duration = Duration::from_secs(15);

pub(super) struct Group {
    consumer: BaseConsumer,
    bootstrap: String,
    name: String,
    /// Each with its number of partitions.
    topics: Vec<(String, i32)>,
}

impl Group {
    pub(super) fn new(bootstrap: &str, name: &str, topics: Vec<(String, i32)>) -> Self {
        let (bootstrap, name) = (bootstrap.to_owned(), name.to_owned());
        Self { consumer: client(&bootstrap, &name), bootstrap, name, topics }
    }

    /// All that the group reads, topic by topic.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (&str, i32)> {
        self.topics.iter().flat_map(|(topic, count)| (0..*count).map(move |partition| (topic.as_str(), partition)))
    }

    /// What no member has, by the coordinator. An error, for people, while it does not answer, or rebalances.
    pub(super) fn not_owned(&self) -> Result<Vec<String>, String> {
        let owned = self.owned()?;
        let is_free = |(topic, partition): &(&str, i32)| !owned.contains(&((*topic).to_owned(), *partition));
        Ok(self.partitions().filter(is_free).map(|(topic, partition)| format!("{topic}/{partition}")).collect())
    }

    fn owned(&self) -> Result<BTreeSet<(String, i32)>, String> {
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

    /// In the order of `partitions`; 0 where nothing is. `None` while no broker answers.
    pub(super) fn committed(&self) -> Option<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.partitions() {
            list.add_partition(topic, partition);
        }
        let committed = self.consumer.committed_offsets(list, ASK).ok()?;
        let offset = |(topic, partition): (&str, i32)| match committed.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => Some(0),
        };
        self.partitions().map(offset).collect()
    }

    /// Where each partition ends. `None` while no broker answers.
    pub(super) fn ends(&self) -> Option<Vec<i64>> {
        self.partitions().map(|(topic, partition)| Some(range(&self.consumer, topic, partition, ASK).ok()?.1)).collect()
    }

    /// Past the last record of each partition: what follows are markers of transactions. `None` while no broker answers.
    pub(super) fn ends_of_records(&self) -> Option<Vec<i64>> {
        let consumer: BaseConsumer = config(&self.bootstrap, &self.name)
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let end = |(topic, partition)| {
            let (first, end) = range(&consumer, topic, partition, ASK).ok()?;
            let mut back = 32;
            loop {
                let from = first.max(end - back);
                if let Some(last) = last_between(&consumer, topic, partition, from..end)? {
                    return Some(last + 1);
                }
                if from == first {
                    return Some(0);
                }
                back *= 8;
            }
        };
        self.partitions().map(end).collect()
    }
}

/// The offset of the last record of a part of a partition, if there is one. `None` while it cannot be read.
fn last_between(consumer: &BaseConsumer, topic: &str, partition: i32, part: Range<i64>) -> Option<Option<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(part.start)).unwrap();
    consumer.assign(&list).unwrap();
    let mut last = None;
    loop {
        match consumer.poll(ASK)? {
            // Where more comes all the time there is no end.
            Ok(message) if message.offset() >= part.end => return Some(last),
            Ok(message) => last = Some(message.offset()),
            Err(KafkaError::PartitionEOF(_)) => return Some(last),
            Err(_) => {}
        }
    }
}

fn client(bootstrap: &str, group: &str) -> BaseConsumer {
    // What is committed, not what may be about to be.
    config(bootstrap, group).set("isolation.level", "read_uncommitted").create().unwrap()
}

fn config(bootstrap: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", group);
    config.set("enable.auto.commit", "false").set("log_level", "0");
    config
}

/// What a member was assigned: a version, topics with their partitions, and whatever else the assignor wrote.
fn partitions(assignment: &[u8]) -> Option<Vec<(String, i32)>> {
    let mut rest = assignment.get(2..)?;
    let mut taken = |length: usize| {
        let (taken, left) = rest.split_at_checked(length)?;
        rest = left;
        Some(taken)
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    let mut found = Vec::new();
    for _ in 0..number(taken(4)?) {
        let length = number(taken(2)?);
        let topic = String::from_utf8_lossy(taken(length)?).into_owned();
        for _ in 0..number(taken(4)?) {
            found.push((topic.clone(), i32::try_from(number(taken(4)?)).ok()?));
        }
    }
    Some(found)
}
