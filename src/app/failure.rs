//! Why the program exits with an error, by what its caller should do.

use super::ending::Ending;
use crate::kafka;
use crate::lane::LaneError;

/// Determines the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something must be fixed first: a setting, or an argument. Starting again without a change cannot help.
    #[error("{0}")]
    Configuration(String),
    /// Something failed while running; a supervisor may start again.
    #[error("{0}")]
    Running(String),
    /// One of the ways in which `run` ends.
    #[error("{1}")]
    Ended(Ending, String),
}

impl Failure {
    pub(super) fn running(error: impl std::fmt::Display) -> Self {
        Self::Running(error.to_string())
    }

    /// How the process ends.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self {
            Self::Configuration(_) => Ending::Settings,
            Self::Running(_) => Ending::Broken,
            Self::Ended(ending, _) => *ending,
        }
    }
}

impl From<LaneError> for Failure {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Configuration(text) => Self::Ended(Ending::State, text),
            error @ LaneError::Denied(_) => Self::Ended(Ending::Access, error.to_string()),
            error @ LaneError::Fenced(_) => Self::Ended(Ending::Twin, error.to_string()),
            error => Self::running(error),
        }
    }
}

impl From<kafka::Failure> for Failure {
    fn from(failure: kafka::Failure) -> Self {
        let text = failure.to_string();
        match failure.cause().kind {
            kafka::Kind::Misconfigured => Self::Configuration(text),
            kafka::Kind::NotAuthorized => Self::Ended(Ending::Access, text),
            kafka::Kind::UnknownTopic => Self::Ended(Ending::Topics, text),
            _ => Self::Running(text),
        }
    }
}
