//! Computing the thresholds of ranks from the counters of all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::lane::versions::rulebook::Version;
use crate::settings::Ranks;
use crate::store::{Published, PublishedThresholds, Stage};
use crate::summary::{POPULATION_MIN, RankThreshold, RankingCounters, threshold_of};

/// When counters change within a period, those of several partitions come in quick succession: thresholds are computed
/// once none has come for this long, or after the longer time.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_WITHIN: Duration = Duration::from_secs(10);
/// Thresholds that are held back for longer than this are logged.
const LOG_AFTER: Duration = Duration::from_secs(10);

/// The counters of one version's rankings, as far as they are read.
pub(super) struct Ranking {
    version: Arc<Version>,
    partitions: u32,
    refresh: Duration,
    /// `ranks.wait_for_load`.
    wait_for_load: Duration,
    /// By partition.
    parts: BTreeMap<u32, Vec<Option<Part>>>,
    /// The period for which thresholds were last computed.
    found: Option<i64>,
    /// Since when counters are read: the first ones may be old and about to be replaced.
    began: Moment,
    /// When the first and the last counters came since thresholds were last computed.
    fresh: Option<(Moment, Moment)>,
    held: Option<Held>,
    too_few: Vec<bool>,
}

/// One partition's counters of one ranking. As bytes, about a tenth of their decoded size: only one ranking at a time
/// is decoded.
struct Part {
    tick: i64,
    stage: Stage,
    value: Box<[u8]>,
}

/// Thresholds are due, and held back.
struct Held {
    since: Moment,
    is_logged: bool,
}

/// The partitions for which thresholds are held back, by cause.
#[derive(Default)]
struct Unsettled {
    /// Never caught up with their input, or without counters.
    loading: Vec<u32>,
    /// Their counters change much at present.
    changing: Vec<u32>,
}

/// The time at which thresholds are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    /// Counts the periods of `ranks.refresh` since 1970.
    pub(in crate::lane) number: i64,
    /// Is more than half of it over?
    pub(super) is_late: bool,
    pub(in crate::lane) now: Moment,
}

impl Ranking {
    pub(super) fn new(version: Arc<Version>, partitions: u32, ranks: &Ranks, now: Moment) -> Self {
        let too_few = vec![false; version.rules.ranks.len()];
        Self {
            version,
            partitions,
            refresh: ranks.refresh,
            wait_for_load: ranks.wait_for_load,
            parts: BTreeMap::new(),
            found: None,
            began: now,
            fresh: None,
            held: None,
            too_few,
        }
    }

