//! What the process says about itself: counters and gauges for Prometheus, and its health.
//!
//! Names, help texts and labels are a declared surface: dashboards and alerts depend on them. Base units, `_total` on
//! counters; labels are bounded, and never name a customer. The law that a test holds us to:
//!
//! ```text
//! records_consumed = events_applied + events_skipped (all reasons) + dead_letters (all reasons)
//! ```

mod group;
mod health;
mod members;
mod memory;
mod partition;
mod ranks;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::event::{Change, DeadLetterReason, SkipReason};

pub use group::{GroupSeen, Holder};
pub use health::{HEARTBEAT_AGE_MAX, Health, LaneHealth, Unhealthy};
pub use members::Members;
pub use memory::resident_bytes;
pub use partition::{PartitionMetrics, RestoreMetrics, Share};
pub use ranks::RankMetrics;
pub use waiting::{Wait, WaitCause, Waiting};

use partition::PartitionSeries;
use ranks::RankSeries;

/// Every metric of the process, built once and passed down. Counting is lock-free on what was resolved beforehand.
///
/// The names in the comments below carry the prefix `cohortd_` on the wire.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,

    // Throughput and its conservation.
    /// `events_applied_total`: events that reached the engine, those that no rule names included.
    pub events_applied: IntCounter,
    /// `events_skipped_total{reason}`. Worry when `duplicate` grows suddenly: a source sends twice.
    events_skipped: Vec<IntCounter>,
    /// `dead_letters_total{reason}`. Worry at any steady rate: events are being lost to the rules.
    dead_letters: Vec<IntCounter>,
    /// `unusable_values_total`: values of properties that rules read and that are of no use: numbers that do not fit, text that
    /// is not UTF-8, lists, records, bytes. They count as missing. Worry at a steady rate: rules see less than was sent.
    pub unusable_values: IntCounter,
    /// `events_elsewhere_total`: events applied in another partition than the one in which Kafka's default partitioner (murmur2)
    /// puts their customer. Of n partitions another partitioner puts a share of (n - 1)/n elsewhere. Worry when it is a smaller
    /// share of `events_applied_total`: producers use different partitioners, or partitions were added, and customers are split.
    pub events_elsewhere: IntCounter,
    /// `partitioner_differs`: 1 once a customer was seen in another partition than murmur2's, stored or with an event.
    pub partitioner_differs: IntGauge,
    /// `decisions_approximated_total`: decisions on facts that had outgrown their exact form. Worry when it matters to
    /// you that the counts in them are exact: shorten the windows.
    pub decisions_approximated: IntCounter,
    /// `dedupe_ids_evicted_total`: event ids forgotten before `time.max_lateness`. Worry at a steady rate: raise
    /// `dedupe.ids`, or late duplicates may count twice.
    pub dedupe_ids_evicted: IntCounter,
    membership_changes: IntCounterVec,

    // Time.
    /// `clock_jumps_total`: times that the wall clock leapt ahead, and advances stopped for it. Worry at 1: the
    /// machine's clock is not to be trusted.
    pub clock_jumps: IntCounter,

    // Timers.
    timers_fired: Vec<IntCounter>,
    /// `timer_lateness_seconds`: how much later than `time.arrives_within` after its instant a deadline was decided, of partitions
    /// that follow the wall clock; what a history or a backlog brings is not in it. At best 0. Worry when the 99th percentile
    /// is over a minute.
    pub timer_lateness: Histogram,

    // Batches, transactions and the store.
    batch_duration: Vec<Histogram>,
    transactions: Vec<IntCounter>,
    /// `changelog_records_total`: customer states written to the changelog; divided by `events_applied_total`, what
    /// lazy writing saves.
    pub changelog_records: IntCounter,
    publish_errors: IntCounterVec,
    /// Records that a topic was too small for.
    pub outputs_oversized: IntCounter,
    /// `store_write_duration_seconds`: one write of a partition's database. Worry above 1 s: the disk stalls.
    pub store_write_duration: Histogram,

    // Assignment and restore.
    partitions: PartitionSeries,
    rebalances: Vec<IntCounter>,
    retries: Vec<IntCounter>,
    /// `store_errors_total`: times that RocksDB's own threads could not write files out or merge them. Worry at 1: the log says
    /// what the disk refused.
    pub store_errors: IntCounter,
    /// `state_free_bytes`: free bytes of the file system of `state.dir`. Worry below twice `memory.limit`, or below 5 % of it:
    /// work pauses before it is full.
    pub state_free: IntGauge,
    /// `copies_removed_total`: local copies removed because their partitions have been elsewhere for a day.
    pub copies_removed: IntCounter,
    /// `copies_set_aside_total`: local copies of partitions that were found damaged, set aside beside the others and restored
    /// from the changelog. Worry at 1: look at the disk.
    pub copies_set_aside: IntCounter,
    /// `restore_records_total`: changelog and input records read again to rebuild state.
    pub restore_records: IntCounter,

    // Ranks.
    ranks: RankSeries,
    /// `rank_refresh_age_seconds`: since thresholds of ranks were last computed. Worry above twice `ranks.refresh`: a
    /// partition does not publish its counters, and ranks stand still.
    pub rank_refresh_age: IntGauge,
    /// `ranks_held_back`: partitions for which thresholds of ranks are held back, since they were never read to their end or
    /// change much at present; shown by the process that holds partition 0. Worry when it stays above 0 although no partition
    /// has a lag: a partition has no owner, or stands still.
    pub ranks_held_back: IntGauge,

    // Summaries of all partitions.
    summaries_skipped: IntCounterVec,
    /// `summaries_read_bytes_total`: bytes of the summaries topic that were read. Where partition 0 is not, only what follows
    /// from the counters of all partitions is read, some megabytes at a start. Worry when it grows fast everywhere.
    pub summaries_read_bytes: IntCounter,
    /// `summaries_kept_bytes`: bytes of it that are kept in memory, outside of what partitions may hold.
    pub summaries_kept_bytes: IntGauge,

    // Churn.
    risk_changes: IntCounterVec,
    /// `churn_parameters_version`: the newest parameters of the model of churn that were learnt here; 0: none. Worry when it
    /// does not grow within two weeks: nothing is learnt any more.
    pub churn_version: IntGauge,
    /// `churn_provisional`: 1 while too little was seen to know those parameters well.
    pub churn_provisional: IntGauge,
    forecast: GaugeVec,
    forecast_error: GaugeVec,
    value_at_stake: GaugeVec,
    churn_quality: GaugeVec,
    /// `customers_reweighed_total`: customers decided again under new parameters.
    pub customers_reweighed: IntCounter,

    // Memory.
    memory_resident: IntGauge,
    /// `memory_limit_bytes`: `memory.limit`.
    pub memory_limit: IntGauge,
    /// `intake_paused`: 1 while reading pauses because memory is short. Worry when it stays: raise `memory.limit`.
    pub intake_paused: IntGauge,

    // What stands still.
    /// `waiting{cause}`: partitions, or parts of the process, that stand still for this cause. Worry when one stays above 0
    /// for a minute: `/health/ready` says what is waited for and what would end it.
    waiting: IntGaugeVec,

    // The group.
    partitions_unowned: IntGaugeVec,
    /// Partitions without an owner whose lag is shown by this process.
    unowned_lag: Mutex<BTreeSet<i32>>,

    // The outside.
    /// `brokers_reachable`: 1 while a broker answers, 0 while none does. Worry at 0: nothing is read; it is retried.
    pub brokers_reachable: IntGauge,
    /// `registry_reachable`: 1 while the schema registry answers or none is set; 0 from a question without an answer, or
    /// with refused credentials, until the next answer. Worry at 0: partitions with schemas not yet seen wait.
    pub registry_reachable: IntGauge,
    rules_info: IntGaugeVec,
    /// `rules_rejected_total`: edits of the rules that were refused. Worry at 1: the rules in force are not the ones that
    /// were meant; the log and `/health/ready` say why.
    pub rules_rejected: IntCounter,
    /// `surge_withheld_total`: entries that automation may not act on, because too many entered a cohort within an hour.
    /// Worry when it grows: the log names the cohort; look at its rule, and at the data.
    pub surge_withheld: IntCounter,
    /// `partitions_adopting`: partitions whose input waits while they take up other rules. Worry when it stays above 0
    /// for longer than the log says.
    pub partitions_adopting: IntGauge,
    /// `customers_adopted_total`: customers decided by rules that were edited.
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
        let registry = Registry::new();
        let add = Adder(&registry);

        let skipped = add.counters("events_skipped_total", "Records read and passed over, by reason.", &["reason"]);
        let dead_letters =
            add.counters("dead_letters_total", "Records written to the dead letters, by reason.", &["reason"]);
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
        let build = add.gauges("build_info", "Always 1; its labels name the program.", &["version", "revision"]);
        build.with_label_values(&[version, revision]).set(1);
        let registry_reachable = add.gauge(
            "registry_reachable",
            "1 while the schema registry answers or none is set, 0 until it has answered the last question.",
        );
        registry_reachable.set(1);

        Self {
            events_applied: add.counter("events_applied_total", "Events given to the engine."),
            events_skipped: children(SkipReason::ALL, |reason| skipped.with_label_values(&[reason.as_str()])),
            dead_letters: children(DeadLetterReason::ALL, |reason| dead_letters.with_label_values(&[reason.as_str()])),
            unusable_values: add.counter(
                "unusable_values_total",
                "Property values that could not be represented, and count as missing.",
            ),
            events_elsewhere: add.counter(
                "events_elsewhere_total",
                "Events applied in another partition than murmur2 gives their customer.",
            ),
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
            copies_removed: add
                .counter("copies_removed_total", "Local copies of partitions that moved away, removed after a day."),
            copies_set_aside: add
                .counter("copies_set_aside_total", "Damaged local copies of partitions that were set aside."),
            restore_records: add.counter("restore_records_total", "Records read again to rebuild state."),
            ranks: RankSeries::new(&add),
            rank_refresh_age: add.gauge("rank_refresh_age_seconds", "Since thresholds of ranks were last computed."),
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
            churn_quality: add.float_gauges(
                "churn_quality",
                "How good the probabilities of the latest week were of which it is known what came, before correction.",
                &["measure"],
            ),
            forecast: add.float_gauges(
                "cohort_forecast",
                "Customers who will enter or leave each cohort in the seven days after the last survey.",
                &["cohort", "change", "provided"],
            ),
            forecast_error: add.float_gauges(
                "cohort_forecast_error",
                "How many changes off the forecast of the last seven days was, beside `as last week`.",
                &["cohort", "said"],
            ),
            value_at_stake: add.float_gauges(
                "cohort_value_at_stake",
                "Lifetime value of those expected to leave each cohort by silence, in units of the currency.",
                &["cohort"],
            ),
            customers_reweighed: add
                .counter("customers_reweighed_total", "Customers decided again under new parameters of churn."),
            memory_resident: add.gauge("memory_resident_bytes", "Resident memory of the process."),
            memory_limit: add.gauge("memory_limit_bytes", "The setting memory.limit."),
            intake_paused: add.gauge("intake_paused", "1 while reading pauses because memory is short."),
            waiting: add.gauges(
                "waiting",
                "Partitions, or parts of the process, that stand still, by cause.",
                &["cause"],
            ),
            partitions_unowned: add.gauges(
                "partitions_unowned",
                "Partitions of the input that no member of the group has; every process that can tell shows all of them.",
                &[],
            ),
            unowned_lag: Mutex::default(),
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
            partitions_adopting: add
                .gauge("partitions_adopting", "Partitions whose input waits while they take up other rules."),
            customers_adopted: add
                .counter("customers_adopted_total", "Customers decided again because the rules were edited."),
            registry,
        }
    }

    #[must_use]
    pub fn events_skipped(&self, reason: SkipReason) -> &IntCounter {
        &self.events_skipped[reason as usize]
    }

    #[must_use]
    pub fn dead_letters(&self, reason: DeadLetterReason) -> &IntCounter {
        &self.dead_letters[reason as usize]
    }

    /// Seconds, once a batch. Worry when `commit` is more than a tenth of the sum under full load: raise
    /// `batch.max_records`.
    #[must_use]
    pub fn batch_duration(&self, stage: Stage) -> &Histogram {
        &self.batch_duration[stage as usize]
    }

    /// Worry when `aborted` grows steadily, or `resolved` at all outside broker failures.
    #[must_use]
    pub fn transactions(&self, outcome: Transaction) -> &IntCounter {
        &self.transactions[outcome as usize]
    }

    #[must_use]
    pub fn timers_fired(&self, kind: Fired) -> &IntCounter {
        &self.timers_fired[kind as usize]
    }

    /// Worry when `lost` grows: batches or restores keep a lane from polling.
    #[must_use]
    pub fn rebalances(&self, kind: Rebalance) -> &IntCounter {
        &self.rebalances[kind as usize]
    }

    /// `retries_total{what}`: what failed and was tried again, each time after a longer pause. Worry when one grows for minutes:
    /// `/health/ready` says what is waited for.
    #[must_use]
    pub fn retries(&self, what: Retry) -> &IntCounter {
        &self.retries[what as usize]
    }

    /// Errors of publishing to `topic`. Worry at a steady rate. Call it for every output topic at the start, so that
    /// the series begin at 0.
    #[must_use]
    pub fn publish_errors(&self, topic: &str) -> IntCounter {
        self.publish_errors.with_label_values(&[topic])
    }

    /// Counters for each cohort, in the order of `cohorts`. Worry when a cohort's entries stop, or leap.
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

    /// `rank_threshold{cohort,rank}` and `rank_population{cohort,rank}` of one rank. Worry when the population falls under
    /// 200: nobody enters by a part of all then.
    #[must_use]
    pub fn rank(&self, cohort: &str, rank: &str) -> RankMetrics {
        self.ranks.of(cohort, rank)
    }

    /// `summaries_skipped_total{kind}`: records of the summaries topic that this release cannot read. Worry when it grows
    /// outside a rolling upgrade: somebody else writes to the topic, or it is damaged; what the record said is missing from
    /// ranks, forecasts or the model of churn until its partition publishes again.
    #[must_use]
    pub fn summaries_skipped(&self, kind: &str) -> IntCounter {
        self.summaries_skipped.with_label_values(&[kind])
    }

    /// `risk_changes_total{level}`: changes of the level of churn risk, by the level that was reached. Worry when one grows
    /// many times as fast as usual: look at what the model was fed.
    #[must_use]
    pub fn risk_changes(&self, level: &str) -> IntCounter {
        self.risk_changes.with_label_values(&[level])
    }

    /// `churn_quality{measure}`: `auc`, from 0.5 for chance to 1; `brier`, 0 is best; `ece`, the mean distance between what was
    /// said and what came. Worry when `ece` stays above 0.1: what is said is not what comes.
    pub fn churn_quality(&self, auc: Option<f64>, brier: f64, ece: f64) {
        for (measure, value) in [("auc", auc), ("brier", Some(brier)), ("ece", Some(ece))] {
            match value {
                Some(value) => self.churn_quality.with_label_values(&[measure]).set(value),
                // It may never have been shown.
                None => drop(self.churn_quality.remove_label_values(&[measure])),
            }
        }
    }

    /// `cohort_forecast{cohort,change,provided}` of the next seven days, of each if all are silent (`silence`), and what is
    /// to be expected (`expected`). Worry when a cohort that you live by is to lose more than it ever did: `/cohorts` says
    /// who loses what.
    pub fn forecast(&self, cohort: &str, exits: [f64; 2], entries: [f64; 2]) {
        for (change, counts) in [("exits", exits), ("entries", entries)] {
            for (provided, count) in ["silence", "expected"].into_iter().zip(counts) {
                self.forecast.with_label_values(&[cohort, change, provided]).set(count);
            }
        }
    }

    /// `cohort_forecast_error{cohort,said}`: of what was said a week ago (`forecast`), and of `as_last_week`. Worry when the
    /// first stays above the second: the forecast is worth nothing for this cohort.
    pub fn forecast_errors(&self, cohort: &str, forecast: f64, as_last_week: f64) {
        self.forecast_error.with_label_values(&[cohort, "forecast"]).set(forecast);
        self.forecast_error.with_label_values(&[cohort, "as_last_week"]).set(as_last_week);
    }

    /// `cohort_value_at_stake{cohort}`, in units of the currency.
    pub fn value_at_stake(&self, cohort: &str, value: f64) {
        self.value_at_stake.with_label_values(&[cohort]).set(value);
    }

    /// Before those of another day or other rules are shown.
    pub fn forget_forecasts(&self) {
        self.forecast.reset();
        self.forecast_error.reset();
        self.value_at_stake.reset();
    }

    /// `partitions_unowned`, the same number from each process; `None`: not known, and not shown. Worry when it stays above
    /// 0 for a minute: nobody reads those partitions.
    pub fn set_partitions_unowned(&self, unowned: Option<usize>) {
        match unowned {
            Some(unowned) => {
                self.partitions_unowned.with_label_values(&NO_LABELS).set(i64::try_from(unowned).unwrap_or(i64::MAX));
            }
            // It may never have been shown.
            None => drop(self.partitions_unowned.remove_label_values(&NO_LABELS)),
        }
    }

    /// `consumer_lag_records{topic,partition}` of partitions that nobody owns; those shown before and not named now are
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
        if let Some(bytes) = resident_bytes() {
            self.memory_resident.set(bytes.try_into().unwrap_or(i64::MAX));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A family without labels, whose only series may be absent.
const NO_LABELS: [&str; 0] = [];

/// Registers metrics under our prefix.
struct Adder<'a>(&'a Registry);

impl Adder<'_> {
    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(opts(name, help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(opts(name, help), labels))
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
        self.0.register(Box::new(metric.clone())).expect("no two metrics share a name");
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
