//! The newest overview of all cohorts, and the rules in force, for the admin API.

use std::sync::{Arc, Mutex, PoisonError};

use super::coverage::Coverage;
use crate::summary::Overview;

/// Holds one of each; a newer one replaces it.
#[derive(Debug, Default)]
pub struct Latest {
    overview: Mutex<Option<Arc<Overview>>>,
    rules: Mutex<Option<InForce>>,
}

/// A version of the rules, and which of its names have occurred in events.
#[derive(Debug, Clone)]
pub struct InForce {
    pub version: u64,
    pub fingerprint: String,
    pub coverage: Arc<Coverage>,
}

impl Latest {
    pub fn set_overview(&self, overview: Arc<Overview>) {
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) = Some(overview);
    }

    /// `None`: there was no complete survey yet.
    #[must_use]
    pub fn overview(&self) -> Option<Arc<Overview>> {
        self.overview.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets a version, unless a newer one is set.
    pub fn set_rules(&self, rules: InForce) {
        let mut rules_in_force = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if rules_in_force.as_ref().is_none_or(|known| known.version <= rules.version) {
            *rules_in_force = Some(rules);
        }
    }

    /// `None`: no rules have been loaded yet.
    #[must_use]
    pub fn rules(&self) -> Option<InForce> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
