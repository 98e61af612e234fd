//! Schemas of the input and ids of the output schemas: from files, from the registry, and from its cached answers.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::pause::pause;
use super::{Ending, Failure};
use crate::backoff::Backoff;
use crate::codec::{Access, Encoder, FromSchema, Output, Registry, RegistryError, SchemaCache, Schemas};
use crate::metrics::{Health, Metrics, Retry, Wait, WaitCause};
use crate::settings::{self, Loaded, SubjectNames};
use crate::shutdown::Shutdown;
use crate::sources::Document;

/// The first pause between attempts to register the output schemas; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause: about the time to notice that the registry is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Answers that only a person can change (no registry at the address, no permission, no such schema without
/// registration) before the process exits: a registry that is starting may give such an answer for a moment.
const USELESS_ANSWERS_MAX: u32 = 4;
/// How long a pause may delay a stop.
const SLICE: Duration = Duration::from_millis(100);

/// The sources of input schemas, for a command that writes nothing to disk.
///
/// # Errors
/// Schema files or a registry's address that cannot be used.
pub fn schemas<T: FromSchema>(loaded: &Loaded) -> Result<Schemas<T>, Failure> {
    sources(loaded, registry(loaded)?, None)
}

/// The same for the records of sources, which may have a registry of their own.
///
/// # Errors
/// As [`schemas`].
pub fn schemas_of_sources<T: FromSchema>(loaded: &Loaded, document: &Document) -> Result<Schemas<T>, Failure> {
    sources(loaded, registry_of_sources(loaded, document)?, None)
}

/// The sources of input schemas, including the cache on disk.
pub(super) fn kept<T: FromSchema>(loaded: &Loaded) -> Result<Schemas<T>, Failure> {
    kept_of(loaded, registry(loaded)?)
}

/// As [`schemas_of_sources`], including the cache on disk.
pub(super) fn kept_of_sources<T: FromSchema>(loaded: &Loaded, document: &Document) -> Result<Schemas<T>, Failure> {
    kept_of(loaded, registry_of_sources(loaded, document)?)
}

/// What is secret in the settings is for their registry, and not shown to another one.
fn registry_of_sources(loaded: &Loaded, document: &Document) -> Result<Option<Registry>, Failure> {
    let Some(addresses) = &document.registry else { return registry(loaded) };
    let settings = &loaded.settings.schemas;
    let access = Access { token: None, ca: settings.ca.as_deref(), identity: None, proxy: settings.proxy.as_deref() };
    Registry::new(addresses, access).map(Some).map_err(|error| refusal(loaded, error.key, &error.problem))
}

fn kept_of<T: FromSchema>(loaded: &Loaded, registry: Option<Registry>) -> Result<Schemas<T>, Failure> {
    let Some(registry) = registry else { return sources(loaded, None, None) };
    let folder = loaded.settings.state.dir.join("schemas");
    let cache = SchemaCache::open(&folder, &registry).inspect_err(|error| {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "Schemas cannot be cached on disk; a restart will need the registry.");
    });
    sources(loaded, Some(registry), cache.ok())
}

fn sources<T: FromSchema>(
    loaded: &Loaded,
    registry: Option<Registry>,
    cache: Option<SchemaCache>,
) -> Result<Schemas<T>, Failure> {
    let settings = &loaded.settings.schemas;
    let refuse = |key: &str, problem: String| Failure::Configuration(loaded.refusal(key, problem).to_string());
    let mut schemas = Schemas::default();
    if let Some(folder) = &settings.dir {
        schemas = schemas.with_files(folder).map_err(|error| refuse("schemas.dir", error.to_string()))?;
    }
    if let Some(registry) = registry {
        schemas = schemas.with_registry(registry, settings.retry_for, cache).map_err(Failure::running)?;
    }
    if let Some(file) = settings.bare_file() {
        schemas = schemas.with_bare(&file).map_err(|error| refuse("schemas.bare", error.to_string()))?;
    }
    Ok(schemas)
}

/// The registry of the settings, if there is one. Does not connect yet.
pub(super) fn registry(loaded: &Loaded) -> Result<Option<Registry>, Failure> {
    let settings = &loaded.settings.schemas;
    let Some(addresses) = &settings.registry else { return Ok(None) };
    let access = Access {
        token: settings.token.as_deref(),
        ca: settings.ca.as_deref(),
        identity: settings.certificate.as_deref().zip(settings.key.as_deref()),
        proxy: settings.proxy.as_deref(),
    };
    Registry::new(addresses, access).map(Some).map_err(|error| refusal(loaded, error.key, &error.problem))
}

