//! What the process says about itself: counters and gauges for Prometheus, and its health.
//!
//! Names, help texts and labels are a declared surface: dashboards and alerts depend on them. Base units, `_total` on
//! counters; labels are bounded, and never name a customer. The law that a test holds us to:
//!
//! ```text
//! records_consumed = events_applied + events_skipped (all reasons) + dead_letters (all reasons), for each topic
//! ```
//!
//! Adding a family up, over its labels and over processes, gives a figure that means something; where it would not, labels
//! became names, or one process shows the family for the whole group. Instants are shown instead of ages, which would stand
//! still with the process that shows them. Comments that begin with a name in backticks are the text of `docs/metrics.md`.

mod families;
mod forecasts;
mod group;
mod health;
mod input;
mod kafka;
mod members;
mod memory;
mod partition;
mod process;
mod ranks;
mod waiting;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};

use crate::event::{Change, Instant};

pub use forecasts::{Expected, Surveyed};
pub use group::{GroupSeen, Holder};
pub use health::{HEARTBEAT_AGE_MAX, Health, LaneHealth, Unhealthy};
pub use input::InputMetrics;
pub use kafka::KafkaMetrics;
pub use members::Members;
pub use memory::{available_bytes, give_back, resident_bytes};
pub use partition::{PartitionMetrics, RestoreMetrics, Share};
pub use ranks::RankMetrics;
pub use waiting::{Wait, WaitCause, Waiting};

use families::Families;
use forecasts::ForecastSeries;
use input::InputSeries;
use kafka::KafkaSeries;
use partition::PartitionSeries;
use process::Process;
use ranks::RankSeries;

/// Every metric of the process, built once and passed down. Counting is lock-free on what was resolved beforehand.
///
/// The names in the comments below carry the prefix `cohortd_` on the wire.
#[derive(Debug)]
pub struct Metrics {
    families: Families,

    // Throughput and its conservation.
    input: InputSeries,
    /// `partitioner_differs`: 1 once a customer was seen in another partition than murmur2's, stored or with an event. Worry when
    /// you did not mean it: Kafka's Java clients and most tools write by murmur2.
    pub partitioner_differs: IntGauge,
    /// `decisions_approximated_total`: decisions on facts that had outgrown their exact form. Worry when it matters to
    /// you that the counts in them are exact: shorten the windows.
    pub decisions_approximated: IntCounter,
    /// `dedupe_ids_evicted_total`: event ids forgotten before `time.max_lateness`. Worry at a steady rate: raise
    /// `dedupe.ids`, or late duplicates may count twice.
    pub dedupe_ids_evicted: IntCounter,
    /// `membership_changes_total{cohort,change}`: entries to and exits from each cohort. Worry when a cohort's entries stop, or
    /// leap.
    membership_changes: IntCounterVec,

    // Time.
    /// `clock_jumps_total`: times that the wall clock leapt ahead, and advances stopped for it. Worry at 1: the
    /// machine's clock is not to be trusted.
    pub clock_jumps: IntCounter,

    // Timers.
    /// `timers_fired_total{kind}`: due timers: the customer was `decided`, or the deadline had moved on and the timer was
    /// `rearmed`. No worry by itself; at many `rearmed` for each `decided` customers are busier than their deadlines.
    timers_fired: Vec<IntCounter>,
    /// `timer_lateness_seconds`: how much later than `time.arrives_within` after its instant a deadline was decided, of partitions
    /// that follow the wall clock; what a history or a backlog brings is not in it. At best 0. Worry when the 99th percentile
    /// is over a minute.
    pub timer_lateness: Histogram,

    // Batches, transactions and the store.
    /// `batch_duration_seconds{stage}`: what one batch spent in each of its parts. Worry when `commit` is more than a tenth of the
    /// sum under full load: raise `batch.max_records`.
    batch_duration: Vec<Histogram>,
    /// `transactions_total{outcome}`: `committed`, `aborted` and run again, or `resolved`: the commit's answer was lost, and the
    /// outcome was read from the log. Worry when `aborted` grows steadily, or `resolved` at all outside broker failures.
    transactions: Vec<IntCounter>,
    /// `changelog_records_total`: customer states written to the changelog; divided by `events_applied_total`, what
    /// lazy writing saves. No worry by itself.
    pub changelog_records: IntCounter,
    /// `publish_errors_total{topic}`: records that a broker did not take; their transaction was aborted and run again. Worry at a
    /// steady rate.
    publish_errors: IntCounterVec,
    /// `outputs_oversized_total`: records that their topic was too small for, written to the dead letters instead. Worry at 1:
    /// raise `max.message.bytes` of the topic that the dead letter names.
    pub outputs_oversized: IntCounter,
    /// `store_write_duration_seconds`: one write of a partition's database. Worry above 1 s: the disk stalls.
    pub store_write_duration: Histogram,

