//! The series of one partition: there from its assignment to its revocation.

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::event::Instant;

use super::input::InputMetrics;
use super::members::{Members, MembersSeries};
use super::{Adder, Metrics, timestamp};

/// What is counted for one partition while it is held. Dropping it, on revocation, takes its gauges off `/metrics`, so
/// that two processes never both claim the members of one partition; its counter stays, since counters only grow.
///
/// Drop it before the same partition is resolved again, or the new one's gauges vanish with the old one.
#[derive(Debug)]
pub struct PartitionMetrics {
    /// `records_consumed_total{topic,partition}`: records read and accounted for, counted with their committed batch.
    /// Worry when its rate is 0 while `consumer_lag_records` is not.
    pub records_consumed: IntCounter,
    /// Of its topic: shared by all its partitions.
    pub input: InputMetrics,
    /// `customers_resident`: customers kept decoded in memory. No worry by itself. This partition's part of them.
    pub customers_resident: Share,
    /// `customers_dirty`: customers changed in memory and not yet written to the local copy; a crash reads their events again. Worry
    /// when it only grows. This partition's part of them.
    pub customers_dirty: Share,
    /// Once they are known.
    cohort_members: Option<Members>,
    cohorts: Vec<String>,
    timers_pending: Option<IntGauge>,
    stream_time: Option<Gauge>,
    last_event: Option<Gauge>,
    /// Its parts of `store_size_bytes`.
    store_size: Vec<(String, Share)>,
    /// `partitions_assigned`: partitions that this process holds; over all processes, the partitions of the input. Worry when the sum
    /// is less for longer than a rebalance takes. Its 1 is given back on drop.
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

/// What is shown of a partition while it is restored. Dropping it takes it off `/metrics`.
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
    /// `restore_remaining_records{partition}`: records still to be read before a partition is at work here, of the changelog first,
    /// then of the input; gone once it is. Worry when it does not fall.
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
    /// `consumer_lag_records{topic,partition}`: records that are there and were not read yet; of partitions that nobody reads, without
    /// an owner or kept for a process that has stopped, by one of the others. Worry when it grows for longer than your outputs may
    /// be late. Not shown while it is not known, since 0 would be read as "all is read".
    pub fn set_lag(&self, lag: Option<i64>) {
        self.series.set_lag(&self.topic, &self.partition, lag);
    }

    /// `stream_timestamp_seconds{partition}`: stream time, up to which everything of a partition is decided. It never goes back, and
    /// follows the wall clock where all is read. Worry when it is minutes old: so late are exits, and while
    /// `consumer_lag_records` is not 0, outputs of any kind. Shown once it is known, since 0 would be read as 1970.
    pub fn set_stream_time(&mut self, at: Instant) {
        if at == Instant::MIN {
            return;
        }
        let resolve = || self.series.stream_time.with_label_values(&[self.partition.as_str()]);
        self.stream_time.get_or_insert_with(resolve).set(timestamp(at));
    }

    /// `last_event_timestamp_seconds{topic,partition}`: the time of the last event read. Worry when it is old and
    /// `consumer_lag_records` is not 0, or when a source that is never silent for so long is.
    pub fn set_last_event(&mut self, at: Instant) {
        let labels = [self.topic.as_str(), self.partition.as_str()];
        let resolve = || self.series.last_event.with_label_values(&labels);
        self.last_event.get_or_insert_with(resolve).set(timestamp(at));
    }

    /// Other cohorts are in force.
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

    /// `timers_pending{partition}`: customers with a deadline ahead. No worry by itself. Shown once it is known.
    pub fn set_timers_pending(&mut self, timers: u64) {
        let resolve = || self.series.timers_pending.with_label_values(&[self.partition.as_str()]);
        self.timers_pending.get_or_insert_with(resolve).set(i64::try_from(timers).unwrap_or(i64::MAX));
    }

    /// `store_size_bytes{family}`: size on disk of all databases here, by column family. Worry when the disk will not last.
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
        // A series that was never resolved cannot be removed, which is as well.
        series.consumer_lag.remove_label_values(&both).ok();
        series.last_event.remove_label_values(&both).ok();
        series.stream_time.remove_label_values(&alone).ok();
        series.timers_pending.remove_label_values(&alone).ok();
    }
}

/// One holder's part of a gauge that sums over partitions; given back on drop.
#[derive(Debug)]
pub struct Share {
    gauge: IntGauge,
    part: i64,
}

impl Share {
    pub(super) fn of(gauge: &IntGauge) -> Self {
        Self { gauge: gauge.clone(), part: 0 }
    }

    /// Replaces this part of the sum.
    pub fn set(&mut self, part: u64) {
        let part = i64::try_from(part).unwrap_or(i64::MAX);
        self.gauge.add(part - self.part);
        self.part = part;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.sub(self.part);
    }
}

/// The families that partitions have series in. Clones share them.
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
    /// Resolved anew each time: the same series may have been shown, and taken off, for a partition without an owner.
    pub(super) fn set_lag(&self, topic: &str, partition: &str, lag: Option<i64>) {
        match lag {
            Some(lag) => self.consumer_lag.with_label_values(&[topic, partition]).set(lag),
            // It may never have been shown.
            None => drop(self.consumer_lag.remove_label_values(&[topic, partition])),
        }
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
                "Records in the partition that were not read yet.",
                &topic_partition,
            ),
            last_event: add.float_gauges(
                "last_event_timestamp_seconds",
                "The time of the last event read, in seconds since 1970.",
                &topic_partition,
            ),
            stream_time: add.float_gauges(
                "stream_timestamp_seconds",
                "Stream time, in seconds since 1970: how far the log is taken to be complete.",
                &partition,
            ),
            timers_pending: add.gauges("timers_pending", "Customers with a deadline ahead.", &partition),
            restore_remaining: add.gauges(
                "restore_remaining_records",
                "Records still to be read before the partition is ready; gone once it is.",
                &partition,
            ),
            cohort_members: MembersSeries::new(add),
            store_size: add.gauges("store_size_bytes", "Size on disk of all databases here, by family.", &["family"]),
            assigned: add.gauge(
                "partitions_assigned",
                "Partitions that this process holds; over all processes, the partitions of the input.",
            ),
            customers_resident: add.gauge("customers_resident", "Customers kept decoded in memory."),
            customers_dirty: add.gauge("customers_dirty", "Customers changed in memory and not yet written."),
        }
    }
}
