//! What all partitions of a process share and none changes.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::Framing;
use crate::engine::Timing;
use crate::event::{Instant, Span};
use crate::inquiry::Latest;
use crate::lane::identity::CurrentLog;
use crate::lane::output::changes::RecordEncoder;
use crate::lane::output::limits::RecordLimits;
use crate::lane::output::record::Topic;
use crate::lane::output::rejection::RejectionDetail;
use crate::lane::partition::placement::{Placement, Seen};
use crate::lane::summaries::role::Role;
use crate::lane::versions::edit_report::Edits;
use crate::lane::versions::missing_names::FirstLoad;
use crate::lane::versions::rulebook::Rulebook;
use crate::marks::Marks;
use crate::member::dead_letter_log::DeadLetterLog;
use crate::metrics::Metrics;
use crate::settings::{Settings, Topics};

/// Partitions publish one after another over this part of `ranks.refresh`: a quarter.
const SPREAD_OVER: i64 = 4;

/// Facts about the cluster that were read at start, and must not change while a lane runs.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    pub cluster_id: String,
    /// The input topic's id; empty where brokers have none.
    pub input_id: String,
    /// Partitions of the input, and so of every output.
    pub partitions: u32,
    /// How long the changelog keeps deletions visible (`delete.retention.ms`).
    pub deletions_kept: Span,
    /// The record limits of the output topics.
    pub limits: RecordLimits,
    /// The marks of the sources, if the input is gathered from them.
    pub marks: Option<Arc<Marks>>,
}

/// Fixed for the life of a lane.
pub struct Context {
    pub rulebook: Arc<Rulebook>,
    pub metrics: Arc<Metrics>,
    /// Shows the newest overview of all cohorts to the admin API.
    pub latest: Arc<Latest>,
    pub topics: Topics,
    pub cluster_id: String,
    /// As in `ClusterFacts`.
    pub input_id: String,
    /// Partitions of the input, and so of every output.
    pub partitions: u32,
    /// A local copy written longer ago than this may lack deletions that the changelog no longer shows.
    pub(in crate::lane) local_age_max: Span,
    /// Does this process own partition 0?
    pub(in crate::lane) role: Role,
    placement: Placement,
    pub(in crate::lane) edits: Edits,
    pub(in crate::lane) first_load: FirstLoad,
    /// How records name the schema they were written with.
    pub(in crate::lane) framing: Framing,
    pub(in crate::lane) timing: Timing,
    /// `time.arrives_within`.
    pub(in crate::lane) arrives_within: Span,
    /// Of a gathered log: what moves stream time in place of its events.
    pub(in crate::lane) marks: Option<Arc<Marks>>,
    pub(in crate::lane) ids_max: u32,
    pub(in crate::lane) max_future_skew: Span,
    pub(in crate::lane) live_after: Span,
    /// Changes decided later than this after their instant are not for automation.
    pub(in crate::lane) max_delay: Span,
    /// Per cent of a partition's customers that may enter one cohort within an hour; further entries are not for
    /// automation. 0: no limit.
    pub(in crate::lane) surge: u64,
    pub(in crate::lane) flush_after: Duration,
    pub(in crate::lane) refresh: Duration,
    pub(in crate::lane) record_bytes_max: usize,
    pub(in crate::lane) limits: RecordLimits,
    pub(in crate::lane) refusals: DeadLetterLog<RejectionDetail>,
    pub(in crate::lane) record_encoder: RecordEncoder,
    group: String,
}

impl Context {
    /// `encoder` writes the outputs.
    #[must_use]
    pub fn new(
        settings: &Settings,
        rulebook: Arc<Rulebook>,
        metrics: Arc<Metrics>,
        latest: Arc<Latest>,
        encoder: crate::codec::Encoder,
        found: ClusterFacts,
    ) -> Self {
        let group = settings.kafka.group_id.clone();
        let source = format!("/cohortd/{group}");
        Self {
            framing: if settings.schemas.bare.is_some() { Framing::Bare } else { Framing::Tagged },
            timing: Timing {
                arrives_within: if found.marks.is_some() { Timing::MARKS } else { settings.time.arrives_within },
                max_lateness: settings.time.max_lateness,
                earliest: settings.time.earliest,
            },
            arrives_within: settings.time.arrives_within,
            marks: found.marks,
            ids_max: u32::try_from(settings.dedupe.ids).unwrap_or(u32::MAX),
            max_future_skew: settings.time.max_future_skew,
            live_after: settings.time.live_after,
            max_delay: settings.automation.max_delay,
            surge: settings.automation.surge.into(),
            flush_after: settings.state.flush_after,
            refresh: settings.ranks.refresh,
            record_bytes_max: usize::try_from(settings.batch.max_record_bytes).unwrap_or(usize::MAX),
            limits: found.limits,
            refusals: DeadLetterLog::default(),
            topics: settings.topics.clone(),
            record_encoder: RecordEncoder::new(encoder, &source),
            group,
            role: Role::new(),
            placement: Placement::default(),
            edits: Edits::new(settings.lanes),
            first_load: FirstLoad::new(settings.lanes),
            rulebook,
            metrics,
            latest,
            cluster_id: found.cluster_id,
            input_id: found.input_id,
            partitions: found.partitions,
            local_age_max: Span(found.deletions_kept.0 / 2),
        }
    }
}

impl Context {
    /// The input as it was found at the start, and where its state is.
    pub(in crate::lane) fn log(&self) -> CurrentLog<'_> {
        CurrentLog {
            group: &self.group,
            changelog: &self.topics.changelog,
            input: &self.topics.input,
            input_id: &self.input_id,
            cluster_id: &self.cluster_id,
            partitions: self.partitions,
        }
    }

    /// The number of the present period of `ranks.refresh`, the same in all processes.
    pub(in crate::lane) fn tick(&self, now: Instant) -> i64 {
        now.0.div_euclid(self.refresh_ms())
    }

    /// When a period begins.
    pub(in crate::lane) fn tick_begins(&self, tick: i64) -> Instant {
        Instant(tick.saturating_mul(self.refresh_ms()))
    }

    /// The same for one partition: partitions begin their periods one after another, so that they do not all flush and
    /// publish at once.
    pub(in crate::lane) fn tick_of(&self, partition: i32, now: Instant) -> i64 {
        let spread = self.refresh_ms() / SPREAD_OVER * i64::from(partition) / i64::from(self.partitions.max(1));
        (now.0 - spread).div_euclid(self.refresh_ms())
    }

    /// Is more than half of this period over?
    pub(in crate::lane) fn is_late(&self, now: Instant) -> bool {
        now.0.rem_euclid(self.refresh_ms()) > self.refresh_ms() / 2
    }

    fn refresh_ms(&self) -> i64 {
        i64::try_from(self.refresh.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// Is a customer in another partition than murmur2 chooses? See [`Placement`].
    pub(in crate::lane) fn is_elsewhere(&self, partition: i32, customer: &str, seen: Seen) -> bool {
        let is_elsewhere = self.placement.is_elsewhere(partition, self.partitions, customer, seen);
        if is_elsewhere && self.metrics.partitioner_differs.get() == 0 {
            self.metrics.partitioner_differs.set(1);
        }
        is_elsewhere
    }

    /// The name of an output topic.
    pub(in crate::lane) fn topic(&self, topic: Topic) -> &str {
        topic.name(&self.topics)
    }
}
