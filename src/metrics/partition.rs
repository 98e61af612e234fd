//! The series of one partition, from its assignment to its revocation.

use std::collections::BTreeMap;

use prometheus::core::Collector as _;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::event::Instant;

use super::Metrics;
use super::adder::{Adder, timestamp};
use super::input::InputMetrics;
use super::members::{Members, MembersSeries};
use super::share::Share;

/// The metrics of one owned partition. Dropping it, on revocation, removes its gauges from `/metrics`, so that two
/// processes never both claim the members of one partition; its counter stays, since counters only grow.
///
/// Drop it before resolving the same partition again, or the new gauges are removed with the old ones.
#[derive(Debug)]
pub struct PartitionMetrics {
    /// `records_consumed_total{topic,partition}`: records read and accounted for, counted with their committed batch.
    /// Worry when its rate is 0 while `consumer_lag_records` is not.
    pub records_consumed: IntCounter,
    /// The counters of its topic, shared by all its partitions.
    pub input: InputMetrics,
    /// `customers_resident`: customers kept in memory. No worry by itself. This partition's part of them.
    pub customers_resident: Share,
    /// `customers_dirty`: customers changed in memory and not yet written to the local copy; after a crash their events
    /// are read again. Worry when it only grows. This partition's part of them.
    pub customers_dirty: Share,
    /// Once they are known.
    cohort_members: Option<Members>,
    cohorts: Vec<String>,
    timers_pending: Option<IntGauge>,
    stream_time: Option<Gauge>,
    last_event: Option<Gauge>,
    /// Its parts of `store_size_bytes`.
    store_size: Vec<(String, Share)>,
    /// `partitions_assigned`: partitions assigned to this process; over all processes, the partitions of the input.
    /// Worry when the sum is less for longer than a rebalance takes. Its 1 is subtracted on drop.
    _assigned: Share,
    series: PartitionSeries,
    topic: String,
    partition: String,
}

impl Metrics {
    /// Resolves the series of a partition that was just assigned, for the cohorts in force.
    #[must_use]
    pub fn partition<'a>(
        &self,
        topic: &str,
        partition: i32,
        cohorts: impl IntoIterator<Item = &'a str>,
    ) -> PartitionMetrics {
        let series = self.partitions.clone();
        let partition = partition.to_string();
        let both = [topic, partition.as_str()];
        let cohorts: Vec<String> = cohorts.into_iter().map(str::to_owned).collect();
        let mut assigned = Share::of(&series.assigned);
        assigned.set(1);
        PartitionMetrics {
            records_consumed: series.records_consumed.with_label_values(&both),
            cohort_members: None,
            cohorts,
            timers_pending: None,
            customers_resident: Share::of(&series.customers_resident),
            customers_dirty: Share::of(&series.customers_dirty),
            stream_time: None,
            last_event: None,
            input: self.input(topic),
            store_size: Vec::new(),
            _assigned: assigned,
            topic: topic.to_owned(),
            partition,
            series,
        }
    }
}

/// The metrics of a partition during its restore. Dropping it removes them from `/metrics`.
#[derive(Debug)]
pub struct RestoreMetrics {
    remaining: IntGauge,
    series: PartitionSeries,
    partition: String,
}

impl Metrics {
    /// Resolves the series of a partition that is about to be restored.
    #[must_use]
    pub fn restore(&self, partition: i32) -> RestoreMetrics {
        let (series, partition) = (self.partitions.clone(), partition.to_string());
        RestoreMetrics {
            remaining: series.restore_remaining.with_label_values(&[partition.as_str()]),
            series,
            partition,
        }
    }
}

impl RestoreMetrics {
    /// `restore_remaining_records{partition}`: records still to be read before a partition is restored here, first from
    /// the changelog, then from the input; gone once it is. Worry when it does not fall.
    pub fn set_remaining(&self, records: i64) {
        self.remaining.set(records.max(0));
    }
}

impl Drop for RestoreMetrics {
    fn drop(&mut self) {
        // It was resolved, so it is there.
        self.series.restore_remaining.remove_label_values(&[self.partition.as_str()]).ok();
    }
}

impl PartitionMetrics {
    /// `consumer_lag_records{topic,partition}`: records in the partition that have not been read yet; for partitions
    /// that no process reads, without an owner or kept for a stopped process, shown by one of the others. Worry when it
    /// grows for longer than your outputs may be late. Not shown while it is not known, since 0 would mean that
    /// everything is read.
    pub fn set_lag(&self, lag: Option<i64>) {
        self.series.set_lag(&self.topic, &self.partition, lag);
    }

    /// `stream_timestamp_seconds{partition}`: stream time, up to which everything in a partition is decided. It never
    /// goes back, and follows the wall clock once all input is read. Worry when it is minutes old: exits are late by as
    /// much, and while `consumer_lag_records` is not 0, all outputs are. Shown once it is known, since 0 would mean
    /// 1970.
    pub fn set_stream_time(&mut self, at: Instant) {
        if at == Instant::MIN {
            return;
        }
        let resolve = || self.series.stream_time.with_label_values(&[self.partition.as_str()]);
        self.stream_time.get_or_insert_with(resolve).set(timestamp(at));
    }