    // Assignment and restore.
    partitions: PartitionSeries,
    /// `rebalances_total{kind}`: changes of the partitions held here. Worry when `lost` grows: batches or restores keep a lane
    /// from polling.
    rebalances: Vec<IntCounter>,
    /// `retries_total{what}`: what failed and was tried again, each time after a longer pause. Worry when one grows for minutes:
    /// `/health/ready` says what is waited for.
    retries: Vec<IntCounter>,
    /// `store_errors_total`: times that RocksDB's own threads could not write files out or merge them. Worry at 1: the log says
    /// what the disk refused.
    pub store_errors: IntCounter,
    /// `state_free_bytes`: free bytes of the file system of `state.dir`. Worry below twice `state_pause_bytes`: work pauses before
    /// it is full.
    pub state_free: IntGauge,
    /// `state_pause_bytes`: below so many free bytes of that file system work pauses; what the write buffers may need, and a
    /// twentieth of the file system. No worry by itself.
    pub state_pause: IntGauge,
    /// `copies_removed_total`: local copies removed because their partitions have been elsewhere for a day. No worry by
    /// itself.
    pub copies_removed: IntCounter,
    /// `copies_set_aside_total`: local copies of partitions that were found damaged, set aside beside the others and restored
    /// from the changelog. Worry at 1: look at the disk.
    pub copies_set_aside: IntCounter,
    /// `restore_records_total`: changelog and input records read again to rebuild state. Worry when it grows without a rebalance
    /// or a restart: a partition is restored again and again.
    pub restore_records: IntCounter,

    // Ranks.
    ranks: RankSeries,
    rank_refresh: GaugeVec,
    /// `ranks_held_back`: partitions for which thresholds of ranks are held back, since they were never read to their end or
    /// change much at present; shown by the process that holds partition 0. Worry when it stays above 0 although no partition
    /// has a lag: a partition has no owner, or stands still.
    pub ranks_held_back: IntGauge,

    // Summaries of all partitions.
    /// `summaries_skipped_total{kind}`: records of the summaries topic that this release cannot read. Worry when it grows outside
    /// a rolling upgrade: somebody else writes to the topic, or it is damaged; what the record said is missing from ranks,
    /// forecasts or the model of churn until its partition publishes again.
    summaries_skipped: IntCounterVec,
    /// `summaries_read_bytes_total`: bytes of the summaries topic that were read. Where partition 0 is not, only what follows
    /// from the counters of all partitions is read, some megabytes at a start. Worry when it grows fast everywhere.
    pub summaries_read_bytes: IntCounter,
    /// `summaries_kept_bytes`: bytes of the summaries topic that are kept in memory, outside of what partitions may hold. Worry when it is a good
    /// part of `memory.limit`.
    pub summaries_kept_bytes: IntGauge,

    // Churn.
    /// `risk_changes_total{level}`: changes of the level of churn risk, by the level that was reached. Worry when one grows many
    /// times as fast as usual: look at what the model was fed.
    risk_changes: IntCounterVec,
    /// `churn_parameters_version`: the newest parameters of the model of churn that are known here; 0: none. Worry when it
    /// does not grow within two weeks: nothing is learnt any more.
    pub churn_version: IntGauge,
    /// `churn_provisional`: 1 while too little was seen to know those parameters well. Worry when it stays 1 for months: too few
    /// customers buy again for a model.
    pub churn_provisional: IntGauge,
    forecasts: ForecastSeries,
    /// `customers_reevaluated_total`: customers decided again under new parameters of churn. No worry by itself.
    pub customers_reweighed: IntCounter,

    // Memory.
    /// `memory_limit_bytes`: the setting `memory.limit`. Worry when `process_resident_memory_bytes` stays above nine tenths of it.
    pub memory_limit: IntGauge,
    /// `intake_paused`: 1 while reading pauses because memory is short. Worry when it stays: raise `memory.limit`.
    pub intake_paused: IntGauge,

