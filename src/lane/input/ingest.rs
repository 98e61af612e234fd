//! From a record to an applied event: every check, and where a rejected record goes.

use crate::clock::{Ahead, is_ahead};
use crate::codec::{Lookup, Reader, SchemaKey, Schemas, recycle};
use crate::engine::Slot;
use crate::event::{DeadLetterReason, Instant, Properties, SkipReason, Vocabulary};
use crate::kafka::{Record, Timestamp};
use crate::lane::context::Context;
use crate::lane::output::dead_letter;
use crate::lane::output::plan::Plan;
use crate::lane::output::rejection::{DeadLettered, Rejection, RejectionDetail};
use crate::lane::partition::state::Partition;
use crate::member::fresh::FRESH_RECORDS;
use crate::store::{Recorded, StoreError};

/// A record about to be ingested.
pub(in crate::lane) struct Incoming<'r, 'c> {
    pub(in crate::lane) record: &'r Record<'c>,
    /// The slot of the customer that its key names, if the customer is in memory.
    pub(in crate::lane) slot: Option<Slot>,
    /// The wall clock after the batch was polled.
    pub(in crate::lane) now: Instant,
}

/// Why a record was not applied.
enum NotApplied {
    Skip(SkipReason),
    DeadLetter(Rejection),
    /// For a reason that a replay would not find again, so it is recorded.
    DeadLetterRecorded(Rejection),
    /// Its time cannot be checked: it is ingested once the wall clock is right.
    WaitForClock,
}

impl Partition {
    /// Ingests one record: it is applied, skipped or dead-lettered, and counted as one of them.
    ///
    /// # Errors
    /// The database, or a partition whose records are plainly not customer events under the customer's id.
    pub(in crate::lane) fn ingest(
        &mut self,
        incoming: &Incoming<'_, '_>,
        schemas: &mut Schemas,
        buffer: &mut Properties<'static>,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), IngestError> {
        let record = incoming.record;
        let position = record.offset();
        let before = self.next_offset;
        // Offsets have gaps: control records and compaction leave them.
        debug_assert!(position >= self.next_offset, "a record is ingested once");
        // The batch begins before the offset moves: changes by this record are dirty since its offset.
        self.tally().consumed += 1;
        self.next_offset = position + 1;
        let mut properties = recycle(std::mem::take(buffer));
        let outcome = self.check_and_apply(incoming, schemas, &mut properties, context, plan);
        self.intake.source = None;
        *buffer = recycle(properties);
        let refused = match &outcome {
            Ok(Some(NotApplied::DeadLetter(refused) | NotApplied::DeadLetterRecorded(refused))) => Some(refused),
            _ => None,
        };
        if let Some(all) = self.intake.foreign(refused) {
            let partition = self.number;
            return Err(match all.reason {
                DeadLetterReason::WrongKey | DeadLetterReason::NoKey => {
                    IngestError::Miskeyed { partition, detail: all.detail }
                }
                reason => IngestError::Foreign { partition, reason, detail: all.detail },
            });
        }
        let outcome = outcome?;
        if let Some(catch_up) = &mut self.catch_up
            && !matches!(outcome, Some(NotApplied::WaitForClock))
        {
            catch_up.records += 1;
            catch_up.events += u64::from(matches!(outcome, None | Some(NotApplied::Skip(SkipReason::Duplicate))));
        }
        match outcome {
            None => self.tally().applied += 1,
            Some(NotApplied::WaitForClock) => {
                self.tally().consumed -= 1;
                self.next_offset = before;
                self.wait_for_clock();
            }
            Some(NotApplied::Skip(reason)) => self.tally().skipped.push(reason),
            Some(NotApplied::DeadLetter(refused)) => self.send_to_dead_letters(record, refused, context, plan),
            Some(NotApplied::DeadLetterRecorded(refused)) => {
                self.record(position, Recorded::Refused(refused.reason));
                self.send_to_dead_letters(record, refused, context, plan);
            }
        }
        Ok(())
    }

    fn send_to_dead_letters(&mut self, record: &Record<'_>, refused: Rejection, context: &Context, plan: &mut Plan) {
        plan.records.push(dead_letter::of_record(record, &refused, context, self.number));
        let Rejection { reason, detail } = refused;
        self.tally().dead_letters.push(DeadLettered { reason, detail, offset: record.offset() });
    }