    /// `last_event_timestamp_seconds{topic,partition}`: the time of the last event read. Worry when it is old and
    /// `consumer_lag_records` is not 0, or when a source has been silent for longer than it ever should be.
    pub fn set_last_event(&mut self, at: Instant) {
        let labels = [self.topic.as_str(), self.partition.as_str()];
        let resolve = || self.series.last_event.with_label_values(&labels);
        self.last_event.get_or_insert_with(resolve).set(timestamp(at));
    }

    /// Sets the cohorts in force.
    pub fn set_cohorts<'a>(&mut self, cohorts: impl IntoIterator<Item = &'a str>) {
        self.cohorts = cohorts.into_iter().map(str::to_owned).collect();
        self.cohort_members = None;
    }

    /// This partition's part of `cohort_members`, in the order of the cohorts in force. Shown once it is known, since 0 would
    /// be read as nobody.
    pub fn set_cohort_members(&mut self, members: &[u64]) {
        let resolve = || Members::of(&self.series.cohort_members, self.cohorts.iter().map(String::as_str));
        self.cohort_members.get_or_insert_with(resolve).set(members);
    }

    /// `timers_pending{partition}`: customers with a pending deadline. No worry by itself. Shown once it is known.
    pub fn set_timers_pending(&mut self, timers: u64) {
        let resolve = || self.series.timers_pending.with_label_values(&[self.partition.as_str()]);
        self.timers_pending.get_or_insert_with(resolve).set(i64::try_from(timers).unwrap_or(i64::MAX));
    }

    /// `store_size_bytes{family}`: size on disk of all databases of this process, by column family. Worry when the disk
    /// is about to fill up.
    pub fn set_store_size(&mut self, family: &str, bytes: u64) {
        let position = self.store_size.iter().position(|(known, _)| known == family).unwrap_or_else(|| {
            let share = Share::of(&self.series.store_size.with_label_values(&[family]));
            self.store_size.push((family.to_owned(), share));
            self.store_size.len() - 1
        });
        self.store_size[position].1.set(bytes);
    }
}

impl Drop for PartitionMetrics {
    fn drop(&mut self) {
        let (alone, both) = ([self.partition.as_str()], [self.topic.as_str(), self.partition.as_str()]);
        let series = &self.series;
        // Removing a series that was never resolved fails, which is fine.
        series.consumer_lag.remove_label_values(&both).ok();
        series.last_event.remove_label_values(&both).ok();
        series.stream_time.remove_label_values(&alone).ok();
        series.timers_pending.remove_label_values(&alone).ok();
    }
}

/// The families with series for partitions. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct PartitionSeries {
    records_consumed: IntCounterVec,
    consumer_lag: IntGaugeVec,
    last_event: GaugeVec,
    stream_time: GaugeVec,
    timers_pending: IntGaugeVec,
    restore_remaining: IntGaugeVec,
    cohort_members: MembersSeries,
    store_size: IntGaugeVec,
    assigned: IntGauge,
    customers_resident: IntGauge,
    customers_dirty: IntGauge,
}

impl PartitionSeries {
    /// Resolved each time: the same series may have been shown, and removed, for a partition without an owner.
    pub(super) fn set_lag(&self, topic: &str, partition: &str, lag: Option<i64>) {
        match lag {
            Some(lag) => self.consumer_lag.with_label_values(&[topic, partition]).set(lag),
            // It may not exist.
            None => drop(self.consumer_lag.remove_label_values(&[topic, partition])),
        }
    }

    pub(super) fn cohort_members(&self) -> BTreeMap<String, u64> {
        self.cohort_members.shown()
    }

    /// The earliest stream time of all partitions that have one.
    pub(super) fn decided_to(&self) -> Option<Instant> {
        let families = self.stream_time.collect();
        let values =
            families.iter().flat_map(|family| family.get_metric()).map(|metric| metric.get_gauge().get_value());
        values.min_by(f64::total_cmp).map(|seconds| Instant((seconds * 1_000.0) as i64))
    }

    pub(super) fn new(add: &Adder<'_>) -> Self {
        let partition = ["partition"];
        let topic_partition = ["topic", "partition"];
        Self {
            records_consumed: add.counters(
                "records_consumed_total",
                "Records read from the input and accounted for.",
                &topic_partition,
            ),
            consumer_lag: add.gauges(
                "consumer_lag_records",
                "Records in the partition that have not been read yet.",
                &topic_partition,
            ),
            last_event: add.float_gauges(
                "last_event_timestamp_seconds",
                "The time of the last event read, in seconds since 1970.",
                &topic_partition,
            ),
            stream_time: add.float_gauges(
                "stream_timestamp_seconds",
                "Stream time, in seconds since 1970.",
                &partition,
            ),
            timers_pending: add.gauges("timers_pending", "Customers with a pending deadline.", &partition),
            restore_remaining: add.gauges(
                "restore_remaining_records",
                "Records still to be read before the partition is restored; gone once it is.",
                &partition,
            ),
            cohort_members: MembersSeries::new(add),
            store_size: add.gauges(
                "store_size_bytes",
                "Size on disk of all databases of this process, by column family.",
                &["family"],
            ),
            assigned: add.gauge(
                "partitions_assigned",
                "Partitions assigned to this process; over all processes, the partitions of the input.",
            ),
            customers_resident: add.gauge("customers_resident", "Customers kept in memory."),
            customers_dirty: add.gauge("customers_dirty", "Customers changed in memory and not yet written."),
        }
    }
}
