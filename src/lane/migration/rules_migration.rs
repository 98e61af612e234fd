//! Migrating a partition to other rules: at one log position, customer by customer.
//!
//! # Why this is safe at any moment
//!
//! The input of the partition waits at a position `k`, and all changes under the old rules are flushed first. So META's
//! `replay_from` is `k`: nothing before it will be replayed. Facts that the old rules did not keep are backfilled from
//! the log into a database beside the partition's own, which decides nothing and may be lost at any time.
//!
//! Then customers are migrated in the order of their ids, some thousands in each transaction: their states under the
//! new rules, their changes, and META with the last migrated id. So META says of each state which rules it follows.
//! After a crash, a rebalance or a lost disk the next owner goes on from there, to the version that META names, even if
//! a newer one has come since. The last transaction records the version at `k`, and from then on META names it alone.
//!
//! | a crash | leaves | and a restart |
//! |---|---|---|
//! | before the first transaction | the old rules | goes on under them, and migrates at a later position |
//! | between two | some customers under the new rules, the rest under the old | backfills again, and goes on with the rest |
//! | after the last | the new rules | goes on under them from `k` |

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use rustc_hash::FxHashMap;

use crate::codec::{SchemaKey, Schemas};
use crate::engine::{Engine, Migration};
use crate::event::Instant;
use crate::kafka::{Failure, Reader, Watermarks};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::migration::backfill_store::{BackfillStore, backfill_path};
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::Partition;
use crate::lane::versions::edit_report::History;
use crate::lane::versions::rulebook::Version;
use crate::member::schema_waits::Patience;
use crate::metrics::{LaneHealth, Metrics, WaitCause};
use crate::store::{Database, InForce, SharedMemory, StoreError};

/// Between two log lines about the progress.
pub(super) const LOG_EVERY: Duration = Duration::from_secs(5);

/// A partition's migration from one version of the rules to another.
pub(in crate::lane) struct RulesMigration {
    pub(in crate::lane) partition: i32,
    pub(super) version: Arc<Version>,
    pub(super) migration: Migration,
    /// Decides by the new rules.
    pub(super) engine: Engine,
    pub(super) stage: Stage,
    pub(super) backfilled: BackfillStore,
    /// The time of the first record that the log still holds, if the partition began before it.
    pub(super) log_begins: Option<Instant>,
    /// The log still holds everything since the partition began.
    pub(super) has_whole_log: bool,
    pub(super) customers: u64,
    pub(super) started: Moment,
    pub(super) last_logged: Moment,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) enum Stage {
    Backfill(Box<Backfill>),
    Sweeping,
}

pub(super) struct Backfill {
    pub(super) reader: Reader,
    pub(super) stream_time: Instant,
    /// The next offset to read; `None`: not begun.
    pub(super) next: Option<i64>,
    pub(super) records: u64,
    /// The schema of the next record, while it is waited for.
    pub(super) missing: Option<SchemaKey>,
    pub(super) patience: Patience,
}

/// What a step needs of the lane.
pub(super) struct MigrationTools<'a> {
    pub(super) context: &'a Context,
    pub(super) watermarks: &'a Watermarks,
    pub(super) schemas: &'a mut Schemas,
    pub(super) memory: &'a SharedMemory,
    /// Bytes of backfilled states that may be kept in memory.
    pub(super) budget: usize,
    pub(super) health: LaneHealth<'a>,
}

impl RulesMigration {
    /// `reader` is called only if the log must be read again.
    pub(super) fn new(
        partition: &Partition,
        version: Arc<Version>,
        reader: impl FnOnce() -> Result<Reader, Failure>,
        context: &Context,
    ) -> Result<Self, LaneError> {
        let migration = Migration::between(Arc::clone(&partition.rules.rules), Arc::clone(&version.rules))
            .with_joined(&version.joined, &partition.observed);
        let path = backfill_path(partition.residents.database().path());
        Database::remove(&path).map_err(backfill_failed)?;
        let stage = if migration.needs_log() {
            Stage::Backfill(Box::new(Backfill {
                reader: reader()?,
                stream_time: Instant::MIN,
                next: None,
                records: 0,
                missing: None,
                patience: Patience::default(),
            }))
        } else {
            Stage::Sweeping
        };
        tracing::debug!(
            partition = partition.number,
            from = partition.rules.number,
            to = version.number,
            offset = partition.next_offset,
            rereads = migration.needs_log(),
            "Applying new rules; the partition's input waits."
        );
        let history = if migration.needs_log() { History::ReadAgain } else { History::Stored };
        context.edits.begins(partition.number, (&partition.rules, &version), history);
        context.metrics.partitions_migrating.inc();
        let mut engine =
            Engine::new(Arc::clone(&version.rules), partition.timing.max_lateness, partition.ids_max as usize);
        if let Some(InForce { parameters, since, .. }) =
            partition.model.as_ref().filter(|_| migration.keeps_parameters())
        {
            engine.set_parameters(Some(Arc::new(*parameters)), *since);
        }
        Ok(Self {
            partition: partition.number,
            engine,
            migration,
            version,
            stage,
            backfilled: BackfillStore { path, database: None, states: FxHashMap::default(), bytes: 0 },
            log_begins: None,
            has_whole_log: true,
            customers: 0,
            started: Moment::now(),
            last_logged: Moment::now(),
            metrics: Arc::clone(&context.metrics),
        })
    }

    /// Works for about `budget`, or up to the customers of one transaction. Nothing of the partition may be dirty.
    /// True: with this plan the migration is complete.
    pub(super) fn step(
        &mut self,
        partition: &mut Partition,
        tools: &mut MigrationTools<'_>,
        budget: Duration,
        plan: &mut Plan,
    ) -> Result<bool, LaneError> {
        self.engine.set_limits(partition.timing.max_lateness, partition.ids_max as usize);
        let mut stage = std::mem::replace(&mut self.stage, Stage::Sweeping);
        if let Stage::Backfill(backfill) = &mut stage {
            if !self.continue_backfill(backfill, partition, tools, Moment::now() + budget)? {
                self.stage = stage;
            }
            return Ok(false);
        }
        let done = self.sweep(partition, tools.context, plan)?;
        if self.last_logged.elapsed() >= LOG_EVERY {
            self.last_logged = Moment::now();
            tracing::info!(partition = self.partition, customers = self.customers, "Applying new rules.");
        }
        Ok(done)
    }

    /// Does it wait for a schema, so that the lane may wait for input?
    pub(in crate::lane) fn waits(&self) -> bool {
        matches!(&self.stage, Stage::Backfill(backfill) if backfill.missing.is_some())
    }
}

impl Drop for RulesMigration {
    fn drop(&mut self) {
        self.metrics.partitions_migrating.dec();
        if let Err(error) = self.backfilled.clear() {
            tracing::warn!(%error, "The backfill for an edit of the rules cannot be removed.");
        }
    }
}

/// A failure of the backfill's own database: the partition's local copy is not at fault.
pub(super) fn backfill_failed(error: StoreError) -> LaneError {
    LaneError::Later { cause: WaitCause::Disk, reason: format!("the backfill for an edit of the rules: {error}") }
}
