//! Reading the input again for facts that the old rules did not keep.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::codec::{Lookup, SchemaKey};
use crate::event::{Instant, Properties};
use crate::kafka::{Failure, Read, Record, Round};
use crate::lane::error::LaneError;
use crate::lane::migration::rules_migration::{Backfill, LOG_EVERY, MigrationTools, RulesMigration, backfill_failed};
use crate::lane::partition::state::Partition;
use crate::member::schema_waits::{Obstacle, Patience};
use crate::metrics::{Wait, WaitCause};

/// Records read at once: their customers' states are loaded together.
const BACKFILL_RECORDS: usize = 5_000;

const EVENT_BYTES: usize = 64;

/// How long one request to a broker may take.
const ASK: Duration = Duration::from_secs(1);

impl RulesMigration {
    /// Reads the input again for facts that were not kept, until `until`. True: all of it is read.
    pub(super) fn continue_backfill(
        &mut self,
        backfill: &mut Backfill,
        partition: &Partition,
        tools: &mut MigrationTools<'_>,
        until: Moment,
    ) -> Result<bool, LaneError> {
        let (topic, to) = (&tools.context.topics.input, partition.next_offset);
        let Some(mut next) = backfill.next else {
            self.begin_backfill(backfill, partition, tools)?;
            return Ok(false);
        };
        if let Some(schema) = backfill.missing {
            if backfill.wait_for_schema(schema, self.partition, tools) {
                return Ok(false);
            }
            match backfill.reader.start(topic, self.partition, next, to) {
                Ok(()) => backfill.missing = None,
                Err(Failure::Retry(_)) => return Ok(false),
                Err(failure) => return Err(failure.into()),
            }
        }
        while Moment::now() < until {
            let Round { records, end } = backfill.reader.poll_round(BACKFILL_RECORDS);
            let done = matches!(end, Read::Done);
            match end {
                Read::OutOfRange { .. } => {
                    // Retention has deleted the next records: start again.
                    drop(records);
                    (backfill.next, backfill.stream_time) = (None, Instant::MIN);
                    self.backfilled.clear().map_err(backfill_failed)?;
                    return Ok(false);
                }
                Read::Failed(Failure::Retry(_)) => {}
                Read::Failed(failure) => return Err(failure.into()),
                Read::Record(_) | Read::Done | Read::Waiting { .. } | Read::Nothing => {}
            }
            if let Some(first) = records.first().filter(|_| !self.has_whole_log && self.log_begins.is_none()) {
                self.log_begins = first.timestamp().millis().map(Instant);
            }
            let rules = Arc::clone(&self.version.rules);
            self.backfilled.load(&records, &rules).map_err(backfill_failed)?;
            let (fed, missing) = self.feed(&records, &backfill.patience, &mut backfill.stream_time, partition, tools);
            next = records[..fed].last().map_or(next, |last| last.offset() + 1);
            drop(records);
            backfill.records += fed as u64;
            backfill.next = Some(next);
            backfill.missing = missing;
            if missing.is_some() {
                return Ok(false);
            }
            self.backfilled.spill(tools.budget, tools.memory).map_err(backfill_failed)?;
            if done {
                return Ok(true);
            }
        }
        self.log_backfill(to - next, backfill.records);
        Ok(false)
    }

