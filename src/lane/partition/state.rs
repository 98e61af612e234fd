//! One partition that this lane owns and has restored: its customers and its clock.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::{Observed, Shard, Thresholds, Timing};
use crate::event::Instant;
use crate::lane::output::plan::Part;
use crate::lane::output::record::{OutputRecord, Topic};
use crate::lane::partition::automation::{AutomationInputs, ReplayedChanges, Round};
use crate::lane::partition::intake::Intake;
use crate::lane::partition::rank_state::RankState;
use crate::lane::partition::survey_pass::SurveyPass;
use crate::lane::versions::rulebook::Version;
use crate::marks::View;
use crate::metrics::PartitionMetrics;
use crate::residents::Residents;
use crate::rules::CohortIx;
use crate::store::{Database, InForce, LastSurveys, Meta, MetaParts, MigrationProgress, Overdue, Recorded, StoreError};

/// Deadlines decided at once, until the lane sets how many.
const DECISIONS_DEFAULT: usize = 10_000;

/// A running partition. Dropping it loses nothing that is committed: a restore builds it again.
pub(in crate::lane) struct Partition {
    pub(in crate::lane) number: i32,
    /// The version of the rules that decides.
    pub(in crate::lane) rules: Arc<Version>,
    /// How far the customers are migrated to another version; as of the current batch.
    pub(in crate::lane) migrating: Option<MigrationProgress>,
    /// Since when the log was read, by fact.
    pub(in crate::lane) observed: Observed,
    pub(in crate::lane) residents: Residents,
    /// As of the last committed batch.
    pub(in crate::lane) meta: Arc<Meta>,
    /// Its parts as last written.
    pub(in crate::lane) parts: MetaParts,
    /// The next offset to ingest; ahead of META's during a batch.
    pub(in crate::lane) next_offset: i64,
    pub(super) live: bool,
    /// What was recorded of when automation may act.
    pub(in crate::lane) automation: AutomationInputs,
    pub(super) caught_up_since: Option<std::time::Instant>,
    /// Set until the partition has caught up for the first time.
    pub(in crate::lane) catch_up: Option<CatchUp>,
    /// Ascending; the first is at or before the oldest unflushed change.
    pub(super) checkpoints: VecDeque<Checkpoint>,
    /// Recorded inputs that a restore still needs, ascending.
    pub(in crate::lane) recorded: VecDeque<(i64, Recorded)>,
    pub(in crate::lane) members: Vec<u64>,
    pub(in crate::lane) ranks: RankState,
    /// The parameters of the churn model.
    pub(in crate::lane) model: Option<InForce>,
    pub(in crate::lane) last_surveys: LastSurveys,
    /// The week of stream time in which this process began to read the partition.
    pub(in crate::lane) began_in_week: Option<i64>,
    /// A survey under way.
    pub(in crate::lane) survey_pass: Option<Box<SurveyPass>>,
    /// Number of known customers.
    pub(in crate::lane) customers: u64,
    /// The offset of the last end-of-partition signal, if nothing was read since.
    pub(in crate::lane) end: Option<i64>,
    pub(in crate::lane) last_advance: std::time::Instant,
    /// Of a gathered log: how far stream time may move once the log was read past the marks that say so.
    pub(in crate::lane) target: Option<MarkTarget>,
    pub(in crate::lane) last_flush: std::time::Instant,
    pub(in crate::lane) intake: Intake,
    pub(in crate::lane) metrics: PartitionMetrics,
    /// The limits in force; META holds them, so that a replay uses the same.
    pub(in crate::lane) timing: Timing,
    pub(in crate::lane) ids_max: u32,
    /// Scratch for the entries of one round.
    pub(super) entries: Vec<(Instant, CohortIx)>,
    /// Changes decided again by the replay.
    pub(in crate::lane) replayed: ReplayedChanges,
    pub(in crate::lane) part: Option<Part>,
    pub(super) new_recorded: Vec<(i64, Recorded)>,
    /// Set while deadlines are left that were too many for one transaction; as of the current batch.
    pub(super) overdue: Option<Overdue>,
    /// The wall clock as last trusted.
    pub(in crate::lane) trusted_time: Instant,
    /// What a wrong wall clock holds up.
    pub(in crate::lane) clock: ClockWait,
    /// Deadlines decided at once.
    pub(in crate::lane) decisions_max: usize,
}

/// Where a batch began.
pub(super) struct Checkpoint {
    pub(in crate::lane) mark: i64,
    pub(in crate::lane) stream_time: Instant,
    pub(in crate::lane) began: std::time::Instant,
}

/// What the marks of all sources said, and how far a partition must be read for it to hold there.
#[derive(Debug, Clone, Copy)]
pub(in crate::lane) struct MarkTarget {
    pub(in crate::lane) marks: View,
    /// The end of the partition, asked for after the marks were known.
    pub(in crate::lane) end: Option<i64>,
}

