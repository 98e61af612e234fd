//! The options of each kind of client, in three layers: our defaults, the operator's options, and those that the
//! guarantee depends on. Settings reject operator options of the last kind when they are loaded; here ours simply win.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::settings::Kafka;

/// The transaction timeout, unless the operator sets one. It bounds how long readers of a dead process's partitions
/// wait, and the longest batch.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// `max.poll.interval.ms`. The group waits as long for each member that does not rejoin in a rebalance, which
/// librdkafka was seen to miss after the answer to an earlier one had been lost. Its default is 5 minutes.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// The shortest session timeout that a broker accepts by default.
const TEMPORARY_SESSION: Duration = Duration::from_secs(6);

/// The interval of statistics of the clients that read and write events: shorter than the usual scrape interval.
const STATISTICS_EVERY: &str = "5000";

/// librdkafka's aliases. It applies options in no defined order, so only one of the two names may be set.
const ALIASES: [(&str, &str); 9] = [
    ("bootstrap.servers", "metadata.broker.list"),
    ("acks", "request.required.acks"),
    ("enable.auto.commit", "auto.commit.enable"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("retries", "message.send.max.retries"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("message.timeout.ms", "delivery.timeout.ms"),
];

/// The overhead of a record besides its value: key, headers, framing.
const RECORD_OVERHEAD: usize = 64 << 10;

pub(super) const MIB: usize = 1 << 20;

/// An answer is so small a part of its half of the memory, as it is on the wire: decompressed it is several times as large.
const ANSWER_PART: usize = 4;
/// Bytes of one partition in an answer, at least; of a larger batch a broker sends the whole.
const PARTITION_MIN: usize = 64 << 10;

/// librdkafka's own `batch.size`.
const BATCH_BYTES_DEFAULT: usize = 1_000_000;

/// Limits of the size of what is written, in bytes before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of one value.
    pub record: usize,
    /// Of a batch: no more than the smallest `max.message.bytes` of the topics written to, or a topic would reject a
    /// batch although it accepts each of its records.
    pub batch: usize,
}

impl Sizes {
    /// Values of up to `record` bytes, for topics with default settings.
    #[must_use]
    pub fn of_records(record: usize) -> Self {
        Self { record, batch: BATCH_BYTES_DEFAULT }
    }
}

/// Which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Of transactions only those that are committed.
    Committed,
    /// Also those of transactions that are open, or were aborted.
    All,
}

