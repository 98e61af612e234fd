//! Checks an existing topic: what would break the guarantee, and what will be missed in an emergency.

use super::plan::{self, DEAD_LETTER_OVERHEAD, DEAD_LETTERS, MARKS, Plan, RECORD_BYTES_DEFAULT, RULES, setting};
use crate::kafka::{Operation, Topic};
use crate::settings::Topics;

/// A smaller `max.message.bytes` may be too small for the outputs: long changes, states of busy customers.
const RECORD_BYTES_FEW: u64 = 128 << 10;
/// The minimum for the changelog: a customer id of the maximum length, and a small state.
const CHANGELOG_RECORD_BYTES_MIN: u64 = 4 << 10;
/// With this many replicas a partition survives the loss of one broker while two of them must have each record.
const COPIES_MANY: usize = 3;

/// Why it cannot be used.
pub(in crate::app) fn refused(plan: &Plan<'_>, found: &Topic, input: &Topic) -> Option<String> {
    let name = plan.name;
    if found.partitions != plan.partitions && [RULES, MARKS].contains(&plan.key) {
        return Some(format!(
            "topic {name} has {} partitions and needs 1, since its records have one order; recreate it, or set another one",
            found.partitions
        ));
    }
    if found.partitions != plan.partitions {
        return Some(format!(
            "topic {name} has {} partitions and the input {}; outputs go to their input's partition, so recreate it \
             with as many, or set another one",
            found.partitions, input.partitions
        ));
    }
    let policy = found.settings.get("cleanup.policy")?;
    // A topic that also deletes by age loses states that exist nowhere else.
    let (fits, needed) = match plan.is_compacted {
        true => (policy == "compact", "compact"),
        false => (!policy.contains("compact"), "delete"),
    };
    if !fits {
        return Some(format!(
            "topic {name} has cleanup.policy={policy} and needs {needed}; change it, or set another one"
        ));
    }
    let bytes = setting(found, "max.message.bytes").unwrap_or(RECORD_BYTES_DEFAULT);
    (plan.key == plan::CHANGELOG && bytes < CHANGELOG_RECORD_BYTES_MIN).then(|| {
        format!(
            "topic {name} has max.message.bytes={bytes} and needs {CHANGELOG_RECORD_BYTES_MIN} at the least, since customers \
             would be kept without their past; raise it (Kafka's default is {RECORD_BYTES_DEFAULT})"
        )
    })
}

/// The needed operations that brokers report as not allowed.
pub(in crate::app) fn denied(needs: &[Operation], found: &Topic) -> Vec<Operation> {
    let Some(allowed) = &found.allowed else { return Vec::new() };
    needs.iter().copied().filter(|need| !allowed.contains(need)).collect()
}

/// Weaknesses, one sentence each.
pub(in crate::app) fn weak(topics: &Topics, plan: &Plan<'_>, found: &Topic, input: &Topic) -> Vec<String> {
    let weak = [
        unseen(plan.name, found),
        few_copies(topics, found, input),
        one_in_sync(found),
        short_deletions(plan, found),
        small_records(plan, found),
        small_letters(plan, found, input),
    ];
    weak.into_iter().flatten().collect()
}

/// Its settings are unknown, because they may not be read.
pub(in crate::app) fn unseen(name: &str, found: &Topic) -> Option<String> {
    let is_denied = !denied(&[Operation::DescribeConfigs], found).is_empty();
    is_denied.then(|| {
        format!(
            "This user may not DescribeConfigs topic {name}: its settings, cleanup.policy and max.message.bytes among them, \
             are not checked, and Kafka's defaults are assumed."
        )
    })
}

fn few_copies(topics: &Topics, found: &Topic, input: &Topic) -> Option<String> {
    let wanted = topics.replication.and_then(|count| usize::try_from(count).ok());
    let needed = wanted.unwrap_or(input.replicas);
    let source = if wanted.is_some() { "topics.replication asks for" } else { "the input has" };
    (found.replicas < needed).then(|| {
        format!(
            "The topic has fewer replicas than {source}, {} and not {needed}: losing brokers that the input survives would \
             lose it.",
            found.replicas
        )
    })
}

fn one_in_sync(found: &Topic) -> Option<String> {
    let insync = setting(found, "min.insync.replicas")?;
    (found.replicas >= COPIES_MANY && insync < 2).then(|| {
        format!(
            "The topic has {} replicas and min.insync.replicas={insync}: a record may be on one broker alone when it counts as \
             written, and be lost with it; 2 would be right.",
            found.replicas
        )
    })
}

