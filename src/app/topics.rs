//! The topics at start: found, made where missing, and refused where they would break what rests on them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ending::Ending;
use super::failure::Failure;
use super::pause::{self, pause};
use crate::event::Span;
use crate::kafka::{self, Admin, Brokers, Created, Topic, TopicPlan, Trouble};
use crate::lane::{Found, RecordLimits, identity};
use crate::metrics::{Health, Metrics, Retry, Wait, WaitCause};
use crate::settings::Loaded;
use crate::shutdown::Shutdown;

/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(5);
/// How often a missing input topic is looked for again.
const MISSING_TRIES: u32 = 3;
/// How often a topic is tried to be made that is to have more replicas than there are brokers: some may be about to come.
const REPLICAS_TRIES: u32 = 6;
/// A topic that was made a moment ago is known to all brokers within so many tries.
const MADE_TRIES: u32 = 5;
/// Tries without an answer before it is looked for a reason other than the network.
const UNEXPLAINED_TRIES: u32 = 1;
/// How long a connection is listened to for such a reason.
const LISTEN: Duration = Duration::from_secs(3);
/// How often it must be heard: brokers that have just started may not know everyone yet.
const REFUSALS: u32 = 2;
/// `delete.retention.ms` of the changelog: how long deletions stay visible to a lane that was away.
const CHANGELOG_DELETIONS: &str = "604800000";
/// `delete.retention.ms` of the membership table: how long a sink may be away without missing an exit.
const MEMBERS_DELETIONS: &str = "2592000000";
/// `max.compaction.lag.ms` of the summaries: whoever comes to hold partition 0 reads all of them, and so at most what is in
/// force and about two days of what it took the place of. By default it would be a week's.
const SUMMARIES_LAG: &str = "86400000";
/// What Kafka takes for one record unless told otherwise.
const RECORD_BYTES_DEFAULT: u64 = 1_048_588;
/// What Kafka takes for `delete.retention.ms` unless told otherwise.
const DELETIONS_DEFAULT: Span = Span::DAY;
/// A topic that takes less may be too small for what is written: changes of many words, states of busy customers.
const RECORD_BYTES_FEW: u64 = 128 << 10;
/// The changelog takes records of at least so many bytes: a customer's id of the longest kind, and a small state.
const CHANGELOG_RECORD_BYTES_MIN: u64 = 4 << 10;
/// Headers that are added to a dead letter.
const DEAD_LETTER_OVERHEAD: u64 = 64 << 10;

