//! Why a lane stops.

use crate::kafka::Failure;
use crate::store::StoreError;

/// A lane stops for good; the process follows.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Settings, rules or topics do not fit what is there. One line with the way on.
    #[error("{0}")]
    Configuration(String),
    /// Going on cannot help, or would risk the guarantee. A supervisor may start the process again.
    #[error("{0}")]
    Stopped(String),
}

impl From<StoreError> for LaneError {
    fn from(error: StoreError) -> Self {
        Self::Stopped(error.to_string())
    }
}

impl From<Failure> for LaneError {
    fn from(failure: Failure) -> Self {
        Self::Stopped(failure.to_string())
    }
}