    fn check_and_apply<'r>(
        &mut self,
        incoming: &Incoming<'r, '_>,
        schemas: &'r mut Schemas,
        properties: &mut Properties<'r>,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<Option<NotApplied>, StoreError> {
        let refused = |reason, detail: RejectionDetail| Rejection { reason, detail };
        let dead = |reason, detail: RejectionDetail| Ok(Some(NotApplied::DeadLetter(refused(reason, detail))));
        let dead_recorded =
            |reason, detail: RejectionDetail| Ok(Some(NotApplied::DeadLetterRecorded(refused(reason, detail))));
        let record = incoming.record;
        let Some(payload) = record.payload() else { return Ok(Some(NotApplied::Skip(SkipReason::Tombstone))) };
        if payload.len() > context.record_bytes_max {
            let most = context.record_bytes_max;
            let detail = format!("the value is larger than batch.max_record_bytes, {most} bytes");
            return dead_recorded(DeadLetterReason::Oversized, detail.into());
        }
        let (key, datum) = match context.framing.split(payload) {
            Ok(parts) => parts,
            Err(error) => return dead(error.reason(), error.to_string().into()),
        };
        // Missing schemas have been waited for long enough by now.
        let reader = match schemas.lookup(key).settled(key) {
            Ok(reader) => reader,
            Err((reason, detail)) => return dead_recorded(reason, detail.into()),
        };
        warn_of_unread_fields(reader, key, &self.rules.rules.vocabulary);
        let event = match reader.decode(datum, &self.rules.rules.vocabulary, properties) {
            Ok(event) => event,
            Err(error) => return dead(error.reason(), format!("{error} ({key})").into()),
        };
        if let Some((reason, detail)) = DeadLetterReason::of_key(record.key(), event.customer) {
            return dead(reason, detail.into());
        }
        let now = incoming.now;
        if let Some(not_applied) = self.check_time(event.at, record.timestamp(), now, context) {
            return Ok(Some(not_applied));
        }
        self.rules.coverage.observe(&event, self.intake.sound);
        self.intake.sound += 1;
        let (at, unusable) = (event.at, event.unusable_values);
        if !self.apply(incoming.slot, &event, record, context, plan)? {
            return Ok(Some(NotApplied::Skip(SkipReason::Duplicate)));
        }
        self.tally().unusable_values += u64::from(unusable);
        self.note_accepted_event(at, now);
        self.intake.last_event = Some(at);
        Ok(None)
    }

    /// Checks an event's time against stream time and the wall clock. `None`: it is accepted.
    fn check_time(&mut self, at: Instant, timestamp: Timestamp, now: Instant, context: &Context) -> Option<NotApplied> {
        let rejection = |reason, detail: &'static str| Rejection { reason, detail: detail.into() };
        let refused = self.residents.shard().refuses(at);
        if refused == Some(DeadLetterReason::BadTime) {
            return Some(NotApplied::DeadLetter(rejection(
                DeadLetterReason::BadTime,
                "`occurred_at` is before time.earliest, or in seconds where milliseconds are expected",
            )));
        }
        let known = match timestamp {
            Timestamp::LogAppendTime(millis) => self.latest_event().max(Instant(millis)),
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => self.latest_event(),
        };
        match is_ahead(at, now, known, self.latest_known_time(), context.max_future_skew) {
            Ahead::No => {}
            Ahead::Yes => {
                return Some(NotApplied::DeadLetterRecorded(rejection(
                    DeadLetterReason::Future,
                    "`occurred_at` is ahead of the clock by more than time.max_future_skew, or finer than milliseconds",
                )));
            }
            Ahead::Unknown => return Some(NotApplied::WaitForClock),
        }
        let too_late = "`occurred_at` is older than stream time by more than time.max_lateness";
        refused.map(|reason| NotApplied::DeadLetter(rejection(reason, too_late)))
    }

    /// Replays a record after a restart: decided as then, without outputs.
    ///
    /// # Errors
    /// The database.
    pub(in crate::lane) fn replay(
        &mut self,
        record: &Record<'_>,
        schemas: &mut Schemas,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<Replayed, StoreError> {
        let position = record.offset();
        if let Some((schema, datum)) = self.schema_when_ingested(record, context) {
            let Lookup::Ready(reader) = schemas.lookup(schema) else { return Ok(Replayed::SchemaMissing(schema)) };
            let mut properties = Properties::new();
            if let Ok(event) = reader.decode(datum, &self.rules.rules.vocabulary, &mut properties)
                && record.key() == Some(event.customer.as_bytes())
                && self.residents.shard().refuses(event.at).is_none()
            {
                self.reapply(&event, position, self.meta.timing, context, plan)?;
            }
        }
        self.next_offset = position + 1;
        Ok(Replayed::Done)
    }

    /// Schema and datum of a record that was decoded when it was ingested; `None`: it was rejected then.
    pub(in crate::lane) fn schema_when_ingested<'r>(
        &self,
        record: &'r Record<'_>,
        context: &Context,
    ) -> Option<(SchemaKey, &'r [u8])> {
        let refused = |recorded: Recorded| matches!(recorded, Recorded::Refused(_));
        if self.recorded_at(record.offset()).any(refused) {
            return None;
        }
        context.framing.split(record.payload()?).ok()
    }
}

/// Whether a record could be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Replayed {
    Done,
    SchemaMissing(SchemaKey),
}

/// Why ingesting has to stop.
#[derive(Debug, thiserror::Error)]
pub(in crate::lane) enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the first {FRESH_RECORDS} records of partition {partition} are not keyed by their customer id: {detail}")]
    Miskeyed { partition: i32, detail: RejectionDetail },
    #[error("the first {FRESH_RECORDS} records of partition {partition} are not customer events: {detail}")]
    Foreign { partition: i32, reason: DeadLetterReason, detail: RejectionDetail },
}

/// Warns once per schema of fields that are not read: their values are lost, and nothing else would show it.
fn warn_of_unread_fields(reader: &Reader, schema: SchemaKey, vocabulary: &Vocabulary) {
    let Some(fields) = reader.unread_once() else { return };
    let used = fields.names().iter().filter(|name| vocabulary.property(name).is_some());
    let used: Vec<&str> = used.map(String::as_str).collect();
    match used.as_slice() {
        [] => tracing::warn!("Fields of {schema} are not read: {fields}; put them into properties."),
        used => {
            let used = used.join(", ");
            tracing::warn!(
                "Fields of {schema} are not read: {fields}; put them into properties. The rules use {used}."
            );
        }
    }
}