fn refusal(loaded: &Loaded, key: &str, problem: &str) -> Failure {
    Failure::Ended(Ending::Registry, loaded.refusal(key, problem).to_string())
}

/// The encoder of the outputs.
pub(super) struct Outputs {
    pub(super) encoder: Encoder,
    pub(super) confirming: Option<IdCheck>,
}

/// Checks whether the cached ids are still valid.
pub(super) struct IdCheck(JoinHandle<Result<(), Failure>>);

/// The output schemas, each with its subject.
pub(super) type Subjects = [(String, Output); 4];

/// Registers the output schemas, or looks them up (`schemas.register`), if there is a registry. If it does not answer,
/// the cached ids are used, and confirmed later; without these it waits, and reports that. `None`: stopped meanwhile.
///
/// # Errors
/// A registry that refuses a schema or the credentials, is none, or is only read and does not have a schema.
pub(super) fn outputs(
    loaded: &Loaded,
    schemas: &Schemas,
    metrics: &Metrics,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<Outputs>, Failure> {
    let Some(registry) = schemas.registry() else {
        return Ok(Some(Outputs { encoder: Encoder::with_fingerprints(), confirming: None }));
    };
    let subjects = subjects(&loaded.settings);
    let way = Way::of(&loaded.settings.schemas);
    let (mut tries, mut useless) = (0_u32, 0);
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let registered = way.ids(registry, &subjects);
        metrics.registry_reachable.set(i64::from(schemas.registry_answers()));
        let (subject, error) = match registered {
            Ok(ids) => {
                health.resume(WaitCause::Registry, None);
                keep(&subjects, ids, schemas);
                return Ok(Some(Outputs { encoder: Encoder::with_ids(ids), confirming: None }));
            }
            Err(failed) => failed,
        };
        // If it gave ids before, this address is right, and something else answers there for now.
        let away =
            matches!(error, RegistryError::Unreachable(_) | RegistryError::Untrusted(_) | RegistryError::Foreign(_));
        if let Some(ids) = ids_before(&subjects, schemas).filter(|_| away) {
            tracing::warn!("Starting with the cached ids of the output schemas: {error}.");
            health.resume(WaitCause::Registry, None);
            let confirming = confirm(registry.clone(), way, subjects, ids, schemas.clone(), shutdown.clone())?;
            return Ok(Some(Outputs { encoder: Encoder::with_ids(ids), confirming: Some(confirming) }));
        }
        match &error {
            RegistryError::Unreachable(_) => useless = 0,
            RegistryError::Refused(_) => return Err(refusal(loaded, REGISTRY, &unregistered(&subject, &error))),
            _ if useless + 1 < USELESS_ANSWERS_MAX => useless += 1,
            RegistryError::NotFound => {
                return Err(refusal(loaded, "schemas.register", &way_to_register(&registry.shown(), &subject)));
            }
            error => return Err(refusal(loaded, REGISTRY, &unregistered(&subject, error))),
        }
        tries += 1;
        metrics.retries(Retry::Registry).inc();
        if tries.is_power_of_two() {
            tracing::warn!(subject, tries, "Registering the schema of an output failed; retrying: {error}.");
        }
        let detail = format!("the schema of {subject} must be registered before anything is read: {error}");
        let until = Instant::now() + backoff.pause();
        while Instant::now() < until {
            if shutdown.is_requested() {
                return Ok(None);
            }
            health.wait(Wait { cause: WaitCause::Registry, partition: None, detail: detail.clone() });
            std::thread::sleep(SLICE);
        }
    }
}

impl IdCheck {
    /// Why the process must stop, if the ids turned out to be wrong.
    pub(super) fn outcome(self) -> Result<(), Failure> {
        // A pending check ends with the process.
        if self.0.is_finished() { self.0.join().unwrap_or(Ok(())) } else { Ok(()) }
    }
}

const REGISTRY: &str = "schemas.registry";

fn unregistered(subject: &str, error: &RegistryError) -> String {
    format!("the schema of {subject} is not registered: {error}")
}

/// What to do if the registry is read-only and lacks a schema. `missing`: the subjects, each with its file.
pub(super) fn way_to_register(registry: &str, missing: &str) -> String {
    format!(
        "is false, and {registry} does not have the schema of {missing}; have it registered under that subject (POST \
         /subjects/SUBJECT/versions, see docs/kafka.md), or set schemas.register = true"
    )
}

