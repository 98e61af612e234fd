//! The topics at the start: checked, created if missing, and refused if they would break a guarantee.

mod fit;
mod plan;
mod source_topics;

use std::collections::BTreeMap;
use std::time::Duration;

use super::ending::Ending;
use super::failure::Failure;
use super::pause::{self, pause};
use crate::event::Span;
use crate::gather::SourceTopic;
use crate::kafka::{self, Admin, Brokers, ConnectionProblem, Created, Topic};
use crate::lane::{ClusterFacts, RecordLimits, identity};
use crate::metrics::{Health, Metrics, Retry, Wait, WaitCause};
use crate::settings::{Kafka, Loaded};
use crate::shutdown::Shutdown;
use plan::setting;

pub(super) use fit::{denied, refused as unfit, unseen, weak};
pub(super) use plan::{CHANGELOG, OF_INPUT, Plan, gathered, plans};

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// How often a missing input topic is looked up again.
const MISSING_TRIES: u32 = 3;
/// Attempts to create a topic with more replicas than there are brokers: some may be starting.
const REPLICAS_TRIES: u32 = 6;
/// How often permissions are requested again: brokers that have just started may not know all access lists yet.
const DENIED_TRIES: u32 = 3;
/// A new topic is known to all brokers within this many attempts.
const MADE_TRIES: u32 = 5;
/// How long to wait for the reason why no broker answers.
const LISTEN: Duration = Duration::from_secs(3);
/// How often it must occur: brokers that have just started may not know all users yet.
const REFUSALS: u32 = 2;
/// Kafka's default of `delete.retention.ms`.
const DELETIONS_DEFAULT: Span = Span::DAY;

/// The topics as they were found at the start.
pub(super) struct Prepared {
    pub(super) facts: ClusterFacts,
    /// The topics of sources.
    pub(super) sources: BTreeMap<String, SourceTopic>,
    /// The record limits of the input and of the dead letters, in bytes.
    pub(super) limits: (usize, usize),
}

