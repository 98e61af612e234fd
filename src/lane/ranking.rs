//! Where ranks begin, from the counters of all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use super::context::Context;
use super::rulebook::Version;
use crate::clock::wall_clock;
use crate::store::{Published, PublishedThresholds};
use crate::summary::{Found, POPULATION_MIN, RankingCounters, found};

/// The counters of one version's rankings, as far as they were read.
pub(super) struct Ranking {
    version: Arc<Version>,
    refresh: Duration,
    /// By partition.
    parts: BTreeMap<u32, Vec<Option<Part>>>,
    /// The tick for which thresholds were last found.
    found: Option<i64>,
    /// Since when counters are taken in: those that are old may be about to be replaced.
    began: Moment,
    too_few: Vec<bool>,
}

/// One partition's counters of one ranking. As bytes, which take about a tenth of what they take decoded: of all partitions
/// one ranking is decoded at a time.
struct Part {
    tick: i64,
    value: Box<[u8]>,
}

impl Ranking {
    pub(super) fn new(version: Arc<Version>, refresh: Duration) -> Self {
        let too_few = vec![false; version.rules.ranks.len()];
        Self { version, refresh, parts: BTreeMap::new(), found: None, began: Moment::now(), too_few }
    }

    /// `value`: the record's, of which `published` was read.
    pub(super) fn take(&mut self, published: &Published, value: &[u8]) {
        let rankings = self.version.rules.rankings.len();
        let parts = self.parts.entry(published.partition).or_default();
        parts.resize_with(rankings, || None);
        parts[published.ranking] = Some(Part { tick: published.tick, value: value.into() });
    }

    /// Bytes of the counters that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.parts.values().flatten().flatten().map(|part| part.value.len()).sum()
    }

    /// Once a tick: as soon as all partitions have published for it, or, where one is late, in the middle of it. Not before
    /// each has published once: part of the customers are not all. `last`: the tick of the thresholds in force.
    pub(super) fn thresholds(&mut self, context: &Context, last: Option<i64>) -> Option<PublishedThresholds> {
        if self.version.rules.rankings.is_empty() {
            return None;
        }
        let now = wall_clock();
        let tick = context.tick(now);
        let known = |parts: &Vec<Option<Part>>| parts.iter().all(Option::is_some);
        let all = self.parts.len() >= context.partitions as usize && self.parts.values().all(known);
        let last = self.found.max(last);
        if last >= Some(tick) || !all {
            return None;
        }
        let refresh = i64::try_from(self.refresh.as_millis()).unwrap_or(i64::MAX);
        let is_settled = last.is_some() || self.began.elapsed() >= self.refresh;
        let late = is_settled && now.0.rem_euclid(refresh) > refresh / 2;
        let is_current = self.parts.values().flatten().flatten().all(|part| part.tick >= tick);
        if !late && !is_current {
            return None;
        }
        self.found = Some(tick);
        let found = self.found();
        self.warn_of_few(&found);
        Some(PublishedThresholds { tick, found })
    }

    /// By the rule set's numbers of ranks.
    fn found(&self) -> Vec<Found> {
        let rules = &self.version.rules;
        let mut all: Vec<Option<Found>> = vec![None; rules.ranks.len()];
        for ranking in 0..rules.rankings.len() {
            let counters: Vec<RankingCounters> = self.counters(ranking).collect();
            let counters: Vec<&RankingCounters> = counters.iter().collect();
            for (rank, place) in rules.ranks.iter().zip(&mut all) {
                if usize::from(rank.ranking.0) == ranking {
                    *place = Some(found(rank, &counters));
                }
            }
        }
        all.into_iter().map(|found| found.unwrap_or(Found { population: 0, threshold: None })).collect()
    }

    fn counters(&self, ranking: usize) -> impl Iterator<Item = RankingCounters> + '_ {
        self.parts.iter().filter_map(move |(partition, parts)| {
            let part = parts.get(ranking)?.as_ref()?;
            let key = Published::key(*partition, ranking);
            // It was read once already.
            Some(Published::decode(&key, &part.value, &self.version.rules).ok()??.counters)
        })
    }

    fn warn_of_few(&mut self, found: &[Found]) {
        for ((rank, found), few) in self.version.rules.ranks.iter().zip(found).zip(&mut self.too_few) {
            let is_few = found.threshold.is_none();
            if is_few && !std::mem::replace(few, is_few) {
                tracing::warn!(
                    rank = rank.words,
                    population = found.population,
                    "Under {POPULATION_MIN} customers have a place in this ranking; no one is let in by it."
                );
            }
            *few = is_few;
        }
    }
}
