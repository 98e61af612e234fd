//! Reads the counters of all partitions, adds them up, and tells the lanes where ranks begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant as Moment};

use super::context::Context;
use super::error::LaneError;
use super::ranks::RankTold;
use super::rulebook::Version;
use super::turn::Told;
use crate::clock::wall_clock;
use crate::event::Number;
use crate::kafka::{Brokers, Failure, Read, Reader, Watermarks};
use crate::metrics::RankMetrics;
use crate::settings::Settings;
use crate::store::Published;
use crate::summary::{Counters, Found, POPULATION_MIN, thresholds};

/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(1);
/// How long one partition may be read in one round.
const READ_FOR: Duration = Duration::from_secs(10);
/// Bytes that are read ahead.
const QUEUE_BYTES: usize = 8 << 20;

/// Reads the summaries topic whole, on a thread of its own.
pub struct Summaries {
    context: Arc<Context>,
    refresh: Duration,
    watermarks: Watermarks,
    reader: Reader,
    /// One for each lane.
    lanes: Vec<Sender<Told>>,
    /// The newest rules: whose counters are added up.
    version: Option<Arc<Version>>,
    /// The next offset of each partition.
    next: Vec<i64>,
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

impl Summaries {
    /// Makes no connection.
    ///
    /// # Errors
    /// Options that librdkafka refuses.
    pub fn new(
        settings: &Settings,
        context: Arc<Context>,
        brokers: &Brokers,
        lanes: Vec<Sender<Told>>,
    ) -> Result<Self, LaneError> {
        Ok(Self {
            refresh: settings.ranks.refresh,
            watermarks: Watermarks::new(&settings.kafka, brokers)?,
            reader: Reader::new(&settings.kafka, QUEUE_BYTES, brokers)?,
            lanes,
            version: None,
            next: vec![0; context.partitions as usize],
            parts: BTreeMap::new(),
            metrics: Vec::new(),
            told: None,
            told_at: Moment::now(),
            too_few: Vec::new(),
            context,
        })
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// What waiting does not help: a missing topic or permission, or counters that cannot be read.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), LaneError> {
        let pause = (self.refresh / 20).clamp(Duration::from_millis(50), Duration::from_secs(10));
        while !stop.load(Ordering::Acquire) {
            self.follow_rules()?;
            let counted = if self.rankings() { self.next.len() } else { 0 };
            for partition in 0..counted {
                if stop.load(Ordering::Acquire) {
                    return Ok(());
                }
                match self.read(partition) {
                    Ok(()) | Err(Problem::Kafka(Failure::Retry(_))) => {}
                    Err(Problem::Kafka(failure)) => return Err(failure.into()),
                    Err(Problem::Counters(error)) => return Err(LaneError::Stopped(error)),
                }
            }
            self.tell();
            self.context.metrics.rank_refresh_age.set(i64::try_from(self.told_at.elapsed().as_secs()).unwrap_or(0));
            let until = Moment::now() + pause;
            while Moment::now() < until && !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Begins anew with every new version of the rules: of older ones nothing is added up any more.
    fn follow_rules(&mut self) -> Result<(), LaneError> {
        let newest = self.context.rulebook.newest();
        if self.version.as_ref().is_some_and(|version| version.number == newest) {
            return Ok(());
        }
        let Some(version) = self.context.rulebook.get(newest)? else { return Ok(()) };
        let rules = &version.rules;
        let first = |rank: &crate::rules::Rank| rank.readers.first().map_or("", |cohort| &rules.cohort(*cohort).name);
        self.metrics = rules.ranks.iter().map(|rank| self.context.metrics.rank(first(rank), &rank.words)).collect();
        self.too_few = vec![false; rules.ranks.len()];
        self.next.fill(0);
        self.parts.clear();
        self.told = None;
        self.version = Some(version);
        Ok(())
    }

    /// Are customers ranked at all?
    fn rankings(&self) -> bool {
        self.version.as_ref().is_some_and(|version| !version.rules.rankings.is_empty())
    }

    fn read(&mut self, partition: usize) -> Result<(), Problem> {
        let Some(version) = self.version.clone() else { return Ok(()) };
        let (topic, rules) = (&self.context.topics.summaries, &version.rules);
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let range = self.watermarks.range(topic, number, ASK)?;
        if range.end <= self.next[partition] {
            return Ok(());
        }
        self.reader.start(topic, number, self.next[partition].max(range.start), range.end)?;
        let started = Moment::now();
        while started.elapsed() < READ_FOR {
            match self.reader.poll(Duration::from_millis(20)) {
                Read::Record(record) => {
                    self.next[partition] = record.offset() + 1;
                    let (Some(key), Some(value)) = (record.key(), record.payload()) else { continue };
                    let found = Published::decode(key, value, rules);
                    let found = found.map_err(|error| {
                        Problem::Counters(format!("{topic}[{partition}] at offset {}: {error}", record.offset()))
                    })?;
                    if let Some(published) = found {
                        let part = self.parts.entry(published.partition).or_insert_with(|| Part {
                            ticks: vec![None; rules.rankings.len()],
                            counters: Counters::new(rules),
                        });
                        part.ticks[published.ranking] = Some(published.tick);
                        part.counters.rankings[published.ranking] = published.counters;
                    }
                }
                Read::Done => {
                    self.next[partition] = range.end;
                    break;
                }
                // What is open now is read in a later round.
                Read::Waiting { .. } => break,
                Read::OutOfRange { .. } => {
                    self.next[partition] = 0;
                    break;
                }
                Read::Nothing => {}
                Read::Failed(failure) => return Err(failure.into()),
            }
        }
        Ok(())
    }

    /// Once a tick: as soon as all partitions have published for it, or, where one is late, in the middle of it. Not before
    /// each has published once: part of the customers are not all.
    fn tell(&mut self) {
        let Some(version) = self.version.clone().filter(|version| !version.rules.rankings.is_empty()) else { return };
        let now = wall_clock();
        let tick = self.context.tick(now);
        let known = |part: &Part| part.ticks.iter().all(Option::is_some);
        if self.told == Some(tick) || self.parts.len() < self.next.len() || !self.parts.values().all(known) {
            return;
        }
        let current = |part: &Part| part.ticks.iter().all(|published| published.is_some_and(|at| at >= tick));
        let refresh = i64::try_from(self.refresh.as_millis()).unwrap_or(i64::MAX);
        let late = self.told.is_some() && now.0.rem_euclid(refresh) > refresh / 2;
        if !late && !self.parts.values().all(current) {
            return;
        }
        let parts: Vec<&Counters> = self.parts.values().map(|part| &part.counters).collect();
        let found = thresholds(&version.rules, &parts);
        self.show(&version, &found);
        let thresholds = found.iter().map(|found| found.threshold).collect();
        let told = Told::Ranks(RankTold { version: version.number, thresholds });
        for lane in &self.lanes {
            // A lane that has ended takes the process with it.
            lane.send(told.clone()).ok();
        }
        self.told = Some(tick);
        self.told_at = Moment::now();
    }

    fn show(&mut self, version: &Version, found: &[Found]) {
        let ranks = version.rules.ranks.iter().zip(found);
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

enum Problem {
    Kafka(Failure),
    Counters(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Kafka(failure)
    }
}
