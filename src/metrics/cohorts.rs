//! What is counted of one cohort.

use prometheus::IntCounter;

use crate::event::Change;

/// Entries to and exits from one cohort, for all partitions of the process.
#[derive(Debug, Clone)]
pub struct CohortCounters {
    pub(super) entered: IntCounter,
    pub(super) exited: IntCounter,
}

impl CohortCounters {
    #[must_use]
    pub fn of(&self, change: Change) -> &IntCounter {
        match change {
            Change::Entered => &self.entered,
            Change::Exited => &self.exited,
        }
    }
}
