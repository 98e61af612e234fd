//! The result of a condition, and until when it stays the same without further events: the basis of all deadlines.

use crate::event::Instant;

/// The result of a condition for one customer at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub holds: bool,
    /// Without further events `holds` cannot change before this. May be too early, never too late.
    pub until: Instant,
}

impl Verdict {
    /// A result that time alone never changes.
    #[must_use]
    pub fn always(holds: bool) -> Self {
        Self { holds, until: Instant::MAX }
    }

    #[must_use]
    pub fn negated(self) -> Self {
        Self { holds: !self.holds, ..self }
    }

    /// The `and` of several results.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::any(parts.into_iter().map(Self::negated)).negated()
    }

    /// The `or` of several results.
    ///
    /// One part that holds makes the whole hold for as long as it lasts, so the longest of those counts; without one,
    /// the earliest change of any part. Stops at a part that holds for ever.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut holds_until: Option<Instant> = None;
        let mut earliest = Instant::MAX;
        for part in parts {
            if part.holds {
                holds_until = Some(holds_until.map_or(part.until, |until| until.max(part.until)));
                if part.until == Instant::MAX {
                    break;
                }
            } else {
                earliest = earliest.min(part.until);
            }
        }
        match holds_until {
            Some(until) => Self { holds: true, until },
            None => Self { holds: false, until: earliest },
        }
    }
}
