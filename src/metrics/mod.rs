//! Metrics for Prometheus, and the health of the process.
//!
//! Names, help texts and labels are a public interface: dashboards and alerts depend on them. Exported names have the
//! prefix `cohortd_`, which `adder` adds. Without it a name stands in two places here: where the metric is registered,
//! and in the comment on its field. With it, in `docs/metrics.md` and in the alerts and dashboards of `deploy/`. Base
//! units, `_total` on counters; labels are bounded, and never name a customer. A test checks this law:
//!
//! ```text
//! records_consumed = events_applied + events_skipped (all reasons) + dead_letters (all reasons), for each topic
//! ```
//!
//! Summing a family over its labels and over processes gives a meaningful figure; where it would not, there are
//! separate families, or one process shows the family for the whole group. Timestamps are shown instead of ages, which
//! would stand still with the process that shows them. Comments that begin with a name in backticks are the text of
//! `docs/metrics.md`.

mod adder;
mod cohorts;
mod forecasts;
mod gather;
mod group;
mod health;
mod input;
mod kafka;
mod labels;
mod members;
mod memory;
mod optional;
mod partition;
mod process;
mod ranks;
mod registry;
mod share;
mod waiting;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use prometheus::{GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::event::{Change, Instant};

pub use cohorts::CohortCounters;
pub use forecasts::{CohortFigures, Expected};
pub use gather::SourceMetrics;
pub use group::{GroupSeen, Holder};
pub use health::{HEARTBEAT_AGE_MAX, Health, LaneHealth, Unhealthy};
pub use input::InputMetrics;
pub use kafka::KafkaMetrics;
pub use labels::{Fired, Rebalance, Retry, Stage, Transaction};
pub use members::Members;
pub use memory::{available_bytes, give_back, resident_bytes};
pub use partition::{PartitionMetrics, RestoreMetrics};
pub use ranks::RankMetrics;
pub use share::Share;
pub use waiting::{Wait, WaitCause, Waiting};

use adder::{Adder, children};
use forecasts::ForecastSeries;
use gather::GatherSeries;
use input::InputSeries;
use kafka::KafkaSeries;
use partition::PartitionSeries;
use process::Process;
use ranks::RankSeries;
use registry::Families;

/// Every metric of the process, built once and passed down. Counting is lock-free once the series are resolved.
#[derive(Debug)]
pub struct Metrics {
    families: Families,

    // Throughput and its conservation.
    input: InputSeries,
    sources: GatherSeries,
    /// `partitioner_differs`: 1 once a customer was seen in another partition than murmur2 chooses, stored or with an
    /// event. Worry when this is not intended: Kafka's Java clients and most tools use murmur2.
    pub partitioner_differs: IntGauge,
    /// `decisions_approximated_total`: decisions on facts that have exceeded their exact capacity. Worry when exact
    /// counts matter to you: shorten the windows.
    pub decisions_approximated: IntCounter,
    /// `dedupe_ids_evicted_total`: event ids forgotten before `time.max_lateness`. Worry at a steady rate: raise
    /// `dedupe.ids`, or late duplicates may count twice.
    pub dedupe_ids_evicted: IntCounter,
    /// `membership_changes_total{cohort,change}`: entries to and exits from each cohort. Worry when a cohort's entries
    /// stop, or jump.
    membership_changes: IntCounterVec,

    // Time.
    /// `clock_jumps_total`: jumps of the wall clock ahead, for which stream time was not advanced. Worry at 1: the
    /// machine's clock is unreliable.
    pub clock_jumps: IntCounter,

    // Timers.
    /// `timers_fired_total{kind}`: due timers: the customer was `decided`, or the deadline had moved on and the timer was
    /// `rearmed`. No worry by itself; at many `rearmed` for each `decided` customers are busier than their deadlines.
    timers_fired: Vec<IntCounter>,
    /// `timer_lateness_seconds`: how much later than `time.arrives_within` after its instant a deadline was decided,
    /// for partitions that follow the wall clock; loading a history or a backlog is not included. At best 0. Worry when
    /// the 99th percentile is over a minute.
    pub timer_lateness: Histogram,

