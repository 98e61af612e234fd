//! Every section, typed: what each value means to the rooms that take it. What a person should know stands in the
//! manual.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::event::{Instant, Span};

use super::{dump, words};

/// Everything that can be set. Constructors elsewhere take the narrow section they need.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Threads that read and decide: at least 1, at most [`LANES_MAX`]; the 0 of the file is resolved.
    #[serde(deserialize_with = "words::whole")]
    pub lanes: usize,
    pub kafka: Kafka,
    pub topics: Topics,
    pub batch: Batch,
    pub rules: Rules,
    pub state: State,
    pub ranks: Ranks,
    pub metrics: Metrics,
    pub admin: Admin,
    pub memory: Memory,
    pub time: Time,
    pub automation: Automation,
    pub dedupe: Dedupe,
    pub schemas: Schemas,
    pub log: Log,
}

/// librdkafka's `session.timeout.ms`.
const SESSION_DEFAULT: Duration = Duration::from_secs(45);

/// The most lanes that one process may have.
pub const LANES_MAX: usize = 1_024;

/// The brokers and our place among their clients.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    pub group_id: String,
    /// Unique in the group and stable over restarts; never empty once loaded. Each lane appends `-` and its number.
    pub instance_id: String,
    pub on_stop: OnStop,
    pub start: Start,
    /// For librdkafka, as they are. What would break the guarantee has been refused.
    pub options: BTreeMap<String, String>,
}

impl Kafka {
    /// How long the group keeps a member that is not heard of (`session.timeout.ms`).
    #[must_use]
    pub fn session(&self) -> Duration {
        let millis = self.options.get("session.timeout.ms").and_then(|millis| millis.parse().ok());
        millis.map_or(SESSION_DEFAULT, Duration::from_millis)
    }
}

impl Kafka {
    /// Are brokers shown a token that somebody else must give first (OAUTHBEARER with OIDC)?
    #[must_use]
    pub fn asks_for_tokens(&self) -> bool {
        self.options.get("sasl.oauthbearer.method").is_some_and(|method| method.eq_ignore_ascii_case("oidc"))
    }
}

/// What happens to this process's partitions when it is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum OnStop {
    /// The group keeps them for it until its session ends.
    Stay,
    /// The group shares them out at once.
    Leave,
}

impl TryFrom<String> for OnStop {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "stay" => Ok(Self::Stay),
            "leave" => Ok(Self::Leave),
            _ => Err(format!("{text:?} is no way to stop; write \"stay\" or \"leave\"")),
        }
    }
}

/// Where reading starts in a partition of which nothing has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// The first record stamped at or after this instant.
    At(Instant),
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words::scalar(deserializer, |scalar| match scalar.text() {
            Some("earliest") => Ok(Self::Earliest),
            Some("latest") => Ok(Self::Latest),
            _ => words::read_instant(scalar)
                .map(Self::At)
                .map_err(|problem| format!("{problem}; or write \"earliest\" or \"latest\"")),
        })
    }
}

/// Topic names, all different, and how missing ones are created.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// Already part of the names below that nobody set.
    pub prefix: String,
    pub input: String,
    pub changes: String,
    pub members: String,
    pub risks: String,
    pub forecasts: String,
    pub dead_letters: String,
    pub changelog: String,
    pub summaries: String,
    pub rules: String,
    /// May missing topics be created?
    pub create: bool,
    /// Copies of each partition; `None` leaves it to the broker, as in what follows.
    #[serde(deserialize_with = "words::unless_zero")]
    pub replication: Option<i32>,
    /// See [`Topics::insync`].
    #[serde(deserialize_with = "words::unless_zero")]
    pub min_insync_replicas: Option<i32>,
    /// Of changes.
    #[serde(deserialize_with = "words::duration")]
    pub retention: Duration,
    #[serde(deserialize_with = "words::duration")]
    pub dead_letter_retention: Duration,
    /// Of compacted topics, in bytes.
    #[serde(deserialize_with = "words::bytes")]
    pub segment_size: u64,
    /// Of compacted topics.
    #[serde(deserialize_with = "words::whole")]
    pub dirty_percent: u32,
}

impl Topics {
    /// Copies that must have a record before it counts as written; `None` leaves it to the broker.
    #[must_use]
    pub fn insync(&self) -> Option<i32> {
        // Of fewer copies than three, two would be all or nearly all: one broker away, and nothing could be written.
        self.min_insync_replicas.or_else(|| self.replication.filter(|copies| *copies >= 3).map(|_| 2))
    }
}

