//! What follows from the counters of all partitions, as the owner of partition 0 has published it: every process reads this,
//! and nothing else of the summaries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Number;
use crate::lane::aggregate::model::ModelTold;
use crate::lane::aggregate::ranks::RankTold;
use crate::lane::context::Context;
use crate::lane::edits::rulebook::Version;
use crate::lane::lane::Told;
use crate::metrics::RankMetrics;
use crate::store::{
    Corrupt, DigestBlock, PublishedThresholds, SummaryKind, decode_digest, decode_parameters, decode_whole,
};
use crate::summary::{Digest, Overview, RankThreshold, Survey};

/// The newest record of each key, and what it says under the newest rules.
///
/// As bytes: a record of rules that are not known here yet is understood once they are. At 600 cohorts this is about 2 MB,
/// the newest survey and 32 digests, whatever the number of partitions and customers.
pub(in crate::lane) struct Results {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Kinds of which something came that was not looked at yet.
    fresh: BTreeSet<SummaryKind>,
    version: Arc<Version>,
    rank_metrics: Vec<RankMetrics>,
    /// The tick of the thresholds read last.
    tick: Option<i64>,
    digests: BTreeMap<i64, Digest>,
    /// The day of the newest overview.
    day: Option<i64>,
    /// The same, once it is shown.
    shown: Option<i64>,
}

impl Results {
    pub(in crate::lane) fn new(version: Arc<Version>, context: &Context) -> Self {
        Self {
            records: BTreeMap::new(),
            fresh: BTreeSet::new(),
            rank_metrics: rank_metrics(&version, context),
            version,
            tick: None,
            digests: BTreeMap::new(),
            day: None,
            shown: None,
        }
    }

    /// Other rules: the records are looked at again.
    pub(in crate::lane) fn follow(&mut self, version: Arc<Version>, context: &Context) {
        let records = std::mem::take(&mut self.records);
        // Of ranks that are no longer asked for nothing is to be shown.
        context.metrics.forget_ranks();
        *self = Self::new(version, context);
        self.fresh = records.keys().map(|key| SummaryKind::of(key)).collect();
        self.records = records;
    }

    pub(in crate::lane) fn take(&mut self, kind: SummaryKind, key: &[u8], value: &[u8]) {
        self.fresh.insert(kind);
        self.records.insert(key.to_vec(), value.to_vec());
    }

    /// The tick of the newest thresholds.
    pub(in crate::lane) fn tick(&self) -> Option<i64> {
        self.tick
    }

    /// The day of the newest overview.
    pub(in crate::lane) fn day(&self) -> Option<i64> {
        self.day
    }

    /// This process has begun to show what exists once, and what was published before counts too.
    pub(in crate::lane) fn look_again(&mut self) {
        self.shown = None;
        self.fresh.extend([SummaryKind::Thresholds, SummaryKind::Whole]);
    }

    /// Bytes of the records that are kept.
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.records.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// What later forecasts need of the surveys one, two and three weeks before a day.
    pub(in crate::lane) fn before(&self, day: i64) -> [Option<&Digest>; 3] {
        [1, 2, 3].map(|weeks| self.digests.get(&(day - 7 * weeks)))
    }

    /// What is new, for the lanes. `skip` is called for records that cannot be read, which are forgotten.
    pub(in crate::lane) fn news(&mut self, context: &Context, mut skip: impl FnMut(SummaryKind, Corrupt)) -> Vec<Told> {
        let mut news = Vec::new();
        for kind in std::mem::take(&mut self.fresh) {
            let outcome = match kind {
                SummaryKind::Thresholds => self.thresholds(context),
                SummaryKind::Parameters => self.parameters(context),
                SummaryKind::Digest => self.read_digests().map(|()| None),
                SummaryKind::Whole => self.overview(context).map(|()| None),
                _ => Ok(None),
            };
            match outcome {
                Ok(told) => news.extend(told),
                Err(error) => {
                    self.records.retain(|key, _| SummaryKind::of(key) != kind);
                    skip(kind, error);
                }
            }
        }
        news
    }