    // Batches, transactions and the store.
    /// `batch_duration_seconds{stage}`: time that a batch spent in each stage: `poll`, waiting for records; `apply`,
    /// deciding and encoding changes; `send`, handing them to the client; `deliver`, waiting until the brokers have
    /// acknowledged them; `commit`; `write`, to the database. Worry when `commit` is more than a tenth of the sum under
    /// full load: raise `batch.max_records`.
    batch_duration: Vec<Histogram>,
    /// `transactions_total{outcome}`: `committed`, `aborted` and retried, or `resolved`: the commit's answer was lost,
    /// and the outcome was read from the log. Worry when `aborted` grows steadily, or `resolved` at all outside broker
    /// failures.
    transactions: Vec<IntCounter>,
    /// `changelog_records_total`: customer states written to the changelog; divided by `events_applied_total`, what
    /// lazy writing saves. No worry by itself.
    pub changelog_records: IntCounter,
    /// `publish_errors_total{topic}`: records that a broker rejected; their transaction was aborted and retried. Worry
    /// at a steady rate.
    publish_errors: IntCounterVec,
    /// `outputs_oversized_total`: records too large for their topic, written to the dead letters instead. Worry at 1:
    /// raise `max.message.bytes` of the topic that the dead letter names.
    pub outputs_oversized: IntCounter,
    /// `store_write_duration_seconds`: time of one write to a partition's database. Worry above 1 s: the disk stalls.
    pub store_write_duration: Histogram,

    // Assignment and restore.
    partitions: PartitionSeries,
    /// `rebalances_total{kind}`: changes of the partitions assigned to this process. Worry when `lost` grows: batches
    /// or restores keep a processing thread (lane) from polling.
    rebalances: Vec<IntCounter>,
    /// `retries_total{what}`: operations retried after a failure, with growing pauses. Worry when one grows for
    /// minutes: `/health/ready` says what is waited for.
    retries: Vec<IntCounter>,
    /// `store_errors_total`: failures of RocksDB's background threads to flush or compact files. Worry at 1: the log
    /// says what the disk refused.
    pub store_errors: IntCounter,
    /// `state_free_bytes`: free bytes of the file system of `state.dir`. Worry below twice `state_pause_bytes`:
    /// processing pauses before it is full.
    pub state_free: IntGauge,
    /// `state_pause_bytes`: free bytes of that file system below which processing pauses: what the write buffers may
    /// need, and a twentieth of the file system. No worry by itself.
    pub state_pause: IntGauge,
    /// `copies_removed_total`: local copies removed because their partitions have belonged to another process for a
    /// day. No worry by itself.
    pub copies_removed: IntCounter,
    /// `copies_set_aside_total`: local copies of partitions that were found damaged, set aside next to the others and
    /// restored from the changelog. Worry at 1: check the disk.
    pub copies_set_aside: IntCounter,
    /// `restore_records_total`: changelog and input records read to restore state. Worry when it grows without a
    /// rebalance or a restart: a partition is restored again and again.
    pub restore_records: IntCounter,

    // Ranks.
    ranks: RankSeries,
    rank_refresh: GaugeVec,
    /// `ranks_held_back`: partitions for which rank thresholds are delayed, because they have not been read to their
    /// end yet or currently change a lot; shown by the process that owns partition 0. Worry when it stays above 0
    /// although no partition has a lag: a partition has no owner, or does not progress.
    pub ranks_held_back: IntGauge,

    // Summaries of all partitions.
    /// `summaries_skipped_total{kind}`: records of the summaries topic that this release cannot read. Worry when it
    /// grows outside a rolling upgrade: another program writes to the topic, or it is damaged; what the record said is
    /// missing from ranks, forecasts or the churn model until its partition publishes again.
    summaries_skipped: IntCounterVec,
    /// `summaries_read_bytes_total`: bytes read from the summaries topic. A process that does not own partition 0 reads
    /// only the results computed from all partitions, some megabytes at a start. Worry when it grows fast everywhere.
    pub summaries_read_bytes: IntCounter,
    /// `summaries_kept_bytes`: bytes of the summaries topic that are kept in memory, in addition to the memory of
    /// partitions. Worry when it is a good part of `memory.limit`.
    pub summaries_kept_bytes: IntGauge,

    // Churn.
    /// `risk_changes_total{level}`: changes of the churn risk level, by the level reached. Worry when one grows many
    /// times as fast as usual: check the model's input.
    risk_changes: IntCounterVec,
    /// `churn_parameters_version`: the newest churn parameters known to this process; 0: none. Worry when it does not
    /// grow within two weeks: the model is no longer trained.
    pub churn_version: IntGauge,
    /// `churn_provisional`: 1 while there is too little data to estimate those parameters well. Worry when it stays 1
    /// for months: too few customers buy again for a model.
    pub churn_provisional: IntGauge,
    forecasts: ForecastSeries,
    /// `customers_reevaluated_total`: customers re-evaluated under new churn parameters. No worry by itself.
    pub customers_reevaluated: IntCounter,

