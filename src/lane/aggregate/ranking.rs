//! Where ranks begin, from the counters of all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::lane::edits::rulebook::Version;
use crate::settings::Ranks;
use crate::store::{Published, PublishedThresholds, Stage};
use crate::summary::{POPULATION_MIN, RankThreshold, RankingCounters, found};

/// Counters that come besides those of each period come from several partitions, one soon after another: thresholds are
/// found once none has come for so long, or after the longer time.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_WITHIN: Duration = Duration::from_secs(10);
/// Thresholds that are held back for longer than this are told of.
const SAID_AFTER: Duration = Duration::from_secs(10);

/// The counters of one version's rankings, as far as they were read.
pub(in crate::lane) struct Ranking {
    version: Arc<Version>,
    partitions: u32,
    refresh: Duration,
    /// `ranks.wait_for_load`.
    patience: Duration,
    /// By partition.
    parts: BTreeMap<u32, Vec<Option<Part>>>,
    /// The period for which thresholds were last found.
    found: Option<i64>,
    /// Since when counters are taken in: those that are old may be about to be replaced.
    began: Moment,
    /// When the first counters came of which no thresholds were found yet, and when the last.
    fresh: Option<(Moment, Moment)>,
    held: Option<Held>,
    too_few: Vec<bool>,
}

/// One partition's counters of one ranking. As bytes, which take about a tenth of what they take decoded: of all partitions
/// one ranking is decoded at a time.
struct Part {
    tick: i64,
    stage: Stage,
    value: Box<[u8]>,
}

/// Thresholds are due, and held back.
struct Held {
    since: Moment,
    said: bool,
}

/// The partitions for which thresholds are held back, by why.
#[derive(Default)]
struct Unsettled {
    /// Not read to their end yet, or nothing is known of them.
    loading: Vec<u32>,
    /// What is counted of them changes much at present.
    changing: Vec<u32>,
}

/// When something is asked of a ranking.
#[derive(Debug, Clone, Copy)]
pub(in crate::lane) struct Tick {
    /// Counts the periods of `ranks.refresh` since 1970.
    pub(in crate::lane) number: i64,
    /// Is more than half of it over?
    pub(in crate::lane) is_late: bool,
    pub(in crate::lane) now: Moment,
}

impl Ranking {
    pub(in crate::lane) fn new(version: Arc<Version>, partitions: u32, ranks: &Ranks, now: Moment) -> Self {
        let too_few = vec![false; version.rules.ranks.len()];
        Self {
            version,
            partitions,
            refresh: ranks.refresh,
            patience: ranks.wait_for_load,
            parts: BTreeMap::new(),
            found: None,
            began: now,
            fresh: None,
            held: None,
            too_few,
        }
    }

    /// `value`: the record's, of which `published` was read.
    pub(in crate::lane) fn take(&mut self, published: &Published, value: &[u8], now: Moment) {
        let rankings = self.version.rules.rankings.len();
        let parts = self.parts.entry(published.partition).or_default();
        parts.resize_with(rankings, || None);
        parts[published.ranking] = Some(Part { tick: published.tick, stage: published.stage, value: value.into() });
        let first = self.fresh.map_or(now, |(first, _)| first);
        self.fresh = Some((first, now));
    }

