//! Selects the changes to show: a person reads two in a second, and the shop produces hundreds.

use std::collections::BTreeMap;

use crate::app::demo::Seen;
use crate::event::{Change, Instant};

/// Chooses, of those offered since the last choice, the kind that was shown the longest ago, so that entries and exits
/// of all cohorts take turns; of one kind the latest.
#[derive(Debug, Default)]
pub(super) struct Sample {
    offered: BTreeMap<(String, Change), Seen>,
    /// When each kind was shown, counted in choices.
    turns: BTreeMap<(String, Change), u64>,
    choices: u64,
    last: Option<Instant>,
}

impl Sample {
    pub(super) fn offer(&mut self, seen: Seen) {
        // Partitions are read in turn: changes that would go back in time are skipped.
        if self.last.is_none_or(|last| seen.at >= last) {
            self.offered.insert((seen.cohort.clone(), seen.change), seen);
        }
    }

    /// The one to show; the others are dropped.
    pub(super) fn take(&mut self) -> Option<Seen> {
        let mut offered = std::mem::take(&mut self.offered);
        let kind = offered.keys().min_by_key(|kind| self.turns.get(*kind).copied().unwrap_or(0))?.clone();
        self.choices += 1;
        self.turns.insert(kind.clone(), self.choices);
        let seen = offered.remove(&kind)?;
        self.last = Some(seen.at);
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use crate::app::demo::Seen;
    use crate::event::{Change, Instant};

    #[test]
    fn each_kind_has_its_turn_and_time_does_not_go_back() {
        let seen = |at: i64, cohort: &str| Seen {
            at: Instant(at),
            customer: "c".into(),
            cohort: cohort.into(),
            change: Change::Entered,
            by_time: true,
            why: Vec::new(),
        };
        let mut sample = Sample::default();
        assert!(sample.take().is_none());
        for at in 1..4 {
            sample.offer(seen(at, "a"));
        }
        sample.offer(seen(2, "b"));
        assert_eq!(sample.take().unwrap().at, Instant(3), "the latest of its kind");
        sample.offer(seen(2, "b"));
        assert!(sample.take().is_none(), "it would go back");
        sample.offer(seen(4, "a"));
        sample.offer(seen(4, "b"));
        assert_eq!(sample.take().unwrap().cohort, "b", "its turn");
    }
}
