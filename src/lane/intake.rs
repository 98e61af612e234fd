//! From a record to an event: everything that can be wrong with it, and where it then goes.

use super::context::Context;
use super::letter;
use super::partition::Partition;
use super::plan::Plan;
use crate::clock::{Ahead, is_ahead};
use crate::codec::{Lookup, SchemaKey, Schemas, recycle};
use crate::engine::{Slot, Words};
use crate::event::{DeadLetterReason, Instant, Properties, SkipReason};
use crate::kafka::{Record, Stamp};
use crate::store::{Recorded, StoreError};

/// Records of a fresh partition that are looked at before a wrong key layout is called one.
const FRESH_RECORDS: u32 = 100;

/// What is known of a partition's records so far.
pub(super) struct Intake {
    /// Records of a fresh partition read so far, and how many of them had the wrong key; none once it is settled.
    fresh: Option<(u32, u32)>,
    /// The time of the last event taken in.
    pub(super) last_event: Option<Instant>,
}

impl Intake {
    pub(super) fn new(fresh: bool) -> Self {
        Self { fresh: fresh.then_some((0, 0)), last_event: None }
    }

    /// Counts a record; true when the first hundred of a fresh partition were all keyed by something else.
    fn is_miskeyed(&mut self, wrong: bool) -> bool {
        let Some((seen, wrongs)) = &mut self.fresh else { return false };
        *seen += 1;
        *wrongs += u32::from(wrong);
        if seen == wrongs && *seen < FRESH_RECORDS {
            return false;
        }
        let all = seen == wrongs;
        self.fresh = None;
        all
    }
}

/// A record, and what was found out before it is taken in.
pub(super) struct Incoming<'r, 'c> {
    pub(super) record: &'r Record<'c>,
    /// The slot of the customer that its key names, if in memory.
    pub(super) slot: Option<Slot>,
    /// The wall clock once the whole batch was polled.
    pub(super) now: Instant,
}

/// Why a record was not applied.
enum Refusal {
    Skip(SkipReason),
    Dead(DeadLetterReason),
    /// For a reason that a later reading of the log would not find.
    DeadByCircumstance(DeadLetterReason),
    /// Whether its time is right cannot be told: it is taken in when the wall clock is.
    NotYet,
}

impl Partition {
    /// Takes one record in: applied, skipped or dead-lettered, and counted as one of them.
    ///
    /// # Errors
    /// The database, or a partition whose keys are plainly not customer ids.
    pub(super) fn take_in(
        &mut self,
        incoming: &Incoming<'_, '_>,
        schemas: &mut Schemas,
        buffer: &mut Properties<'static>,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), TakeInError> {
        let record = incoming.record;
        let position = record.offset();
        let before = self.next_offset;
        // Log positions need not follow one another: control records and compaction leave gaps.
        debug_assert!(position >= self.next_offset, "a record is taken in once");
        // First the batch, then the step: what this record changes is dirty since before it.
        self.tally().consumed += 1;
        self.next_offset = position + 1;
        let mut properties = recycle(std::mem::take(buffer));
        let outcome = self.judge(incoming, schemas, &mut properties, context, plan);
        *buffer = recycle(properties);
        let wrong = matches!(outcome, Ok(Some(Refusal::Dead(DeadLetterReason::WrongKey))));
        if self.intake.is_miskeyed(wrong) {
            return Err(TakeInError::Miskeyed { partition: self.number });
        }
        match outcome? {
            None => self.tally().applied += 1,
            Some(Refusal::NotYet) => {
                self.tally().consumed -= 1;
                self.next_offset = before;
                self.wait_for_clock();
            }
            Some(Refusal::Skip(reason)) => self.tally().skipped.push(reason),
            Some(Refusal::Dead(reason)) => {
                self.tally().dead.push(reason);
                plan.outs.push(letter::of_record(record, reason, context, self.number));
            }
            Some(Refusal::DeadByCircumstance(reason)) => {
                self.record(position, Recorded::Refused(reason));
                self.tally().dead.push(reason);
                plan.outs.push(letter::of_record(record, reason, context, self.number));
            }
        }
        Ok(())
    }

