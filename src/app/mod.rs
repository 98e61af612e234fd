//! Builds all parts from the settings, starts them, waits, and stops them in order.

mod cleanup;
pub mod demo;
mod ending;
mod failure;
mod foreign_groups;
mod gathering;
pub mod ignored;
mod input_watch;
mod kafka_metrics;
mod last_rules_file;
pub mod parameters_file;
mod pause;
pub mod preflight;
pub mod reset;
pub mod rules_file;
mod rules_keeper;
mod rules_topic;
mod rules_watch;
mod schemas;
pub mod sources_file;
mod sources_keeper;
mod state_dir;
mod topics;
mod twin;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::admin::{Posted, Servers, Views, metrics_connections};
use crate::codec::Schemas;
use crate::gather::SourceTopic;
use crate::inquiry::{Inbox, Latest, RequestRouter};
use crate::kafka::{BrokerState, Brokers, EndOffsets, Watermarks};
use crate::lane::{ClusterFacts, Context, Lane, LaneError, Ownership, Rulebook, Start, Summaries, Watchdog};
use crate::metrics::{Health, Metrics, Retry, Wait, WaitCause};
use crate::rules::{JoinedEvents, RuleSet};
use crate::settings::{Loaded, Settings};
use crate::shutdown::Shutdown;
use crate::store::{FILES_PER_DATABASE_MIN, SharedMemory, files_per_database, raise_file_limit};
use crate::telemetry;
use gathering::Gathering;
use rules_file::RulesFile;
use rules_keeper::Keeper;
use rules_topic::RulesTopic;
use schemas::{IdCheck, Outputs};
use sources_file::SourcesFile;
use sources_keeper::{SourcesBook, SourcesKeeper};

pub use ending::Ending;
pub use failure::Failure;
pub use rules_keeper::Edit;
pub use schemas::{schemas, schemas_of_sources};

/// The limit of a graceful stop: what a lane has not finished by then is cut off, which is always safe, since the next
/// start aborts or completes it.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Runs the daemon until it is stopped, or cannot continue.
///
/// # Errors
/// Configuration that does not fit itself or what is there; or why a lane stopped. [`Ending`] lists them.
pub fn run(loaded: Loaded, edit: Edit) -> Result<(), Failure> {
    telemetry::start(&loaded.settings.log)
        .map_err(|error| Failure::Configuration(loaded.refusal("log.filter", error.to_string()).to_string()))?;
    let outcome = run_logged(loaded, edit);
    if let Err(failure) = &outcome {
        let (ending, text) = (failure.ending(), failure.to_string());
        // All mistakes are printed for people, and this is the first of them.
        let reason = text.lines().next();
        tracing::error!(ending = ending.word(), exit_code = ending.code(), reason, "The process ends.");
    }
    outcome
}

fn run_logged(loaded: Loaded, edit: Edit) -> Result<(), Failure> {
    // First of all: process 1 of a container ignores signals without a handler.
    let runtime = runtime()?;
    let shutdown = Shutdown::on_signals(runtime.handle()).map_err(Failure::running)?;
    let file = rules_file::load(&loaded, None)?;
    let sources = sources_file::of_run(&loaded)?;
    state_dir::make(&loaded.settings.state.dir);
    let schemas = schemas::kept(&loaded)?;
    let servers = Servers::bind(runtime.handle(), &loaded.settings.metrics, &loaded.settings.admin)
        .map_err(|error| Failure::Configuration(loaded.refusal(error.key, error.to_string()).to_string()))?;
    Process::new(loaded, runtime, shutdown).serve(
        schemas,
        servers,
        StartMode::Prepare(Box::new(file), sources.map(Box::new), edit),
    )
}

/// The state of a process once its addresses are bound, for `run` and for the demo on its own broker.
struct Process {
    loaded: Loaded,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    runtime: Runtime,
    shutdown: Shutdown,
}

/// How a process starts.
enum StartMode {
    /// Topics are checked, and created if missing; the rules file is compared with the rules topic.
    Prepare(Box<RulesFile>, Option<Box<SourcesFile>>, Edit),
    /// The caller has created the topics; neither rules nor sources change.
    With(ClusterFacts, Arc<RuleSet>, Known),
}

/// What is gathered: the sources in force, their topics as found at the start, the number of partitions of the log, and
/// the record limits of the log and of the dead letters, in bytes.
type Known = (Arc<SourcesBook>, BTreeMap<String, SourceTopic>, (u32, (usize, usize)));