/// The subjects under which the schemas of the outputs are registered.
pub(super) fn subjects(settings: &settings::Settings) -> Subjects {
    let topics = &settings.topics;
    let subject = |topic: &str, output: Output| {
        let subject = match settings.schemas.subjects {
            SubjectNames::Topic => format!("{topic}-value"),
            SubjectNames::Record => output.record(),
            SubjectNames::TopicRecord => format!("{topic}-{}", output.record()),
        };
        (subject, output)
    };
    [
        subject(&topics.changes, Output::CohortChange),
        subject(&topics.members, Output::CohortMember),
        subject(&topics.risks, Output::ChurnRiskChange),
        subject(&topics.forecasts, Output::CohortForecast),
    ]
}

/// How the ids of the output schemas are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Register,
    /// The registry is only read.
    LookUp,
}

impl Way {
    fn of(settings: &settings::Schemas) -> Self {
        if settings.register { Self::Register } else { Self::LookUp }
    }

    /// The ids in the order of [`Output::ALL`]; or the subject that failed and why. If several are not registered, all
    /// are named, each with its file.
    fn ids(self, registry: &Registry, subjects: &Subjects) -> Result<[u32; 4], (String, RegistryError)> {
        let (mut ids, mut missing) = ([0; 4], Vec::new());
        for ((subject, output), id) in subjects.iter().zip(&mut ids) {
            let found = match self {
                Self::Register => registry.register(subject, output.schema()),
                Self::LookUp => registry.find(subject, output.schema()),
            };
            match found {
                Ok(found) => *id = found,
                Err(RegistryError::NotFound) => missing.push(format!("{subject} ({})", output.file())),
                Err(error) => return Err((subject.clone(), error)),
            }
        }
        if missing.is_empty() { Ok(ids) } else { Err((missing.join(", "), RegistryError::NotFound)) }
    }
}

fn keep(subjects: &Subjects, ids: [u32; 4], schemas: &Schemas) {
    for ((subject, output), id) in subjects.iter().zip(ids) {
        schemas.saw_output_id(id);
        if let Some(cache) = schemas.cache() {
            cache.keep_output_id(subject, output.schema(), id);
        }
    }
}

/// The cached ids; `None` unless all are known.
fn ids_before(subjects: &Subjects, schemas: &Schemas) -> Option<[u32; 4]> {
    let mut ids = [0; 4];
    for ((subject, output), id) in subjects.iter().zip(&mut ids) {
        *id = schemas.cache()?.output_id(subject, output.schema())?;
        schemas.saw_output_id(*id);
    }
    Some(ids)
}

/// Checks, once the registry answers, whether it still has the ids in use. A recreated registry assigns others, and
/// consumers would decode these records with other schemas: the process must stop, and start with the right ids.
fn confirm(
    registry: Registry,
    way: Way,
    subjects: Subjects,
    used: [u32; 4],
    schemas: Schemas,
    shutdown: Shutdown,
) -> Result<IdCheck, Failure> {
    let ask = move || {
        let (mut tries, mut backoff) = (0_u32, Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
        while !shutdown.is_requested() {
            match way.ids(&registry, &subjects) {
                Ok(ids) if ids == used => {
                    tracing::info!("The schema registry confirms the ids of the output schemas.");
                    return Ok(());
                }
                Ok(ids) => {
                    keep(&subjects, ids, &schemas);
                    shutdown.request();
                    let text = format!(
                        "{} returns the ids {ids:?} for the output schemas, and not {used:?} as before: it was recreated; \
                         started again, the process writes the new ids",
                        registry.shown()
                    );
                    return Err(Failure::Ended(Ending::RegistryMadeAnew, text));
                }
                Err((subject, RegistryError::Refused(reason))) => {
                    tracing::error!(
                        subject,
                        reason,
                        "The registry rejects the schema of an output that it accepted before."
                    );
                    return Ok(());
                }
                Err((subject, error)) => {
                    tries += 1;
                    if tries.is_power_of_two() {
                        tracing::warn!(subject, tries, "The id of an output's schema is not confirmed yet: {error}.");
                    }
                }
            }
            if !pause(&mut backoff, &shutdown) {
                break;
            }
        }
        Ok(())
    };
    std::thread::Builder::new().name("output ids".into()).spawn(ask).map(IdCheck).map_err(Failure::running)
}