    /// Bytes of the counters that are kept.
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.parts.values().flatten().flatten().map(|part| part.value.len()).sum()
    }

    /// Partitions for which thresholds are held back.
    pub(in crate::lane) fn held_back_for(&self) -> usize {
        if self.held.is_none() {
            return 0;
        }
        let unsettled = self.unsettled();
        unsettled.loading.len() + unsettled.changing.len()
    }

    /// The thresholds that follow, if it is time to find them: once a period, as soon as all partitions have published for
    /// it or, where one is late, in the middle of it; and whenever a partition has published besides, since much has changed
    /// in it. `last`: the period of the thresholds in force.
    ///
    /// Not before every partition was read to its end and is at rest: part of a history is not all of it, and whom its
    /// thresholds let in may stay for as long as `at_least` says. That is waited for as long as `ranks.wait_for_load`, or for
    /// half a period where much goes on changing.
    pub(in crate::lane) fn thresholds(&mut self, last: Option<i64>, tick: Tick) -> Option<PublishedThresholds> {
        if self.version.rules.rankings.is_empty() || self.parts.is_empty() {
            return None;
        }
        let last = self.found.max(last);
        if !self.is_due(last, tick) {
            return None;
        }
        let unsettled = self.unsettled();
        if self.holds_back(&unsettled, tick.now) {
            return None;
        }
        (self.found, self.fresh) = (Some(tick.number), None);
        let found = self.found();
        if unsettled.loading.is_empty() {
            self.warn_of_few(&found);
        }
        self.say_first(&found, last);
        Some(PublishedThresholds { tick: tick.number, found })
    }

    fn is_due(&self, last: Option<i64>, tick: Tick) -> bool {
        let since = |published: i64| self.parts.values().flatten().flatten().all(|part| part.tick >= published);
        let is_quiet = self.fresh.is_some_and(|(first, lately)| {
            tick.now >= lately + QUIET.min(self.refresh) || tick.now >= first + QUIET_WITHIN
        });
        if last >= Some(tick.number) {
            return is_quiet;
        }
        // The first ones do not wait for a period to begin. What is older may be of another run.
        if last.is_none() && is_quiet && since(tick.number - 1) {
            return true;
        }
        let is_settled = last.is_some() || tick.now >= self.began + self.refresh;
        since(tick.number) || (is_settled && tick.is_late)
    }

    fn unsettled(&self) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for partition in 0..self.partitions {
            let parts = self.parts.get(&partition);
            // What is not known comes before everything that is.
            match parts.and_then(|parts| parts.iter().map(|part| part.as_ref().map(|part| part.stage)).min()).flatten()
            {
                None | Some(Stage::Loading) => unsettled.loading.push(partition),
                Some(Stage::Changing) => unsettled.changing.push(partition),
                Some(Stage::Settled) => {}
            }
        }
        unsettled
    }

    /// Are thresholds to wait? Says so once it lasts, and once it has lasted too long.
    fn holds_back(&mut self, unsettled: &Unsettled, now: Moment) -> bool {
        let limit = match (unsettled.loading.is_empty(), unsettled.changing.is_empty()) {
            (true, true) => {
                self.held = None;
                return false;
            }
            (false, _) => self.patience,
            (true, false) => self.refresh / 2,
        };
        let held = self.held.get_or_insert(Held { since: now, said: false });
        let waits = now < held.since + limit;
        if unsettled.loading.is_empty() {
            return waits;
        }
        if waits && !held.said && now >= held.since + SAID_AFTER {
            held.said = true;
            tracing::info!(
                partitions = ?unsettled.loading,
                "Thresholds of ranks wait until these partitions have been read to their end once."
            );
        } else if !waits {
            tracing::warn!(
                partitions = ?unsettled.loading,
                hours = self.patience.as_secs_f64() / 3_600.0,
                "Thresholds of ranks are found without what these partitions have not read yet: ranks.wait_for_load is over."
            );
        }
        waits
    }

    /// By the rule set's numbers of ranks.
    fn found(&self) -> Vec<RankThreshold> {
        let rules = &self.version.rules;
        let mut all: Vec<Option<RankThreshold>> = vec![None; rules.ranks.len()];
        for ranking in 0..rules.rankings.len() {
            let counters: Vec<RankingCounters> = self.counters(ranking).collect();
            let counters: Vec<&RankingCounters> = counters.iter().collect();
            for (rank, place) in rules.ranks.iter().zip(&mut all) {
                if usize::from(rank.ranking.0) == ranking {
                    *place = Some(found(rank, &counters));
                }
            }
        }
        all.into_iter().map(|found| found.unwrap_or(RankThreshold { population: 0, threshold: None })).collect()
    }

    fn counters(&self, ranking: usize) -> impl Iterator<Item = RankingCounters> + '_ {
        self.parts.iter().filter_map(move |(partition, parts)| {
            let part = parts.get(ranking)?.as_ref()?;
            let key = Published::key(*partition, ranking);
            // It was read once already.
            Some(Published::decode(&key, &part.value, &self.version.rules).ok()??.counters)
        })
    }

    /// Says which thresholds are the first ones.
    fn say_first(&self, found: &[RankThreshold], last: Option<i64>) {
        if last.is_some() {
            return;
        }
        for (rank, found) in self.version.rules.ranks.iter().zip(found).filter(|(_, found)| found.threshold.is_some()) {
            tracing::info!(rank = rank.words, population = found.population, "A rank has its first threshold.");
        }
    }

    fn warn_of_few(&mut self, found: &[RankThreshold]) {
        for ((rank, found), few) in self.version.rules.ranks.iter().zip(found).zip(&mut self.too_few) {
            let is_few = found.threshold.is_none();
            if is_few && !std::mem::replace(few, is_few) {
                tracing::warn!(
                    rank = rank.words,
                    population = found.population,
                    "Under {POPULATION_MIN} customers have a place in this ranking: no one enters by it until there are more."
                );
            }
            *few = is_few;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::time::{Duration, Instant as Moment};

    use super::{Published, Ranking, Ranks, Stage, Tick, Version};
    use crate::engine::Standing;
    use crate::event::Number;
    use crate::inquiry::Coverage;
    use crate::rules::load;
    use crate::summary::{Counters, RankThreshold, thresholds};

    const HOUR: Duration = Duration::from_secs(3_600);
    const SECOND: Duration = Duration::from_secs(1);
    const TICK: i64 = 5;

    fn version() -> Arc<Version> {
        let rules = load("r.toml", "[cohorts.c]\nwho = 'in the top 10 % by sum(buy.amount)'").unwrap();
        let rules = Arc::new(rules);
        Arc::new(Version { number: 1, coverage: Arc::new(Coverage::new(&rules)), rules, counters: Vec::new() })
    }

    /// Customers numbered so, each with a sum of their number.
    fn counters(customers: Range<u64>) -> Counters {
        let mut counters = Counters::new(&version().rules);
        for number in customers {
            let value = Number::from_integer(i64::try_from(number).unwrap());
            counters.rankings[0].add(Standing { value, hash: number });
        }
        counters
    }

    /// What a reader of everything finds.
    fn of_all(customers: Range<u64>) -> Vec<RankThreshold> {
        thresholds(&version().rules, &[&counters(customers)])
    }

    struct Bench {
        ranking: Ranking,
        start: Moment,
    }

    impl Bench {
        fn new(partitions: u32) -> Self {
            let start = Moment::now();
            let ranks = Ranks { refresh: HOUR, wait_for_load: 24 * HOUR };
            Self { ranking: Ranking::new(version(), partitions, &ranks, start), start }
        }

        /// A partition publishes.
        fn take(&mut self, partition: u32, stage: Stage, customers: Range<u64>, after: Duration) {
            let counters = counters(customers).rankings.remove(0);
            let published = Published { partition, ranking: 0, tick: TICK, stage, counters };
            let (_, value) = published.encode(&version().rules);
            self.ranking.take(&published, &value, self.start + after);
        }

        fn found(&mut self, last: Option<i64>, after: Duration) -> Option<Vec<RankThreshold>> {
            let tick = Tick { number: TICK, is_late: false, now: self.start + after };
            self.ranking.thresholds(last, tick).map(|thresholds| thresholds.found)
        }
    }

    #[test]
    fn nothing_is_found_before_every_partition_was_read_to_its_end() {
        let mut bench = Bench::new(2);
        bench.take(0, Stage::Settled, 0..300, SECOND);
        for minute in 1..200 {
            assert_eq!(bench.found(None, minute * 60 * SECOND), None, "nothing is known of one of them");
        }
        bench.take(1, Stage::Loading, 300..310, 2 * HOUR);
        for hour in 3..20 {
            assert_eq!(bench.found(None, hour * HOUR), None, "it is being loaded");
        }
        assert_eq!(bench.ranking.held_back_for(), 1);
        bench.take(1, Stage::Settled, 300..1_000, 20 * HOUR);
        assert_eq!(bench.found(None, 20 * HOUR + 2 * SECOND), Some(of_all(0..1_000)));
        assert_eq!(bench.ranking.held_back_for(), 0);
    }

    #[test]
    fn a_load_that_never_ends_is_waited_for_as_long_as_is_set_and_found_again_at_its_end() {
        let mut bench = Bench::new(2);
        bench.take(0, Stage::Settled, 0..300, SECOND);
        bench.take(1, Stage::Loading, 300..600, SECOND);
        assert_eq!(bench.found(None, 10 * SECOND), None);
        assert_eq!(bench.found(None, 23 * HOUR), None);
        assert_eq!(bench.found(None, 25 * HOUR), Some(of_all(0..600)));
        assert_eq!(bench.found(Some(TICK), 26 * HOUR), None, "nothing is new");
        bench.take(1, Stage::Settled, 300..2_000, 26 * HOUR);
        assert_eq!(bench.found(Some(TICK), 26 * HOUR + 2 * SECOND), Some(of_all(0..2_000)));
    }

    #[test]
    fn what_a_partition_publishes_besides_counts_in_the_same_period() {
        let mut bench = Bench::new(1);
        bench.take(0, Stage::Settled, 0..300, SECOND);
        assert_eq!(bench.found(None, 3 * SECOND), Some(of_all(0..300)));
        bench.take(0, Stage::Settled, 0..400, 60 * SECOND);
        assert_eq!(bench.found(Some(TICK), 60 * SECOND), None, "others may be about to follow");
        assert_eq!(bench.found(Some(TICK), 62 * SECOND), Some(of_all(0..400)));
        assert_eq!(bench.found(Some(TICK), 90 * SECOND), None);
    }

    #[test]
    fn what_changes_without_rest_is_waited_for_no_longer_than_half_a_period() {
        let mut bench = Bench::new(1);
        bench.take(0, Stage::Changing, 0..300, SECOND);
        assert_eq!(bench.found(None, 3 * SECOND), None);
        assert_eq!(bench.found(None, 20 * 60 * SECOND), None);
        assert_eq!(bench.found(None, 31 * 60 * SECOND), Some(of_all(0..300)));
    }
}
