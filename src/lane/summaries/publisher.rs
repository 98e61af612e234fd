//! The results that follow from the counters of all partitions, computed in the process that owns partition 0.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Moment;

use crate::clock::wall_clock;
use crate::lane::context::Context;
use crate::lane::summaries::ranking::{Ranking, Tick};
use crate::lane::summaries::results::Results;
use crate::lane::summaries::training::Training;
use crate::lane::summaries::updates::DailySurvey;
use crate::lane::summaries::updates::LaneUpdate;
use crate::lane::versions::rulebook::{Rulebook, Version};
use crate::settings::Ranks;
use crate::store::{
    Corrupt, Published, PublishedBlock, PublishedSample, SummaryKind, encode_digest, encode_parameters, encode_whole,
    made_for,
};
use crate::summary::{Digest, Overview, Survey, Surveys};

/// What was read for one version of the rules; records of older versions are skipped.
pub(super) struct Publisher {
    version: Arc<Version>,
    ranks: Ranks,
    ranking: Ranking,
    training: Training,
    surveys: Surveys,
    /// The added surveys of all partitions of one day.
    whole: Option<Survey>,
    /// By partition, the offset of the first record of rules that are not known here yet.
    unknown_from: BTreeMap<i32, i64>,
}

/// What must be read again under new rules.
pub(super) enum Reread {
    Everything,
    /// By partition, from these offsets on.
    From(BTreeMap<i32, i64>),
}

impl Publisher {
    pub(super) fn new(version: Arc<Version>, ranks: &Ranks, context: &Context) -> Self {
        Self {
            ranking: Ranking::new(Arc::clone(&version), context.partitions, ranks, Moment::now()),
            training: Training::new(Arc::clone(&version)),
            surveys: Surveys::new(context.partitions),
            whole: None,
            unknown_from: BTreeMap::new(),
            ranks: ranks.clone(),
            version,
        }
    }

    /// Switches to new rules. Samples are kept if they are still of use. Counters and surveys of these rules were
    /// skipped so far; where they begin is known, unless these rules were in force before.
    pub(super) fn switch_to(&mut self, version: &Arc<Version>, context: &Context) -> Reread {
        let were_in_force = context.rulebook.was_in_force_before(version);
        let is_complete = self.training.switch_to(Arc::clone(version));
        let unknown_from = std::mem::take(&mut self.unknown_from);
        self.ranking = Ranking::new(Arc::clone(version), context.partitions, &self.ranks, Moment::now());
        self.surveys = Surveys::new(context.partitions);
        self.whole = None;
        self.version = Arc::clone(version);
        if were_in_force || !is_complete { Reread::Everything } else { Reread::From(unknown_from) }
    }

    /// Adds a record. `place`: its partition and offset.
    pub(in crate::lane) fn add(
        &mut self,
        kind: SummaryKind,
        (key, value): (&[u8], &[u8]),
        place: (i32, i64),
        rulebook: &Rulebook,
    ) -> Result<(), Corrupt> {
        let rules = &self.version.rules;
        // A summary is written to the partition that it is about.
        let is_there = |partition: u32| match i64::from(partition) == i64::from(place.0) {
            true => Ok(()),
            false => Err(Corrupt("partition of a summary")),
        };
        let is_of_these = match kind {
            SummaryKind::Counters => match Published::decode(key, value, rules)? {
                Some(published) => {
                    is_there(published.partition)?;
                    self.ranking.add(&published, value, Moment::now());
                    true
                }
                None => false,
            },
            SummaryKind::Survey => match PublishedBlock::decode(key, value, rules)? {
                Some(PublishedBlock { partition, block, .. }) => {
                    is_there(partition)?;
                    let whole = self.surveys.take(partition, &block, rules);
                    self.whole = whole.or(self.whole.take());
                    true
                }
                None => false,
            },
            SummaryKind::Sample => {
                if let Some(PublishedSample { partition, sample }) = PublishedSample::decode(key, value, rules)? {
                    is_there(partition)?;
                    self.training.add(partition, sample);
                }
                // Samples do not depend on the version of the rules.
                true
            }
            _ => true,
        };
        if !is_of_these && rulebook.number_of(made_for(value)?).is_none() {
            let (partition, offset) = place;
            self.unknown_from.entry(partition).or_insert(offset);
        }
        Ok(())
    }

    /// Results that are not published yet, for the lane of partition 0.
    pub(super) fn updates(&mut self, results: &Results, context: &Context) -> Vec<LaneUpdate> {
        let rules = &self.version.rules;
        let mut updates = Vec::new();
        let clock = wall_clock();
        let tick = Tick { number: context.tick(clock), is_late: context.is_late(clock), now: Moment::now() };
        let thresholds = self.ranking.thresholds(results.tick(), tick);
        context.metrics.ranks_held_back.set(i64::try_from(self.ranking.held_back_for()).unwrap_or(i64::MAX));
        if let Some(thresholds) = thresholds {
            updates.push(LaneUpdate::Record(Arc::new(thresholds.encode(rules))));
        }
        if let Some(parameters) = self.training.parameters(context) {
            updates.push(LaneUpdate::Record(Arc::new(encode_parameters(&parameters, rules))));
        }
        self.surveys.close(results.day().unwrap_or(i64::MIN));
        if let Some(survey) = self.whole.take().filter(|survey| results.day() < Some(survey.frame.day)) {
            let day = survey.frame.day;
            let overview = Overview::new(rules, &survey, results.before(day));
            let mut records = encode_whole(&survey, rules);
            records.extend(encode_digest(&Digest::of(&survey), rules));
            let whole = DailySurvey { version: self.version.number, day, overview, records };
            updates.push(LaneUpdate::DailySurvey(Arc::new(whole)));
        }
        updates
    }

    /// Bytes of the counters that are kept.
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.ranking.bytes()
    }
}
