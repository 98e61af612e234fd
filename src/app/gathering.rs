//! Gathering in this process: the threads, and what they need to know of the source topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::failure::Failure;
use super::pause::pause_for;
use super::schemas;
use super::sources_keeper::{SourcesBook, SourcesVersion};
use crate::codec::{Schemas, WriterSchema};
use crate::gather::{Gatherer, SourceTopic, SourceTopics, Sources, Start, kafka_of, way_on};
use crate::kafka::{Admin, Brokers, EndOffsets, GroupState, Watermarks, request_rebalance};
use crate::lane::LaneError;
use crate::marks::{Marks, follow};
use crate::metrics::{Health, Metrics, Wait, WaitCause};
use crate::settings::{Loaded, Settings};
use crate::shutdown::Shutdown;
use crate::sources::Document;

/// How often the source topics are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The same while one of them is not there.
const MISSING_EVERY: Duration = Duration::from_secs(1);
/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// How often partitions may be found without an owner in a row before a rebalance is requested.
const UNOWNED_MAX: u32 = 2;
/// The client is recreated after this many looks: its log lines pile up.
const LOOKS_MAX: u32 = 360;

/// What all threads of a process need to gather.
#[derive(Clone)]
pub(super) struct Gathering {
    settings: Settings,
    book: Arc<SourcesBook>,
    topics: Arc<SourceTopics>,
    pub(super) marks: Arc<Marks>,
    watermarks: Arc<Watermarks>,
    brokers: Brokers,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: Shutdown,
    /// Partitions of the events.
    partitions: u32,
    /// The record limits of the events and of the dead letters, in bytes.
    limits: (usize, usize),
}

impl Gathering {
    /// Follows the marks and the source topics; gathers nothing yet. `found`: the topics as they were found at the start.
    pub(super) fn new(
        settings: &Settings,
        book: Arc<SourcesBook>,
        found: &BTreeMap<String, SourceTopic>,
        (partitions, limits): (u32, (usize, usize)),
        (brokers, metrics, health): (&Brokers, &Arc<Metrics>, &Arc<Health>),
        shutdown: &Shutdown,
    ) -> Result<Self, Failure> {
        let gathering = Self {
            settings: settings.clone(),
            book,
            topics: Arc::default(),
            marks: Arc::default(),
            watermarks: Arc::new(Watermarks::new(&settings.kafka, brokers)?),
            brokers: brokers.clone(),
            metrics: Arc::clone(metrics),
            health: Arc::clone(health),
            shutdown: shutdown.clone(),
            partitions,
            limits,
        };
        for (name, topic) in found {
            gathering.add(name, topic.clone())?;
        }
        gathering.expect();
        let (own, near, followed) = (settings.clone(), brokers.clone(), Arc::clone(&gathering.marks));
        super::watch("marks", shutdown, move |stop| {
            if let Err(failure) = follow(&own, &near, &followed, stop) {
                tracing::error!(reason = %failure, "The marks of the sources cannot be followed.");
            }
        })?;
        let mut watch = Watch { gathering: gathering.clone(), unowned: BTreeMap::new() };
        super::watch("sources", shutdown, move |_| watch.run())?;
        Ok(gathering)
    }

    /// Starts the gathering threads of this process.
    pub(super) fn start(&self, loaded: &Loaded) -> Result<Vec<JoinHandle<Result<(), LaneError>>>, Failure> {
        let (loaded, schemas) = (Arc::new(loaded.clone()), Arc::<SharedSchemas>::default());
        let mut threads = Vec::new();
        for number in 0..self.settings.gather.lanes {
            let (own, loaded, schemas) = (self.clone(), Arc::clone(&loaded), Arc::clone(&schemas));
            let thread = std::thread::Builder::new().name(format!("gather-{number}")).spawn(move || {
                let outcome = own.run(number, &loaded, &schemas);
                if let Err(error) = &outcome {
                    tracing::error!(reason = %error, "A gathering thread stops, and the process with it.");
                }
                own.shutdown.request();
                outcome
            });
            threads.push(thread.map_err(Failure::running)?);
        }
        Ok(threads)
    }

    /// Gathers by one version of the sources after the other.
    fn run(&self, number: usize, loaded: &Loaded, schemas: &SharedSchemas) -> Result<(), LaneError> {
        while !self.shutdown.is_requested() {
            let Some(version) = self.book.newest() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            if !self.find_topics(&version, number) {
                continue;
            }
            self.topics.set_joined_later(version.joined_later.clone());
            self.expect();
            let schemas = schemas.of(loaded, &version.document)?;
            let gatherer = Gatherer::new(Start {
                number: self.settings.lanes + number,
                settings: self.settings.clone(),
                kafka: kafka_of(&self.settings.kafka, number),
                sources: Arc::new(Sources::new(&version.document, &self.metrics)),
                topics: Arc::clone(&self.topics),
                marks: Arc::clone(&self.marks),
                schemas,
                watermarks: Arc::clone(&self.watermarks),
                brokers: self.brokers.clone(),
                metrics: Arc::clone(&self.metrics),
                health: Arc::clone(&self.health),
                partitions: self.partitions,
                limits: self.limits,
                stop: self.shutdown.flag(),
            })
            .map_err(LaneError::from)?;
            gatherer.run(&|| self.book.number() != version.number).map_err(LaneError::from)?;
        }
        Ok(())
    }

