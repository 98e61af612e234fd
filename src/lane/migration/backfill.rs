//! Reading the input again for facts that the old rules did not keep.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::codec::{Lookup, SchemaKey};
use crate::event::{Instant, Properties};
use crate::kafka::{Failure, Read, Reader, Record};
use crate::lane::error::LaneError;
use crate::lane::input::schema_waits::Obstacle;
use crate::lane::migration::rules_migration::{Backfill, LOG_EVERY, MigrationTools, RulesMigration, backfill_failed};
use crate::lane::partition::state::Partition;
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
            let (records, done) = match poll_records(&backfill.reader)? {
                Polled::Records { records, is_end } => (records, is_end),
                Polled::OutOfRange => {
                    // Retention has deleted the next records: start again.
                    (backfill.next, backfill.stream_time) = (None, Instant::MIN);
                    self.backfilled.clear().map_err(backfill_failed)?;
                    return Ok(false);
                }
            };
            if let Some(first) = records.first().filter(|_| !self.has_whole_log && self.log_begins.is_none()) {
                self.log_begins = first.stamp().millis().map(Instant);
            }
            let rules = Arc::clone(&self.version.rules);
            self.backfilled.load(&records, &rules).map_err(backfill_failed)?;
            for (number, record) in records.iter().enumerate() {
                if let Some(schema) = self.missing_schema(record, backfill, tools) {
                    // The schemas of later records are requested at the same time.
                    for later in &records[number..] {
                        self.missing_schema(later, backfill, tools);
                    }
                    backfill.missing = Some(schema);
                    break;
                }
                self.backfill_record(record, partition, tools, &mut backfill.stream_time);
                next = record.offset() + 1;
                backfill.records += 1;
            }
            drop(records);
            backfill.next = Some(next);
            if backfill.missing.is_some() {
                return Ok(false);
            }
            self.backfilled.spill(tools.budget, tools.memory).map_err(backfill_failed)?;
            if done {
                return Ok(true);
            }
        }
        if self.last_logged.elapsed() >= LOG_EVERY {
            self.last_logged = Moment::now();
            let (remaining, records) = (to - next, backfill.records);
            tracing::info!(
                partition = self.partition,
                remaining,
                records,
                "Reading the input again for the new rules."
            );
        }
        Ok(false)
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

    /// The schema that a record needs and that is not known yet; it is requested.
    fn missing_schema(
        &self,
        record: &Record<'_>,
        backfill: &Backfill,
        tools: &mut MigrationTools<'_>,
    ) -> Option<SchemaKey> {
        let payload = record.payload().filter(|payload| payload.len() <= tools.context.record_bytes_max)?;
        let (schema, _) = tools.context.framing.split(payload).ok()?;
        let is_known = matches!(tools.schemas.lookup_known(schema), Lookup::Ready(_));
        (!is_known && backfill.patience.obstacle(schema, tools.schemas).is_some()).then_some(schema)
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
        let arrives_within = partition.timing.arrives_within;
        // An event ahead of stream time cannot have been accepted.
        let ahead = event.at - arrives_within > partition.stream_time();
        let refused = partition.timing.refuses(event.at, *stream_time).is_some();
        if ahead || refused || record.key() != Some(event.customer.as_bytes()) {
            return;
        }
        let state = self.backfilled.state(event.customer, &self.version.rules);
        if self.engine.gather(state, &event, *stream_time, self.migration.wanted()) {
            *stream_time = (*stream_time).max(event.at - arrives_within);
            self.backfilled.bytes += EVENT_BYTES;
        }
    }
}

/// What one round of polling brought.
enum Polled<'r> {
    /// `is_end`: they are the last ones.
    Records { records: Vec<Record<'r>>, is_end: bool },
    /// The log no longer holds the next records.
    OutOfRange,
}

/// Polls the records of one round.
fn poll_records(reader: &Reader) -> Result<Polled<'_>, Failure> {
    let (mut records, mut is_end) = (Vec::new(), false);
    while records.len() < BACKFILL_RECORDS {
        let wait = if records.is_empty() { Duration::from_millis(20) } else { Duration::ZERO };
        match reader.poll(wait) {
            Read::Record(record) => records.push(record),
            Read::Done => {
                is_end = true;
                break;
            }
            Read::OutOfRange { .. } => return Ok(Polled::OutOfRange),
            Read::Waiting { .. } | Read::Failed(Failure::Retry(_)) | Read::Nothing => break,
            Read::Failed(failure) => return Err(failure),
        }
    }
    Ok(Polled::Records { records, is_end })
}

impl Backfill {
    /// Must a schema still be waited for? Reports the wait while it must.
    fn wait_for_schema(&mut self, schema: SchemaKey, partition: i32, tools: &mut MigrationTools<'_>) -> bool {
        self.patience.look(schema, tools.schemas);
        for cause in [WaitCause::Schema, WaitCause::Registry] {
            match self.patience.obstacle(schema, tools.schemas) {
                Some(Obstacle { cause: found, detail }) if found == cause => {
                    let detail = format!("{detail}; the input is being read again for an edit of the rules");
                    tools.health.wait(Wait { cause, partition: Some(partition), detail });
                }
                _ => tools.health.resume(cause, Some(partition)),
            }
        }
        self.patience.obstacle(schema, tools.schemas).is_some()
    }
}
