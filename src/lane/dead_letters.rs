//! What the log says of dead letters: that there are some, and how many by reason, at once and then once a minute at most.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use crate::event::DeadLetterReason;

/// Between two lines.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What was written to the dead letters and not said yet, by all lanes of the process.
#[derive(Debug, Default)]
pub(super) struct DeadLetters(Mutex<Unsaid>);

#[derive(Debug, Default)]
struct Unsaid {
    counts: BTreeMap<&'static str, u64>,
    said_at: Option<Moment>,
}

impl DeadLetters {
    /// Records of a batch that counts. Cheap where there are none.
    pub(super) fn wrote(&self, topic: &str, reasons: &[DeadLetterReason]) {
        if reasons.is_empty() {
            return;
        }
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner).count(reasons, Moment::now());
        if let Some(records) = counted {
            tracing::warn!(topic, records, "Records went to the dead letters; the header cohortd_reason says why.");
        }
    }
}

impl Unsaid {
    /// `undecodable 12, too_late 3`, if it is time for a line.
    fn count(&mut self, reasons: &[DeadLetterReason], now: Moment) -> Option<String> {
        for reason in reasons {
            *self.counts.entry(reason.as_str()).or_default() += 1;
        }
        if self.said_at.is_some_and(|said_at| now < said_at + SAY_EVERY) {
            return None;
        }
        self.said_at = Some(now);
        let counts = std::mem::take(&mut self.counts);
        Some(counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::{DeadLetterReason, Moment, SAY_EVERY, Unsaid};

    #[test]
    fn dead_letters_are_said_at_once_and_then_added_up_for_a_minute() {
        let (mut unsaid, start) = (Unsaid::default(), Moment::now());
        let (late, foreign) = (DeadLetterReason::TooLate, DeadLetterReason::Undecodable);
        assert_eq!(unsaid.count(&[late], start).as_deref(), Some("too_late 1"));
        assert_eq!(unsaid.count(&[late, foreign], start + SAY_EVERY / 2), None);
        assert_eq!(unsaid.count(&[foreign], start + SAY_EVERY).as_deref(), Some("too_late 1, undecodable 2"));
        assert_eq!(unsaid.count(&[foreign], start + SAY_EVERY + SAY_EVERY / 2), None);
    }
}