    /// Is every topic of a version known? One that is not is looked up; while it is missing this is reported.
    fn find_topics(&self, version: &SourcesVersion, number: usize) -> bool {
        let topics = || version.document.sources.iter().flat_map(|source| source.topics.iter());
        let missing = topics().find(|name| self.topics.get(name).is_none());
        let Some(name) = missing else {
            self.topics.keep_only(&topics().cloned().collect());
            self.health.resume(WaitCause::Source, None);
            return true;
        };
        let found = Admin::new(&self.settings.kafka, &self.brokers).and_then(|admin| admin.identity(name, ASK));
        match found {
            Ok(Some((id, partitions))) => {
                let topic = SourceTopic { id: id.unwrap_or_default(), partitions };
                if let Err(failure) = self.add(name, topic) {
                    tracing::warn!(reason = %failure, "A source topic cannot be followed yet.");
                }
                return false;
            }
            Ok(None) => {
                let detail =
                    format!("there is no topic {name}, which the sources name; create it, or correct the sources file");
                self.health.wait(Wait { cause: WaitCause::Source, partition: None, detail });
            }
            Err(failure) => tracing::debug!(reason = %failure, "Describing a source topic failed."),
        }
        self.health.lane(self.settings.lanes + number).report_alive();
        std::thread::sleep(MISSING_EVERY);
        false
    }

    fn add(&self, name: &str, topic: SourceTopic) -> Result<(), Failure> {
        let partitions = u32::try_from(topic.partitions).unwrap_or(0);
        let ends = Arc::new(EndOffsets::new(Arc::clone(&self.watermarks), name, partitions));
        if self.topics.add(name, topic, Arc::clone(&ends)) {
            super::watch("source_ends", &self.shutdown, move |stop| ends.follow(stop))?;
        }
        Ok(())
    }

    /// The marks of exactly these partitions count.
    fn expect(&self) {
        self.marks.expect(self.topics.partitions());
    }
}

/// The schemas that all gathering threads of a process share, with the registry that the sources name.
#[derive(Default)]
struct SharedSchemas(Mutex<Option<(Option<String>, Schemas<WriterSchema>)>>);

impl SharedSchemas {
    fn of(&self, loaded: &Loaded, document: &Document) -> Result<Schemas<WriterSchema>, LaneError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, schemas)) = known.as_ref().filter(|(registry, _)| *registry == document.registry) {
            return Ok(schemas.clone());
        }
        let schemas =
            schemas::kept_of_sources(loaded, document).map_err(|failure| LaneError::Stopped(failure.to_string()))?;
        *known = Some((document.registry.clone(), schemas.clone()));
        Ok(schemas)
    }
}

/// Looks at the source topics: their ids, their partitions, and whether each has an owner.
struct Watch {
    gathering: Gathering,
    /// How often in a row a topic had partitions without an owner.
    unowned: BTreeMap<String, u32>,
}

impl Watch {
    fn run(&mut self) {
        let shutdown = self.gathering.shutdown.clone();
        while !shutdown.is_requested() {
            let Ok(admin) = Admin::new(&self.gathering.settings.kafka, &self.gathering.brokers) else { return };
            for _ in 0..LOOKS_MAX {
                if !pause_for(LOOK_EVERY, &shutdown) {
                    return;
                }
                self.look(&admin);
            }
        }
    }

    fn look(&mut self, admin: &Admin) {
        let topics = &self.gathering.topics;
        for (name, partitions) in topics.partitions() {
            match admin.identity(&name, ASK) {
                Ok(Some((id, now))) => self.compare(&name, partitions, id.as_deref(), now),
                Ok(None) => topics.hold(&name, Some(format!("there is no topic {name} any more; create it again"))),
                Err(failure) => tracing::debug!(reason = %failure, "Describing a source topic failed."),
            }
        }
        self.gathering.expect();
        self.look_for_owners();
    }

    fn compare(&self, name: &str, partitions: i32, id: Option<&str>, now: i32) {
        let topics = &self.gathering.topics;
        let known = topics.get(name).map(|topic| topic.id).unwrap_or_default();
        if id.is_some_and(|id| !known.is_empty() && id != known) {
            return topics.hold(name, Some(format!("topic {name} was made anew; {}", way_on(name))));
        }
        if now > partitions {
            tracing::info!(topic = name, partitions = now, "A source topic has more partitions than before.");
            topics.grown(name, now);
        }
    }

    /// In a rebalance during which members are killed a partition can be left without an owner while the group is stable;
    /// another rebalance gives it one.
    fn look_for_owners(&mut self) {
        let Gathering { settings, topics, watermarks, brokers, .. } = &self.gathering;
        let kafka = kafka_of(&settings.kafka, 0);
        for (name, partitions) in topics.partitions() {
            let Ok(view) = watermarks.group(&kafka.group_id, &name, ASK) else { return };
            let owned: BTreeSet<i32> = view.members.iter().flat_map(|member| &member.partitions).copied().collect();
            let is_whole =
                view.state != GroupState::Stable || (0..partitions).all(|partition| owned.contains(&partition));
            let times = self.unowned.entry(name).or_default();
            *times = if is_whole { 0 } else { *times + 1 };
            if *times >= UNOWNED_MAX {
                *times = 0;
                tracing::warn!("Partitions of sources have no owner; a rebalance is requested.");
                if let Err(failure) = request_rebalance(&kafka, &settings.topics.events, brokers, ASK * 4) {
                    tracing::debug!(reason = %failure, "Requesting a rebalance failed.");
                }
                return;
            }
        }
    }
}