    fn judge<'r>(
        &mut self,
        incoming: &Incoming<'r, '_>,
        schemas: &'r mut Schemas,
        properties: &mut Properties<'r>,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<Option<Refusal>, StoreError> {
        let dead = |reason| Ok(Some(Refusal::Dead(reason)));
        let record = incoming.record;
        let Some(payload) = record.payload() else { return Ok(Some(Refusal::Skip(SkipReason::Tombstone))) };
        if payload.len() > context.record_bytes_max {
            return Ok(Some(Refusal::DeadByCircumstance(DeadLetterReason::Oversized)));
        }
        let Ok((key, datum)) = context.framing.split(payload) else { return dead(DeadLetterReason::Undecodable) };
        let reader = match schemas.lookup(key) {
            Lookup::Ready(reader) => reader,
            Lookup::Unusable(_) => return Ok(Some(Refusal::DeadByCircumstance(DeadLetterReason::Undecodable))),
            // A record gets here once its schema is settled: whatever was missing then was waited for long enough.
            Lookup::NotFound | Lookup::Missing { .. } | Lookup::Pending | Lookup::NoAnswer { .. } => {
                return Ok(Some(Refusal::DeadByCircumstance(DeadLetterReason::UnknownSchema)));
            }
        };
        let event = match reader.decode(datum, &self.rules.rules.vocabulary, properties) {
            Ok(event) => event,
            Err(error) => return dead(error.reason()),
        };
        if record.key() != Some(event.customer.as_bytes()) {
            return dead(DeadLetterReason::WrongKey);
        }
        let now = incoming.now;
        let refused = self.shard_mut().refuses(event.at);
        if refused == Some(DeadLetterReason::BadTime) {
            return dead(DeadLetterReason::BadTime);
        }
        let known = match record.stamp() {
            Stamp::Appended(millis) => self.latest_event().max(Instant(millis)),
            Stamp::Created(_) | Stamp::Missing => self.latest_event(),
        };
        match is_ahead(event.at, now, known, self.believed(), context.max_future_skew) {
            Ahead::No => {}
            Ahead::Yes => return Ok(Some(Refusal::DeadByCircumstance(DeadLetterReason::Future))),
            Ahead::Unknown => return Ok(Some(Refusal::NotYet)),
        }
        if let Some(reason) = refused {
            return dead(reason);
        }
        let (at, unusable) = (event.at, event.unusable_values);
        if !self.apply(incoming.slot, &event, record.offset(), Words::Full, context, plan)? {
            return Ok(Some(Refusal::Skip(SkipReason::Duplicate)));
        }
        self.tally().unusable_values += u64::from(unusable);
        self.saw(at, now);
        self.intake.last_event = Some(at);
        Ok(None)
    }

    /// Takes a record in again after a restart: decided as then, with nothing said.
    ///
    /// # Errors
    /// The database, or a schema that is known no more.
    pub(super) fn retake(
        &mut self,
        record: &Record<'_>,
        schemas: &mut Schemas,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<Retaken, StoreError> {
        let position = record.offset();
        if let Some((schema, datum)) = self.read_before(record, context) {
            let Lookup::Ready(reader) = schemas.lookup(schema) else { return Ok(Retaken::SchemaMissing(schema)) };
            let mut properties = Properties::new();
            if let Ok(event) = reader.decode(datum, &self.rules.rules.vocabulary, &mut properties)
                && record.key() == Some(event.customer.as_bytes())
                && self.shard_mut().refuses(event.at).is_none()
            {
                let arrives_within = self.meta.timing.arrives_within;
                self.reapply(&event, position, arrives_within, context, plan)?;
            }
        }
        self.next_offset = position + 1;
        Ok(Retaken::Done)
    }

    /// The schema and the datum of a record that was read when it was taken in: its schema was known then, or the refusal
    /// would be on record.
    pub(super) fn read_before<'r>(&self, record: &'r Record<'_>, context: &Context) -> Option<(SchemaKey, &'r [u8])> {
        let refused = |recorded: Recorded| matches!(recorded, Recorded::Refused(_));
        if self.recorded_at(record.offset()).any(refused) {
            return None;
        }
        context.framing.split(record.payload()?).ok()
    }
}

/// Whether a record could be taken in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retaken {
    Done,
    SchemaMissing(SchemaKey),
}

/// Why a batch cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeInError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the first {FRESH_RECORDS} records of partition {partition} are not keyed by their customer id")]
    Miskeyed { partition: i32 },
}