/// A restored partition on its way to the end of its input.
pub(in crate::lane) struct CatchUp {
    pub(in crate::lane) since: std::time::Instant,
    /// Records read since then. Not a difference of offsets: transactions of producers leave gaps.
    pub(in crate::lane) records: u64,
    /// Those of them that are events, applied or duplicates.
    pub(in crate::lane) events: u64,
}

/// What a wrong wall clock holds up in one partition.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::lane) struct ClockWait {
    /// The wall clock is behind a time that is known to have passed.
    pub(in crate::lane) is_behind: bool,
    /// The next record waits until the wall clock is right.
    pub(in crate::lane) holds_record: bool,
}

impl Partition {
    /// A partition whose database is at `meta`. The input from `replay_from` to `next_offset` is still to be replayed.
    pub(in crate::lane) fn new(
        number: i32,
        rules: Arc<Version>,
        mut shard: Shard,
        database: Database,
        meta: Meta,
        recorded: Vec<(i64, Recorded)>,
        metrics: PartitionMetrics,
    ) -> Result<Self, StoreError> {
        let now = std::time::Instant::now();
        let parts = database.meta_parts()?;
        // During a migration the states are of two versions of the rules; they are counted once it is complete.
        let ranks = match meta.migration {
            Some(_) => RankState::recounting(&rules.rules),
            None => RankState::load(&database, meta.applying_thresholds.clone(), &rules.rules)?,
        };
        if meta.thresholds.len() == rules.rules.ranks.len() {
            shard.set_thresholds(meta.thresholds.clone().into());
        }
        if let Some(InForce { parameters, since, .. }) = &meta.model {
            shard.set_parameters(Some(Arc::new(*parameters)), *since);
        }
        Ok(Self {
            number,
            rules,
            migrating: meta.migration.clone(),
            observed: meta.observed.clone(),
            residents: Residents::new(shard, database)?,
            next_offset: meta.replay_from,
            live: meta.live,
            automation: AutomationInputs::restored(&recorded, meta.caught_up, &meta.surges),
            caught_up_since: None,
            catch_up: None,
            checkpoints: VecDeque::new(),
            recorded: recorded.into_iter().filter(|(_, input)| !AutomationInputs::is_one(input)).collect(),
            members: meta.members.clone(),
            ranks,
            model: meta.model.clone(),
            last_surveys: meta.last_surveys,
            began_in_week: None,
            survey_pass: None,
            customers: meta.customers,
            end: None,
            last_advance: now,
            target: None,
            last_flush: now,
            intake: if meta.sequence == 0 { Intake::of_new_partition() } else { Intake::of_known_partition() },
            metrics,
            timing: meta.timing,
            ids_max: meta.ids_max,
            entries: Vec::new(),
            replayed: ReplayedChanges::default(),
            part: None,
            new_recorded: Vec::new(),
            overdue: meta.overdue,
            trusted_time: meta.written_at,
            clock: ClockWait::default(),
            decisions_max: DECISIONS_DEFAULT,
            parts,
            meta: Arc::new(meta),
        })
    }

    pub(in crate::lane) fn stream_time(&self) -> Instant {
        self.residents.shard().stream_time()
    }

    /// What is decided now, between two records.
    pub(in crate::lane) fn round(&self) -> Round {
        Round::new(self.next_offset, self.next_offset)
    }

    pub(in crate::lane) fn thresholds(&self) -> &Thresholds {
        self.residents.shard().engine().thresholds()
    }

    /// Is there no current batch and no unflushed change?
    pub(in crate::lane) fn is_flushed(&mut self) -> bool {
        self.part.is_none() && self.residents.oldest_dirty().is_none()
    }

    /// The inputs recorded at an offset.
    pub(in crate::lane) fn recorded_at(&self, position: i64) -> impl Iterator<Item = Recorded> + '_ {
        let start = self.recorded.partition_point(|(at, _)| *at < position);
        self.recorded.range(start..).take_while(move |(at, _)| *at == position).map(|(_, recorded)| *recorded)
    }

    /// The furthest advance recorded from one offset through another.
    pub(in crate::lane) fn advance_between(&self, from: i64, through: i64) -> Option<Instant> {
        let start = self.recorded.partition_point(|(at, _)| *at < from);
        let advances = self.recorded.range(start..).take_while(|(at, _)| *at <= through);
        advances.filter_map(|(_, r)| if let Recorded::Advance(to) = r { Some(*to) } else { None }).max()
    }

    /// A record of the summaries topic about this partition.
    pub(in crate::lane) fn summary(&self, key: &[u8], payload: Vec<u8>) -> OutputRecord {
        OutputRecord::new(Topic::Summaries, self.number, Some(payload)).with_key(&[key])
    }
}
