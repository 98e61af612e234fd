//! The output topics: their required settings, and how they are created.

use std::time::Duration;

use crate::kafka::{Operation, Topic, TopicPlan};
use crate::settings::Topics;

/// `delete.retention.ms` of the changelog: how long deletions stay visible to a lane that was away.
const CHANGELOG_DELETIONS: &str = "604800000";
/// `delete.retention.ms` of the membership table: how long a sink may be away without missing an exit.
const MEMBERS_DELETIONS: &str = "2592000000";
/// `max.compaction.lag.ms` of the summaries, one day. A new owner of partition 0 reads the whole topic: the current
/// records, and about two days of replaced ones. With Kafka's defaults it would be a week of them.
const SUMMARIES_LAG: &str = "86400000";
/// Kafka's default of `max.message.bytes`.
pub(super) const RECORD_BYTES_DEFAULT: u64 = 1_048_588;
/// Headers that are added to a dead letter.
pub(super) const DEAD_LETTER_OVERHEAD: u64 = 64 << 10;

pub(super) const RULES: &str = "topics.rules";
pub(super) const EVENTS: &str = "topics.events";
pub(super) const MARKS: &str = "topics.marks";
pub(in crate::app) const CHANGELOG: &str = "topics.changelog";
pub(super) const DEAD_LETTERS: &str = "topics.dead_letters";

/// The operations on the input.
pub(in crate::app) const OF_INPUT: &[Operation] = &[Operation::Read];
const WRITTEN: &[Operation] = &[Operation::Write];
const READ_AND_WRITTEN: &[Operation] = &[Operation::Read, Operation::Write];

/// One output topic.
#[derive(Debug)]
pub(in crate::app) struct Plan<'a> {
    /// The setting that names it.
    pub(in crate::app) key: &'static str,
    pub(in crate::app) name: &'a str,
    pub(in crate::app) partitions: i32,
    pub(super) replicas: Option<u16>,
    /// The operations on it.
    pub(in crate::app) needs: &'static [Operation],
    pub(super) is_compacted: bool,
    pub(super) settings: Vec<(&'static str, String)>,
}

/// The topic that sources are gathered into, and that of their marks. Its timestamps are those of writing: by event time,
/// retention would delete a history on its arrival.
pub(in crate::app) fn gathered(topics: &Topics, partitions: i32) -> [Plan<'_>; 2] {
    let stamped = vec![("message.timestamp.type", "LogAppendTime".to_owned())];
    let events = Plan { key: EVENTS, partitions, ..of(topics, &topics.events) };
    let marks = Plan { key: MARKS, ..of(topics, &topics.marks) };
    [events.kept_for(topics.events_keep).with(stamped).read_too(), marks.compacted(topics, Vec::new()).read_too()]
}

/// All of them, for an input as it is.
pub(in crate::app) fn plans<'a>(topics: &'a Topics, input: &Topic) -> [Plan<'a>; 8] {
    let letters = setting(input, "max.message.bytes").unwrap_or(RECORD_BYTES_DEFAULT) + DEAD_LETTER_OVERHEAD;
    let deletions = |ms: &str| vec![("delete.retention.ms", ms.to_owned())];
    let plan = |key, name: &'a String| Plan { key, partitions: input.partitions, ..of(topics, name) };
    [
        plan("topics.changes", &topics.changes).kept_for(topics.retention),
        plan("topics.members", &topics.members).compacted(topics, deletions(MEMBERS_DELETIONS)),
        plan("topics.risks", &topics.risks).kept_for(topics.retention),
        plan("topics.forecasts", &topics.forecasts).compacted(topics, Vec::new()),
        plan(DEAD_LETTERS, &topics.dead_letters)
            .kept_for(topics.dead_letter_retention)
            .with(vec![("max.message.bytes", letters.to_string())]),
        plan(CHANGELOG, &topics.changelog).compacted(topics, deletions(CHANGELOG_DELETIONS)).read_too(),
        plan("topics.summaries", &topics.summaries)
            .compacted(topics, vec![("max.compaction.lag.ms", SUMMARIES_LAG.to_owned())])
            .read_too(),
        Plan { partitions: 1, ..plan(RULES, &topics.rules).compacted(topics, Vec::new()).read_too() },
    ]
}

/// A topic with what all of them have.
fn of<'a>(topics: &Topics, name: &'a str) -> Plan<'a> {
    Plan {
        key: "",
        name,
        partitions: 1,
        replicas: topics.replication.and_then(|count| u16::try_from(count).ok()),
        needs: WRITTEN,
        is_compacted: false,
        settings: topics.insync().map(|count| ("min.insync.replicas", count.to_string())).into_iter().collect(),
    }
}