/// A batch ends at the first of these limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    #[serde(deserialize_with = "words::whole")]
    pub max_records: usize,
    #[serde(deserialize_with = "words::duration")]
    pub max_wait: Duration,
    /// Bytes of keys and values.
    #[serde(deserialize_with = "words::bytes")]
    pub max_bytes: u64,
    /// Bytes of one value; a larger one is `oversized`.
    #[serde(deserialize_with = "words::bytes")]
    pub max_record_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub file: PathBuf,
    /// Must an edit of the file that removes more than half of the cohorts be confirmed?
    pub confirm_removal: bool,
}

/// Where state lies and how long a changed customer may stay unwritten. See [`State::writes_each_batch`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub dir: PathBuf,
    /// Events of the partition.
    #[serde(deserialize_with = "words::whole")]
    pub flush_after_events: u64,
    #[serde(deserialize_with = "words::duration")]
    pub flush_after: Duration,
}

impl State {
    /// Is every changed customer written in the batch that changed them?
    #[must_use]
    pub fn writes_each_batch(&self) -> bool {
        self.flush_after_events == 0 || self.flush_after.is_zero()
    }
}

/// What depends on all customers together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranks {
    /// Between two computations of where ranks begin.
    #[serde(deserialize_with = "words::duration")]
    pub refresh: Duration,
    /// How long thresholds wait for partitions that are still loading their history.
    #[serde(deserialize_with = "words::duration")]
    pub wait_for_load: Duration,
}

/// HTTP for Prometheus and health checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    #[serde(deserialize_with = "words::address")]
    pub listen: SocketAddr,
}

/// The admin API. Where it can be reached from outside it has a certificate and at least one token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    #[serde(deserialize_with = "words::listener")]
    pub listen: Listen,
    /// Holds the token that may read.
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub token_file: Option<PathBuf>,
    /// Holds the token that may read and put rules in force.
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub write_token_file: Option<PathBuf>,
    /// The certificate and those of the authorities between, in PEM. Set together with the key.
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub tls_certificate_file: Option<PathBuf>,
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub tls_key_file: Option<PathBuf>,
}

impl Admin {
    /// On a free port of the loopback, without tokens or TLS.
    #[must_use]
    pub fn local() -> Self {
        Self {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            token_file: None,
            write_token_file: None,
            tls_certificate_file: None,
            tls_key_file: None,
        }
    }
}

/// Where the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Off,
    Tcp(SocketAddr),
    /// A socket of this path, for this user alone.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The resident memory of the process, and how it is divided over all lanes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bytes; at least 64 MiB. The 0 of the file is resolved.
    #[serde(deserialize_with = "words::bytes")]
    pub limit: u64,
    /// Neither the operator nor a container set a limit: it is our own default.
    #[serde(skip)]
    pub is_default: bool,
}

/// What a process takes where neither the operator nor a container sets a limit.
const UNBOUND: u64 = 1 << 30;
/// Of the container's limit, since the kernel counts in it what a process cannot: its sockets, and pages of files.
const PERCENT_OF_CONTAINER: u64 = 80;

/// Bytes that a process has resident before it keeps anything: program, threads, connections. Of a small limit they are a
/// large part.
const PROGRAM_BYTES: u64 = 40 << 20;
/// Bytes by which a process may still grow once reading pauses: batches at work, and what is decoded and written of them.
const ON_ITS_WAY_BYTES: u64 = 24 << 20;

impl Memory {
    /// With the limit of the container in place of 0.
    pub(super) fn resolved(self, container: Option<u64>) -> Self {
        match self.limit {
            0 => Self {
                limit: container.map_or(UNBOUND, |bytes| bytes / 100 * PERCENT_OF_CONTAINER),
                is_default: container.is_none(),
            },
            _ => self,
        }
    }

    /// Bytes for customers kept decoded: 30 % of what the program itself leaves.
    #[must_use]
    pub fn customers(self) -> u64 {
        self.percent(30)
    }

    /// Bytes for RocksDB's block cache, index and filter blocks included: 30 % of it.
    #[must_use]
    pub fn block_cache(self) -> u64 {
        self.percent(30)
    }

    /// Bytes for RocksDB's write buffers: 15 % of it.
    #[must_use]
    pub fn write_buffers(self) -> u64 {
        self.percent(15)
    }

    /// Bytes for librdkafka's queues, in and out: 15 % of it.
    #[must_use]
    pub fn queues(self) -> u64 {
        self.percent(15)
    }

    /// Bytes for batches at work, rules and schemas: 10 % of it.
    #[must_use]
    pub fn batches(self) -> u64 {
        self.percent(10)
    }

