//! Reads what all partitions publish of their customers, and tells the lanes what follows from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant as Moment};

use super::context::Context;
use super::error::LaneError;
use super::learning::Learning;
use super::ranking::Ranking;
use super::rulebook::Version;
use super::surveying::Surveying;
use super::turn::Told;
use crate::kafka::{Brokers, Failure, Read, Reader, Watermarks};
use crate::settings::Settings;
use crate::store::{Corrupt, Published, PublishedSample, PublishedSurvey};

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
    /// The next offset of each partition.
    next: Vec<i64>,
    /// What the newest rules ask for.
    gathered: Option<Gathered>,
}

/// What was read for one version of the rules. Of older ones nothing is added up any more.
struct Gathered {
    version: Arc<Version>,
    ranking: Ranking,
    learning: Learning,
    surveying: Surveying,
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
            next: vec![0; context.partitions as usize],
            gathered: None,
            context,
        })
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// What waiting does not help: a missing topic or permission, or summaries that cannot be read.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), LaneError> {
        let pause = (self.refresh / 20).clamp(Duration::from_millis(50), Duration::from_secs(10));
        while !stop.load(Ordering::Acquire) {
            self.follow_rules()?;
            for partition in 0..self.next.len() {
                if stop.load(Ordering::Acquire) {
                    return Ok(());
                }
                match self.read(partition) {
                    Ok(()) | Err(Problem::Kafka(Failure::Retry(_))) => {}
                    Err(Problem::Kafka(failure)) => return Err(failure.into()),
                    Err(Problem::Summary(error)) => return Err(LaneError::Stopped(error)),
                }
            }
            self.tell();
            let until = Moment::now() + pause;
            while Moment::now() < until && !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Begins anew with every new version of the rules.
    fn follow_rules(&mut self) -> Result<(), LaneError> {
        let newest = self.context.rulebook.newest();
        if self.gathered.as_ref().is_some_and(|gathered| gathered.version.number == newest) {
            return Ok(());
        }
        let Some(version) = self.context.rulebook.get(newest)? else { return Ok(()) };
        self.next.fill(0);
        let ranking = Ranking::new(Arc::clone(&version), self.refresh, &self.context);
        let learning = Learning::new(Arc::clone(&version));
        let surveying = Surveying::new(Arc::clone(&version), self.context.partitions);
        self.gathered = Some(Gathered { version, ranking, learning, surveying });
        Ok(())
    }

    fn read(&mut self, partition: usize) -> Result<(), Problem> {
        let Some(gathered) = &mut self.gathered else { return Ok(()) };
        let topic = &self.context.topics.summaries;
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
                    gathered.take(key, value).map_err(|error| {
                        Problem::Summary(format!("{topic}[{partition}] at offset {}: {error}", record.offset()))
                    })?;
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

    fn tell(&mut self) {
        let Some(gathered) = &mut self.gathered else { return };
        for told in gathered.told(&self.context) {
            for lane in &self.lanes {
                // A lane that has ended takes the process with it.
                lane.send(told.clone()).ok();
            }
        }
    }
}

impl Gathered {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Corrupt> {
        let rules = &self.version.rules;
        if PublishedSurvey::has_key(key) {
            if let Some(PublishedSurvey { partition, survey }) = PublishedSurvey::decode(key, value, rules)? {
                self.surveying.take(partition, survey);
            }
        } else if PublishedSample::has_key(key) {
            if let Some(PublishedSample { partition, sample }) = PublishedSample::decode(key, value, rules)? {
                self.learning.take(partition, sample);
            }
        } else if let Some(published) = Published::decode(key, value, rules)? {
            self.ranking.take(published);
        }
        Ok(())
    }

    /// What is new.
    fn told(&mut self, context: &Context) -> Vec<Told> {
        let ranks = self.ranking.thresholds(context).map(Told::Ranks);
        context.metrics.rank_refresh_age.set(i64::try_from(self.ranking.age().as_secs()).unwrap_or(0));
        let model = self.learning.parameters(context).map(Told::Model);
        let overview = self.surveying.overview(context).map(Told::Overview);
        [ranks, model, overview].into_iter().flatten().collect()
    }
}

enum Problem {
    Kafka(Failure),
    Summary(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Kafka(failure)
    }
}
