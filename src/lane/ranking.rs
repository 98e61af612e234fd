//! Where ranks begin, from the counters of all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use super::context::Context;
use super::ranks::RankTold;
use super::rulebook::Version;
use crate::clock::wall_clock;
use crate::event::Number;
use crate::metrics::RankMetrics;
use crate::store::Published;
use crate::summary::{Counters, Found, POPULATION_MIN, thresholds};

/// The counters of one version's rankings, as far as they were read.
pub(super) struct Ranking {
    version: Arc<Version>,
    refresh: Duration,
    /// By partition, each ranking with the tick at which it was published.
    parts: BTreeMap<u32, Part>,
    metrics: Vec<RankMetrics>,
    /// The tick for which thresholds were last told.
    told: Option<i64>,
    told_at: Moment,
    too_few: Vec<bool>,
}

struct Part {
    ticks: Vec<Option<i64>>,
    counters: Counters,
}

impl Ranking {
    pub(super) fn new(version: Arc<Version>, refresh: Duration, context: &Context) -> Self {
        let rules = &version.rules;
        let first = |rank: &crate::rules::Rank| rank.readers.first().map_or("", |cohort| &rules.cohort(*cohort).name);
        Self {
            refresh,
            parts: BTreeMap::new(),
            metrics: rules.ranks.iter().map(|rank| context.metrics.rank(first(rank), &rank.words)).collect(),
            told: None,
            told_at: Moment::now(),
            too_few: vec![false; rules.ranks.len()],
            version,
        }
    }

    pub(super) fn take(&mut self, published: Published) {
        let rules = &self.version.rules;
        let part = self
            .parts
            .entry(published.partition)
            .or_insert_with(|| Part { ticks: vec![None; rules.rankings.len()], counters: Counters::new(rules) });
        part.ticks[published.ranking] = Some(published.tick);
        part.counters.rankings[published.ranking] = published.counters;
    }

    /// Since when the thresholds told are as they are.
    pub(super) fn age(&self) -> Duration {
        self.told_at.elapsed()
    }

    /// Once a tick: as soon as all partitions have published for it, or, where one is late, in the middle of it. Not before
    /// each has published once: part of the customers are not all.
    pub(super) fn thresholds(&mut self, context: &Context) -> Option<RankTold> {
        if self.version.rules.rankings.is_empty() {
            return None;
        }
        let now = wall_clock();
        let tick = context.tick(now);
        let known = |part: &Part| part.ticks.iter().all(Option::is_some);
        let all = self.parts.len() >= context.partitions as usize && self.parts.values().all(known);
        if self.told == Some(tick) || !all {
            return None;
        }
        let current = |part: &Part| part.ticks.iter().all(|published| published.is_some_and(|at| at >= tick));
        let refresh = i64::try_from(self.refresh.as_millis()).unwrap_or(i64::MAX);
        let late = self.told.is_some() && now.0.rem_euclid(refresh) > refresh / 2;
        if !late && !self.parts.values().all(current) {
            return None;
        }
        let parts: Vec<&Counters> = self.parts.values().map(|part| &part.counters).collect();
        let found = thresholds(&self.version.rules, &parts);
        self.show(&found);
        (self.told, self.told_at) = (Some(tick), Moment::now());
        let thresholds = found.iter().map(|found| found.threshold).collect();
        Some(RankTold { version: self.version.number, thresholds })
    }

    fn show(&mut self, found: &[Found]) {
        let ranks = self.version.rules.ranks.iter().zip(found);
        for (((rank, found), metrics), few) in ranks.zip(&self.metrics).zip(&mut self.too_few) {
            let beginning = found.threshold.map(|threshold| threshold.value);
            // A list that is not full has no beginning.
            let beginning = beginning.filter(|value| value.0.unsigned_abs() < i128::MAX.unsigned_abs());
            metrics.show(beginning.map(|value| value.0 as f64 / Number::ONE as f64), found.population);
            if found.threshold.is_none() && !std::mem::replace(few, found.threshold.is_none()) {
                tracing::warn!(
                    rank = rank.words,
                    population = found.population,
                    "Under {POPULATION_MIN} customers have a place in this ranking; no one is let in by it."
                );
            }
            *few = found.threshold.is_none();
        }
    }
}
