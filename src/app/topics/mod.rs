//! The topics at start: found, made where missing, and refused where they would break what rests on them.

mod fit;
mod plan;

use std::collections::BTreeMap;
use std::time::Duration;

use super::ending::Ending;
use super::failure::Failure;
use super::pause::{self, pause};
use crate::event::Span;
use crate::kafka::{self, Admin, Brokers, Created, Topic, Trouble};
use crate::lane::{ClusterFacts, RecordLimits, identity};
use crate::metrics::{Health, Metrics, Retry, Wait, WaitCause};
use crate::settings::Loaded;
use crate::shutdown::Shutdown;
use plan::setting;

pub(super) use fit::{denied, refused as unfit, unseen, weak};
pub(super) use plan::{CHANGELOG, OF_INPUT, Plan, plans};

/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(5);
/// How often a missing input topic is looked for again.
const MISSING_TRIES: u32 = 3;
/// How often a topic is tried to be made that is to have more replicas than there are brokers: some may be about to come.
const REPLICAS_TRIES: u32 = 6;
/// How often brokers are asked again what they allow: such as have just started may not know all access lists yet.
const DENIED_TRIES: u32 = 3;
/// A topic that was made a moment ago is known to all brokers within so many tries.
const MADE_TRIES: u32 = 5;
/// Tries without an answer before it is looked for a reason other than the network.
const UNEXPLAINED_TRIES: u32 = 1;
/// How long a connection is listened to for such a reason.
const LISTEN: Duration = Duration::from_secs(3);
/// How often it must be heard: brokers that have just started may not know everyone yet.
const REFUSALS: u32 = 2;
/// What Kafka takes for `delete.retention.ms` unless told otherwise.
const DELETIONS_DEFAULT: Span = Span::DAY;

