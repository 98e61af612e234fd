//! Why a gathering thread cannot go on.

use crate::kafka::{Failure, Kind};
use crate::member::transactions::InitError;

/// A failure that stops the process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// Settings or topics do not fit. One line that says what to do.
    #[error("{0}")]
    Configuration(String),
    /// The brokers deny this process the right to write. With their text.
    #[error("{0}; {grant}", grant = crate::kafka::GRANT)]
    Denied(String),
    /// Another process uses our transactional id. With the broker's text.
    #[error("another process uses the same kafka.instance_id in this group ({0}); give each process its own")]
    Fenced(String),
    /// The process must stop. A supervisor may start it again.
    #[error("{0}")]
    Stopped(String),
}

impl From<Failure> for GatherError {
    fn from(failure: Failure) -> Self {
        match failure.cause().kind {
            Kind::Fenced => Self::Fenced(failure.cause().text.clone()),
            _ => Self::Stopped(failure.to_string()),
        }
    }
}

impl From<InitError> for GatherError {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Denied(text) => Self::Denied(text),
            InitError::Misconfigured(text) => Self::Configuration(text),
            InitError::Failed(failure) => failure.into(),
        }
    }
}