impl Plan<'_> {
    /// Deleted by age; zero: by the default of the brokers.
    fn kept_for(self, retention: Duration) -> Self {
        let limit = (!retention.is_zero()).then(|| ("retention.ms", retention.as_millis().to_string()));
        self.with([("cleanup.policy", "delete".to_owned())].into_iter().chain(limit).collect())
    }

    fn compacted(self, topics: &Topics, more: Vec<(&'static str, String)>) -> Self {
        let mut settings = vec![("cleanup.policy", "compact".to_owned())];
        if topics.segment_size > 0 {
            settings.push(("segment.bytes", topics.segment_size.to_string()));
        }
        if topics.dirty_percent > 0 {
            settings.push(("min.cleanable.dirty.ratio", (f64::from(topics.dirty_percent) / 100.0).to_string()));
        }
        Self { is_compacted: true, ..self.with(settings).with(more) }
    }

    fn read_too(self) -> Self {
        Self { needs: READ_AND_WRITTEN, ..self }
    }

    fn with(mut self, settings: Vec<(&'static str, String)>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// Calls `ask` with the topic to create.
    pub(in crate::app) fn with_topic_plan<T>(&self, ask: impl FnOnce(&TopicPlan<'_>) -> T) -> T {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        ask(&TopicPlan { name: self.name, partitions: self.partitions, replicas: self.replicas, settings: &settings })
    }

    /// The settings as text, such as `cleanup.policy=compact, segment.bytes=134217728`.
    pub(in crate::app) fn words(&self) -> String {
        self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    }
}

/// A setting that is a number.
pub(super) fn setting(topic: &Topic, name: &str) -> Option<u64> {
    topic.settings.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Plan, plans};
    use crate::kafka::Topic;
    use crate::settings::{Settings, Sources, Topics};

    fn topics(sets: &[&str]) -> Topics {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        Settings::load(&Sources { sets, ..Sources::default() }).unwrap().settings.topics
    }

    fn input() -> Topic {
        let settings = BTreeMap::from([("max.message.bytes".to_owned(), "2000000".to_owned())]);
        Topic { id: None, partitions: 6, replicas: 3, settings, allowed: None }
    }

    fn words(plans: &[Plan<'_>], name: &str) -> String {
        plans.iter().find(|plan| plan.name == name).map(Plan::words).unwrap()
    }

    #[test]
    fn what_is_deleted_has_its_retention_and_what_is_compacted_its_files() {
        let topics = topics(&[]);
        let plans = plans(&topics, &input());
        assert_eq!(words(&plans, "cohort-changes"), "cleanup.policy=delete, retention.ms=604800000");
        assert_eq!(
            words(&plans, "cohortd-dead-letters"),
            "cleanup.policy=delete, retention.ms=2592000000, max.message.bytes=2065536"
        );
        assert_eq!(
            words(&plans, "cohortd-changelog"),
            "cleanup.policy=compact, segment.bytes=134217728, min.cleanable.dirty.ratio=0.3, delete.retention.ms=604800000"
        );
        let partitions = plans.each_ref().map(|plan| plan.partitions);
        assert_eq!(partitions, [6, 6, 6, 6, 6, 6, 6, 1], "the rules have one order");
        assert!(plans.iter().all(|plan| plan.replicas.is_none() && !plan.words().contains("min.insync")));
    }

    #[test]
    fn of_three_replicas_two_must_have_a_record_unless_set_otherwise() {
        let insync = |sets: &[&str]| {
            let topics = topics(sets);
            let plans = plans(&topics, &input());
            plans.each_ref().map(|plan| plan.settings.iter().find(|(key, _)| *key == "min.insync.replicas").cloned())
        };
        let all = |count: &str| [0; 8].map(|_| Some(("min.insync.replicas", count.to_owned())));
        assert_eq!(insync(&["topics.replication=3"]), all("2"));
        assert_eq!(insync(&["topics.replication=3", "topics.min_insync_replicas=3"]), all("3"));
        assert_eq!(insync(&["topics.replication=2"]), [const { None }; 8]);
    }

    #[test]
    fn zero_leaves_it_to_the_brokers() {
        let topics = topics(&[
            "topics.retention=0",
            "topics.dead_letter_retention=0",
            "topics.segment_size=0",
            "topics.dirty_percent=0",
        ]);
        let plans = plans(&topics, &input());
        assert_eq!(words(&plans, "churn-risk-changes"), "cleanup.policy=delete");
        assert_eq!(words(&plans, "cohort-forecasts"), "cleanup.policy=compact");
    }
}
