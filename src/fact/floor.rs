//! Which times of a list can no longer matter because of another fact's times, besides its horizon.

use super::FactIx;
use super::kind::{EdgeTimes, Names};
use crate::event::{Instant, Span};

/// Which times may be dropped because of another fact's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    None,
    /// Times at or before the last time of that fact.
    SinceLast(FactIx),
    /// Times before the first time of that fact, or later than the span after it, once no earlier first can arrive.
    WithinFirst(FactIx, Span),
}

impl Floor {
    /// The first and last instants that can still matter.
    pub(super) fn bounds(self, horizon: Option<Span>, edge: EdgeTimes, settled_before: Instant) -> (Instant, Instant) {
        let by_horizon = horizon.map_or(Instant::MIN, |span| settled_before - span);
        match (self, edge) {
            (Self::SinceLast(_), Some((_, last))) => (by_horizon.max(last.next()), Instant::MAX),
            (Self::WithinFirst(_, span), Some((first, _))) if first < settled_before => (first, first + span),
            (Self::WithinFirst(..), _) => (by_horizon.max(settled_before), Instant::MAX),
            (Self::None | Self::SinceLast(_), _) => (by_horizon, Instant::MAX),
        }
    }

    pub(super) fn fact(self) -> Option<FactIx> {
        match self {
            Self::SinceLast(fact) | Self::WithinFirst(fact, _) => Some(fact),
            Self::None => None,
        }
    }

    pub(super) fn definition(self, names: &dyn Names) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::SinceLast(fact) => format!("since last {}", names.selector_of(fact)),
            Self::WithinFirst(fact, span) => format!("within {} of first {}", span.0, names.selector_of(fact)),
        }
    }
}

/// Does a horizon reach as far back as another one? `None` is unlimited.
pub(super) fn reaches(horizon: Option<Span>, wanted: Option<Span>) -> bool {
    horizon.is_none_or(|horizon| wanted.is_some_and(|wanted| horizon >= wanted))
}

/// The horizon that reaches further back.
pub(super) fn furthest(horizon: Option<Span>, other: Option<Span>) -> Option<Span> {
    horizon.zip(other).map(|(horizon, other)| horizon.max(other))
}