    /// Feeds records up to the first one without its schema: their number, and that schema.
    fn feed(
        &mut self,
        records: &[Record<'_>],
        patience: &Patience,
        stream_time: &mut Instant,
        partition: &Partition,
        tools: &mut MigrationTools<'_>,
    ) -> (usize, Option<SchemaKey>) {
        for (number, record) in records.iter().enumerate() {
            if let Some(schema) = missing_schema(record, patience, tools) {
                // The schemas of later records are requested at the same time.
                for later in &records[number..] {
                    missing_schema(later, patience, tools);
                }
                return (number, Some(schema));
            }
            self.backfill_record(record, partition, tools, stream_time);
        }
        (records.len(), None)
    }

    /// Logs from time to time how far the backfill is.
    fn log_backfill(&mut self, remaining: i64, records: u64) {
        if self.last_logged.elapsed() < LOG_EVERY {
            return;
        }
        self.last_logged = Moment::now();
        tracing::info!(partition = self.partition, remaining, records, "Reading the input again for the new rules.");
    }

    /// Starts to read where the log begins now, or where the partition began.
    fn begin_backfill(
        &mut self,
        backfill: &mut Backfill,
        partition: &Partition,
        tools: &MigrationTools<'_>,
    ) -> Result<(), LaneError> {
        let topic = &tools.context.topics.input;
        let start = match tools.watermarks.range(topic, self.partition, ASK).map_err(Failure::at_work) {
            Ok(range) => range.start,
            Err(Failure::Retry(_)) => return Ok(()),
            Err(failure) => return Err(failure.into()),
        };
        // The old rules did not read what came before either.
        let first = start.max(partition.meta.began);
        self.has_whole_log = first == partition.meta.began && partition.meta.log.resets == 0;
        self.log_begins = None;
        if !self.has_whole_log {
            tracing::warn!(
                partition = self.partition,
                offset = first,
                "Retention has dropped the beginning of the input: what the new rules ask about before it is unknown."
            );
        }
        match backfill.reader.start(topic, self.partition, first, partition.next_offset) {
            Ok(()) => backfill.next = Some(first),
            Err(Failure::Retry(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    /// Feeds a record into its customer's backfilled facts, if it was accepted at the time, as far as the log can tell.
    fn backfill_record(
        &mut self,
        record: &Record<'_>,
        partition: &Partition,
        tools: &mut MigrationTools<'_>,
        stream_time: &mut Instant,
    ) {
        let Some(payload) = record.payload().filter(|payload| payload.len() <= tools.context.record_bytes_max) else {
            return;
        };
        let Ok((schema, datum)) = tools.context.framing.split(payload) else { return };
        let Lookup::Ready(reader) = tools.schemas.lookup(schema) else { return };
        let mut properties = Properties::new();
        let Ok(event) = reader.decode(datum, &self.version.rules.vocabulary, &mut properties) else { return };
        let reached = partition.timing.stream_time_at(event.at);
        // An event that would move stream time further cannot have been accepted.
        let ahead = reached > partition.stream_time();
        let refused = partition.timing.refuses(event.at, *stream_time).is_some();
        if ahead || refused || record.key() != Some(event.customer.as_bytes()) {
            return;
        }
        self.version.coverage.observe_history(&event);
        let state = self.backfilled.state(event.customer, &self.version.rules);
        if self.engine.gather(state, &event, *stream_time, self.migration.wanted()) {
            *stream_time = (*stream_time).max(reached);
            self.backfilled.bytes += EVENT_BYTES;
        }
    }
}

/// The schema that a record needs and that is not known yet; it is requested.
fn missing_schema(record: &Record<'_>, patience: &Patience, tools: &mut MigrationTools<'_>) -> Option<SchemaKey> {
    let payload = record.payload().filter(|payload| payload.len() <= tools.context.record_bytes_max)?;
    let (schema, _) = tools.context.framing.split(payload).ok()?;
    let is_known = matches!(tools.schemas.lookup_known(schema), Lookup::Ready(_));
    (!is_known && patience.obstacle(schema, tools.schemas).is_some()).then_some(schema)
}

impl Backfill {
    /// Must a schema still be waited for? Reports the wait while it must.
    fn wait_for_schema(&mut self, schema: SchemaKey, partition: i32, tools: &mut MigrationTools<'_>) -> bool {
        self.patience.update([schema], tools.schemas);
        // Asked once: the answer may come at any moment, and a wait that is reported afterwards would never end.
        let obstacle = self.patience.obstacle(schema, tools.schemas);
        for cause in [WaitCause::Schema, WaitCause::Registry] {
            match &obstacle {
                Some(Obstacle { cause: found, detail }) if *found == cause => {
                    let detail = format!("{detail}; the input is being read again for an edit of the rules");
                    tools.health.wait(Wait { cause, partition: Some(partition), detail });
                }
                _ => tools.health.resume(cause, Some(partition)),
            }
        }
        obstacle.is_some()
    }
}