/// The maximum number of posted rules that wait for their turn.
const POSTS_MAX: usize = 4;

impl Process {
    fn new(loaded: Loaded, runtime: Runtime, shutdown: Shutdown) -> Self {
        let settings = &loaded.settings;
        let revision = option_env!("COHORTD_REVISION").unwrap_or("unknown");
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), revision));
        metrics.memory_limit.set(i64::try_from(settings.memory.limit).unwrap_or(i64::MAX));
        let topics = &settings.topics;
        metrics.input(&topics.input).events_applied.inc_by(0);
        let written = [&topics.changes, &topics.members, &topics.risks, &topics.forecasts, &topics.dead_letters];
        for topic in written.into_iter().chain([&topics.changelog, &topics.summaries]) {
            metrics.publish_errors(topic).inc_by(0);
        }
        let gathering = if settings.gather.sources.is_some() { settings.gather.lanes } else { 0 };
        let health = Arc::new(Health::new(settings.lanes, gathering, &metrics));
        Self { loaded, metrics, health, runtime, shutdown }
    }

    /// Runs until stopped, or a lane cannot continue.
    fn serve(self, schemas: Schemas, servers: Servers, begin: StartMode) -> Result<(), Failure> {
        let Self { loaded, metrics, health, runtime, shutdown } = self;
        let settings = &loaded.settings;
        let metrics_address = servers.metrics_address().map_err(Failure::running)?;
        let admin_address = servers.admin_address().map_err(Failure::running)?;
        metrics.registry_reachable.set(i64::from(schemas.registry_answers()));
        // HTTP is served until everything is written, so that load balancers see that this process drains.
        let drained = Shutdown::new();
        let closing = drained.clone();
        let (router, latest) = (Arc::new(RequestRouter::default()), Arc::new(Latest::default()));
        let (post, posts) = tokio::sync::mpsc::channel::<Posted>(POSTS_MAX);
        let views = Views {
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            router: Arc::clone(&router),
            latest: Arc::clone(&latest),
            rules: matches!(begin, StartMode::Prepare(..)).then_some(post),
        };
        let answering = servers.serve(runtime.handle(), views, async move { closing.requested().await });
        tracing::info!(metrics = %metrics_address, admin = admin_address, "Listening.");

        let brokers = Brokers::default();
        let rulebook = Arc::new(Rulebook::new(Arc::clone(&metrics), Arc::clone(&latest)));
        let (mut found, keeper, known) = match begin {
            StartMode::With(found, rules, known) => {
                let fingerprint = rules.fingerprint.clone();
                rulebook.add(1, &fingerprint, String::new(), JoinedEvents::new(), Some(rules));
                (found, None, Some(known))
            }
            StartMode::Prepare(file, sources, edit) => {
                let Some(alone) = twin::lock(&loaded, &health, &shutdown)? else { return Ok(()) };
                let names = sources.as_ref().map(|file| file.topics()).unwrap_or_default();
                let prepared = topics::prepare(&loaded, &names, &brokers, &metrics, &health, &shutdown)?;
                let Some(prepared) = prepared else { return Ok(()) };
                let found = prepared.facts;
                let own = sources_file::own_topics(&loaded);
                let path = settings.gather.sources.clone().unwrap_or_default();
                let author = &settings.kafka.instance_id;
                let lateness = settings.time.max_lateness;
                let sources = sources.map(|file| SourcesKeeper::new(&file, path, author, &own, lateness));
                let book = sources.as_ref().map(|keeper| Arc::clone(&keeper.book));
                let known = book.map(|book| (book, prepared.sources, (found.partitions, prepared.limits)));
                twin::wait_until_twin_left(&loaded, &brokers, &health, &shutdown)?;
                let topic = RulesTopic::new(settings, &brokers)?;
                let views = (Arc::clone(&rulebook), Arc::clone(&metrics), Arc::clone(&health));
                let Some(keeper) = Keeper::start(&loaded, *file, sources, edit, topic, views, &shutdown)? else {
                    return Ok(());
                };
                (found, Some((keeper, alone)), known)
            }
        };
        let Some(outputs) = schemas::outputs(&loaded, &schemas, &metrics, &health, &shutdown)? else { return Ok(()) };
        let Outputs { encoder, confirming } = outputs;
        let mut alone = None;
        if let Some((keeper, lock)) = keeper {
            alone = Some(lock);
            let (handle, stop) = (runtime.handle().clone(), shutdown.clone());
            let keep = move || keeper.run(posts, &handle, &stop);
            std::thread::Builder::new().name("rules".to_owned()).spawn(keep).map_err(Failure::running)?;
        }
        let inboxes = router.open(settings.lanes, found.partitions);
        let mut gatherers = Vec::new();
        if let Some((sources, topics, sizes)) = known {
            let gathering =
                Gathering::new(settings, sources, &topics, sizes, (&brokers, &metrics, &health), &shutdown)?;
            found.marks = Some(Arc::clone(&gathering.marks));
            gatherers = gathering.start(&loaded)?;
        }
        let context = Context::new(settings, rulebook, Arc::clone(&metrics), latest, encoder, found);
        let outcome =
            run_lanes(settings, Arc::new(context), inboxes, gatherers, (&brokers, &schemas), &health, &shutdown);
        shutdown.request();
        drained.request();
        runtime.block_on(answering).ok();
        drop(alone);
        outcome.and(confirming.map_or(Ok(()), IdCheck::outcome))
    }
}