/// Options by their name in librdkafka.
type Options = Vec<(&'static str, String)>;

/// `<group>-<instance>`: the client id in the brokers' logs and quotas, and the transactional id.
pub(super) fn identity(settings: &Kafka) -> String {
    format!("{}-{}", settings.group_id, settings.instance_id)
}

fn options<const N: usize>(pairs: [(&'static str, &str); N]) -> Options {
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn layered(settings: &Kafka, good: Options, fixed: Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    // If the operator turns on debug output, it should be visible.
    let details = settings.options.contains_key("debug");
    config.set_log_level(if details { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
    let common = options([
        ("reconnect.backoff.max.ms", "2000"),
        ("socket.keepalive.enable", "true"),
        ("enable.metrics.push", "false"),
    ]);
    for (name, value) in common.into_iter().chain(good) {
        config.set(name, value);
    }
    for (name, value) in &settings.options {
        set_only(&mut config, name, value);
    }
    let always = [
        ("bootstrap.servers", settings.bootstrap_servers.clone()),
        ("client.id", identity(settings)),
        // An automatically created topic would have the wrong partitions and policy.
        ("allow.auto.create.topics", "false".to_owned()),
    ];
    for (name, value) in always.into_iter().chain(fixed) {
        set_only(&mut config, name, &value);
    }
    config
}

/// Sets an option and removes its alias.
fn set_only(config: &mut ClientConfig, name: &str, value: &str) {
    for (one, other) in ALIASES {
        if name == one {
            config.remove(other);
        } else if name == other {
            config.remove(one);
        }
    }
    config.set(name, value);
}

fn reading(settings: &Kafka, isolation: &str) -> Options {
    options([
        // A client that only assigns never joins the group, but librdkafka requires a group id to assign.
        ("group.id", &settings.group_id),
        ("isolation.level", isolation),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        // The default is to jump to the end silently.
        ("auto.offset.reset", "error"),
        ("enable.partition.eof", "true"),
        ("check.crcs", "true"),
    ])
}

/// Splits `bytes` between the fetch queue and one answer on top of it. An answer is limited as it is on the wire, and is
/// decompressed as a whole; one partition has at most the `partition_part`-th part of its half in it. A request that finds no records is held by the broker for `wait_ms`, and a partition that is added, sought or resumed
/// meanwhile waits too.
fn fetching(bytes: usize, partition_part: usize, wait_ms: &str) -> Options {
    let half = (bytes / 2).clamp(MIB, 48 * MIB);
    let partition = (half / partition_part).clamp(PARTITION_MIN, 32 * MIB / partition_part);
    vec![
        // A topic that was hidden by missing permissions is looked up again as often; the default is five minutes.
        ("topic.metadata.refresh.interval.ms", "10000".to_owned()),
        ("queued.max.messages.kbytes", (half / 1024).to_string()),
        // librdkafka takes no less.
        ("fetch.max.bytes", (half / ANSWER_PART).max(MIB).to_string()),
        ("fetch.message.max.bytes", partition.to_string()),
        // The default, a second, stalls a fast reader each time the queue was full.
        ("fetch.queue.backoff.ms", "5".to_owned()),
        ("fetch.wait.max.ms", wait_ms.to_owned()),
    ]
}

/// The protocol of KIP-848, in which the broker assigns.
fn is_newer_protocol(settings: &Kafka) -> bool {
    settings.options.get("group.protocol").is_some_and(|protocol| protocol == "consumer")
}

/// A member of the group.
pub(super) fn member(settings: &Kafka, bytes: usize) -> ClientConfig {
    let mut fixed = reading(settings, "read_committed");
    // Without an instance id the member leaves the group when it closes: right for a command.
    if !settings.instance_id.is_empty() {
        fixed.push(("group.instance.id", settings.instance_id.clone()));
    }
    // The newer protocol assigns on the broker's side and takes no strategy.
    if !is_newer_protocol(settings) {
        fixed.push(("partition.assignment.strategy", "cooperative-sticky".to_owned()));
    }
    let mut good = fetching(bytes, 32, "100");
    good.push(("statistics.interval.ms", STATISTICS_EVERY.to_owned()));
    // It must not be shorter than the session timeout.
    good.push(("max.poll.interval.ms", POLL_INTERVAL.max(settings.session()).as_millis().to_string()));
    layered(settings, good, fixed)
}

/// A member without an instance id that joins and leaves. Should it die in between, the group waits for its session
/// timeout, so that is as short as brokers allow by default (`group.min.session.timeout.ms`).
pub(super) fn temporary_member(settings: &Kafka) -> ClientConfig {
    let mut config = member(settings, 2 * MIB);
    config.remove("group.instance.id");
    config.set("client.id", format!("{}-rebalance", identity(settings)));
    if is_newer_protocol(settings) {
        // There the broker sets it.
        return config;
    }
    config.set("session.timeout.ms", settings.session().min(TEMPORARY_SESSION).as_millis().to_string());
    config
}

/// A reader of assigned partitions.
pub(super) fn reader(settings: &Kafka, isolation: Isolation, bytes: usize) -> ClientConfig {
    let isolation = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::All => "read_uncommitted",
    };
    // One partition after the other: larger answers, fewer round trips, no waiting at the end of a partition.
    layered(settings, fetching(bytes, 4, "10"), reading(settings, isolation))
}

/// A reader that follows many partitions.
pub(super) fn follower(settings: &Kafka, bytes: usize) -> ClientConfig {
    layered(settings, fetching(bytes, 32, "500"), reading(settings, "read_committed"))
}

/// A client that requests offsets, including those of open transactions.
pub(super) fn observer(settings: &Kafka) -> ClientConfig {
    let mut config = layered(settings, Vec::new(), reading(settings, "read_uncommitted"));
    config.remove("group.id");
    config
}

/// A client for admin requests.
pub(super) fn admin(settings: &Kafka) -> ClientConfig {
    layered(settings, Vec::new(), Vec::new())
}

fn writing(bytes: usize) -> (Options, Options) {
    let good = options([
        // The cheapest codec to decompress, and a restore decompresses all of the changelog; every Kafka client
        // supports it.
        ("compression.type", "lz4"),
        // Batches records sent while a batch is being processed. A flush does not wait for it.
        ("linger.ms", "5"),
        // Topics are created before they are written to: one that is unknown by then does not exist, and a transaction
        // should notice that before it times out.
        ("topic.metadata.propagation.max.ms", "3000"),
    ]);
    let fixed = vec![
        ("enable.idempotence", "true".to_owned()),
        ("acks", "all".to_owned()),
        // What was delivered is counted where the answer is read.
        ("delivery.report.only.error", "true".to_owned()),
        ("queue.buffering.max.kbytes", (bytes / 1024).clamp(1024, 2_097_151).to_string()),
        // The limit is in bytes; the default of 100,000 records would be reached first when they are small.
        ("queue.buffering.max.messages", "1000000".to_owned()),
    ];
    (good, fixed)
}

/// A transactional producer and its transaction timeout.
pub(super) fn transactional(settings: &Kafka, bytes: usize, sizes: Sizes) -> (ClientConfig, Duration) {
    let (mut good, mut fixed) = writing(bytes);
    good.push(("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string()));
    good.push(("statistics.interval.ms", STATISTICS_EVERY.to_owned()));
    fixed.push(("transactional.id", identity(settings)));
    // A queue smaller than a record could never accept it.
    let queue = bytes.max(sizes.record + RECORD_OVERHEAD);
    fixed.push(("queue.buffering.max.kbytes", (queue / 1024 + 1).clamp(1024, 2_097_151).to_string()));
    good.push(("batch.size", sizes.batch.clamp(1, BATCH_BYTES_DEFAULT).to_string()));
    fixed.push(("message.max.bytes", (sizes.record + RECORD_OVERHEAD).clamp(1_000_000, 1_000_000_000).to_string()));
    let config = layered(settings, good, fixed);
    let timeout = config.get("transaction.timeout.ms").and_then(|millis| millis.parse().ok());
    (config, timeout.map_or(TRANSACTION_TIMEOUT, Duration::from_millis))
}

/// A producer without transactions.
pub(super) fn plain(settings: &Kafka, bytes: usize) -> ClientConfig {
    let (good, fixed) = writing(bytes);
    layered(settings, good, fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{OnStop, Start};

    fn settings(options: &[(&str, &str)]) -> Kafka {
        Kafka {
            bootstrap_servers: "localhost:9092".to_owned(),
            group_id: "g".to_owned(),
            instance_id: "host-0".to_owned(),
            on_stop: OnStop::Stay,
            start: Start::Earliest,
            options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn every_client_is_accepted_by_librdkafka() {
        let settings = settings(&[("session.timeout.ms", "6000")]);
        for config in [
            member(&settings, 64 << 20),
            temporary_member(&settings),
            reader(&settings, Isolation::Committed, 64 << 20),
            reader(&settings, Isolation::All, 64 << 20),
            follower(&settings, 8 << 20),
            observer(&settings),
            admin(&settings),
            transactional(&settings, 64 << 20, Sizes::of_records(1 << 20)).0,
            plain(&settings, 64 << 20),
        ] {
            config.create_native_config().unwrap();
        }
    }

    #[test]
    fn the_operator_may_tune_under_either_name() {
        let settings = settings(&[("transaction.timeout.ms", "3000"), ("queue.buffering.max.ms", "50")]);
        let (config, timeout) = transactional(&settings, 1 << 20, Sizes::of_records(1 << 20));
        assert_eq!(timeout, Duration::from_secs(3));
        assert_eq!((config.get("queue.buffering.max.ms"), config.get("linger.ms")), (Some("50"), None));
    }

    #[test]
    fn the_guarantee_is_not_tunable() {
        let settings = settings(&[("isolation.level", "read_uncommitted"), ("request.required.acks", "1")]);
        assert_eq!(member(&settings, 1 << 20).get("isolation.level"), Some("read_committed"));
        let config = plain(&settings, 1 << 20);
        assert_eq!((config.get("acks"), config.get("request.required.acks")), (Some("all"), None));
    }
}
