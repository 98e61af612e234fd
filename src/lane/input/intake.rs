//! From a record to an event: everything that can be wrong with it, and where it then goes.

use std::collections::BTreeMap;

use crate::clock::{Ahead, is_ahead};
use crate::codec::{Lookup, SchemaKey, Schemas, recycle};
use crate::engine::{self, Slot};
use crate::event::{DeadLetterReason, Instant, Properties, SkipReason};
use crate::kafka::{Record, Stamp};
use crate::lane::commit::letter;
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::input::refusals::{Detail, SetAside, say_what_is_not_read};
use crate::lane::partition::state::Partition;
use crate::store::{Recorded, StoreError};

/// Records of a fresh partition that are looked at before its topic is called one of something else.
const FRESH_RECORDS: u32 = 100;

/// What is known of a partition's records so far.
pub(in crate::lane) struct Intake {
    /// None once a record was read that is an event under its customer's key, or that is foreign for no lasting reason.
    fresh: Option<Fresh>,
    /// The time of the last event taken in.
    pub(in crate::lane) last_event: Option<Instant>,
    /// Events that were sound, since the partition was opened.
    sound: u64,
}

/// The records of a fresh partition, as long as every one of them is refused for what it is.
#[derive(Default)]
struct Fresh {
    records: u32,
    /// By reason, each with its first detail.
    refused: BTreeMap<DeadLetterReason, (u32, Detail)>,
}

impl Intake {
    pub(in crate::lane) fn new(fresh: bool) -> Self {
        Self { fresh: fresh.then(Fresh::default), last_event: None, sound: 0 }
    }

    /// Counts a record; with the hundredth of a fresh partition, if none of them is an event under its customer's key, the
    /// most frequent reason and its detail.
    fn is_foreign(&mut self, refused: Option<&Refused>) -> Option<Refused> {
        let fresh = self.fresh.as_mut()?;
        let Some(Refused { reason, detail }) = refused.filter(|refused| refused.is_foreign()) else {
            self.fresh = None;
            return None;
        };
        fresh.records += 1;
        fresh.refused.entry(*reason).or_insert_with(|| (0, detail.clone())).0 += 1;
        if fresh.records < FRESH_RECORDS {
            return None;
        }
        let refused = self.fresh.take()?.refused;
        let (reason, (_, detail)) = refused.into_iter().max_by_key(|(_, (count, _))| *count)?;
        Some(Refused { reason, detail })
    }
}

/// A record, and what was found out before it is taken in.
pub(in crate::lane) struct Incoming<'r, 'c> {
    pub(in crate::lane) record: &'r Record<'c>,
    /// The slot of the customer that its key names, if in memory.
    pub(in crate::lane) slot: Option<Slot>,
    /// The wall clock once the whole batch was polled.
    pub(in crate::lane) now: Instant,
}

/// Why a record goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lane) struct Refused {
    pub(in crate::lane) reason: DeadLetterReason,
    pub(in crate::lane) detail: Detail,
}

impl Refused {
    /// Is it so for what the record is, as for every record of a topic that holds something else?
    fn is_foreign(&self) -> bool {
        match self.reason {
            DeadLetterReason::Undecodable
            | DeadLetterReason::UnknownSchema
            | DeadLetterReason::WrongKey
            | DeadLetterReason::NoKey => true,
            DeadLetterReason::NoCustomer
            | DeadLetterReason::BadTime
            | DeadLetterReason::Future
            | DeadLetterReason::TooLate
            | DeadLetterReason::Oversized => false,
        }
    }
}

/// Why a record was not applied.
enum Refusal {
    Skip(SkipReason),
    Dead(Refused),
    /// For a reason that a later reading of the log would not find.
    DeadByCircumstance(Refused),
    /// Whether its time is right cannot be told: it is taken in when the wall clock is.
    NotYet,
}

