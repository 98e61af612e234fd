//! The fate of the records of one input topic. For each topic:

use prometheus::{IntCounter, IntCounterVec};

use super::adder::{Adder, children};
use crate::event::{DeadLetterReason, SkipReason};

/// The counters of one topic. Clones share them.
#[derive(Debug, Clone)]
pub struct InputMetrics {
    /// `events_applied_total{topic}`: events that reached the engine, including those that no rule uses. Worry when it
    /// stands still while events are sent.
    pub events_applied: IntCounter,
    events_skipped: Vec<IntCounter>,
    dead_letters: Vec<IntCounter>,
    /// `unusable_values_total{topic}`: values of properties used by rules that cannot be read: numbers out of range,
    /// text that is not UTF-8, lists, records, bytes. They count as missing. Worry at a steady rate: rules see less
    /// than was sent.
    pub unusable_values: IntCounter,
    /// `events_elsewhere_total{topic}`: events applied in another partition than the one that Kafka's default
    /// partitioner (murmur2) chooses for their customer. With n partitions, another partitioner places a share of (n -
    /// 1)/n elsewhere. Worry when it is a smaller share of `events_applied_total`: producers use different
    /// partitioners, or partitions were added, and customers are split.
    pub events_elsewhere: IntCounter,
}

impl InputMetrics {
    #[must_use]
    pub fn events_skipped(&self, reason: SkipReason) -> &IntCounter {
        &self.events_skipped[reason as usize]
    }

    #[must_use]
    pub fn dead_letters(&self, reason: DeadLetterReason) -> &IntCounter {
        &self.dead_letters[reason as usize]
    }
}

/// The families.
#[derive(Debug)]
pub(super) struct InputSeries {
    events_applied: IntCounterVec,
    /// `events_skipped_total{topic,reason}`: records read and skipped. Worry when `duplicate` grows suddenly: a source
    /// sends events twice.
    events_skipped: IntCounterVec,
    /// `dead_letters_total{topic,reason}`: records of a topic that could not be used, written unchanged to the dead
    /// letters. Worry at any steady rate: the rules miss these events.
    dead_letters: IntCounterVec,
    unusable_values: IntCounterVec,
    events_elsewhere: IntCounterVec,
}

impl InputSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let (topic, by_reason) = (["topic"], ["topic", "reason"]);
        Self {
            events_applied: add.counters("events_applied_total", "Events given to the engine.", &topic),
            events_skipped: add.counters("events_skipped_total", "Records read and skipped, by reason.", &by_reason),
            dead_letters: add.counters(
                "dead_letters_total",
                "Records written to the dead letters, by the topic they came from and the reason.",
                &by_reason,
            ),
            unusable_values: add.counters(
                "unusable_values_total",
                "Property values that could not be read, and count as missing.",
                &topic,
            ),
            events_elsewhere: add.counters(
                "events_elsewhere_total",
                "Events applied in another partition than murmur2 chooses for their customer.",
                &topic,
            ),
        }
    }

    pub(super) fn of(&self, topic: &str) -> InputMetrics {
        let (skipped, dead) = (&self.events_skipped, &self.dead_letters);
        InputMetrics {
            events_applied: self.events_applied.with_label_values(&[topic]),
            events_skipped: children(SkipReason::ALL, |reason| skipped.with_label_values(&[topic, reason.as_str()])),
            dead_letters: children(DeadLetterReason::ALL, |reason| dead.with_label_values(&[topic, reason.as_str()])),
            unusable_values: self.unusable_values.with_label_values(&[topic]),
            events_elsewhere: self.events_elsewhere.with_label_values(&[topic]),
        }
    }
}
