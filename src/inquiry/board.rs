//! Where the newest overview of all cohorts hangs, for whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use crate::summary::Overview;

/// Holds one overview; the next takes its place.
#[derive(Debug, Default)]
pub struct Board(Mutex<Option<Arc<Overview>>>);

impl Board {
    pub fn put(&self, overview: Arc<Overview>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(overview);
    }

    /// None: no day is over that all partitions were looked through for.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Overview>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