    // Memory.
    /// `memory_limit_bytes`: the setting `memory.limit`. Worry when `process_resident_memory_bytes` stays above nine tenths of it.
    pub memory_limit: IntGauge,
    /// `intake_paused`: 1 while reading pauses because memory is short. Worry when it stays: raise `memory.limit`.
    pub intake_paused: IntGauge,

    // What stands still.
    /// `waiting{cause}`: partitions, or parts of the process, that are waiting for this cause. Worry when one stays
    /// above 0 for a minute: `/health/ready` says what is waited for and what would end it.
    waiting: IntGaugeVec,

    // The group.
    /// `partitions_unowned`: input partitions that are not assigned to any member of the group, shown by the process
    /// whose member is first in the group; absent while the group is not known. Worry when it stays above 0 for a
    /// minute: nobody reads those partitions.
    partitions_unowned: IntGaugeVec,
    /// Partitions without an owner whose lag is shown by this process.
    unowned_lag: Mutex<BTreeSet<i32>>,

    // The outside.
    kafka: KafkaSeries,
    /// `brokers_reachable`: 1 while a broker answers, 0 while none does. Worry at 0: nothing is read; connections are
    /// retried.
    pub brokers_reachable: IntGauge,
    /// `registry_reachable`: 1 while the schema registry answers or none is configured; 0 from a request without an
    /// answer, or with refused credentials, until the next answer. Worry at 0: partitions with schemas not yet seen
    /// wait.
    pub registry_reachable: IntGauge,
    /// `rules_info{version,fingerprint}`: always 1; its labels name the newest rules known to this process. Worry when
    /// processes of one group show different ones for minutes.
    rules_info: IntGaugeVec,
    /// `rules_rejected_total`: edits of the rules that were rejected. Worry at 1: the rules in force are not the
    /// intended ones; the log and `/health/ready` say why.
    pub rules_rejected: IntCounter,
    /// `surge_withheld_total`: entries withheld from automation because too many customers entered a cohort within an
    /// hour. Worry when it grows: the log names the cohort; check its rule, and the data.
    pub surge_withheld: IntCounter,
    /// `partitions_migrating`: partitions whose input waits while their state is migrated to new rules. Worry when it
    /// stays above 0 for longer than the log says.
    pub partitions_migrating: IntGauge,
    /// `customers_migrated_total`: customers re-evaluated because the rules were edited. No worry by itself.
    pub customers_migrated: IntCounter,
}

/// From half a millisecond, a commit on a near broker, to the transaction's own time limit.
const BATCH_SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// From prompt to a day, at which `automation.max_delay` ends by default.
const LATENESS_SECONDS: [f64; 12] = [0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];

impl Metrics {
    /// `version` and `revision` become labels of `build_info`.
    ///
    /// # Panics
    /// If two metrics here share a name or a name is malformed, which every start and every test would show.
    #[must_use]
    pub fn new(version: &str, revision: &str) -> Self {
        let families = RefCell::new(Families::default());
        let add = Adder(&families);

        families.borrow_mut().add("process", Box::new(Process::new()));
        let fired = add.counters("timers_fired_total", "Due timers, by what they led to.", &["kind"]);
        let stages = add.histograms(
            "batch_duration_seconds",
            "Time that a batch spent in each stage.",
            &["stage"],
            &BATCH_SECONDS,
        );
        let transactions = add.counters("transactions_total", "Kafka transactions, by how they ended.", &["outcome"]);
        let rebalances =
            add.counters("rebalances_total", "Changes of the partitions assigned to this process, by kind.", &["kind"]);
        let retries = add.counters("retries_total", "Operations retried after a failure, by operation.", &["what"]);
        // `build_info{version,revision}`: always 1; its labels name the program. No worry by itself.
        let build = add.gauges("build_info", "Always 1; its labels name the program.", &["version", "revision"]);
        build.with_label_values(&[version, revision]).set(1);
        let registry_reachable = add.gauge(
            "registry_reachable",
            "1 while the schema registry answers or none is configured, 0 until it answers again.",
        );
        registry_reachable.set(1);

        Self {
            input: InputSeries::new(&add),
            sources: GatherSeries::new(&add),
            partitioner_differs: add
                .gauge("partitioner_differs", "1 once a customer was seen in another partition than murmur2 chooses."),
            decisions_approximated: add
                .counter("decisions_approximated_total", "Decisions on facts that have exceeded their exact capacity."),
            dedupe_ids_evicted: add.counter(
                "dedupe_ids_evicted_total",
                "Event ids forgotten early because dedupe.ids of a customer were newer.",
            ),
            membership_changes: add.counters(
                "membership_changes_total",
                "Entries to and exits from each cohort.",
                &["cohort", "change"],
            ),
            clock_jumps: add
                .counter("clock_jumps_total", "Jumps of the wall clock ahead that stream time did not follow."),
            timers_fired: children(&[Fired::Decided, Fired::Rearmed], |kind| fired.with_label_values(&[kind.label()])),
            timer_lateness: add.histogram(
                "timer_lateness_seconds",
                "How much later than arrives_within after its instant a deadline was decided, while live.",
                &LATENESS_SECONDS,
            ),
            batch_duration: children(&Stage::ALL, |stage| stages.with_label_values(&[stage.label()])),
            transactions: children(&Transaction::ALL, |outcome| transactions.with_label_values(&[outcome.label()])),
            changelog_records: add.counter("changelog_records_total", "Customer states written to the changelog."),
            publish_errors: add.counters(
                "publish_errors_total",
                "Records that a broker rejected; their transaction was aborted and retried.",
                &["topic"],
            ),
            outputs_oversized: add.counter(
                "outputs_oversized_total",
                "Records too large for their topic, written to the dead letters instead.",
            ),
            store_write_duration: add.histogram(
                "store_write_duration_seconds",
                "Time of one write to a partition's database.",
                &BATCH_SECONDS,
            ),
            partitions: PartitionSeries::new(&add),
            retries: children(&Retry::ALL, |what| retries.with_label_values(&[what.label()])),
            rebalances: children(&Rebalance::ALL, |kind| rebalances.with_label_values(&[kind.label()])),
            store_errors: add
                .counter("store_errors_total", "Failures of RocksDB's background threads to flush or compact files."),
            state_free: add.gauge("state_free_bytes", "Free bytes of the file system of state.dir."),
            state_pause: add
                .gauge("state_pause_bytes", "Free bytes of that file system below which processing pauses."),
            copies_removed: add
                .counter("copies_removed_total", "Local copies of partitions that moved away, removed after a day."),
            copies_set_aside: add
                .counter("copies_set_aside_total", "Damaged local copies of partitions that were set aside."),
            restore_records: add.counter("restore_records_total", "Changelog and input records read to restore state."),
            ranks: RankSeries::new(&add),
            rank_refresh: add.float_gauges(
                "rank_refresh_timestamp_seconds",
                "Beginning of the period in which thresholds of ranks were computed, in seconds since 1970.",
                &[],
            ),
            ranks_held_back: add.gauge(
                "ranks_held_back",
                "Partitions for which rank thresholds are delayed, since they are still being loaded.",
            ),
            summaries_skipped: add.counters(
                "summaries_skipped_total",
                "Records of the summaries topic that could not be read and were skipped, by kind.",
                &["kind"],
            ),
            summaries_read_bytes: add.counter("summaries_read_bytes_total", "Bytes read from the summaries topic."),
            summaries_kept_bytes: add.gauge("summaries_kept_bytes", "Bytes of the summaries topic kept in memory."),
            risk_changes: add.counters(
                "risk_changes_total",
                "Changes of churn risk, by the level reached.",
                &["level"],
            ),
            churn_version: add.gauge("churn_parameters_version", "The newest churn parameters; 0: none."),
            churn_provisional: add
                .gauge("churn_provisional", "1 while there is too little data to estimate the churn parameters."),
            forecasts: ForecastSeries::new(&add),
            customers_reevaluated: add
                .counter("customers_reevaluated_total", "Customers re-evaluated under new churn parameters."),
            memory_limit: add.gauge("memory_limit_bytes", "The setting memory.limit."),
            intake_paused: add.gauge("intake_paused", "1 while reading pauses because memory is short."),
            waiting: add.gauges(
                "waiting",
                "Partitions, or parts of the process, that are waiting, by cause.",
                &["cause"],
            ),
            partitions_unowned: add.gauges(
                "partitions_unowned",
                "Input partitions not assigned to any member of the group; one process shows them for the group.",
                &[],
            ),
            unowned_lag: Mutex::default(),
            kafka: KafkaSeries::new(&add),
            brokers_reachable: add.gauge("brokers_reachable", "1 while a Kafka broker answers, 0 while none does."),
            registry_reachable,
            rules_info: add.gauges(
                "rules_info",
                "Always 1; its labels name the newest rules known.",
                &["version", "fingerprint"],
            ),
            rules_rejected: add.counter("rules_rejected_total", "Edits of the rules that were rejected."),
            surge_withheld: add
                .counter("surge_withheld_total", "Entries withheld from automation because too many entered at once."),
            partitions_migrating: add.gauge(
                "partitions_migrating",
                "Partitions whose input waits while their state is migrated to new rules.",
            ),
            customers_migrated: add
                .counter("customers_migrated_total", "Customers re-evaluated because the rules were edited."),
            families: families.into_inner(),
        }
    }