    // What stands still.
    /// `waiting{cause}`: partitions, or parts of the process, that stand still for this cause. Worry when one stays above 0
    /// for a minute: `/health/ready` says what is waited for and what would end it.
    waiting: IntGaugeVec,

    // The group.
    /// `partitions_unowned`: partitions of the input that no member of the group has, shown by the process whose member stands
    /// first in the group; absent while the group is not known. Worry when it stays above 0 for a minute: nobody reads those
    /// partitions.
    partitions_unowned: IntGaugeVec,
    /// Partitions without an owner whose lag is shown by this process.
    unowned_lag: Mutex<BTreeSet<i32>>,

    // The outside.
    kafka: KafkaSeries,
    /// `brokers_reachable`: 1 while a broker answers, 0 while none does. Worry at 0: nothing is read; it is retried.
    pub brokers_reachable: IntGauge,
    /// `registry_reachable`: 1 while the schema registry answers or none is set; 0 from a question without an answer, or
    /// with refused credentials, until the next answer. Worry at 0: partitions with schemas not yet seen wait.
    pub registry_reachable: IntGauge,
    /// `rules_info{version,fingerprint}`: always 1; its labels name the newest rules known here. Worry when processes of one group
    /// show different ones for minutes.
    rules_info: IntGaugeVec,
    /// `rules_rejected_total`: edits of the rules that were refused. Worry at 1: the rules in force are not the ones that
    /// were meant; the log and `/health/ready` say why.
    pub rules_rejected: IntCounter,
    /// `surge_withheld_total`: entries that automation may not act on, because too many entered a cohort within an hour.
    /// Worry when it grows: the log names the cohort; look at its rule, and at the data.
    pub surge_withheld: IntCounter,
    /// `partitions_migrating`: partitions whose input waits while their state is migrated to other rules. Worry when it stays above 0
    /// for longer than the log says.
    pub partitions_adopting: IntGauge,
    /// `customers_migrated_total`: customers decided again because the rules were edited. No worry by itself.
    pub customers_adopted: IntCounter,
}

/// What is tried again after it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Looking at the cluster and its topics, at a start.
    Kafka,
    /// Registering the schemas of the outputs.
    Registry,
    /// Reading the topic of the rules, at a start.
    Rules,
    /// Publishing a batch.
    Transaction,
    /// Restoring a partition that failed.
    Partition,
    /// Reading the summaries.
    Summaries,
    /// Fetching a schema of the input.
    Schema,
}

/// The parts of a batch whose time is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for and taking records from the client's queue.
    Poll,
    /// Reading states, decoding records and deciding.
    Apply,
    /// The write to the database.
    Write,
    /// Handing records to the producer until the broker has acknowledged them.
    Publish,
    /// Offsets and the end of the transaction.
    Commit,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    Committed,
    Aborted,
    /// The commit's answer was lost; the outcome was read from the log.
    Resolved,
}

/// What a due timer led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// Its customer was decided.
    Decided,
    /// The deadline had moved on; the timer was set again.
    Rearmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    Assigned,
    Revoked,
    /// Taken away without a word: this process was silent for too long.
    Lost,
}

/// Entries to and exits from one cohort, for all partitions of the process.
#[derive(Debug, Clone)]
pub struct CohortCounters {
    entered: IntCounter,
    exited: IntCounter,
}

