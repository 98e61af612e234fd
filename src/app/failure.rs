//! Why the program ends with an error, by what its caller should do.

use crate::kafka;
use crate::lane::LaneError;

/// Decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something to put right first: settings, rules, schemas, topics. Starting again as it is cannot help.
    #[error("{0}")]
    Configuration(String),
    /// Something failed while running; a supervisor may start again.
    #[error("{0}")]
    Running(String),
}

impl Failure {
    pub(super) fn running(error: impl std::fmt::Display) -> Self {
        Self::Running(error.to_string())
    }
}

impl From<LaneError> for Failure {
    fn from(error: LaneError) -> Self {
        match error {
            error @ (LaneError::Configuration(_) | LaneError::Fenced(_)) => Self::Configuration(error.to_string()),
            error => Self::running(error),
        }
    }
}

impl From<kafka::Failure> for Failure {
    fn from(failure: kafka::Failure) -> Self {
        match failure.cause().kind {
            kafka::Kind::Misconfigured | kafka::Kind::NotAuthorized | kafka::Kind::UnknownTopic => {
                Self::Configuration(failure.to_string())
            }
            _ => Self::Running(failure.to_string()),
        }
    }
}
