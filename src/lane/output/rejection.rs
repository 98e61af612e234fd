//! Why a record goes to the dead letters.

use std::borrow::Cow;

use crate::event::DeadLetterReason;

/// What is wrong, in a sentence that contains no data of the record.
pub(in crate::lane) type RejectionDetail = Cow<'static, str>;

/// Why a record goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lane) struct Rejection {
    pub(in crate::lane) reason: DeadLetterReason,
    pub(in crate::lane) detail: RejectionDetail,
}

impl Rejection {
    /// Would every record of a topic that holds something else be rejected for this reason?
    pub(in crate::lane) fn is_foreign(&self) -> bool {
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

/// A dead letter of a batch.
pub(in crate::lane) struct DeadLettered {
    pub(in crate::lane) reason: DeadLetterReason,
    pub(in crate::lane) detail: RejectionDetail,
    pub(in crate::lane) offset: i64,
}