/// Checks the input topic; makes or checks the output topics. Waits for a broker, visibly. `None`: told to stop.
pub(super) fn prepare(
    loaded: &Loaded,
    brokers: &Brokers,
    metrics: &Metrics,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<ClusterFacts>, Failure> {
    let (mut tries, mut made, mut impossible, mut refusals) = (0_u32, 0, 0, 0);
    let kafka = &loaded.settings.kafka;
    let mut backoff = pause::backoff();
    loop {
        match look(loaded, brokers) {
            Ok(found) => {
                metrics.brokers_reachable.set(1);
                health.resume(WaitCause::Kafka, None);
                return Ok(Some(found));
            }
            Err(Problem::Waiting { reason, is_away }) => {
                metrics.brokers_reachable.set(0);
                metrics.retries(Retry::Kafka).inc();
                tries += 1;
                let servers = &kafka.bootstrap_servers;
                let is_unexplained = is_away && tries > UNEXPLAINED_TRIES && !shutdown.is_requested();
                let trouble = if is_unexplained { kafka::trouble(kafka, LISTEN) } else { None };
                let reason = match &trouble {
                    Some(Trouble::Unconnected(words)) => explained(words),
                    None if is_unexplained && kafka.asks_for_tokens() => {
                        format!(
                            "{reason}; see kafka.options.sasl.oauthbearer.token.endpoint.url, too: it may not answer"
                        )
                    }
                    _ => reason,
                };
                if tries.is_power_of_two() {
                    tracing::warn!(servers, reason, tries, "Kafka is not ready; trying again.");
                }
                health.wait(Wait {
                    cause: WaitCause::Kafka,
                    partition: None,
                    detail: format!("the start waits for Kafka at {servers}: {reason}"),
                });
                if let Some(Trouble::Refused(cause)) = &trouble {
                    refusals += 1;
                    if refusals >= REFUSALS {
                        let problem = format!("the brokers at {servers} cannot be used: {}", cause.text);
                        return Err(refusal(loaded, "kafka.options", problem));
                    }
                } else {
                    refusals = 0;
                }
            }
            Err(Problem::Made) => {
                made += 1;
                if made > MADE_TRIES {
                    tracing::warn!(tries = made, "Topics that were made are not there yet; looking again.");
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

/// Why no connection is made, with the setting to look at.
pub(super) fn explained(words: &str) -> String {
    if words.contains("OIDC token") {
        return format!("{words}; see kafka.options.sasl.oauthbearer.token.endpoint.url");
    }
    // Whoever speaks without TLS to a listener that wants it is hung up on.
    if words.contains("Disconnected") {
        format!("{words}; see kafka.options.security.protocol, which must be that of the listener")
    } else {
        format!("{words}; see kafka.bootstrap_servers")
    }
}

enum Problem {
    /// What passes by itself; `is_away`: no broker answers.
    Waiting {
        reason: String,
        is_away: bool,
    },
    /// A topic was made a moment ago, and is not known to every broker yet.
    Made,
    /// What only a person can change if it is still so after some tries: brokers that have just started may not know yet.
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

fn look(loaded: &Loaded, brokers: &Brokers) -> Result<ClusterFacts, Problem> {
    let topics = &loaded.settings.topics;
    let admin = Admin::new(&loaded.settings.kafka, brokers)?;
    let cluster_id = admin.cluster_id(ASK)?;
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
    let mut denials = Vec::new();
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
    Ok(ClusterFacts {
        cluster_id,
        input_id: input.id.unwrap_or_default(),
        partitions: u32::try_from(input.partitions).unwrap_or(0),
        deletions_kept,
        limits,
    })
}

/// The topic as it is, made where it is missing.
fn found_or_made(loaded: &Loaded, admin: &Admin, plan: &Plan<'_>) -> Result<Topic, Problem> {
    let Plan { key, name, partitions, .. } = plan;
    if let Some(found) = admin.topic(name, ASK)? {
        return Ok(found);
    }
    if !loaded.settings.topics.create {
        return Err(refused(loaded, key, missing(plan)));
    }
    match plan.made_by(|made| admin.create(made, ASK)) {
        Ok(Created::Now) => tracing::info!(topic = name, partitions, "Created."),
        Ok(Created::Before) => {}
        Err(failure) => return Err(not_made(loaded, key, failure)),
    }
    match admin.topic(name, ASK) {
        Ok(Some(found)) => Ok(found),
        Ok(None) | Err(kafka::Failure::Retry(_)) => Err(Problem::Made),
        Err(failure) => Err(failure.into()),
    }
}

/// What is to be said of an input that is not there.
pub(super) fn no_input(name: &str) -> String {
    format!("there is no topic {name} on this cluster; create it, or name the right one")
}

/// What is to be said of a topic that is not there, and is not made.
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

/// What is to be said of a changelog with another number of partitions than the input; `None`: it has as many.
pub(super) fn repartitioned(name: &str, input: &Topic, log: &Topic) -> Option<String> {
    let [now, then] = [input, log].map(|topic| u32::try_from(topic.partitions).unwrap_or(0));
    (now != then).then(|| identity::repartitioned(name, now, then))
}

/// What is to be said where something is [denied](denial).
pub(super) fn not_allowed(denial: &str) -> String {
    format!("the brokers do not allow this user to {denial}; {}", kafka::GRANT)
}

/// `Write topic x`, `Read and Write topic x`; `None`: nothing is denied.
pub(super) fn denial(name: &str, denied: &[kafka::Operation]) -> Option<String> {
    let words: Vec<String> = denied.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| format!("{} topic {name}", words.join(" and ")))
}

/// What this user lacks to be a member of the group, as far as the brokers say.
pub(super) fn denied_group(admin: &Admin, group: &str) -> Option<String> {
    let is_denied = match admin.group_permissions(group, ASK) {
        Ok(allowed) => allowed.is_some_and(|allowed| !allowed.contains(&kafka::Operation::Read)),
        Err(kafka::Failure::Fatal(cause)) if cause.kind == kafka::Kind::NotAuthorized => true,
        // Brokers without a coordinator yet, or that do not know the question: whoever joins will hear.
        Err(_) => false,
    };
    is_denied.then(|| format!("Read group {group}"))
}

/// A topic cannot be made: in the brokers' own words.
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

/// What to do about a topic that the brokers do not make.
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