    /// Members of each cohort in the partitions of this process, as of their last transactions.
    #[must_use]
    pub fn cohort_members(&self) -> BTreeMap<String, u64> {
        self.partitions.cohort_members()
    }

    /// Up to when everything is decided in all partitions of this process. `None`: no partition has read an event.
    #[must_use]
    pub fn decided_to(&self) -> Option<Instant> {
        self.partitions.decided_to()
    }

    /// The counters of one input topic. Call it at the start, so that the series begin at 0.
    #[must_use]
    pub fn input(&self, topic: &str) -> InputMetrics {
        self.input.of(topic)
    }

    /// The counters of one source. Call it at the start, so that the series begin at 0.
    #[must_use]
    pub fn source(&self, name: &str) -> SourceMetrics {
        self.sources.of(name)
    }

    /// The metrics of one kind of Kafka client and one broker.
    #[must_use]
    pub fn kafka(&self, client: &str, broker: &str) -> KafkaMetrics {
        self.kafka.of(client, broker)
    }

    /// Seconds, once a batch.
    #[must_use]
    pub fn batch_duration(&self, stage: Stage) -> &Histogram {
        &self.batch_duration[stage as usize]
    }

    #[must_use]
    pub fn transactions(&self, outcome: Transaction) -> &IntCounter {
        &self.transactions[outcome as usize]
    }

