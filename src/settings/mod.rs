//! What the operator set, typed and checked. `config/cohortd.toml` is the manual of every key.
//!
//! Layers, later ones winning: the manual itself, the file given with `--config`, the environment, `--set`. A value
//! keeps the place that set it, so that every error, here and later, can name it: see [`Loaded::refusal`].

mod bounds;
mod container;
mod dump;
mod error;
mod keys;
mod layer;
mod listen;
mod memory;
pub(crate) mod nearest;
mod options;
mod prefix;
mod schemas;
mod secrets;
mod sections;
mod values;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::{fmt, fs, process, thread};

use layer::Layer;

pub use error::Error;
pub use listen::Listen;
pub use memory::{Memory, PROGRAM_BYTES};
pub use schemas::{Schemas, SubjectNames};
pub use sections::{
    Admin, Automation, Batch, Dedupe, Gather, Kafka, LANES_MAX, Log, LogFormat, Metrics, OnStop, Ranks, Rules,
    Settings, Start, State, Time, Topics,
};

/// The built-in default layer, as text.
pub const MANUAL: &str = include_str!("../../config/cohortd.toml");

/// Where settings are looked for, beside the manual.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub config: Option<PathBuf>,
    /// What was given with `--set`, as `key=value`, in order.
    pub sets: Vec<String>,
    /// All environment variables; only those that begin with `COHORTD_` are read.
    pub environment: Vec<(OsString, OsString)>,
}

impl Sources {
    /// With the environment of this process.
    #[must_use]
    pub fn of_process(config: Option<PathBuf>, sets: Vec<String>) -> Self {
        Self { config, sets, environment: std::env::vars_os().collect() }
    }
}

/// Settings and where each value comes from.
#[derive(Clone)]
pub struct Loaded {
    pub settings: Settings,
    /// The merged layers as written, each value with its origin.
    merged: config::Value,
}

impl Settings {
    /// Reads all layers, merges and checks them.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place, key and remedy.
    pub fn load(sources: &Sources) -> Result<Loaded, Error> {
        let manual = Layer::manual()?;
        let mut layers = Vec::with_capacity(4);
        if let Some(path) = &sources.config {
            let text = fs::read_to_string(path).map_err(|source| {
                let problem = match source.kind() {
                    ErrorKind::InvalidData => "is not text in UTF-8; save it as UTF-8".to_owned(),
                    _ => format!("cannot be read ({source}); check the path given with --config"),
                };
                Error::in_place(path.display().to_string(), problem)
            })?;
            layers.push(Layer::file(&path.display().to_string(), &text)?);
        }
        layers.push(Layer::environment(&manual, &sources.environment)?);
        layers.push(Layer::sets(&sources.sets)?);
        for layer in &layers {
            layer.refuse_unknown_keys(&manual)?;
        }

        let keys: Vec<String> = layers.iter().flat_map(Layer::leaves).map(|leaf| leaf.key.clone()).collect();
        let mut builder = config::Config::builder().add_source(manual);
        for layer in layers {
            builder = builder.add_source(layer);
        }
        let mut merged = builder.build().map_err(|error| Error::in_place("settings".into(), error.to_string()))?.cache;
        prefix::apply(&mut merged);
        refuse_masks(&merged, &keys)?;
        let settings = merged.clone().try_deserialize().map_err(|error| Error::of_value(error, &merged))?;

        let mut loaded = Loaded { settings, merged };
        loaded.settings.memory = loaded.settings.memory.resolved(container::memory_limit());
        bounds::check(&loaded)?;
        gather(&mut loaded)?;
        loaded.settings.lanes = match loaded.settings.lanes {
            0 => cores(),
            values::NO_LANES => 0,
            lanes => lanes,
        };
        if loaded.settings.kafka.instance_id.is_empty() {
            loaded.settings.kafka.instance_id = host_name().ok_or_else(|| {
                loaded.refusal(
                    "kafka.instance_id",
                    "the host name cannot be read; set a name that is unique in the group and stays over restarts",
                )
            })?;
        }
        Ok(loaded)
    }
}

/// Where sources are gathered, the lanes read what they are gathered into.
fn gather(loaded: &mut Loaded) -> Result<(), Error> {
    if loaded.settings.gather.sources.is_none() {
        return Ok(());
    }
    if loaded.origin("topics.input") != layer::DEFAULT {
        let problem = "and gather.sources are two ways in; events come from one topic directly, or from the topics in the \
                       sources file: remove one of the two";
        return Err(loaded.refusal("topics.input", problem));
    }
    let topics = &mut loaded.settings.topics;
    topics.input.clone_from(&topics.events);
    Ok(())
}

/// As [`Loaded::dump`], since the layers hold secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dump())
    }
}

impl Loaded {
    /// The place that set `key`: `default`, `FILE:LINE`, the variable's name, or `--set`. A key of `kafka.options` that
    /// is not set, or no key at all, is `default`.
    #[must_use]
    pub fn origin(&self, key: &str) -> &str {
        keys::find(&self.merged, key).and_then(config::Value::origin).unwrap_or(layer::DEFAULT)
    }

    /// An error about `key`, for what only shows later: a port in use, a file that is missing.
    #[must_use]
    pub fn refusal(&self, key: &str, problem: impl Into<String>) -> Error {
        Error::new(self.origin(key), key, problem)
    }

    /// Of two keys that do not go together, the one that somebody set.
    fn set_one_of<'a>(&self, key: &'a str, other: &'a str) -> &'a str {
        if self.origin(key) == layer::DEFAULT && self.origin(other) != layer::DEFAULT { other } else { key }
    }

    /// The settings as a file in the manual's form, each value with its origin as a comment, secrets masked.
    #[must_use]
    pub fn dump(&self) -> String {
        dump::dump(self)
    }
}

/// Refuses what `dump-config` prints in place of a secret, unless a later layer has the secret: taken for the secret, it
/// would only show far from here, as credentials that a broker refuses.
fn refuse_masks(merged: &config::Value, keys: &[String]) -> Result<(), Error> {
    let masked =
        keys.iter().find_map(|key| Some((key, keys::find(merged, key)?)).filter(|(_, v)| secrets::is_masked(&v.kind)));
    let Some((key, value)) = masked else { return Ok(()) };
    let (mask, variable) = (secrets::MASK, keys::variable_of_key(key));
    let problem = format!(
        "{mask} is what dump-config prints in place of a secret; write the secret itself, or remove this and set {variable}"
    );
    Err(Error::new(value.origin().unwrap_or(layer::DEFAULT), key, problem))
}

/// Cores that this process may use, at most [`LANES_MAX`].
fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX)
}

/// The kernel's word on Linux; elsewhere what `hostname` prints. Characters that Kafka refuses become `-`.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| {
        let printed = process::Command::new("hostname").output().ok()?;
        String::from_utf8(printed.stdout).ok()
    })?;
    let name: String = name.trim().chars().map(|c| if bounds::is_name_character(c) { c } else { '-' }).collect();
    (!name.is_empty()).then_some(name)
}
