//! Violations that a run has found.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// After so many the rest is more of the same.
const PRINTED_MAX: usize = 60;

/// Shared by all that look.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    found: Arc<Mutex<Vec<String>>>,
    /// Faults begun by now.
    faults: Arc<AtomicUsize>,
}

impl Findings {
    pub(super) fn add(&self, what: &str) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("after {} faults: {what}", self.faults());
        if found.len() < PRINTED_MAX {
            println!("FINDING {text}");
        }
        found.push(text);
    }

    pub(super) fn count_fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn faults(&self) -> usize {
        self.faults.load(Ordering::Relaxed)
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
