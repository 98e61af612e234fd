//! Ranks over one log: thresholds computed from its customers at each full hour of stream time.

use std::sync::Arc;

use crate::engine::{CustomerEffect, Detail, Shard, Thresholds};
use crate::event::{Instant, Span};
use crate::summary::{Counters, RankThreshold, thresholds};

/// The interval of computations, in stream time, like the default of `ranks.refresh` in wall-clock time.
const REFRESH: Span = Span::HOUR;

/// A note about ranges of a topic.
pub(in crate::cli) const RANKED_APART: &str =
    "Customers are ranked among those of their partition here; `run` ranks those of all partitions.";

/// The counters of the customers, and when thresholds were last computed.
pub(in crate::cli) struct Ranks {
    counters: Counters,
    /// Whole hours of stream time since 1970.
    hour: Option<i64>,
    /// At that time, by the rules' numbers.
    found: Vec<RankThreshold>,
}

impl Ranks {
    pub(in crate::cli) fn new(shard: &Shard) -> Self {
        Self { counters: Counters::new(shard.engine().rules()), hour: None, found: Vec::new() }
    }

    /// The ranks without a threshold because too few customers are ranked, and their number.
    pub(in crate::cli) fn too_few<'a>(&'a self, shard: &'a Shard) -> impl Iterator<Item = (&'a str, u64)> {
        let ranks = shard.engine().rules().ranks.iter().zip(&self.found);
        ranks
            .filter(|(_, found)| found.threshold.is_none())
            .map(|(rank, found)| (rank.words.as_str(), found.population))
    }

    /// Applies new thresholds at a log position if stream time has passed a full hour since the last time. Every
    /// deadline before stream time is decided.
    pub(in crate::cli) fn refresh(
        &mut self,
        shard: &mut Shard,
        position: i64,
        detail: Detail,
        effects: &mut Vec<CustomerEffect>,
    ) {
        let hour = shard.stream_time().0.div_euclid(REFRESH.0);
        if self.counters.rankings.is_empty() || shard.is_empty() || self.hour == Some(hour) {
            return;
        }
        self.hour = Some(hour);
        while let Some(slot) = shard.take_dirty(i64::MAX) {
            shard.take_rank_moves(slot).iter().for_each(|moved| self.counters.count(moved));
        }
        if self.counters.are_short() {
            self.counters = Counters::new(shard.engine().rules());
            for slot in shard.residents() {
                shard.rank_positions(slot).for_each(|moved| self.counters.count(&moved));
            }
        }
        self.found = thresholds(shard.engine().rules(), &[&self.counters]);
        let new: Thresholds = self.found.iter().map(|found| found.threshold).collect();
        let old = Arc::clone(shard.engine().thresholds());
        if new == old {
            return;
        }
        shard.set_thresholds(new);
        for slot in shard.residents() {
            shard.reevaluate_ranks(slot, &old, position, detail, effects);
        }
    }

    /// The next full hour of stream time. `None`: there are no ranks.
    pub(in crate::cli) fn next(&self, shard: &Shard) -> Option<Instant> {
        let wanted = !self.counters.rankings.is_empty() && !shard.is_empty();
        wanted.then(|| Instant((shard.stream_time().0.div_euclid(REFRESH.0) + 1) * REFRESH.0))
    }
}
