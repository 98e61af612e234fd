//! The published results: thresholds, parameters, digests and surveys. Of the summaries, every process reads these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Number;
use crate::lane::context::Context;
use crate::lane::summaries::overview_metrics::show as show_overview;
use crate::lane::summaries::updates::LaneUpdate;
use crate::lane::summaries::updates::ParametersUpdate;
use crate::lane::summaries::updates::ThresholdsUpdate;
use crate::lane::versions::rulebook::Version;
use crate::metrics::RankMetrics;
use crate::store::{
    Corrupt, DigestBlock, PublishedThresholds, SummaryKind, decode_digest, decode_parameters, decode_whole,
};
use crate::summary::{Digest, Overview, RankThreshold, Survey};

/// The newest record of each key, and its content under the newest rules.
///
/// Kept as bytes, so that a record of rules that are not known here yet can be decoded once they are. At 600 cohorts
/// about 2 MB, the newest survey and 32 digests, whatever the number of partitions and customers.
pub(super) struct Results {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Kinds with new records that are not decoded yet.
    fresh: BTreeSet<SummaryKind>,
    version: Arc<Version>,
    rank_metrics: Vec<RankMetrics>,
    /// The tick of the newest thresholds.
    tick: Option<i64>,
    digests: BTreeMap<i64, Digest>,
    /// The day of the newest overview.
    day: Option<i64>,
    /// The day of the overview that is shown.
    shown: Option<i64>,
}

impl Results {
    pub(super) fn new(version: Arc<Version>, context: &Context) -> Self {
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

    /// Switches to new rules: all records are decoded again.
    pub(super) fn switch_to(&mut self, version: Arc<Version>, context: &Context) {
        let records = std::mem::take(&mut self.records);
        // Metrics of ranks that no longer exist are removed.
        context.metrics.forget_ranks();
        *self = Self::new(version, context);
        self.fresh = records.keys().map(|key| SummaryKind::of(key)).collect();
        self.records = records;
    }

    pub(in crate::lane) fn add(&mut self, kind: SummaryKind, key: &[u8], value: &[u8]) {
        self.fresh.insert(kind);
        self.records.insert(key.to_vec(), value.to_vec());
    }

    /// The tick of the newest thresholds.
    pub(super) fn tick(&self) -> Option<i64> {
        self.tick
    }

    /// The day of the newest overview.
    pub(super) fn day(&self) -> Option<i64> {
        self.day
    }

    /// This process has become the publisher, which shows the metrics of the results: those published before are shown
    /// again.
    pub(super) fn reread_all(&mut self) {
        self.shown = None;
        self.fresh.extend([SummaryKind::Thresholds, SummaryKind::Whole]);
    }

    /// Bytes of the records that are kept.
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.records.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// The digests one, two and three weeks before a day, which forecasts compare with.
    pub(super) fn before(&self, day: i64) -> [Option<&Digest>; 3] {
        [1, 2, 3].map(|weeks| self.digests.get(&(day - 7 * weeks)))
    }

    /// New results for the lanes. `skip` is called for records that cannot be read, which are dropped.
    pub(super) fn updates(&mut self, context: &Context, mut skip: impl FnMut(SummaryKind, Corrupt)) -> Vec<LaneUpdate> {
        let mut updates = Vec::new();
        for kind in std::mem::take(&mut self.fresh) {
            let outcome = match kind {
                SummaryKind::Thresholds => self.thresholds(context),
                SummaryKind::Parameters => self.parameters(context),
                SummaryKind::Digest => self.read_digests().map(|()| None),
                SummaryKind::Whole => self.overview(context).map(|()| None),
                _ => Ok(None),
            };
            match outcome {
                Ok(update) => updates.extend(update),
                Err(error) => {
                    self.records.retain(|key, _| SummaryKind::of(key) != kind);
                    skip(kind, error);
                }
            }
        }
        updates
    }

    fn of_kind(&self, kind: SummaryKind) -> impl Iterator<Item = &[u8]> {
        let of_kind = move |(key, _): &(&Vec<u8>, &Vec<u8>)| SummaryKind::of(key) == kind;
        self.records.iter().filter(of_kind).map(|(_, value)| value.as_slice())
    }

    fn thresholds(&mut self, context: &Context) -> Result<Option<LaneUpdate>, Corrupt> {
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
        Ok(Some(LaneUpdate::Thresholds(ThresholdsUpdate { version: self.version.number, thresholds })))
    }

    fn parameters(&self, context: &Context) -> Result<Option<LaneUpdate>, Corrupt> {
        let Some(value) = self.of_kind(SummaryKind::Parameters).next() else { return Ok(None) };
        let Some(parameters) = decode_parameters(value, &self.version.rules)? else { return Ok(None) };
        context.metrics.churn_version.set(i64::from(parameters.version));
        context.metrics.churn_provisional.set(i64::from(parameters.provisional));
        Ok(Some(LaneUpdate::Parameters(ParametersUpdate { version: self.version.number, parameters })))
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

    /// Shows the newest survey once it is complete; as metrics only in the process that publishes it.
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
                show_overview(&overview, context);
            }
            context.latest.set_overview(Arc::new(overview));
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
    // A rank that is not full has no threshold value.
    let begins = begins.filter(|value| value.0.unsigned_abs() < i128::MAX.unsigned_abs());
    metrics.show(begins.map(|value| value.0 as f64 / Number::ONE as f64), found.population);
}
