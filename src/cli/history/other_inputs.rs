//! The inputs of decisions besides the log: rank thresholds, and churn parameters.

use std::sync::Arc;

use super::ranks::Ranks;
use super::refits::{Refits, Refitted};
use crate::engine::{CustomerEffect, Detail, Parameters, Shard};
use crate::event::Instant;

/// Both are computed from the log itself as stream time advances.
pub(in crate::cli) struct OtherInputs {
    ranks: Ranks,
    /// `None`: parameters were given.
    refits: Option<Refits>,
}

impl OtherInputs {
    pub(in crate::cli) fn new(shard: &Shard) -> Self {
        Self { ranks: Ranks::new(shard), refits: Some(Refits::default()) }
    }

    /// Sets fixed parameters before anything is decided.
    pub(in crate::cli) fn set_parameters(&mut self, parameters: Arc<Parameters>, shard: &mut Shard) {
        self.refits = None;
        shard.set_parameters(Some(parameters), Instant::MIN);
    }

    pub(in crate::cli) fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// The results of refits; `None` if parameters were given.
    pub(in crate::cli) fn refitted(&self) -> Option<&Refitted> {
        self.refits.as_ref().map(Refits::refitted)
    }

    /// Applies new inputs at a log position. Every deadline before stream time is decided.
    pub(in crate::cli) fn refresh(
        &mut self,
        shard: &mut Shard,
        position: i64,
        detail: Detail,
        effects: &mut Vec<CustomerEffect>,
    ) {
        self.ranks.refresh(shard, position, detail, effects);
        if let Some(refits) = &mut self.refits {
            refits.refresh(shard, position, detail, effects);
        }
    }

    /// Advances stream time to an instant, with all deadlines and refreshes on the way.
    pub(in crate::cli) fn run_to(
        &mut self,
        until: Instant,
        shard: &mut Shard,
        position: i64,
        detail: Detail,
        effects: &mut Vec<CustomerEffect>,
    ) {
        while let Some(next) = self.next(shard).filter(|next| *next <= until) {
            shard.advance(next);
            shard.fire_due(position, detail, effects);
            self.refresh(shard, position, detail, effects);
        }
        shard.fire_before(until.next(), position, detail, effects);
    }

    fn next(&self, shard: &Shard) -> Option<Instant> {
        let refit = self.refits.as_ref().and_then(|refits| refits.next(shard));
        [self.ranks.next(shard), refit].into_iter().flatten().min()
    }
}
