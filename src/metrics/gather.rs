//! The fate of the records of each source, where sources are gathered. For each source:

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::adder::Adder;

/// The counters of one source. Clones share them.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    name: String,
    /// `source_records_read_total{source}`: records gathered from a source's topics. It is the sum of those mapped, skipped
    /// and written to the dead letters. Worry when it stands still while records are sent.
    pub read: IntCounter,
    /// `source_records_mapped_total{source}`: records that became events. Worry when it is a smaller share of those read
    /// than before: the source has changed.
    pub mapped: IntCounter,
    /// `source_events_total{source}`: events that they became: several of one record where the mapping has `each`. No worry
    /// by itself.
    pub events: IntCounter,
    families: GatherSeries,
}

impl SourceMetrics {
    /// Records that the mapping does not want.
    pub fn skipped(&self, reason: &str) {
        self.families.skipped.with_label_values(&[&self.name, reason]).inc();
    }

    /// Records written to the dead letters.
    pub fn dead_letter(&self, reason: &str) {
        self.families.dead_letters.with_label_values(&[&self.name, reason]).inc();
    }

    /// Sets the lag of one partition of a topic, in records; `None` while it is not known.
    pub fn set_lag(&self, topic: &str, partition: i32, lag: Option<i64>) {
        let labels = [self.name.as_str(), topic, &partition.to_string()];
        match lag {
            Some(lag) => self.families.lag.with_label_values(&labels).set(lag),
            None => drop(self.families.lag.remove_label_values(&labels)),
        }
    }

    /// Sets up to when one partition is complete, in milliseconds since 1970; `None`: it belongs to another process.
    pub fn set_complete_to(&self, topic: &str, partition: i32, at: Option<i64>) {
        let labels = [self.name.as_str(), topic, &partition.to_string()];
        match at {
            Some(at) => self.families.complete_to.with_label_values(&labels).set(at.div_euclid(1_000)),
            None => drop(self.families.complete_to.remove_label_values(&labels)),
        }
    }
}

/// The families.
#[derive(Debug, Clone)]
pub(super) struct GatherSeries {
    read: IntCounterVec,
    mapped: IntCounterVec,
    events: IntCounterVec,
    /// `source_records_skipped_total{source,reason}`: records that the mapping does not want: `where` does not hold, an
    /// event of another name, no customer. Worry when one reason grows suddenly.
    skipped: IntCounterVec,
    /// `source_dead_letters_total{source,reason}`: records of a source that could not be used, written unchanged to the dead
    /// letters. Worry at any steady rate: the rules miss these events.
    dead_letters: IntCounterVec,
    /// `source_lag_records{source,topic,partition}`: records of a source's partition that are not gathered yet. Worry when
    /// it grows.
    lag: IntGaugeVec,
    /// `source_complete_to_timestamp_seconds{source,topic,partition}`: up to which event time a partition has been gathered.
    /// The earliest of all holds back the deadlines of every customer. Worry when one stands still.
    complete_to: IntGaugeVec,
}

impl GatherSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let (source, by_reason, place) = (["source"], ["source", "reason"], ["source", "topic", "partition"]);
        Self {
            read: add.counters("source_records_read_total", "Records gathered from a source's topics.", &source),
            mapped: add.counters("source_records_mapped_total", "Records that became events.", &source),
            events: add.counters("source_events_total", "Events that records of a source became.", &source),
            skipped: add.counters(
                "source_records_skipped_total",
                "Records that the mapping does not want, by reason.",
                &by_reason,
            ),
            dead_letters: add.counters(
                "source_dead_letters_total",
                "Records of a source written to the dead letters, by reason.",
                &by_reason,
            ),
            lag: add.gauges("source_lag_records", "Records of a partition that are not gathered yet.", &place),
            complete_to: add.gauges(
                "source_complete_to_timestamp_seconds",
                "Up to which event time a partition has been gathered.",
                &place,
            ),
        }
    }

    pub(super) fn of(&self, name: &str) -> SourceMetrics {
        SourceMetrics {
            name: name.to_owned(),
            read: self.read.with_label_values(&[name]),
            mapped: self.mapped.with_label_values(&[name]),
            events: self.events.with_label_values(&[name]),
            families: self.clone(),
        }
    }
}
