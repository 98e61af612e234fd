//! The demo: an embedded broker, a simulated shop and its support desk, the real gathering of their two topics into one
//! log, a real lane with a real database, and a reader of its changes, in one process. `cli` draws it.
//!
//! `people` and `life` simulate the shop, `tickets` the support desk, `sender` sends what they do, `audience` reads
//! `cohort-changes`; `feed` is the shop alone, for a real Kafka.

mod audience;
mod feed;
#[cfg(test)]
mod forecast_errors;
mod life;
mod people;
mod random;
mod scratch;
mod sender;
mod shop;
mod tickets;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as Moment};

use tokio::runtime::Runtime;

use super::sources_keeper::SourcesBook;
use super::{Failure, Known, Process, StartMode, runtime};
use crate::admin::Servers;
use crate::clock::wall_clock;
use crate::codec::Schemas;
use crate::event::{Change, Instant, Span};
use crate::gather::SourceTopic;
use crate::kafka::{Brokers, Mock, Publisher, Reader};
use crate::lane::{ClusterFacts, RecordLimits};
use crate::metrics::{InputMetrics, Metrics};
use crate::rules::{self, RuleSet};
use crate::settings::{Admin, Loaded, Topics};
use crate::shutdown::Shutdown;
use crate::sources;
use crate::telemetry;
use scratch::Scratch;
use sender::{Progress, Sender};

pub use audience::Seen;
pub use feed::{FeedOptions, feed};

/// The default cohorts, as they come with the source.
const RULES: &str = include_str!("../../../config/rules.toml");
/// A cohort of two topics, which the demo adds.
const MORE_RULES: &str = include_str!("rules.toml");
/// How the records of the demo's topics become events.
const SOURCES: &str = include_str!("sources.toml");
/// The topics of the shop and of its support desk, as the sources name them.
pub const SOURCE_TOPICS: [&str; 2] = ["shop-events", "support-tickets"];

/// How long the shop lives: long enough for a silence of 90 days and a return from it.
pub const LIVES: Span = Span(240 * Span::DAY.0);

/// The shop that is shown unless another is asked for.
pub const SEED: u64 = 2026;

/// Two, so that the lane has more than one database, and customers are parted as they are in earnest.
const PARTITIONS: u8 = 2;
/// What clients may keep of records on their way.
const QUEUE_BYTES: usize = 8 << 20;
/// The record limit of all topics, in bytes.
const RECORD_BYTES: usize = 1_000_000;
/// Time passes once the marks of both topics were read: how long what time decides may take after the last event.
const SETTLES_FOR: Duration = Duration::from_secs(1);
/// How long the last changes may take to be read once they are all written.
const READ_OUT_FOR: Duration = Duration::from_secs(5);

/// What may be chosen.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the shop's life should take.
    pub pace: Duration,
    pub customers: u32,
    pub seed: u64,
    /// See [`mod@rules`].
    pub rules: Arc<RuleSet>,
}

/// A thread of the demo.
type Part = JoinHandle<Result<(), Failure>>;

/// A demo that runs. Ends, drains and cleans up with [`Demo::end`].
pub struct Demo {
    rules: Arc<RuleSet>,
    metrics: Arc<Metrics>,
    input: InputMetrics,
    shutdown: Shutdown,
    progress: Arc<Progress>,
    time: Range<Instant>,
    metrics_address: SocketAddr,
    receiver: Receiver<Seen>,
    leave: Arc<AtomicBool>,
    daemon: Part,
    shop: Part,
    audience: Part,
    changes_read: u64,
    /// The last to go: what the others connect to, and where the databases lie.
    _broker: Mock,
    _scratch: Scratch,
}

/// What a demo does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The lane waits for its partitions.
    Joining,
    Living,
    /// All events are sent, and some are not yet decided.
    Settling,
    /// No more events, or stopped by the user.
    Over,
}

/// The results so far.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub applied: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Records of the support desk's topic.
    pub tickets: u64,
    /// The shop's instant.
    pub lived: Instant,
}

impl Figures {
    #[must_use]
    pub fn events(&self) -> u64 {
        self.applied + self.skipped + self.dead
    }
}

