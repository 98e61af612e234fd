//! Why a lane or one of its partitions cannot go on.

use crate::kafka::Failure;
use crate::member::error::MemberError;
use crate::metrics::WaitCause;
use crate::store::StoreError;

/// A failure of a lane. `Later` and `Store` concern one partition, and `Lane::contain` restores it; the others stop the
/// process.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Settings, rules or topics do not fit the state. One line that says what to do.
    #[error("{0}")]
    Configuration(String),
    /// The brokers deny this process the right to write. With their text.
    #[error("{0}; {grant}", grant = crate::kafka::GRANT)]
    Denied(String),
    /// Another member has our place in the group, or our transactional id. With the broker's text.
    #[error("another process uses the same kafka.instance_id in this group ({0}); give each process its own")]
    Fenced(String),
    /// The process must stop, to keep the guarantee. A supervisor may start it again.
    #[error("{0}")]
    Stopped(String),
    /// One partition cannot go on now, and may later. The reason is one sentence without a full stop.
    #[error("{reason}")]
    Later { cause: WaitCause, reason: String },
    /// The local copy of one partition cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for LaneError {
    fn from(failure: Failure) -> Self {
        MemberError::from(failure).into()
    }
}

impl From<MemberError> for LaneError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Configuration(text) => Self::Configuration(text),
            MemberError::Denied(text) => Self::Denied(text),
            MemberError::Fenced(text) => Self::Fenced(text),
            MemberError::Stopped(text) => Self::Stopped(text),
        }
    }
}
