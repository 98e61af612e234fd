//! Warnings of names in the rules that the input does not have, after the first load and after an edit: a cohort that needs
//! one of them stays empty, and nothing else would show it unasked.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::inquiry::NotFound;
use crate::lane::versions::rulebook::Version;

/// The most warnings at once; the rest are in `/rules` of the admin API.
const WARNINGS_MAX: usize = 10;

/// Warns of each of these names of a version.
pub(in crate::lane) fn warn(version: &Version, missing: &[NotFound]) {
    let number = version.number;
    for NotFound { key, text, hint } in missing.iter().take(WARNINGS_MAX) {
        let hint = hint.as_deref().unwrap_or_default();
        tracing::warn!(version = number, key, hint, "The rules ask for what was not found in the input: {text}.");
    }
    if let Some(more) = missing.len().checked_sub(WARNINGS_MAX).filter(|more| *more > 0) {
        tracing::warn!(version = number, more, "More names were not found: see /rules of the admin API.");
    }
}

/// Whether the partitions of this process that nobody had read before have caught up.
#[derive(Debug)]
pub(in crate::lane) struct FirstLoad(Mutex<Option<Loading>>);

#[derive(Debug)]
struct Loading {
    /// Lanes with partitions that have not caught up, or may be.
    lanes: BTreeSet<usize>,
    /// New partitions that have.
    loaded: u32,
}

impl FirstLoad {
    /// `lanes`: of this process.
    pub(in crate::lane) fn new(lanes: usize) -> Self {
        Self(Mutex::new(Some(Loading { lanes: (0..lanes).collect(), loaded: 0 })))
    }

    /// A partition that nobody had read before has caught up.
    pub(in crate::lane) fn caught_up(&self) {
        if let Some(loading) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            loading.loaded += 1;
        }
    }

    /// A lane has partitions that have not caught up.
    pub(in crate::lane) fn report_loading(&self, lane: usize) {
        if let Some(loading) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            loading.lanes.insert(lane);
        }
    }

    /// All partitions of a lane have caught up. True, once: those of all lanes have, and some were new.
    #[must_use]
    pub(in crate::lane) fn report_loaded(&self, lane: usize) -> bool {
        let mut loading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |loading: &mut Loading| {
            loading.lanes.remove(&lane);
            loading.lanes.is_empty() && loading.loaded > 0
        };
        loading.take_if(is_over).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::FirstLoad;

    #[test]
    fn a_first_load_is_over_once_when_every_lane_has_caught_up() {
        let load = FirstLoad::new(2);
        assert!(!load.report_loaded(0) && !load.report_loaded(1), "there is no partition yet");
        load.report_loading(0);
        load.report_loading(1);
        load.caught_up();
        assert!(!load.report_loaded(1), "lane 0 still reads");
        assert!(load.report_loaded(0));
        load.caught_up();
        assert!(!load.report_loaded(0), "it was reported");
    }

    #[test]
    fn a_restart_on_a_state_is_no_first_load() {
        let load = FirstLoad::new(1);
        load.report_loading(0);
        assert!(!load.report_loaded(0));
    }
}
