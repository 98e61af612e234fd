//! What follows from the counters of all partitions, worked out in the process that holds partition 0, whose lane publishes
//! it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Moment;

use crate::clock::wall_clock;
use crate::lane::aggregate::learning::Learning;
use crate::lane::aggregate::ranking::{Ranking, Tick};
use crate::lane::aggregate::results::Results;
use crate::lane::aggregate::surveying::WholeDay;
use crate::lane::context::Context;
use crate::lane::edits::rulebook::{Rulebook, Version};
use crate::lane::lane::Told;
use crate::settings::Ranks;
use crate::store::{
    Corrupt, Published, PublishedBlock, PublishedSample, SummaryKind, encode_digest, encode_parameters, encode_whole,
    made_for,
};
use crate::summary::{Digest, Overview, Survey, Surveys};

/// What was read for one version of the rules. Of older ones nothing is added up any more.
pub(in crate::lane) struct Publisher {
    version: Arc<Version>,
    ranks: Ranks,
    ranking: Ranking,
    learning: Learning,
    surveys: Surveys,
    /// A day of which the surveys of all partitions were added up.
    whole: Option<Survey>,
    /// By partition, the offset of the first record that is of rules not known here yet.
    unknown_from: BTreeMap<i32, i64>,
}

/// What must be read again under other rules.
pub(in crate::lane) enum Reread {
    Everything,
    /// By partition, from these offsets on.
    From(BTreeMap<i32, i64>),
}

impl Publisher {
    pub(in crate::lane) fn new(version: Arc<Version>, ranks: &Ranks, context: &Context) -> Self {
        Self {
            ranking: Ranking::new(Arc::clone(&version), context.partitions, ranks, Moment::now()),
            learning: Learning::new(Arc::clone(&version)),
            surveys: Surveys::new(context.partitions),
            whole: None,
            unknown_from: BTreeMap::new(),
            ranks: ranks.clone(),
            version,
        }
    }

    /// Other rules. What is kept of the samples stays; counters and surveys of these rules were passed over so far, if there
    /// were any: where they begin is known, unless these rules were in force before.
    pub(in crate::lane) fn follow(&mut self, version: &Arc<Version>, context: &Context) -> Reread {
        let were_in_force = context.rulebook.is_a_return(version);
        let is_complete = self.learning.follow(Arc::clone(version));
        let unknown_from = std::mem::take(&mut self.unknown_from);
        self.ranking = Ranking::new(Arc::clone(version), context.partitions, &self.ranks, Moment::now());
        self.surveys = Surveys::new(context.partitions);
        self.whole = None;
        self.version = Arc::clone(version);
        if were_in_force || !is_complete { Reread::Everything } else { Reread::From(unknown_from) }
    }

    /// Takes a record in. `place`: its partition and offset.
    pub(in crate::lane) fn take(
        &mut self,
        kind: SummaryKind,
        (key, value): (&[u8], &[u8]),
        place: (i32, i64),
        rulebook: &Rulebook,
    ) -> Result<(), Corrupt> {
        let rules = &self.version.rules;
        // Whoever writes of a partition writes to it.
        let is_there = |partition: u32| match i64::from(partition) == i64::from(place.0) {
            true => Ok(()),
            false => Err(Corrupt("partition of a summary")),
        };
        let is_of_these = match kind {
            SummaryKind::Counters => match Published::decode(key, value, rules)? {
                Some(published) => {
                    is_there(published.partition)?;
                    self.ranking.take(&published, value, Moment::now());
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
                    self.learning.take(partition, sample);
                }
                // Samples are of no version of the rules.
                true
            }
            _ => true,
        };
        if !is_of_these && rulebook.holds(made_for(value)?).is_none() {
            let (partition, offset) = place;
            self.unknown_from.entry(partition).or_insert(offset);
        }
        Ok(())
    }

    /// What follows that was not published yet, for the lane of partition 0.
    pub(in crate::lane) fn news(&mut self, results: &Results, context: &Context) -> Vec<Told> {
        let rules = &self.version.rules;
        let mut news = Vec::new();
        let clock = wall_clock();
        let tick = Tick { number: context.tick(clock), is_late: context.is_late(clock), now: Moment::now() };
        let thresholds = self.ranking.thresholds(results.tick(), tick);
        context.metrics.ranks_held_back.set(i64::try_from(self.ranking.held_back_for()).unwrap_or(i64::MAX));
        if let Some(thresholds) = thresholds {
            news.push(Told::Result(Arc::new(thresholds.encode(rules))));
        }
        if let Some(parameters) = self.learning.parameters(context) {
            news.push(Told::Result(Arc::new(encode_parameters(&parameters, rules))));
        }
        self.surveys.close(results.day().unwrap_or(i64::MIN));
        if let Some(survey) = self.whole.take().filter(|survey| results.day() < Some(survey.frame.day)) {
            let day = survey.frame.day;
            let overview = Overview::new(rules, &survey, results.before(day));
            let mut records = encode_whole(&survey, rules);
            records.extend(encode_digest(&Digest::of(&survey), rules));
            let whole = WholeDay { version: self.version.number, day, overview, records };
            news.push(Told::Whole(Arc::new(whole)));
        }
        news
    }

    /// Bytes of the counters that are kept.
    pub(in crate::lane) fn bytes(&self) -> usize {
        self.ranking.bytes()
    }
}
