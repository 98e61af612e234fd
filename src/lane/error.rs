//! Why a lane stops, or one of its partitions.

use crate::kafka::{Failure, Kind};
use crate::metrics::WaitCause;
use crate::store::StoreError;

/// What a lane cannot do. The first two end it, and the process follows; the others concern one partition, and
/// `Lane::contain` keeps them to it.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Settings, rules or topics do not fit what is there. One line with the way on.
    #[error("{0}")]
    Configuration(String),
    /// The brokers do not let this process write under its name. With their words.
    #[error("{0}; {grant}", grant = crate::kafka::GRANT)]
    Denied(String),
    /// Another member has our place in the group, or our transactional id. With the broker's words.
    #[error("another process uses the same kafka.instance_id in this group ({0}); give each process its own")]
    Fenced(String),
    /// Going on cannot help, or would risk the guarantee. A supervisor may start the process again.
    #[error("{0}")]
    Stopped(String),
    /// One partition cannot go on now, and may later. The reason is one sentence without a full stop, for people.
    #[error("{reason}")]
    Later { cause: WaitCause, reason: String },
    /// The local copy of one partition cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for LaneError {
    fn from(failure: Failure) -> Self {
        match failure.cause().kind {
            Kind::Fenced => Self::Fenced(failure.cause().text.clone()),
            _ => Self::Stopped(failure.to_string()),
        }
    }
}
