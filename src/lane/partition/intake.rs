//! What is known of a partition's records so far: does its topic hold customer events at all?

use std::sync::Arc;

use crate::event::{DeadLetterReason, Instant};
use crate::kafka::Record;
use crate::lane::output::origin::SourceRecord;
use crate::lane::output::rejection::{Rejection, RejectionDetail};
use crate::member::fresh::Fresh;

/// What is known of a partition's records so far.
pub(in crate::lane) struct Intake {
    /// Only records that are foreign to the topic count as refused.
    fresh: Fresh<DeadLetterReason, RejectionDetail>,
    /// The time of the last ingested event.
    pub(in crate::lane) last_event: Option<Instant>,
    /// Accepted events since the partition was restored.
    pub(in crate::lane) sound: u64,
    /// Where the record that is ingested now was gathered from.
    pub(in crate::lane) source: Option<SourceRecord>,
    /// The topic that the one before was gathered from.
    pub(in crate::lane) source_topic: Option<Arc<str>>,
}

impl Intake {
    /// Of a partition of which nothing was read yet.
    pub(super) fn of_new_partition() -> Self {
        Self { fresh: Fresh::new(), last_event: None, sound: 0, source: None, source_topic: None }
    }

    /// Of a partition of which records were read before.
    pub(super) fn of_known_partition() -> Self {
        Self { fresh: Fresh::proven(), last_event: None, sound: 0, source: None, source_topic: None }
    }

    /// Of a gathered log: notes where the record lay that is ingested next.
    pub(in crate::lane) fn note_source(&mut self, record: &Record<'_>) {
        self.source = SourceRecord::of(record, self.source_topic.as_ref());
        if let Some(source) = &self.source {
            self.source_topic = Some(Arc::clone(source.topic()));
        }
    }

    /// Counts a record. With the hundredth record of a new partition, if all were foreign: the most frequent reason and
    /// its detail.
    pub(in crate::lane) fn foreign(&mut self, refused: Option<&Rejection>) -> Option<Rejection> {
        let foreign = refused.filter(|refused| refused.is_foreign());
        let (reason, detail) = self.fresh.count(foreign.map(|foreign| (foreign.reason, &foreign.detail)))?;
        Some(Rejection { reason, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::{DeadLetterReason, Intake, Rejection};
    use crate::member::fresh::FRESH_RECORDS;

    fn refused(reason: DeadLetterReason) -> Rejection {
        Rejection { reason, detail: reason.as_str().into() }
    }

    #[test]
    fn a_fresh_partition_of_nothing_but_foreign_records_is_one_of_something_else() {
        let (unknown, wrong) = (refused(DeadLetterReason::UnknownSchema), refused(DeadLetterReason::WrongKey));
        let mut intake = Intake::of_new_partition();
        for _ in 0..40 {
            assert_eq!(intake.foreign(Some(&wrong)), None);
        }
        for _ in 41..FRESH_RECORDS {
            assert_eq!(intake.foreign(Some(&unknown)), None);
        }
        assert_eq!(intake.foreign(Some(&unknown)), Some(unknown.clone()), "the more frequent reason");
        assert_eq!(intake.foreign(Some(&unknown)), None, "said once");
    }

    #[test]
    fn one_record_that_is_an_event_settles_what_the_partition_holds() {
        let foreign = refused(DeadLetterReason::Undecodable);
        for other in [None, Some(refused(DeadLetterReason::TooLate)), Some(refused(DeadLetterReason::NoCustomer))] {
            let mut intake = Intake::of_new_partition();
            for _ in 1..FRESH_RECORDS {
                assert_eq!(intake.foreign(Some(&foreign)), None);
            }
            assert_eq!(intake.foreign(other.as_ref()), None);
            assert_eq!(intake.foreign(Some(&foreign)), None);
        }
        let mut known = Intake::of_known_partition();
        assert!((0..2 * FRESH_RECORDS).all(|_| known.foreign(Some(&foreign)).is_none()));
    }
}