impl Demo {
    /// Starts everything and returns at once; see [`Demo::stage`].
    ///
    /// # Errors
    /// No port, thread or temporary folder to be had.
    pub fn start(mut loaded: Loaded, options: &Options) -> Result<Self, Failure> {
        let broker = Mock::start()?;
        let scratch = Scratch::make().map_err(Failure::running)?;
        furnish(&mut loaded, &broker, &scratch);
        telemetry::start(&loaded.settings.log).map_err(Failure::running)?;
        let rules = Arc::clone(&options.rules);
        let topics = loaded.settings.topics.clone();
        create_topics(&broker, &topics)?;
        let runtime = runtime()?;
        let shutdown = Shutdown::on_signals(runtime.handle()).map_err(Failure::running)?;
        let servers = servers(&runtime, &mut loaded)?;
        let metrics_address = servers.metrics_address().map_err(Failure::running)?;
        let process = Process::new(loaded, runtime, shutdown.clone());
        let (metrics, health) = (Arc::clone(&process.metrics), Arc::clone(&process.health));
        let kafka = process.loaded.settings.kafka.clone();
        let brokers = Brokers::default();
        let publisher = Publisher::new(&kafka, QUEUE_BYTES, &brokers)?;
        let readers = (0..PARTITIONS).map(|_| Reader::new(&kafka, QUEUE_BYTES, &brokers)).collect::<Result<_, _>>()?;

        let now = wall_clock();
        let time = now - LIVES..now;
        let progress = Arc::new(Progress::new(time.start));
        let (deciding, known) = (Arc::clone(&rules), known(&topics)?);
        let daemon = spawn("demo", &shutdown, move || {
            process.serve(Schemas::built_in(), servers, StartMode::With(cluster(), deciding, known))
        })?;
        let input = metrics.input(&topics.input);
        let sender = Sender {
            publisher,
            topics: SOURCE_TOPICS.map(str::to_owned),
            time: (time.start, time.end),
            pace: options.pace,
            progress: Arc::clone(&progress),
            input: input.clone(),
            health: Arc::clone(&health),
            shutdown: shutdown.clone(),
        };
        let shop = start_shop(options, sender, &shutdown)?;
        let leave = Arc::new(AtomicBool::new(false));
        let (receiver, audience) = start_audience(readers, topics.changes, &leave, &shutdown)?;
        Ok(Self {
            rules,
            metrics,
            input,
            shutdown,
            progress,
            time,
            metrics_address,
            receiver,
            leave,
            daemon,
            shop,
            audience,
            changes_read: 0,
            _broker: broker,
            _scratch: scratch,
        })
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Where `/metrics` is.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// From the opening of the shop to its closing, which is about now.
    #[must_use]
    pub fn time(&self) -> Range<Instant> {
        self.time.clone()
    }

    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.shutdown.is_requested() {
            return Stage::Over;
        }
        if !self.progress.opened.load(Ordering::Acquire) {
            return Stage::Joining;
        }
        let Some(closed) = self.progress.closed.get() else { return Stage::Living };
        let is_decided = sender::accounted(&self.input) >= self.progress.sent.load(Ordering::Acquire);
        if is_decided && closed.elapsed() >= SETTLES_FOR { Stage::Over } else { Stage::Settling }
    }

    #[must_use]
    pub fn figures(&self) -> Figures {
        figures(&self.input, &self.progress)
    }

    /// The next change, if one comes within `wait`.
    pub fn next(&mut self, wait: Duration) -> Option<Seen> {
        let seen = match self.receiver.recv_timeout(wait) {
            Ok(seen) => seen,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                // The reader has ended: only the caller's pace is kept.
                thread::sleep(wait);
                return None;
            }
        };
        self.changes_read += 1;
        Some(seen)
    }

    /// Stops the shop, drains the lane, hands out the last changes, and cleans up.
    ///
    /// # Errors
    /// Why a part of it failed.
    pub fn end(mut self, mut last: impl FnMut(Seen)) -> Result<Figures, Failure> {
        self.shutdown.request();
        let ended = joined(self.daemon);
        let figures = figures(&self.input, &self.progress);
        let counters = self.metrics.cohorts(self.rules.cohorts.iter().map(|cohort| cohort.name.as_str()));
        let changes: u64 = counters.iter().map(|c| c.of(Change::Entered).get() + c.of(Change::Exited).get()).sum();
        let started = Moment::now();
        while self.changes_read < changes && started.elapsed() < READ_OUT_FOR {
            if let Ok(seen) = self.receiver.recv_timeout(Duration::from_millis(50)) {
                self.changes_read += 1;
                last(seen);
            }
        }
        self.leave.store(true, Ordering::Release);
        // All are waited for, whichever failed.
        let (shop, audience) = (joined(self.shop), joined(self.audience));
        ended.and(shop).and(audience).map(|()| figures)
    }
}

fn figures(input: &InputMetrics, progress: &Progress) -> Figures {
    let (applied, skipped, dead) = sender::handled(input);
    let tickets = progress.tickets.load(Ordering::Acquire);
    Figures { applied, skipped, dead, tickets, lived: Instant(progress.lived.load(Ordering::Acquire)) }
}

fn joined(thread: Part) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err(Failure::Running("a part of the demo failed an invariant".into())))
}

/// A part of the demo on a thread of its own. When one fails, all end.
/// The thread that sends the shop's events.
fn start_shop(options: &Options, sender: Sender, shutdown: &Shutdown) -> Result<Part, Failure> {
    let (customers, seed) = (options.customers, options.seed);
    spawn("shop", shutdown, move || {
        let acts = shop::acts(customers, seed, sender.time);
        let tickets = tickets::of(&acts, seed, sender.time.1);
        sender.run(&acts, &tickets).map_err(Failure::from)
    })
}