/// Checks the input topic; makes or checks the output topics. Waits for a broker, visibly. `None`: told to stop.
pub(super) fn prepare(
    loaded: &Loaded,
    brokers: &Brokers,
    metrics: &Metrics,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<Found>, Failure> {
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
                    // Whoever speaks without TLS to a listener that wants it is hung up on.
                    Some(Trouble::Unconnected(words)) if words.contains("Disconnected") => {
                        format!("{words}; see kafka.options.security.protocol, which must be that of the listener")
                    }
                    Some(Trouble::Unconnected(words)) => format!("{words}; see kafka.bootstrap_servers"),
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

/// Key of the setting, name of the topic, its partitions, its settings.
type Plan<'a> = (&'a str, &'a str, i32, Vec<(&'a str, &'a str)>);

fn look(loaded: &Loaded, brokers: &Brokers) -> Result<Found, Problem> {
    let topics = &loaded.settings.topics;
    let admin = Admin::new(&loaded.settings.kafka, brokers)?;
    let cluster_id = admin.cluster_id(ASK)?;
    let Some(input) = admin.topic(&topics.input, ASK)? else {
        let problem = format!("there is no topic {} on this cluster; create it, or name the right one", topics.input);
        return Err(Problem::Impossible {
            failure: refusal(loaded, "topics.input", problem),
            tries: MISSING_TRIES + 1,
        });
    };
    let partitions = input.partitions;
    if let Some(log) = admin.topic(&topics.changelog, ASK)?.filter(|log| log.partitions != partitions) {
        let [now, then] = [partitions, log.partitions].map(|count| u32::try_from(count).unwrap_or(0));
        let problem = identity::repartitioned(&topics.input, now, then);
        return Err(refused(loaded, "topics.input", problem));
    }
    let record_bytes = setting(&input, "max.message.bytes").unwrap_or(RECORD_BYTES_DEFAULT);
    let letters_bytes = (record_bytes + DEAD_LETTER_OVERHEAD).to_string();
    let compact = ("cleanup.policy", "compact");
    let plans: [Plan<'_>; 8] = [
        ("topics.changes", &topics.changes, partitions, vec![("cleanup.policy", "delete")]),
        ("topics.members", &topics.members, partitions, vec![compact, ("delete.retention.ms", MEMBERS_DELETIONS)]),
        ("topics.risks", &topics.risks, partitions, vec![("cleanup.policy", "delete")]),
        ("topics.forecasts", &topics.forecasts, partitions, vec![compact]),
        (
            "topics.dead_letters",
            &topics.dead_letters,
            partitions,
            vec![("cleanup.policy", "delete"), ("max.message.bytes", &letters_bytes)],
        ),
        (
            "topics.changelog",
            &topics.changelog,
            partitions,
            vec![compact, ("delete.retention.ms", CHANGELOG_DELETIONS)],
        ),
        ("topics.summaries", &topics.summaries, partitions, vec![compact, ("max.compaction.lag.ms", SUMMARIES_LAG)]),
        ("topics.rules", &topics.rules, 1, vec![compact]),
    ];
    let mut deletions_kept = DELETIONS_DEFAULT;
    let mut found_bytes = BTreeMap::new();
    for (key, name, partitions, wanted) in &plans {
        let found = match admin.topic(name, ASK)? {
            Some(found) => found,
            None if topics.create => {
                let replicas = topics.replication.and_then(|count| u16::try_from(count).ok());
                let plan = TopicPlan { name, partitions: *partitions, replicas, settings: wanted };
                match admin.create(&plan, ASK) {
                    Ok(Created::Now) => tracing::info!(topic = name, partitions, "Created."),
                    Ok(Created::Before) => {}
                    Err(failure) => return Err(not_made(loaded, key, failure)),
                }
                match admin.topic(name, ASK) {
                    Ok(Some(found)) => found,
                    Ok(None) | Err(kafka::Failure::Retry(_)) => return Err(Problem::Made),
                    Err(failure) => return Err(failure.into()),
                }
            }
            None => {
                let problem = format!(
                    "there is no topic {name} and topics.create is false; create it with {partitions} partitions and {}",
                    words(wanted)
                );
                return Err(refused(loaded, key, problem));
            }
        };
        check(loaded, key, name, *partitions, &found, &input, wanted)?;
        if *key == "topics.changelog" {
            deletions_kept = setting(&found, "delete.retention.ms").map_or(DELETIONS_DEFAULT, span);
        }
        warn_of_weak(loaded, name, &found, &input, wanted);
        if let Some(bytes) = setting(&found, "max.message.bytes") {
            found_bytes.insert(*name, bytes);
            if bytes < RECORD_BYTES_FEW && *key != "topics.rules" {
                tracing::warn!(
                    topic = name,
                    bytes,
                    "The topic takes small records only (max.message.bytes); what is larger goes to the dead letters."
                );
            }
        }
    }
    let limits = RecordLimits::of_topics(topics, |name| found_bytes.get(name).copied());
    Ok(Found {
        cluster_id,
        input_id: input.id.unwrap_or_default(),
        partitions: u32::try_from(input.partitions).unwrap_or(0),
        deletions_kept,
        limits,
    })
}

/// A topic cannot be made: in the brokers' own words.
fn not_made(loaded: &Loaded, key: &str, failure: kafka::Failure) -> Problem {
    let kafka::Failure::Fatal(cause) = failure else { return failure.into() };
    let way_on = match cause.kind {
        kafka::Kind::NotAuthorized => "let this user create topics, or create it and set topics.create = false",
        _ => {
            "set topics.replication to what the cluster has, or create it as the brokers want it and set topics.create = false"
        }
    };
    let problem = loaded.refusal(key, format!("{}; {way_on}", cause.text)).to_string();
    let ending = if cause.kind == kafka::Kind::NotAuthorized { Ending::Access } else { Ending::Topics };
    let failure = Failure::Ended(ending, problem);
    match cause.kind {
        kafka::Kind::Misconfigured => Problem::Impossible { failure, tries: REPLICAS_TRIES },
        _ => Problem::Refused(failure),
    }
}

fn check(
    loaded: &Loaded,
    key: &str,
    name: &str,
    partitions: i32,
    found: &Topic,
    input: &Topic,
    wanted: &[(&str, &str)],
) -> Result<(), Problem> {
    if found.partitions != partitions && key == "topics.rules" {
        let problem = format!(
            "topic {name} has {} partitions and needs 1, since versions have one order; make it anew, or name another",
            found.partitions
        );
        return Err(refused(loaded, key, problem));
    }
    if found.partitions != partitions {
        let problem = format!(
            "topic {name} has {} partitions and the input {}; outputs go to their input's partition, so make it anew \
             with as many, or name another",
            found.partitions, input.partitions
        );
        return Err(refused(loaded, key, problem));
    }
    let Some(policy) = found.settings.get("cleanup.policy") else { return Ok(()) };
    let needed = wanted.iter().find(|(name, _)| *name == "cleanup.policy").map_or("delete", |(_, value)| *value);
    // A topic that also deletes by age loses states that nothing else holds.
    let fits = if needed == "compact" { policy == "compact" } else { !policy.contains("compact") };
    if !fits {
        let problem =
            format!("topic {name} has cleanup.policy={policy} and needs {needed}; change it, or name another");
        return Err(refused(loaded, key, problem));
    }
    let bytes = |topic: &Topic| setting(topic, "max.message.bytes").unwrap_or(RECORD_BYTES_DEFAULT);
    if key == "topics.changelog" && bytes(found) < CHANGELOG_RECORD_BYTES_MIN {
        let problem = format!(
            "topic {name} has max.message.bytes={} and needs {CHANGELOG_RECORD_BYTES_MIN} at the least, since customers would \
             be kept without their past; raise it (Kafka's default is {RECORD_BYTES_DEFAULT})",
            bytes(found)
        );
        return Err(refused(loaded, key, problem));
    }
    if key == "topics.dead_letters" && bytes(found) < bytes(input) {
        tracing::warn!(
            topic = name,
            takes = bytes(found),
            input = bytes(input),
            wanted = bytes(input) + DEAD_LETTER_OVERHEAD,
            "The topic takes smaller records than the input (max.message.bytes); larger dead letters are cut."
        );
    }
    Ok(())
}

/// Says what an existing topic lacks that will be missed in a bad moment.
fn warn_of_weak(loaded: &Loaded, name: &str, found: &Topic, input: &Topic, wanted: &[(&str, &str)]) {
    let replicas = loaded.settings.topics.replication.and_then(|count| usize::try_from(count).ok());
    let needed = replicas.unwrap_or(input.replicas);
    if found.replicas < needed {
        tracing::warn!(
            topic = name,
            replicas = found.replicas,
            needed,
            "The topic has fewer replicas than {}: losing brokers that the input survives would lose it.",
            if replicas.is_some() { "topics.replication asks for" } else { "the input" }
        );
    }
    for (key, ms) in wanted.iter().filter(|(key, _)| *key == "delete.retention.ms") {
        let (kept, needed) = (setting(found, key), ms.parse().unwrap_or(0));
        if let Some(kept) = kept.filter(|kept| *kept < needed) {
            tracing::warn!(
                topic = name,
                "delete.retention.ms is {kept}, and {needed} would be right: deletions are shown for that long, to whoever \
                 was away (a local copy older than half of it is made anew)."
            );
        }
    }
}

fn span(ms: u64) -> Span {
    Span(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn setting(topic: &Topic, name: &str) -> Option<u64> {
    topic.settings.get(name)?.parse().ok()
}

fn words(settings: &[(&str, &str)]) -> String {
    settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

fn refused(loaded: &Loaded, key: &str, problem: String) -> Problem {
    Problem::Refused(refusal(loaded, key, problem))
}

fn refusal(loaded: &Loaded, key: &str, problem: String) -> Failure {
    let ending = if key == "kafka.options" { Ending::Access } else { Ending::Topics };
    Failure::Ended(ending, loaded.refusal(key, problem).to_string())
}