impl CohortCounters {
    #[must_use]
    pub fn of(&self, change: Change) -> &IntCounter {
        match change {
            Change::Entered => &self.entered,
            Change::Exited => &self.exited,
        }
    }
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
            "Time that one batch spent in each of its parts.",
            &["stage"],
            &BATCH_SECONDS,
        );
        let transactions = add.counters("transactions_total", "Kafka transactions, by how they ended.", &["outcome"]);
        let rebalances = add.counters("rebalances_total", "Changes of the partitions held here, by kind.", &["kind"]);
        let retries = add.counters("retries_total", "What failed and was tried again, by what it was.", &["what"]);
        // `build_info{version,revision}`: always 1; its labels name the program. No worry by itself.
        let build = add.gauges("build_info", "Always 1; its labels name the program.", &["version", "revision"]);
        build.with_label_values(&[version, revision]).set(1);
        let registry_reachable = add.gauge(
            "registry_reachable",
            "1 while the schema registry answers or none is set, 0 until it has answered the last question.",
        );
        registry_reachable.set(1);

        Self {
            input: InputSeries::new(&add),
            partitioner_differs: add.gauge(
                "partitioner_differs",
                "1 once a customer was seen in another partition than murmur2 gives them.",
            ),
            decisions_approximated: add.counter(
                "decisions_approximated_total",
                "Decisions taken on facts that had outgrown their exact form.",
            ),
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
                .counter("clock_jumps_total", "Times that the wall clock leapt ahead and was not followed."),
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
                "Records that a broker did not take; their transaction was aborted and run again.",
                &["topic"],
            ),
            outputs_oversized: add.counter(
                "outputs_oversized_total",
                "Records that their topic was too small for, written to the dead letters instead.",
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
                .counter("store_errors_total", "Failures of RocksDB's own threads to write or merge files."),
            state_free: add.gauge("state_free_bytes", "Free bytes of the file system of state.dir."),
            state_pause: add.gauge("state_pause_bytes", "Free bytes of that file system below which work pauses."),
            copies_removed: add
                .counter("copies_removed_total", "Local copies of partitions that moved away, removed after a day."),
            copies_set_aside: add
                .counter("copies_set_aside_total", "Damaged local copies of partitions that were set aside."),
            restore_records: add.counter("restore_records_total", "Records read again to rebuild state."),
            ranks: RankSeries::new(&add),
            rank_refresh: add.float_gauges(
                "rank_refresh_timestamp_seconds",
                "Beginning of the period in which thresholds of ranks were computed, in seconds since 1970.",
                &[],
            ),
            ranks_held_back: add.gauge(
                "ranks_held_back",
                "Partitions that thresholds of ranks wait for, since they are still being loaded.",
            ),
            summaries_skipped: add.counters(
                "summaries_skipped_total",
                "Records of the summaries that could not be read and were passed over, by kind.",
                &["kind"],
            ),
            summaries_read_bytes: add.counter("summaries_read_bytes_total", "Bytes of the summaries that were read."),
            summaries_kept_bytes: add.gauge("summaries_kept_bytes", "Bytes of the summaries that are kept in memory."),
            risk_changes: add.counters(
                "risk_changes_total",
                "Changes of churn risk, by the level reached.",
                &["level"],
            ),
            churn_version: add
                .gauge("churn_parameters_version", "The newest parameters of the model of churn; 0: none."),
            churn_provisional: add
                .gauge("churn_provisional", "1 while too little was seen to know the parameters of churn."),
            forecasts: ForecastSeries::new(&add),
            customers_reweighed: add
                .counter("customers_reevaluated_total", "Customers decided again under new parameters of churn."),
            memory_limit: add.gauge("memory_limit_bytes", "The setting memory.limit."),
            intake_paused: add.gauge("intake_paused", "1 while reading pauses because memory is short."),
            waiting: add.gauges(
                "waiting",
                "Partitions, or parts of the process, that stand still, by cause.",
                &["cause"],
            ),
            partitions_unowned: add.gauges(
                "partitions_unowned",
                "Partitions of the input that no member of the group has; one process shows them for the group.",
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
            rules_rejected: add.counter("rules_rejected_total", "Edits of the rules that were refused."),
            surge_withheld: add
                .counter("surge_withheld_total", "Entries withheld from automation because too many entered at once."),
            partitions_adopting: add.gauge(
                "partitions_migrating",
                "Partitions whose input waits while their state is migrated to other rules.",
            ),
            customers_adopted: add
                .counter("customers_migrated_total", "Customers decided again because the rules were edited."),
            families: families.into_inner(),
        }
    }

    /// What is counted of the records of one input topic. Call it at the start, so that the series begin at 0.
    #[must_use]
    pub fn input(&self, topic: &str) -> InputMetrics {
        self.input.of(topic)
    }

    /// What librdkafka counts of the requests of one kind of client to one broker.
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

    /// How good the probabilities of the latest week were of which it is known what came.
    pub fn churn_quality(&self, auc: Option<f64>, brier: f64, calibration_error: f64) {
        self.forecasts.quality(auc, brier, calibration_error);
    }

    /// What the last survey found of one cohort.
    pub fn surveyed(&self, cohort: &str, surveyed: &Surveyed<'_>) {
        self.forecasts.show(cohort, surveyed);
    }

    /// Before those of another day or other rules are shown, and once another process shows them.
    pub fn forget_forecasts(&self) {
        self.forecasts.forget();
    }

    /// Before those of other rules are shown, and once another process shows them.
    pub fn forget_ranks(&self) {
        self.ranks.forget();
    }

    /// `rank_refresh_timestamp_seconds`: the beginning of the period of `ranks.refresh` in which the thresholds of ranks were
    /// computed; absent before the first are read. Worry when it is older than three times that setting: a partition does not
    /// publish its counters, and ranks stand still.
    pub fn set_rank_refresh(&self, at: Instant) {
        self.rank_refresh.with_label_values(&NO_LABELS).set(timestamp(at));
    }

    /// `None`: not known, or for another process to show.
    pub fn set_partitions_unowned(&self, unowned: Option<usize>) {
        match unowned {
            Some(unowned) => {
                self.partitions_unowned.with_label_values(&NO_LABELS).set(i64::try_from(unowned).unwrap_or(i64::MAX));
            }
            // It may never have been shown.
            None => drop(self.partitions_unowned.remove_label_values(&NO_LABELS)),
        }
    }

    /// The lag of partitions that nobody owns; those shown before and not named now are
    /// taken off. One process of the group does this, and never for a partition that it holds.
    pub fn set_unowned_lag(&self, topic: &str, lags: &BTreeMap<i32, i64>) {
        let mut shown = self.unowned_lag.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in shown.iter().filter(|partition| !lags.contains_key(partition)) {
            self.partitions.set_lag(topic, &partition.to_string(), None);
        }
        for (partition, lag) in lags {
            self.partitions.set_lag(topic, &partition.to_string(), Some(*lag));
        }
        *shown = lags.keys().copied().collect();
    }

    /// Names the newest rules; those before are no longer shown.
    pub fn set_rules(&self, version: u64, fingerprint: &str) {
        self.rules_info.reset();
        self.rules_info.with_label_values(&[version.to_string().as_str(), fingerprint]).set(1);
    }

    /// Everything in Prometheus' text form.
    ///
    /// # Errors
    /// None that can happen with the names declared here; the caller answers 500.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        self.families.encode()
    }
}