    #[must_use]
    pub fn timers_fired(&self, kind: Fired) -> &IntCounter {
        &self.timers_fired[kind as usize]
    }

    #[must_use]
    pub fn rebalances(&self, kind: Rebalance) -> &IntCounter {
        &self.rebalances[kind as usize]
    }

    #[must_use]
    pub fn retries(&self, what: Retry) -> &IntCounter {
        &self.retries[what as usize]
    }

    /// Errors of publishing to `topic`. Call it for every output topic at the start, so that the series begin at 0.
    #[must_use]
    pub fn publish_errors(&self, topic: &str) -> IntCounter {
        self.publish_errors.with_label_values(&[topic])
    }

    /// Counters for each cohort, in the order of `cohorts`.
    #[must_use]
    pub fn cohorts<'a>(&self, cohorts: impl IntoIterator<Item = &'a str>) -> Vec<CohortCounters> {
        let counter = |cohort, change: Change| self.membership_changes.with_label_values(&[cohort, change.word()]);
        cohorts
            .into_iter()
            .map(|cohort| CohortCounters {
                entered: counter(cohort, Change::Entered),
                exited: counter(cohort, Change::Exited),
            })
            .collect()
    }

    /// The series of one rank.
    #[must_use]
    pub fn rank(&self, cohort: &str, rank: &str) -> RankMetrics {
        self.ranks.of(cohort, rank)
    }

    #[must_use]
    pub fn summaries_skipped(&self, kind: &str) -> IntCounter {
        self.summaries_skipped.with_label_values(&[kind])
    }

    #[must_use]
    pub fn risk_changes(&self, level: &str) -> IntCounter {
        self.risk_changes.with_label_values(&[level])
    }

    /// The quality of the predictions for the latest week with known outcomes.
    pub fn churn_quality(&self, auc: Option<f64>, brier: f64, calibration_error: f64) {
        self.forecasts.quality(auc, brier, calibration_error);
    }

    /// The results of the last survey for one cohort.
    pub fn show_forecast(&self, cohort: &str, figures: &CohortFigures<'_>) {
        self.forecasts.show(cohort, figures);
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// None that can happen with the names declared here; the caller answers 500.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        self.families.encode()
    }
}

/// A family without labels, whose only series may be absent.
const NO_LABELS: [&str; 0] = [];

#[cfg(test)]
mod tests;
