//! Where the newest overview of all cohorts hangs, and the rules in force, for whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use super::coverage::Coverage;
use crate::summary::Overview;

/// Holds one of each; the next takes its place.
#[derive(Debug, Default)]
pub struct Board {
    overview: Mutex<Option<Arc<Overview>>>,
    rules: Mutex<Option<InForce>>,
}

/// A version of the rules, and which of what it names events have had.
#[derive(Debug, Clone)]
pub struct InForce {
    pub version: u64,
    pub fingerprint: String,
    pub coverage: Arc<Coverage>,
}

impl Board {
    pub fn put(&self, overview: Arc<Overview>) {
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) = Some(overview);
    }

    /// None: no day is over that all partitions were looked through for.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Overview>> {
        self.overview.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hangs a version up, unless a newer one hangs there.
    pub fn put_rules(&self, rules: InForce) {
        let mut hangs = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if hangs.as_ref().is_none_or(|hanging| hanging.version <= rules.version) {
            *hangs = Some(rules);
        }
    }

    /// None: no rules were read yet.
    #[must_use]
    pub fn rules(&self) -> Option<InForce> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
