//! What is sent of a plan while the rest of it is decided.

use std::time::{Duration, Instant as Moment};

use crate::kafka::Failure;

/// What is sent of a plan that is not complete yet, in a transaction that is open.
pub(in crate::lane) struct Ahead {
    /// So many of its first records.
    pub(in crate::lane) sent: usize,
    /// When the transaction was begun.
    pub(in crate::lane) begun: Moment,
    /// How long handing over took.
    pub(in crate::lane) sending: Duration,
    /// Nothing is sent after a failure. The transaction is aborted once the plan is complete.
    pub(in crate::lane) failed: Option<NotSent>,
}

/// Why records were not queued.
pub(in crate::lane) struct NotSent {
    /// The place in the plan of a record that was not queued, if one is at fault.
    pub(in crate::lane) place: Option<usize>,
    pub(in crate::lane) failure: Failure,
}

impl From<Failure> for NotSent {
    fn from(failure: Failure) -> Self {
        Self { place: None, failure }
    }
}
