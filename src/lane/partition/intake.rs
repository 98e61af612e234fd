//! What is known of a partition's records so far: does its topic hold customer events at all?

use std::collections::BTreeMap;

use crate::event::{DeadLetterReason, Instant};
use crate::lane::output::rejection::{Rejection, RejectionDetail};

/// Records of a new partition that are checked before its topic is taken for one of something else.
pub(in crate::lane) const FRESH_RECORDS: u32 = 100;

/// What is known of a partition's records so far.
#[derive(Default)]
pub(in crate::lane) struct Intake {
    /// None once a record shows that the topic holds customer events.
    fresh: Option<Fresh>,
    /// The time of the last ingested event.
    pub(in crate::lane) last_event: Option<Instant>,
    /// Accepted events since the partition was restored.
    pub(in crate::lane) sound: u64,
}

/// The first records of a new partition, as long as every one of them is foreign to the topic.
#[derive(Default)]
struct Fresh {
    records: u32,
    /// By reason, each with its first detail.
    refused: BTreeMap<DeadLetterReason, (u32, RejectionDetail)>,
}

impl Intake {
    /// Of a partition of which nothing was read yet.
    pub(super) fn of_new_partition() -> Self {
        Self { fresh: Some(Fresh::default()), ..Self::default() }
    }

    /// Counts a record. With the hundredth record of a new partition, if all were foreign: the most frequent reason and
    /// its detail.
    pub(in crate::lane) fn foreign(&mut self, refused: Option<&Rejection>) -> Option<Rejection> {
        let fresh = self.fresh.as_mut()?;
        let Some(Rejection { reason, detail }) = refused.filter(|refused| refused.is_foreign()) else {
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
        Some(Rejection { reason, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::{DeadLetterReason, FRESH_RECORDS, Intake, Rejection};

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
        assert!((0..2 * FRESH_RECORDS).all(|_| Intake::default().foreign(Some(&foreign)).is_none()));
    }
}