/// In seconds since 1970, as Prometheus has instants.
fn timestamp(at: Instant) -> f64 {
    at.0 as f64 / 1_000.0
}

/// A family without labels, whose only series may be absent.
const NO_LABELS: [&str; 0] = [];

/// Registers metrics under our prefix.
struct Adder<'a>(&'a RefCell<Families>);

impl Adder<'_> {
    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(opts(name, help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(opts(name, help), labels))
    }

    fn float_counters(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.register(CounterVec::new(opts(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(opts(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(opts(name, help), labels))
    }

    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(opts(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(bounds.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], bounds: &[f64]) -> HistogramVec {
        self.register(HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(bounds.to_vec()), labels))
    }

    fn register<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect("metric names and labels are constants, and well formed");
        let names: Vec<String> = metric.desc().iter().map(|desc| desc.fq_name.clone()).collect();
        self.0.borrow_mut().add(&names[0], Box::new(metric.clone()));
        metric
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("cohortd")
}

/// One child for each value of a closed list, found again by the value's number.
fn children<T: Copy, C>(values: &[T], child: impl Fn(T) -> C) -> Vec<C> {
    values.iter().map(|value| child(*value)).collect()
}

impl Stage {
    const ALL: [Self; 5] = [Self::Poll, Self::Apply, Self::Write, Self::Publish, Self::Commit];

    fn label(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Apply => "apply",
            Self::Write => "write",
            Self::Publish => "publish",
            Self::Commit => "commit",
        }
    }
}

impl Transaction {
    const ALL: [Self; 3] = [Self::Committed, Self::Aborted, Self::Resolved];

    fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Resolved => "resolved",
        }
    }
}

impl Fired {
    fn label(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Rearmed => "rearmed",
        }
    }
}

impl Retry {
    const ALL: [Self; 7] =
        [Self::Kafka, Self::Registry, Self::Rules, Self::Transaction, Self::Partition, Self::Summaries, Self::Schema];

    fn label(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Rules => "rules",
            Self::Transaction => "transaction",
            Self::Partition => "partition",
            Self::Summaries => "summaries",
            Self::Schema => "schema",
        }
    }
}

impl Rebalance {
    const ALL: [Self; 3] = [Self::Assigned, Self::Revoked, Self::Lost];

    fn label(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests;