/// Checks the input topic, or makes it where `sources` are gathered into it; creates or checks the output topics. Waits for
/// brokers, and reports that. `None`: stopped.
pub(super) fn prepare(
    loaded: &Loaded,
    sources: &[String],
    brokers: &Brokers,
    metrics: &Metrics,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<Prepared>, Failure> {
    let (mut outage, mut created, mut impossible) = (Outage::default(), 0, 0);
    let mut backoff = pause::backoff();
    loop {
        match inspect(loaded, sources, brokers) {
            Ok(found) => {
                metrics.brokers_reachable.set(1);
                health.resume(WaitCause::Kafka, None);
                return Ok(Some(found));
            }
            Err(Problem::Waiting { reason, is_away }) => {
                metrics.brokers_reachable.set(0);
                metrics.retries(Retry::Kafka).inc();
                outage.tries += 1;
                let is_unexplained = is_away && !shutdown.is_requested();
                let (reason, problem) =
                    if is_unexplained { explanation(&loaded.settings.kafka, reason) } else { (reason, None) };
                outage.report(loaded, health, &reason, problem.as_ref())?;
            }
            Err(Problem::Made) => {
                created += 1;
                if created > MADE_TRIES {
                    tracing::warn!(tries = created, "Created topics are not visible yet; retrying.");
                }
            }
            Err(Problem::Impossible { failure, tries }) => {
                impossible += 1;
                if impossible >= tries {
                    return Err(failure);
                }
            }
            Err(Problem::Refused(failure)) => return Err(failure),
        }
        if !pause(&mut backoff, shutdown) {
            return Ok(None);
        }
    }
}

/// The attempts so far that no broker answered, or that found one that is not ready.
#[derive(Default)]
struct Outage {
    tries: u32,
    /// How often in a row the connection itself was rejected.
    refusals: u32,
}

impl Outage {
    /// Reports that the start waits for Kafka.
    ///
    /// # Errors
    /// Brokers rejected the connection several times in a row.
    fn report(
        &mut self,
        loaded: &Loaded,
        health: &Health,
        reason: &str,
        problem: Option<&ConnectionProblem>,
    ) -> Result<(), Failure> {
        let (servers, tries) = (&loaded.settings.kafka.bootstrap_servers, self.tries);
        if tries.is_power_of_two() {
            tracing::warn!(servers, reason, tries, "Kafka is not ready; retrying.");
        }
        health.wait(Wait {
            cause: WaitCause::Kafka,
            partition: None,
            detail: format!("the start waits for Kafka at {servers}: {reason}"),
        });
        let Some(ConnectionProblem::Refused(cause)) = problem else {
            self.refusals = 0;
            return Ok(());
        };
        self.refusals += 1;
        if self.refusals < REFUSALS {
            return Ok(());
        }
        let problem = format!("the brokers at {servers} cannot be used: {}", cause.text);
        Err(refusal(loaded, "kafka.options", problem))
    }
}

/// Tries to connect, for a better reason than a timeout.
fn explanation(settings: &Kafka, reason: String) -> (String, Option<ConnectionProblem>) {
    let problem = kafka::diagnose(settings, LISTEN);
    let reason = match &problem {
        Some(ConnectionProblem::Unconnected(words)) => explained(words),
        None if settings.asks_for_tokens() => {
            format!("{reason}; see kafka.options.sasl.oauthbearer.token.endpoint.url, too: it may not answer")
        }
        _ => reason,
    };
    (reason, problem)
}

/// What a machine needs besides a broker that answers.
pub(super) const ADVERTISED: &str =
    "this machine must reach each broker at the address that it advertises (advertised.listeners)";

/// Why no connection is possible, with the setting to check.
pub(super) fn explained(words: &str) -> String {
    if words.contains("OIDC token") {
        return format!("{words}; see kafka.options.sasl.oauthbearer.token.endpoint.url");
    }
    // Brokers of the settings are called so; the others were named by one of those.
    if words.contains("resolve") && !words.contains("/bootstrap: ") {
        return format!("{words}; {ADVERTISED}");
    }
    // A TLS listener closes connections without TLS.
    if words.contains("Disconnected") {
        format!("{words}; see kafka.options.security.protocol, which must be that of the listener")
    } else {
        format!("{words}; see kafka.bootstrap_servers")
    }
}

enum Problem {
    /// Temporary; `is_away`: no broker answers.
    Waiting {
        reason: String,
        is_away: bool,
    },
    /// A topic was just created, and is not known to every broker yet.
    Made,
    /// Permanent if it is still so after some attempts: brokers that have just started may not be up to date.
    Impossible {
        failure: Failure,
        tries: u32,
    },
    Refused(Failure),
}

impl From<kafka::Failure> for Problem {
    fn from(failure: kafka::Failure) -> Self {
        match failure {
            kafka::Failure::Retry(cause) => {
                let is_away = matches!(cause.kind, kafka::Kind::Unreachable | kafka::Kind::TimedOut);
                Self::Waiting { reason: cause.text, is_away }
            }
            failure => Self::Refused(failure.into()),
        }
    }
}

fn inspect(loaded: &Loaded, sources: &[String], brokers: &Brokers) -> Result<Prepared, Problem> {
    let topics = &loaded.settings.topics;
    let admin = Admin::new(&loaded.settings.kafka, brokers)?;
    let cluster_id = admin.cluster_id(ASK)?;
    let mut denials = Vec::new();
    let sources = source_topics::inspect(loaded, sources, &admin, &mut denials)?;
    let Some(input) = admin.topic(&topics.input, ASK)? else {
        let problem = no_input(&topics.input);
        return Err(Problem::Impossible {
            failure: refusal(loaded, "topics.input", problem),
            tries: MISSING_TRIES + 1,
        });
    };
    let log = admin.topic(&topics.changelog, ASK)?;
    if let Some(problem) = log.and_then(|log| repartitioned(&topics.input, &input, &log)) {
        return Err(refused(loaded, "topics.input", problem));
    }
    denials.extend(denial(&topics.input, &denied(OF_INPUT, &input)));
    if let Some(weakness) = unseen(&topics.input, &input) {
        tracing::warn!(topic = topics.input, "{weakness}");
    }
    let mut deletions_kept = DELETIONS_DEFAULT;
    let mut found_bytes = BTreeMap::new();
    for plan in &plans(topics, &input) {
        let found = found_or_made(loaded, &admin, plan)?;
        if let Some(problem) = unfit(plan, &found, &input) {
            return Err(refused(loaded, plan.key, problem));
        }
        denials.extend(denial(plan.name, &denied(plan.needs, &found)));
        for weakness in weak(topics, plan, &found, &input) {
            tracing::warn!(topic = plan.name, "{weakness}");
        }
        if let Some(shown) = fit::deletions_shown(plan, &found) {
            deletions_kept = span(shown);
        }
        found_bytes.extend(setting(&found, "max.message.bytes").map(|bytes| (plan.name, bytes)));
    }
    denials.extend(denied_group(&admin, &loaded.settings.kafka.group_id));
    if !denials.is_empty() {
        let problem = not_allowed(&denials.join(", to "));
        return Err(Problem::Impossible { failure: refusal(loaded, "kafka.options", problem), tries: DENIED_TRIES });
    }
    let limits = RecordLimits::of_topics(topics, |name| found_bytes.get(name).copied());
    let bytes = |found: Option<u64>| usize::try_from(found.unwrap_or(plan::RECORD_BYTES_DEFAULT)).unwrap_or(usize::MAX);
    let record_limits =
        (bytes(setting(&input, "max.message.bytes")), bytes(found_bytes.get(topics.dead_letters.as_str()).copied()));
    let facts = ClusterFacts {
        cluster_id,
        input_id: input.id.unwrap_or_default(),
        partitions: u32::try_from(input.partitions).unwrap_or(0),
        deletions_kept,
        limits,
        marks: None,
    };
    Ok(Prepared { facts, sources, limits: record_limits })
}

/// The topic, created if it is missing.
fn found_or_made(loaded: &Loaded, admin: &Admin, plan: &Plan<'_>) -> Result<Topic, Problem> {
    let Plan { key, name, partitions, .. } = plan;
    if let Some(found) = admin.topic(name, ASK)? {
        return Ok(found);
    }
    if !loaded.settings.topics.create {
        return Err(refused(loaded, key, missing(plan)));
    }
    match plan.with_topic_plan(|made| admin.create(made, ASK)) {
        Ok(Created::New) => tracing::info!(topic = name, partitions, "Created."),
        Ok(Created::Existing) => {}
        Err(failure) => return Err(not_made(loaded, key, failure)),
    }
    match admin.topic(name, ASK) {
        Ok(Some(found)) => Ok(found),
        Ok(None) | Err(kafka::Failure::Retry(_)) => Err(Problem::Made),
        Err(failure) => Err(failure.into()),
    }
}

/// The message about a missing input.
pub(super) fn no_input(name: &str) -> String {
    format!("there is no topic {name} on this cluster; create it, or set the right one")
}

/// The message about a missing topic that is not created.
pub(super) fn missing(plan: &Plan<'_>) -> String {
    format!(
        "there is no topic {} and topics.create is false; create it with {} and {}",
        plan.name,
        match plan.partitions {
            1 => "1 partition".to_owned(),
            partitions => format!("{partitions} partitions"),
        },
        plan.words()
    )
}

/// The message about a changelog with another number of partitions than the input; `None`: they are equal.
pub(super) fn repartitioned(name: &str, input: &Topic, log: &Topic) -> Option<String> {
    let [now, then] = [input, log].map(|topic| u32::try_from(topic.partitions).unwrap_or(0));
    (now != then).then(|| identity::repartitioned(name, now, then))
}

/// The message about a [denied](denial) operation.
pub(super) fn not_allowed(denial: &str) -> String {
    format!("the brokers do not allow this user to {denial}; {}", kafka::GRANT)
}

/// `Write topic x`, `Read and Write topic x`; `None`: nothing is denied.
pub(super) fn denial(name: &str, denied: &[kafka::Operation]) -> Option<String> {
    let words: Vec<String> = denied.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| format!("{} topic {name}", words.join(" and ")))
}

