//! Why a member of a group cannot go on.

use crate::kafka::{Failure, Kind};

/// A failure that stops the process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemberError {
    /// Settings or topics do not fit. One line that says what to do.
    #[error("{0}")]
    Configuration(String),
    /// The brokers deny this process the right to write. With their text.
    #[error("{0}; {grant}", grant = crate::kafka::GRANT)]
    Denied(String),
    /// Another process has our place in the group, or our transactional id. With the broker's text.
    #[error("another process uses the same kafka.instance_id in this group ({0}); give each process its own")]
    Fenced(String),
    /// The process must stop. A supervisor may start it again.
    #[error("{0}")]
    Stopped(String),
}

impl From<Failure> for MemberError {
    fn from(failure: Failure) -> Self {
        match failure.cause().kind {
            Kind::Fenced => Self::Fenced(failure.cause().text.clone()),
            _ => Self::Stopped(failure.to_string()),
        }
    }
}

/// Ignores a retriable failure: the call concerned a partition that is being revoked.
pub(crate) fn ignore_retriable(failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Retry(cause) => {
            tracing::debug!(reason = %cause, "The assignment is changing.");
            Ok(())
        }
        failure => Err(failure),
    }
}