    /// Adds counters. `value`: the record's value, of which `published` was decoded.
    pub(in crate::lane) fn add(&mut self, published: &Published, value: &[u8], now: Moment) {
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
    pub(super) fn held_back_for(&self) -> usize {
        if self.held.is_none() {
            return 0;
        }
        let unsettled = self.unsettled();
        unsettled.loading.len() + unsettled.changing.len()
    }

    /// The thresholds, if it is time to compute them: once a period, as soon as all partitions have published for it
    /// or, if one is late, in the middle of it; and whenever a partition has published again because its counters have
    /// changed much. `last`: the period of the thresholds in force.
    ///
    /// Not before every partition has caught up once and its counters have settled: thresholds of half a history let in
    /// the wrong customers, who then stay for as long as `at_least` says. This waits at most `ranks.wait_for_load`, or
    /// half a period while counters keep changing.
    pub(super) fn thresholds(&mut self, last: Option<i64>, tick: Tick) -> Option<PublishedThresholds> {
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
            self.warn_of_small_rankings(&found);
        }
        self.log_first_thresholds(&found, last);
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
        // The first thresholds do not wait for a period to begin. Older counters may be of another run.
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
            // `None` is less than every stage.
            match parts.and_then(|parts| parts.iter().map(|part| part.as_ref().map(|part| part.stage)).min()).flatten()
            {
                None | Some(Stage::Loading) => unsettled.loading.push(partition),
                Some(Stage::Changing) => unsettled.changing.push(partition),
                Some(Stage::Settled) => {}
            }
        }
        unsettled
    }

    /// Must thresholds wait? Logs it once it lasts, and once it has lasted too long.
    fn holds_back(&mut self, unsettled: &Unsettled, now: Moment) -> bool {
        let limit = match (unsettled.loading.is_empty(), unsettled.changing.is_empty()) {
            (true, true) => {
                self.held = None;
                return false;
            }
            (false, _) => self.wait_for_load,
            (true, false) => self.refresh / 2,
        };
        let held = self.held.get_or_insert(Held { since: now, is_logged: false });
        let waits = now < held.since + limit;
        if unsettled.loading.is_empty() {
            return waits;
        }
        if waits && !held.is_logged && now >= held.since + LOG_AFTER {
            held.is_logged = true;
            tracing::info!(
                partitions = ?unsettled.loading,
                "Rank thresholds wait until these partitions have caught up once."
            );
        } else if !waits {
            tracing::warn!(
                partitions = ?unsettled.loading,
                hours = self.wait_for_load.as_secs_f64() / 3_600.0,
                "Rank thresholds are computed without what these partitions have not read yet: ranks.wait_for_load has passed."
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
                    *place = Some(threshold_of(rank, &counters));
                }
            }
        }
        all.into_iter().map(|found| found.unwrap_or(RankThreshold { population: 0, threshold: None })).collect()
    }

    fn counters(&self, ranking: usize) -> impl Iterator<Item = RankingCounters> + '_ {
        self.parts.iter().filter_map(move |(partition, parts)| {
            let part = parts.get(ranking)?.as_ref()?;
            let key = Published::key(*partition, ranking);
            // It was decoded once already.
            Some(Published::decode(&key, &part.value, &self.version.rules).ok()??.counters)
        })
    }

    /// Logs the first thresholds of each rank.
    fn log_first_thresholds(&self, found: &[RankThreshold], last: Option<i64>) {
        if last.is_some() {
            return;
        }
        for (rank, found) in self.version.rules.ranks.iter().zip(found).filter(|(_, found)| found.threshold.is_some()) {
            tracing::info!(rank = rank.words, population = found.population, "A rank has its first threshold.");
        }
    }

    fn warn_of_small_rankings(&mut self, found: &[RankThreshold]) {
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
        Arc::new(Version {
            number: 1,
            coverage: Arc::new(Coverage::new(&rules)),
            rules,
            joined: Arc::default(),
            counters: Vec::new(),
        })
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
        fn add(&mut self, partition: u32, stage: Stage, customers: Range<u64>, after: Duration) {
            let counters = counters(customers).rankings.remove(0);
            let published = Published { partition, ranking: 0, tick: TICK, stage, counters };
            let (_, value) = published.encode(&version().rules);
            self.ranking.add(&published, &value, self.start + after);
        }

        fn found(&mut self, last: Option<i64>, after: Duration) -> Option<Vec<RankThreshold>> {
            let tick = Tick { number: TICK, is_late: false, now: self.start + after };
            self.ranking.thresholds(last, tick).map(|thresholds| thresholds.found)
        }
    }

    #[test]
    fn nothing_is_found_before_every_partition_was_read_to_its_end() {
        let mut bench = Bench::new(2);
        bench.add(0, Stage::Settled, 0..300, SECOND);
        for minute in 1..200 {
            assert_eq!(bench.found(None, minute * 60 * SECOND), None, "nothing is known of one of them");
        }
        bench.add(1, Stage::Loading, 300..310, 2 * HOUR);
        for hour in 3..20 {
            assert_eq!(bench.found(None, hour * HOUR), None, "it is being loaded");
        }
        assert_eq!(bench.ranking.held_back_for(), 1);
        bench.add(1, Stage::Settled, 300..1_000, 20 * HOUR);
        assert_eq!(bench.found(None, 20 * HOUR + 2 * SECOND), Some(of_all(0..1_000)));
        assert_eq!(bench.ranking.held_back_for(), 0);
    }

    #[test]
    fn a_load_that_never_ends_is_waited_for_as_long_as_is_set_and_found_again_at_its_end() {
        let mut bench = Bench::new(2);
        bench.add(0, Stage::Settled, 0..300, SECOND);
        bench.add(1, Stage::Loading, 300..600, SECOND);
        assert_eq!(bench.found(None, 10 * SECOND), None);
        assert_eq!(bench.found(None, 23 * HOUR), None);
        assert_eq!(bench.found(None, 25 * HOUR), Some(of_all(0..600)));
        assert_eq!(bench.found(Some(TICK), 26 * HOUR), None, "nothing is new");
        bench.add(1, Stage::Settled, 300..2_000, 26 * HOUR);
        assert_eq!(bench.found(Some(TICK), 26 * HOUR + 2 * SECOND), Some(of_all(0..2_000)));
    }

    #[test]
    fn what_a_partition_publishes_besides_counts_in_the_same_period() {
        let mut bench = Bench::new(1);
        bench.add(0, Stage::Settled, 0..300, SECOND);
        assert_eq!(bench.found(None, 3 * SECOND), Some(of_all(0..300)));
        bench.add(0, Stage::Settled, 0..400, 60 * SECOND);
        assert_eq!(bench.found(Some(TICK), 60 * SECOND), None, "others may be about to follow");
        assert_eq!(bench.found(Some(TICK), 62 * SECOND), Some(of_all(0..400)));
        assert_eq!(bench.found(Some(TICK), 90 * SECOND), None);
    }

    #[test]
    fn what_changes_without_rest_is_waited_for_no_longer_than_half_a_period() {
        let mut bench = Bench::new(1);
        bench.add(0, Stage::Changing, 0..300, SECOND);
        assert_eq!(bench.found(None, 3 * SECOND), None);
        assert_eq!(bench.found(None, 20 * 60 * SECOND), None);
        assert_eq!(bench.found(None, 31 * 60 * SECOND), Some(of_all(0..300)));
    }
}
