//! Every section, typed: what each value means to the modules that take it. What a person should know stands in the
//! manual.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::event::{Instant, Span};

use super::listen::Listen;
use super::memory::Memory;
use super::schemas::Schemas;
use super::values;

/// Everything that can be set. Constructors elsewhere take the narrow section they need.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Threads that read and decide: at most [`LANES_MAX`]; the 0 of the file is resolved, and so is its "none", which is 0
    /// here.
    #[serde(deserialize_with = "values::lanes")]
    pub lanes: usize,
    pub kafka: Kafka,
    pub topics: Topics,
    pub gather: Gather,
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
            _ => Err(format!("{text:?} is not a valid value; write \"stay\" or \"leave\"")),
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
        values::scalar(deserializer, |scalar| match scalar.text() {
            Some("earliest") => Ok(Self::Earliest),
            Some("latest") => Ok(Self::Latest),
            _ => values::read_instant(scalar)
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
    /// What sources are gathered into; then the input, too.
    pub events: String,
    pub marks: String,
    /// May missing topics be created?
    pub create: bool,
    /// Copies of each partition; `None` leaves it to the broker, as in what follows.
    #[serde(deserialize_with = "values::unless_zero")]
    pub replication: Option<i32>,
    /// See [`Topics::insync`].
    #[serde(deserialize_with = "values::unless_zero")]
    pub min_insync_replicas: Option<i32>,
    /// Of changes.
    #[serde(deserialize_with = "values::duration")]
    pub retention: Duration,
    #[serde(deserialize_with = "values::duration")]
    pub dead_letter_retention: Duration,
    /// Of the events that are gathered.
    #[serde(deserialize_with = "values::duration")]
    pub events_keep: Duration,
    /// Of the events that are gathered, if it is made here; `None`: as many as the source with the most.
    #[serde(deserialize_with = "values::unless_zero")]
    pub events_partitions: Option<i32>,
    /// Of compacted topics, in bytes.
    #[serde(deserialize_with = "values::bytes")]
    pub segment_size: u64,
    /// Of compacted topics.
    #[serde(deserialize_with = "values::whole")]
    pub dirty_percent: u32,
}

impl Topics {
    /// The topics with a partition for each of the input's that this group writes: all its own but `rules`.
    #[must_use]
    pub fn outputs(&self) -> [&str; 7] {
        [
            &self.changes,
            &self.members,
            &self.risks,
            &self.forecasts,
            &self.dead_letters,
            &self.changelog,
            &self.summaries,
        ]
    }

    /// Copies that must have a record before it counts as written; `None` leaves it to the broker.
    #[must_use]
    pub fn insync(&self) -> Option<i32> {
        // Of fewer copies than three, two would be all or nearly all: one broker away, and nothing could be written.
        self.min_insync_replicas.or_else(|| self.replication.filter(|copies| *copies >= 3).map(|_| 2))
    }
}

/// Gathering records of any topics and schemas into one log of events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gather {
    /// The file that says which topics, and how their records become events; `None`: the input is read directly.
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub sources: Option<PathBuf>,
    /// Threads that gather.
    #[serde(deserialize_with = "values::whole")]
    pub lanes: usize,
}

/// A batch ends at the first of these limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    #[serde(deserialize_with = "values::whole")]
    pub max_records: usize,
    #[serde(deserialize_with = "values::duration")]
    pub max_wait: Duration,
    /// Bytes of keys and values.
    #[serde(deserialize_with = "values::bytes")]
    pub max_bytes: u64,
    /// Bytes of one value; a larger one is `oversized`.
    #[serde(deserialize_with = "values::bytes")]
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
    #[serde(deserialize_with = "values::whole")]
    pub flush_after_events: u64,
    #[serde(deserialize_with = "values::duration")]
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
    #[serde(deserialize_with = "values::duration")]
    pub refresh: Duration,
    /// How long thresholds wait for partitions that are still loading their history.
    #[serde(deserialize_with = "values::duration")]
    pub wait_for_load: Duration,
}

/// HTTP for Prometheus and health checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
}

/// The admin API. Where it can be reached from outside it has a certificate and at least one token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    #[serde(deserialize_with = "values::listener")]
    pub listen: Listen,
    /// Holds the token that may read.
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub token_file: Option<PathBuf>,
    /// Holds the token that may read and put rules in force.
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub write_token_file: Option<PathBuf>,
    /// The certificate and those of the authorities between, in PEM. Set together with the key.
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub tls_certificate_file: Option<PathBuf>,
    #[serde(deserialize_with = "values::path_unless_empty")]
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

/// What the clocks mean; part of every decision, `replay`'s included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// How far stream time runs behind the newest event.
    #[serde(deserialize_with = "values::span")]
    pub arrives_within: Span,
    /// How long a partition must have been caught up to become live without a recent event.
    #[serde(deserialize_with = "values::span")]
    pub live_after: Span,
    /// An event older than stream time by more is `too_late`. Also how long event ids are remembered.
    #[serde(deserialize_with = "values::span")]
    pub max_lateness: Span,
    /// An event ahead of the wall clock by more is `future`.
    #[serde(deserialize_with = "values::span")]
    pub max_future_skew: Span,
    /// An event before it is `bad_time`.
    #[serde(deserialize_with = "values::instant")]
    pub earliest: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Automation {
    /// A change decided later than this after its instant is not for automation.
    #[serde(deserialize_with = "values::span")]
    pub max_delay: Span,
    /// Per cent of a partition's customers; 0 switches it off.
    pub surge: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedupe {
    /// Event ids remembered for each customer, at most; 0: none.
    #[serde(deserialize_with = "values::whole")]
    pub ids: usize,
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
            _ => Err(format!("{text:?} is not a valid log format; write \"text\" or \"json\"")),
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