    /// Resident bytes above which reading pauses: 90 % of the limit, and less of a small one, since what is on its way when
    /// reading stops does not shrink with it.
    #[must_use]
    pub fn pause_above(self) -> u64 {
        self.limit - (self.limit / 10).max(ON_ITS_WAY_BYTES.min(self.limit / 5))
    }

    fn percent(self, percent: u64) -> u64 {
        (self.limit - PROGRAM_BYTES.min(self.limit / 4)) / 100 * percent
    }
}

/// What the clocks mean; part of every decision, `replay`'s included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// How far stream time runs behind the newest event.
    #[serde(deserialize_with = "words::span")]
    pub arrives_within: Span,
    /// How long a partition must have been caught up to become live without a recent event.
    #[serde(deserialize_with = "words::span")]
    pub live_after: Span,
    /// An event older than stream time by more is `too_late`.
    #[serde(deserialize_with = "words::span")]
    pub max_lateness: Span,
    /// An event ahead of the wall clock by more is `future`.
    #[serde(deserialize_with = "words::span")]
    pub max_future_skew: Span,
    /// An event before it is `bad_time`.
    #[serde(deserialize_with = "words::instant")]
    pub earliest: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Automation {
    /// A change decided later than this after its instant is not for automation.
    #[serde(deserialize_with = "words::span")]
    pub max_delay: Span,
    /// Per cent of a partition's customers; 0 switches it off.
    pub surge: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedupe {
    /// Event ids remembered for each customer, at most; 0: none.
    #[serde(deserialize_with = "words::whole")]
    pub ids: usize,
}

/// Where Avro schemas come from and go to.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemas {
    /// `http` or `https` addresses, separated by commas; may hold `user:password@`, so they are not for logs: see
    /// [`Schemas::registry_shown`].
    #[serde(deserialize_with = "words::unless_empty")]
    pub registry: Option<String>,
    /// A secret: the bearer token that the registry is shown.
    #[serde(deserialize_with = "words::unless_empty")]
    pub token: Option<String>,
    /// Authorities that the registry's certificate may be signed by, in PEM; `None`: the public ones.
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub ca: Option<PathBuf>,
    /// Our certificate for the registry, in PEM. Set if and only if `key` is.
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub certificate: Option<PathBuf>,
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub key: Option<PathBuf>,
    /// An `http` address; may hold `user:password@`, so it is not for logs.
    #[serde(deserialize_with = "words::unless_empty")]
    pub proxy: Option<String>,
    /// Are the schemas of the outputs registered, or only looked up?
    pub register: bool,
    pub subjects: SubjectNames,
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub dir: Option<PathBuf>,
    /// How long "not found" is asked again.
    #[serde(deserialize_with = "words::duration")]
    pub retry_for: Duration,
    /// A file in `dir`; see [`Schemas::bare_file`].
    #[serde(deserialize_with = "words::path_unless_empty")]
    pub bare: Option<PathBuf>,
}

/// What the subjects of the outputs' schemas are named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SubjectNames {
    /// `cohort-changes-value`.
    Topic,
    /// `cohortd.CohortChange`.
    Record,
    /// `cohort-changes-cohortd.CohortChange`.
    TopicRecord,
}

impl TryFrom<String> for SubjectNames {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "topic" => Ok(Self::Topic),
            "record" => Ok(Self::Record),
            "topic-record" => Ok(Self::TopicRecord),
            _ => Err(format!("{text:?} names no subjects; write \"topic\", \"record\" or \"topic-record\"")),
        }
    }
}

impl Schemas {
    /// The path of the schema of bare records.
    #[must_use]
    pub fn bare_file(&self) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(self.bare.as_ref()?))
    }

    /// The registry's addresses without credentials, for logs and errors.
    #[must_use]
    pub fn registry_shown(&self) -> Option<String> {
        self.registry.as_deref().map(|registry| dump::masked("schemas.registry", registry).into_owned())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// Directives in `tracing_subscriber`'s form; checked when telemetry starts.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    Text,
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no format; write \"text\" or \"json\"")),
        }
    }
}

/// Values may be secrets: only the names of options are shown.
impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group_id", &self.group_id)
            .field("instance_id", &self.instance_id)
            .field("on_stop", &self.on_stop)
            .field("start", &self.start)
            .field("options", &self.options.keys())
            .finish()
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas")
            .field("registry", &self.registry_shown())
            .field("has_token", &self.token.is_some())
            .field("ca", &self.ca)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("has_proxy", &self.proxy.is_some())
            .field("register", &self.register)
            .field("subjects", &self.subjects)
            .field("dir", &self.dir)
            .field("retry_for", &self.retry_for)
            .field("bare", &self.bare)
            .finish()
    }
}