    fn of_kind(&self, kind: SummaryKind) -> impl Iterator<Item = &[u8]> {
        let of_kind = move |(key, _): &(&Vec<u8>, &Vec<u8>)| SummaryKind::of(key) == kind;
        self.records.iter().filter(of_kind).map(|(_, value)| value.as_slice())
    }

    fn thresholds(&mut self, context: &Context) -> Result<Option<Told>, Corrupt> {
        let Some(value) = self.of_kind(SummaryKind::Thresholds).next() else { return Ok(None) };
        let Some(PublishedThresholds { tick, found }) = PublishedThresholds::decode(value, &self.version.rules)? else {
            return Ok(None);
        };
        if context.role.is_ours() {
            self.rank_metrics.iter().zip(&found).for_each(|(metrics, found)| show(metrics, found));
        }
        self.tick = Some(tick);
        context.metrics.set_rank_refresh(context.tick_begins(tick));
        let thresholds = found.iter().map(|found| found.threshold).collect();
        Ok(Some(Told::Ranks(RankTold { version: self.version.number, thresholds })))
    }

    fn parameters(&self, context: &Context) -> Result<Option<Told>, Corrupt> {
        let Some(value) = self.of_kind(SummaryKind::Parameters).next() else { return Ok(None) };
        let Some(parameters) = decode_parameters(value, &self.version.rules)? else { return Ok(None) };
        context.metrics.churn_version.set(i64::from(parameters.version));
        context.metrics.churn_provisional.set(i64::from(parameters.provisional));
        Ok(Some(Told::Model(ModelTold { version: self.version.number, parameters })))
    }

    fn read_digests(&mut self) -> Result<(), Corrupt> {
        let rules = &self.version.rules;
        let mut digests: BTreeMap<i64, Digest> = BTreeMap::new();
        for value in self.of_kind(SummaryKind::Digest) {
            let Some(DigestBlock { first, digest }) = decode_digest(value, rules)? else { continue };
            let known = digests.entry(digest.day).or_insert_with(|| Digest { day: digest.day, cohorts: Vec::new() });
            if known.cohorts.len() == first {
                known.cohorts.extend(digest.cohorts);
            }
        }
        digests.retain(|_, digest| digest.cohorts.len() == rules.cohorts.len());
        self.digests = digests;
        Ok(())
    }

    /// Shows the newest survey, once it has been read to its end; as metrics in the process that publishes it.
    fn overview(&mut self, context: &Context) -> Result<(), Corrupt> {
        let rules = &self.version.rules;
        let mut blocks = Vec::new();
        for value in self.of_kind(SummaryKind::Whole) {
            blocks.extend(decode_whole(value, rules)?);
        }
        let Some(survey) = Survey::of_blocks(rules, &blocks) else { return Ok(()) };
        let day = survey.frame.day;
        if self.shown != Some(day) {
            let overview = Overview::new(rules, &survey, self.before(day));
            if context.role.is_ours() {
                crate::lane::aggregate::surveying::show(&overview, context);
            }
            context.board.put(Arc::new(overview));
            (self.day, self.shown) = (Some(day), Some(day));
        }
        Ok(())
    }
}

fn rank_metrics(version: &Version, context: &Context) -> Vec<RankMetrics> {
    let rules = &version.rules;
    let first = |rank: &crate::rules::Rank| rank.readers.first().map_or("", |cohort| &rules.cohort(*cohort).name);
    rules.ranks.iter().map(|rank| context.metrics.rank(first(rank), &rank.words)).collect()
}

fn show(metrics: &RankMetrics, found: &RankThreshold) {
    let begins = found.threshold.map(|threshold| threshold.value);
    // A list that is not full has no beginning.
    let begins = begins.filter(|value| value.0.unsigned_abs() < i128::MAX.unsigned_abs());
    metrics.show(begins.map(|value| value.0 as f64 / Number::ONE as f64), found.population);
}