/// The thread that reads the changes, and where it passes them.
fn start_audience(
    readers: Vec<Reader>,
    changes: String,
    leave: &Arc<AtomicBool>,
    shutdown: &Shutdown,
) -> Result<(Receiver<Seen>, Part), Failure> {
    let (sender, receiver) = channel();
    let leave = Arc::clone(leave);
    let audience = spawn("audience", shutdown, move || {
        audience::listen(readers, &changes, &sender, &leave).map_err(Failure::from)
    })?;
    Ok((receiver, audience))
}

fn spawn(
    name: &str,
    shutdown: &Shutdown,
    part: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<Part, Failure> {
    let shutdown = shutdown.clone();
    let part = move || {
        let outcome = part();
        if outcome.is_err() {
            shutdown.request();
        }
        outcome
    };
    thread::Builder::new().name(name.to_owned()).spawn(part).map_err(Failure::running)
}

fn create_topics(broker: &Mock, topics: &Topics) -> Result<(), Failure> {
    for topic in std::iter::once(topics.events.as_str()).chain(topics.outputs()) {
        broker.create_topic(topic, i32::from(PARTITIONS))?;
    }
    for topic in SOURCE_TOPICS.into_iter().chain([topics.marks.as_str()]) {
        broker.create_topic(topic, 1)?;
    }
    Ok(())
}

/// The sources, and their topics as they would be found at the start.
fn known(topics: &Topics) -> Result<Known, Failure> {
    let own: Vec<&str> = topics.outputs().into_iter().chain([topics.events.as_str(), &topics.marks]).collect();
    let document = sources::read("the demo's sources", SOURCES, &own).map_err(|errors| {
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Configuration(shown.join("\n\n"))
    })?;
    let topic = |name: &str| (name.to_owned(), SourceTopic { id: String::new(), partitions: 1 });
    let sizes = (u32::from(PARTITIONS), (RECORD_BYTES, RECORD_BYTES));
    Ok((Arc::new(SourcesBook::of(document)), SOURCE_TOPICS.map(topic).into(), sizes))
}

/// The cluster and the topics that the daemon would find at its start.
fn cluster() -> ClusterFacts {
    ClusterFacts {
        cluster_id: "demo".to_owned(),
        input_id: String::new(),
        partitions: u32::from(PARTITIONS),
        deletions_kept: Span::DAY,
        limits: RecordLimits::default(),
        marks: None,
    }
}

/// The settings that a demo needs; what else the operator set stays.
fn furnish(loaded: &mut Loaded, broker: &Mock, scratch: &Scratch) {
    let quiet = is_default(loaded, "log.filter");
    let local = is_default(loaded, "metrics.listen");
    let settings = &mut loaded.settings;
    settings.lanes = 1;
    settings.kafka.bootstrap_servers = broker.bootstrap_servers();
    settings.kafka.group_id = "cohortd-demo".to_owned();
    settings.kafka.instance_id = "demo".to_owned();
    // Passwords and certificates are for another broker.
    settings.kafka.options.clear();
    settings.schemas.registry = None;
    settings.schemas.dir = None;
    settings.schemas.bare = None;
    settings.state.dir = scratch.path().to_owned();
    // The sources are those of the demo; the lane reads what they are gathered into.
    settings.gather.sources = Some("sources.toml".into());
    settings.gather.lanes = 1;
    settings.topics.input.clone_from(&settings.topics.events);
    // Months pass in seconds.
    settings.ranks.refresh = Duration::from_secs(1);
    // The shop and its support desk send their events in the order in which they happen.
    settings.time.arrives_within = Span::SECOND;
    if quiet {
        // The screen shows the progress.
        settings.log.filter = "error".to_owned();
    }
    if local {
        settings.metrics.listen.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    settings.admin = Admin::local();
}

fn is_default(loaded: &Loaded, key: &str) -> bool {
    loaded.origin(key) == "default"
}

/// Binds both addresses; where the port for metrics is taken, a free one.
fn servers(runtime: &Runtime, loaded: &mut Loaded) -> Result<Servers, Failure> {
    let settings = &mut loaded.settings;
    Servers::bind(runtime.handle(), &settings.metrics, &settings.admin)
        .or_else(|_| {
            settings.metrics.listen.set_port(0);
            Servers::bind(runtime.handle(), &settings.metrics, &settings.admin)
        })
        .map_err(Failure::running)
}

/// The rules of a file, or else the default cohorts and one of two topics.
///
/// # Errors
/// A file that cannot be read, and every mistake in it.
pub fn rules(file: Option<&Path>) -> Result<RuleSet, Failure> {
    let (name, text) = match file {
        None => ("config/rules.toml".to_owned(), format!("{RULES}{MORE_RULES}")),
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Configuration(format!("{name}: cannot be read ({error}); check --rules")))?;
            (name, text)
        }
    };
    rules::load(&name, &text).map_err(|errors| {
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Configuration(shown.join("\n\n"))
    })
}