fn short_deletions(plan: &Plan<'_>, found: &Topic) -> Option<String> {
    let (key, needed) = plan.settings.iter().find(|(key, _)| *key == "delete.retention.ms")?;
    let kept = setting(found, key).filter(|kept| *kept < needed.parse().unwrap_or(0))?;
    Some(format!(
        "delete.retention.ms is {kept}, and {needed} would be right: deletions are kept that long for readers that were away (a \
         local copy older than half of it is restored)."
    ))
}

fn small_records(plan: &Plan<'_>, found: &Topic) -> Option<String> {
    let bytes = setting(found, "max.message.bytes").filter(|bytes| *bytes < RECORD_BYTES_FEW)?;
    (![RULES, MARKS].contains(&plan.key)).then(|| {
        format!("The topic accepts only small records (max.message.bytes={bytes}); larger ones go to the dead letters.")
    })
}

fn small_letters(plan: &Plan<'_>, found: &Topic, input: &Topic) -> Option<String> {
    let bytes = |topic: &Topic| setting(topic, "max.message.bytes").unwrap_or(RECORD_BYTES_DEFAULT);
    let (takes, input) = (bytes(found), bytes(input));
    (plan.key == DEAD_LETTERS && takes < input).then(|| {
        format!(
            "The topic accepts smaller records than the input (max.message.bytes={takes}, the input's is {input}, {} would be \
             right); larger dead letters are cut.",
            input + DEAD_LETTER_OVERHEAD
        )
    })
}

/// How long deletions stay in the changelog, in milliseconds, if known.
pub(super) fn deletions_shown(plan: &Plan<'_>, found: &Topic) -> Option<u64> {
    (plan.key == plan::CHANGELOG).then(|| setting(found, "delete.retention.ms")).flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::plan::plans;
    use super::{denied, refused, weak};
    use crate::kafka::{Operation, Topic};
    use crate::settings::{Settings, Sources};

    fn topic(replicas: usize, settings: &[(&str, &str)]) -> Topic {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Topic { id: None, partitions: 2, replicas, settings, allowed: None }
    }

    #[test]
    fn a_topic_that_is_there_is_warned_of_and_not_refused_where_it_is_only_weak() {
        let topics = Settings::load(&Sources::default()).unwrap().settings.topics;
        let input = topic(3, &[("max.message.bytes", "2000000")]);
        let plans = plans(&topics, &input);
        let strong = topic(
            3,
            &[("cleanup.policy", "compact"), ("delete.retention.ms", "2592000000"), ("min.insync.replicas", "2")],
        );
        let members = &plans[1];
        assert_eq!((refused(members, &strong, &input), weak(&topics, members, &strong, &input)), (None, vec![]));
        let settings = [
            ("cleanup.policy", "compact"),
            ("delete.retention.ms", "1000"),
            ("min.insync.replicas", "1"),
            ("max.message.bytes", "5000"),
        ];
        for (replicas, words) in [(2, "fewer replicas"), (3, "min.insync.replicas=1")] {
            let found = topic(replicas, &settings);
            assert_eq!(refused(members, &found, &input), None);
            let warnings = weak(&topics, members, &found, &input);
            assert_eq!(warnings.len(), 3, "{warnings:#?}");
            for words in [words, "delete.retention.ms is 1000", "max.message.bytes=5000"] {
                assert!(warnings.iter().any(|warning| warning.contains(words)), "{words}: {warnings:#?}");
            }
        }
        let letters = topic(3, &[("cleanup.policy", "delete"), ("max.message.bytes", "1000000")]);
        let warnings = weak(&topics, &plans[4], &letters, &input);
        assert!(warnings.len() == 1 && warnings[0].contains("dead letters are cut"), "{warnings:#?}");
    }

    #[test]
    fn what_the_brokers_deny_is_known_only_where_they_say_so() {
        let mut found = topic(1, &[]);
        let needs = [Operation::Read, Operation::Write];
        assert_eq!(denied(&needs, &found), []);
        found.allowed = Some(BTreeSet::from([Operation::Read]));
        assert_eq!(denied(&needs, &found), [Operation::Write]);
        found.settings = BTreeMap::new();
        let topics = Settings::load(&Sources::default()).unwrap().settings.topics;
        let warnings = weak(&topics, &plans(&topics, &found)[0], &found, &found);
        assert!(
            warnings.len() == 1 && warnings[0].contains("may not DescribeConfigs topic cohort-changes"),
            "{warnings:#?}"
        );
    }
}