impl Partition {
    /// Takes one record in: applied, skipped or dead-lettered, and counted as one of them.
    ///
    /// # Errors
    /// The database, or a partition whose records are plainly not customer events under the customer's id.
    pub(in crate::lane) fn take_in(
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
        let refused = match &outcome {
            Ok(Some(Refusal::Dead(refused) | Refusal::DeadByCircumstance(refused))) => Some(refused),
            _ => None,
        };
        if let Some(all) = self.intake.is_foreign(refused) {
            let partition = self.number;
            return Err(match all.reason {
                DeadLetterReason::WrongKey | DeadLetterReason::NoKey => {
                    TakeInError::Miskeyed { partition, detail: all.detail }
                }
                reason => TakeInError::Foreign { partition, reason, detail: all.detail },
            });
        }
        let outcome = outcome?;
        if let Some(behind) = &mut self.behind
            && !matches!(outcome, Some(Refusal::NotYet))
        {
            behind.records += 1;
        }
        match outcome {
            None => self.tally().applied += 1,
            Some(Refusal::NotYet) => {
                self.tally().consumed -= 1;
                self.next_offset = before;
                self.wait_for_clock();
            }
            Some(Refusal::Skip(reason)) => self.tally().skipped.push(reason),
            Some(Refusal::Dead(refused)) => self.set_aside(record, refused, context, plan),
            Some(Refusal::DeadByCircumstance(refused)) => {
                self.record(position, Recorded::Refused(refused.reason));
                self.set_aside(record, refused, context, plan);
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, record: &Record<'_>, refused: Refused, context: &Context, plan: &mut Plan) {
        plan.outs.push(letter::of_record(record, &refused, context, self.number));
        let Refused { reason, detail } = refused;
        self.tally().dead.push(SetAside { reason, detail, offset: record.offset() });
    }

    fn judge<'r>(
        &mut self,
        incoming: &Incoming<'r, '_>,
        schemas: &'r mut Schemas,
        properties: &mut Properties<'r>,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<Option<Refusal>, StoreError> {
        let refused = |reason, detail: Detail| Refused { reason, detail };
        let dead = |reason, detail: Detail| Ok(Some(Refusal::Dead(refused(reason, detail))));
        let by_circumstance = |reason, detail: Detail| Ok(Some(Refusal::DeadByCircumstance(refused(reason, detail))));
        let record = incoming.record;
        let Some(payload) = record.payload() else { return Ok(Some(Refusal::Skip(SkipReason::Tombstone))) };
        if payload.len() > context.record_bytes_max {
            let most = context.record_bytes_max;
            let detail = format!("the value is larger than batch.max_record_bytes, {most} bytes");
            return by_circumstance(DeadLetterReason::Oversized, detail.into());
        }
        let (key, datum) = match context.framing.split(payload) {
            Ok(parts) => parts,
            Err(error) => return dead(error.reason(), error.to_string().into()),
        };
        // A record gets here once its schema is settled: whatever was missing then was waited for long enough.
        let reader = match schemas.lookup(key).settled(key) {
            Ok(reader) => reader,
            Err((reason, detail)) => return by_circumstance(reason, detail.into()),
        };
        say_what_is_not_read(reader, key, &self.rules.rules.vocabulary);
        let event = match reader.decode(datum, &self.rules.rules.vocabulary, properties) {
            Ok(event) => event,
            Err(error) => return dead(error.reason(), format!("{error} ({key})").into()),
        };
        if let Some((reason, detail)) = DeadLetterReason::of_key(record.key(), event.customer) {
            return dead(reason, detail.into());
        }
        let now = incoming.now;
        let time_refused = self.shard_mut().refuses(event.at);
        if time_refused == Some(DeadLetterReason::BadTime) {
            return dead(
                DeadLetterReason::BadTime,
                "`occurred_at` is before time.earliest, or in seconds where milliseconds are expected".into(),
            );
        }
        let known = match record.stamp() {
            Stamp::Appended(millis) => self.latest_event().max(Instant(millis)),
            Stamp::Created(_) | Stamp::Missing => self.latest_event(),
        };
        match is_ahead(event.at, now, known, self.believed(), context.max_future_skew) {
            Ahead::No => {}
            Ahead::Yes => {
                let detail =
                    "`occurred_at` is ahead of the clock by more than time.max_future_skew, or finer than milliseconds";
                return by_circumstance(DeadLetterReason::Future, detail.into());
            }
            Ahead::Unknown => return Ok(Some(Refusal::NotYet)),
        }
        if let Some(reason) = time_refused {
            return dead(reason, "`occurred_at` is older than stream time by more than time.max_lateness".into());
        }
        self.rules.coverage.pass(&event, self.intake.sound);
        self.intake.sound += 1;
        let (at, unusable) = (event.at, event.unusable_values);
        if !self.apply(incoming.slot, &event, record.offset(), engine::Detail::Full, context, plan)? {
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
    pub(in crate::lane) fn retake(
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
    pub(in crate::lane) fn read_before<'r>(
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

/// Whether a record could be taken in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Retaken {
    Done,
    SchemaMissing(SchemaKey),
}

/// Why a batch cannot be made.
#[derive(Debug, thiserror::Error)]
pub(in crate::lane) enum TakeInError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the first {FRESH_RECORDS} records of partition {partition} are not keyed by their customer id: {detail}")]
    Miskeyed { partition: i32, detail: Detail },
    #[error("the first {FRESH_RECORDS} records of partition {partition} are not customer events: {detail}")]
    Foreign { partition: i32, reason: DeadLetterReason, detail: Detail },
}

#[cfg(test)]
mod tests {
    use super::{DeadLetterReason, FRESH_RECORDS, Intake, Refused};

    fn refused(reason: DeadLetterReason) -> Refused {
        Refused { reason, detail: reason.as_str().into() }
    }

    #[test]
    fn a_fresh_partition_of_nothing_but_foreign_records_is_one_of_something_else() {
        let (unknown, wrong) = (refused(DeadLetterReason::UnknownSchema), refused(DeadLetterReason::WrongKey));
        let mut intake = Intake::new(true);
        for _ in 0..40 {
            assert_eq!(intake.is_foreign(Some(&wrong)), None);
        }
        for _ in 41..FRESH_RECORDS {
            assert_eq!(intake.is_foreign(Some(&unknown)), None);
        }
        assert_eq!(intake.is_foreign(Some(&unknown)), Some(unknown.clone()), "the more frequent reason");
        assert_eq!(intake.is_foreign(Some(&unknown)), None, "said once");
    }

    #[test]
    fn one_record_that_is_an_event_settles_what_the_partition_holds() {
        let foreign = refused(DeadLetterReason::Undecodable);
        for other in [None, Some(refused(DeadLetterReason::TooLate)), Some(refused(DeadLetterReason::NoCustomer))] {
            let mut intake = Intake::new(true);
            for _ in 1..FRESH_RECORDS {
                assert_eq!(intake.is_foreign(Some(&foreign)), None);
            }
            assert_eq!(intake.is_foreign(other.as_ref()), None);
            assert_eq!(intake.is_foreign(Some(&foreign)), None);
        }
        assert!((0..2 * FRESH_RECORDS).all(|_| Intake::new(false).is_foreign(Some(&foreign)).is_none()));
    }
}