fn run_lanes(
    settings: &Settings,
    context: Arc<Context>,
    inboxes: Vec<Inbox>,
    gatherers: Vec<JoinHandle<Result<(), LaneError>>>,
    (brokers, schemas): (&Brokers, &Schemas),
    health: &Arc<Health>,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let memory = Arc::new(shared_memory(settings, context.partitions));
    let watermarks = Arc::new(Watermarks::new(&settings.kafka, brokers)?);
    let end_offsets = Arc::new(EndOffsets::new(Arc::clone(&watermarks), &settings.topics.input, context.partitions));
    let ownership = Arc::new(Ownership::new(settings.lanes));
    let mut lanes = gatherers;
    lanes.push(cleanup::start(settings, &context.metrics, shutdown)?);
    let mut senders = Vec::new();
    for (number, inbox) in inboxes.into_iter().enumerate() {
        let (sender, updates) = channel();
        senders.push(sender);
        let lane = Lane::new(Start {
            number,
            settings: settings.clone(),
            context: Arc::clone(&context),
            memory: Arc::clone(&memory),
            brokers: brokers.clone(),
            watermarks: Arc::clone(&watermarks),
            end_offsets: Arc::clone(&end_offsets),
            ownership: Arc::clone(&ownership),
            schemas: schemas.clone(),
            health: Arc::clone(health),
            inbox,
            updates,
            stop: shutdown.flag(),
        })?;
        let (shutdown, shown) = (shutdown.clone(), settings.clone());
        let thread = std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            let outcome = lane.run();
            if let Err(error) = &outcome {
                tracing::error!(lane = number, reason = %error, "A lane stops, and the process with it.");
            }
            if matches!(outcome, Err(LaneError::Fenced(_))) {
                twin::record_fenced(&shown);
            }
            // A failed lane alone would leave its partitions without an owner until its session ends.
            shutdown.request();
            outcome
        });
        lanes.push(thread.map_err(Failure::running)?);
    }
    // Also without ranks: the next version of the rules may have some.
    let summaries =
        follow_summaries(Summaries::new(settings, Arc::clone(&context), brokers, health, senders), shutdown)?;
    lanes.push(input_watch::watch(&settings.kafka, &context, brokers, shutdown)?);
    let (own, partitions, near) = (settings.clone(), context.partitions, (Arc::clone(&watermarks), brokers.clone()));
    watch("foreign_groups", shutdown, move |stop| foreign_groups::watch(&own, partitions, &near.0, &near.1, stop))?;
    let watched = (watermarks, Arc::clone(&end_offsets));
    let watchdog = Watchdog::new(settings, Arc::clone(&context), watched, ownership, Arc::clone(health), brokers);
    if settings.lanes > 0 {
        // The group of the lanes is none of the business of a process that only gathers.
        watch("group", shutdown, move |stop| watchdog.run(stop))?;
    }
    watch("ends", shutdown, move |stop| end_offsets.follow(stop))?;
    supervise(lanes, &summaries, &context, brokers, schemas, health, shutdown)
}

