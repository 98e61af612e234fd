//! The first stage: the committed offset and the end of the changelog, and whether the local copy can be used.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::clock::wall_clock;
use crate::kafka::{Failure, Kind};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::partition::rank_state::stored_counters;
use crate::lane::restore::changelog_stage::Changelog;
use crate::lane::restore::stages::{Restore, RestoreTools, Stage, Step};
use crate::metrics::WaitCause;
use crate::rules::RuleSet;
use crate::store::{Batch, Database, Meta, StoreError};
use crate::summary::Counters;

/// How long another lane of this process, or a process that is ending, may take to close the database before this
/// counts as a failure.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);

/// Times that one partition's copy is discarded before the restore fails.
const WIPES_MAX: u32 = 3;

impl Restore {
    /// Reads the committed offset first and the changelog's end after it: whatever a predecessor could commit is before
    /// that end.
    pub(super) fn barrier(&mut self, tools: &mut RestoreTools<'_>) -> Result<Step, LaneError> {
        let committed = match tools.consumer.committed(&[self.partition], self.hold.ask()).map_err(Failure::at_work) {
            Ok(mut list) if list.len() == 1 => list.remove(0),
            Err(Failure::Retry(cause)) if cause.kind == Kind::TimedOut => {
                let what = format!("the committed offset of {} is in an open transaction", self.input_name(tools));
                let remedy = "find it with kafka-transactions.sh find-hanging --topic __consumer_offsets, and end it with \
                              its command abort";
                self.hold.wait_for_transaction(
                    tools.transaction_timeout,
                    self.partition,
                    (&what, remedy),
                    tools.health,
                );
                return Ok(self.yield_reader(Stage::Barrier));
            }
            Err(Failure::Retry(cause)) => return Ok(self.wait_for_kafka(Stage::Barrier, cause, tools)),
            Ok(_) => return Ok(self.pause(Stage::Barrier)),
            Err(failure) => return Err(failure.into()),
        };
        let topic = &tools.context.topics.changelog;
        let range = match tools.watermarks.range(topic, self.partition, self.hold.ask()).map_err(Failure::at_work) {
            Ok(range) => range,
            Err(Failure::Retry(cause)) => return Ok(self.wait_for_kafka(Stage::Barrier, cause, tools)),
            Err(failure) => return Err(failure.into()),
        };
        let Some(database) = self.open(tools)? else { return Ok(self.pause(Stage::Barrier)) };
        let (meta, next) = local_position(&database)?;
        let next = match usable_from(meta.as_ref(), next, &range, tools.context) {
            Ok(next) => next,
            Err(reason) => return self.wipe(database, reason, tools),
        };
        self.has_reader = false;
        let counters = counted(meta.as_ref(), &database, tools.context)?;
        let stage = Changelog {
            committed,
            database,
            customers: FxHashMap::default(),
            recorded: Batch::default(),
            bytes: 0,
            end: range.end,
            next,
            blocked_at: None,
            meta,
            emptied: false,
            meta_bytes: None,
            meta_parts: Vec::new(),
            uncounted: false,
            counters,
        };
        Ok(self.progress(Stage::Changelog(Box::new(stage)), range.end - next, tools))
    }

    /// Opens the local copy; `None`: another lane is just closing it.
    fn open(&mut self, tools: &RestoreTools<'_>) -> Result<Option<Database>, LaneError> {
        match Database::open(&self.path, tools.memory) {
            Ok(database) => Ok(Some(database)),
            Err(StoreError::InUse { .. }) if self.started.elapsed() < CLOSES_WITHIN => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn count_wipe(&mut self, reason: &str) -> Result<(), LaneError> {
        self.wipes += 1;
        if self.wipes > WIPES_MAX {
            return Err(LaneError::Later {
                cause: WaitCause::Damage,
                reason: format!(
                    "the local copy was discarded and restored {WIPES_MAX} times without success: {reason}"
                ),
            });
        }
        Ok(())
    }

    /// Discards the local copy; the changelog has everything.
    pub(super) fn wipe(
        &mut self,
        database: Database,
        reason: &str,
        tools: &RestoreTools<'_>,
    ) -> Result<Step, LaneError> {
        tracing::warn!(
            partition = self.partition,
            reason,
            "The local copy is discarded and restored from the changelog."
        );
        drop(database);
        self.count_wipe(reason)?;
        Database::remove(&self.path)?;
        Ok(self.progress(Stage::Barrier, 0, tools))
    }
}

/// Where to go on in the changelog with a local copy at `next`, or from its beginning without one. `range`: the offsets
/// that the changelog holds. `Err`: why the copy cannot be used.
fn usable_from(
    meta: Option<&Meta>,
    next: Option<i64>,
    range: &Range<i64>,
    context: &Context,
) -> Result<i64, &'static str> {
    let Some(next) = next else { return Ok(range.start) };
    match meta {
        Some(meta) if wall_clock().since(meta.written_at) > context.local_age_max => Err("the local copy is too old"),
        Some(meta) if meta.cluster_id != context.cluster_id => Err("the local copy is of another cluster"),
        _ if next > range.end || next < range.start => Err("the changelog does not reach to the local copy"),
        _ => Ok(next),
    }
}

/// The counters of the local copy, with their rules; none during a migration, or if it has none.
fn counted(
    meta: Option<&Meta>,
    database: &Database,
    context: &Context,
) -> Result<Option<(Counters, Arc<RuleSet>)>, LaneError> {
    let Some(meta) = meta.filter(|meta| meta.migration.is_none()) else { return Ok(None) };
    let Some(version) = context.rulebook.for_state(meta.rules_version, &meta.rules)? else { return Ok(None) };
    let found = stored_counters(database, &version.rules)?;
    Ok(found.map(|found| (found, Arc::clone(&version.rules))))
}

/// META and the next changelog offset of a local copy.
fn local_position(database: &Database) -> Result<(Option<Meta>, Option<i64>), StoreError> {
    Ok((database.meta()?, database.changelog_next()?))
}
