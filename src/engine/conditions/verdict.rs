//! The one idea: every condition knows until when it holds.

use crate::event::Instant;

/// The answer of a condition for one customer at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub holds: bool,
    /// If the customer stays silent, `holds` cannot differ before this. May be too early, never too late.
    pub until: Instant,
}

impl Verdict {
    /// True, or false, whatever time passes.
    #[must_use]
    pub fn always(holds: bool) -> Self {
        Self { holds, until: Instant::MAX }
    }

    #[must_use]
    pub fn negated(self) -> Self {
        Self { holds: !self.holds, ..self }
    }

    /// Combines the parts of an `and` (`deciding` false) or an `or` (`deciding` true).
    ///
    /// One part with the deciding answer settles the whole for as long as it lasts, so the longest of those counts;
    /// without one, the earliest change of any part. Stops at a part that settles it for ever.
    pub fn joined(parts: impl IntoIterator<Item = Self>, deciding: bool) -> Self {
        let mut settled: Option<Instant> = None;
        let mut earliest = Instant::MAX;
        for part in parts {
            if part.holds == deciding {
                settled = Some(settled.map_or(part.until, |until| until.max(part.until)));
                if part.until == Instant::MAX {
                    break;
                }
            } else {
                earliest = earliest.min(part.until);
            }
        }
        match settled {
            Some(until) => Self { holds: deciding, until },
            None => Self { holds: !deciding, until: earliest },
        }
    }
}