/// Updates metrics and health until all threads have ended, or a stop takes too long; then collects how they ended.
fn supervise(
    lanes: Vec<JoinHandle<Result<(), LaneError>>>,
    summaries: &JoinHandle<()>,
    context: &Context,
    brokers: &Brokers,
    schemas: &Schemas,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let mut outcome = Ok(());
    let (mut stopping, mut outage) = (None, BrokerOutage::default());
    while !lanes.iter().all(JoinHandle::is_finished) || !summaries.is_finished() {
        context.metrics.registry_reachable.set(i64::from(schemas.registry_answers()));
        let retries = context.metrics.retries(Retry::Schema);
        retries.inc_by(schemas.retries().saturating_sub(retries.get()));
        outage.update(brokers, &context.metrics, health);
        kafka_metrics::show(brokers, &context.metrics);
        std::thread::sleep(Duration::from_millis(20));
        if summaries.is_finished() && !shutdown.is_requested() {
            let detail =
                "the summaries reader failed an internal check; restart the process at a convenient time".to_owned();
            health.wait(Wait { cause: WaitCause::Summaries, partition: None, detail });
        }
        if lanes.iter().any(JoinHandle::is_finished) {
            // Also for a lane that panicked.
            shutdown.request();
        }
        if shutdown.is_requested() {
            // Load balancers route elsewhere while this process drains.
            health.stop();
        }
        let is_over = |since: std::time::Instant| since.elapsed() >= STOP_WITHIN;
        if shutdown.is_requested() && is_over(*stopping.get_or_insert_with(std::time::Instant::now)) {
            tracing::warn!(
                "A lane did not stop in time, probably because no broker answers; the process ends without it."
            );
            break;
        }
    }
    for lane in lanes.into_iter().filter(JoinHandle::is_finished) {
        let ended = lane.join().unwrap_or_else(|_| Err(LaneError::Stopped("a lane failed an internal check".into())));
        if outcome.is_ok() {
            outcome = ended.map_err(Failure::from);
        }
    }
    outcome
}

/// Whether the brokers answer, as the metrics and the readiness check show it.
#[derive(Default)]
struct BrokerOutage {
    is_declared: bool,
}

impl BrokerOutage {
    fn update(&mut self, brokers: &Brokers, metrics: &Metrics, health: &Health) {
        let reason = match brokers.state() {
            BrokerState::Reachable => None,
            BrokerState::Unreachable(reason) => Some(reason),
        };
        metrics.brokers_reachable.set(i64::from(reason.is_none()));
        let is_away = reason.is_some();
        match reason {
            Some(reason) => {
                let detail = format!("no Kafka broker answers ({reason})");
                health.wait(Wait { cause: WaitCause::Kafka, partition: None, detail });
            }
            None if self.is_declared => health.resume(WaitCause::Kafka, None),
            None => {}
        }
        self.is_declared = is_away;
    }
}

/// Runs a check on a thread while the lanes run. Nothing waits for its end: it may be in the middle of a request.
fn watch(
    name: &str,
    shutdown: &Shutdown,
    work: impl FnOnce(&std::sync::atomic::AtomicBool) + Send + 'static,
) -> Result<(), Failure> {
    let stop = shutdown.flag();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&stop)).map_err(Failure::running)?;
    Ok(())
}

/// The shared resources of the databases, in case this process owns all partitions.
fn shared_memory(settings: &Settings, partitions: u32) -> SharedMemory {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let limit = raise_file_limit().saturating_sub(metrics_connections());
    let files = files_per_database(limit, partitions.into()).unwrap_or_else(|needed| {
        tracing::warn!(limit, needed, "The limit of open files is too low for all partitions: raise ulimit -n.");
        FILES_PER_DATABASE_MIN
    });
    let gathered = if settings.gather.sources.is_some() { settings.memory.gathered() } else { 0 };
    SharedMemory::new(bytes(settings.memory.block_cache() - gathered), bytes(settings.memory.write_buffers()))
        .with_files_open(files)
}

/// Follows the summaries of all partitions while the lanes run. Its failures stop no lane.
fn follow_summaries(summaries: Summaries, shutdown: &Shutdown) -> Result<JoinHandle<()>, Failure> {
    let stop = shutdown.flag();
    let work = move || summaries.run(&stop);
    std::thread::Builder::new().name("summaries".into()).spawn(work).map_err(Failure::running)
}

/// One thread for HTTP and signals: lanes have their own.
fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(Failure::running)
}