/// The permissions that this user lacks for the group, as far as the brokers report them.
pub(super) fn denied_group(admin: &Admin, group: &str) -> Option<String> {
    let is_denied = match admin.group_permissions(group, ASK) {
        Ok(allowed) => allowed.is_some_and(|allowed| !allowed.contains(&kafka::Operation::Read)),
        Err(kafka::Failure::Fatal(cause)) if cause.kind == kafka::Kind::NotAuthorized => true,
        // Brokers without a coordinator yet, or without support for the request: joining the group will show it.
        Err(_) => false,
    };
    is_denied.then(|| format!("Read group {group}"))
}

/// A topic cannot be created: the brokers' own message.
fn not_made(loaded: &Loaded, key: &str, failure: kafka::Failure) -> Problem {
    let kafka::Failure::Fatal(cause) = failure else { return failure.into() };
    let problem = loaded.refusal(key, format!("{}; {}", cause.text, way_to_make(&cause))).to_string();
    let ending = if cause.kind == kafka::Kind::NotAuthorized { Ending::Access } else { Ending::Topics };
    let failure = Failure::Ended(ending, problem);
    match cause.kind {
        kafka::Kind::Misconfigured => Problem::Impossible { failure, tries: REPLICAS_TRIES },
        _ => Problem::Refused(failure),
    }
}

/// What to do if the brokers do not create a topic.
pub(super) fn way_to_make(cause: &kafka::Cause) -> &'static str {
    match cause.kind {
        kafka::Kind::NotAuthorized => "let this user create topics, or create it and set topics.create = false",
        _ => {
            "set topics.replication to what the cluster has, or create it as the brokers want it and set topics.create = false"
        }
    }
}

fn span(ms: u64) -> Span {
    Span(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn refused(loaded: &Loaded, key: &str, problem: String) -> Problem {
    Problem::Refused(refusal(loaded, key, problem))
}

fn refusal(loaded: &Loaded, key: &str, problem: String) -> Failure {
    let ending = if key == "kafka.options" { Ending::Access } else { Ending::Topics };
    Failure::Ended(ending, loaded.refusal(key, problem).to_string())
}
