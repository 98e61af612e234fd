//! The options of each kind of client. What the guarantee rests on is fixed here; the operator's options come last and
//! may change anything else.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::failure::{Cause, Kind};
use crate::settings::Kafka;

/// How long a transaction may be open. It bounds how long the readers of a dead process's partitions wait, and the
/// longest batch. `transaction.timeout.ms` among the options changes it.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A full fetch queue is looked at again after this many milliseconds. librdkafka's default of a second starves a fast
/// reader whenever it reaches its limit.
const FETCH_BACKOFF_MS: &str = "5";

/// Options that are set by this program, or that would break exactly-once, with the reason told to the operator.
const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set kafka.bootstrap_servers"),
    ("metadata.broker.list", "set kafka.bootstrap_servers"),
    ("group.id", "set kafka.group_id"),
    ("group.instance.id", "set kafka.instance_id"),
    ("transactional.id", "it follows from kafka.group_id and kafka.instance_id, so that a restart ends what was open"),
    ("enable.auto.commit", "offsets are committed only in the transaction that writes their results"),
    ("auto.commit.enable", "offsets are committed only in the transaction that writes their results"),
    ("enable.auto.offset.store", "offsets are committed only in the transaction that writes their results"),
    ("offset.store.method", "offsets are committed only in the transaction that writes their results"),
    ("isolation.level", "an uncommitted record may never have happened"),
    ("auto.offset.reset", "a silent jump loses or repeats events; set kafka.start for the first start"),
    ("enable.partition.eof", "the end of a partition drives the clock"),
    ("enable.idempotence", "retries would duplicate or reorder records"),
    ("enable.gapless.guarantee", "retries would duplicate or reorder records"),
    ("max.in.flight", "retries would duplicate or reorder records"),
    ("max.in.flight.requests.per.connection", "retries would duplicate or reorder records"),
    ("retries", "a record given up is an aborted batch"),
    ("message.send.max.retries", "a record given up is an aborted batch"),
    ("acks", "a record that only the leader has can be lost"),
    ("request.required.acks", "a record that only the leader has can be lost"),
    ("delivery.report.only.error", "delivery reports carry the offsets of the changelog"),
    ("partition.assignment.strategy", "partitions are handed over one by one; all members must agree"),
    ("allow.auto.create.topics", "topics are created with the right partitions and policy, or not at all"),
    ("check.crcs", "damaged records must be noticed"),
    ("log.queue", "the log is read by this program"),
    ("plugin.library.paths", "no code is loaded at run time"),
    ("enable.ssl.certificate.verification", "a connection whose other end is unknown is not protected"),
    ("ssl.endpoint.identification.algorithm", "a connection whose other end is unknown is not protected"),
];

/// Refuses the options that would break the guarantee, so that a check of the settings can say so without a broker.
///
/// # Errors
/// Names the first such option and why; unknown names and bad values are found when a client is made.
pub fn check_options(options: &BTreeMap<String, String>) -> Result<(), Cause> {
    let refuse = |text| Err(Cause { kind: Kind::Misconfigured, text });
    for (key, why) in REFUSED {
        if options.contains_key(*key) {
            return refuse(format!("kafka.options: {key} cannot be set here: {why}"));
        }
    }
    let option = |key: &str| options.get(key).map_or("", String::as_str);
    let password = [option("sasl.mechanism"), option("sasl.mechanisms")].contains(&"PLAIN");
    if password && option("security.protocol").eq_ignore_ascii_case("sasl_plaintext") {
        return refuse("kafka.options: sasl.mechanism PLAIN sends the password in the clear; \
             set security.protocol to sasl_ssl"
            .to_owned());
    }
    Ok(())
}

/// `<group>-<instance>`: the client id in the brokers' logs and quotas, and the transactional id.
pub(super) fn identity(settings: &Kafka) -> String {
    format!("{}-{}", settings.group_id, settings.instance_id)
}

pub(super) fn common(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("client.id", identity(settings))
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.keepalive.enable", "true")
        // Brokers close idle connections; that is no news.
        .set("log.connection.close", "false")
        .set("enable.metrics.push", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    config
}

/// Adds the operator's options, last.
pub(super) fn finish(mut config: ClientConfig, settings: &Kafka) -> Result<ClientConfig, Cause> {
    check_options(&settings.options)?;
    for (key, value) in &settings.options {
        config.set(key, value);
    }
    Ok(config)
}

fn reading(settings: &Kafka, isolation: &str) -> ClientConfig {
    let mut config = common(settings);
    config
        // A client that only assigns never joins the group, but librdkafka assigns only with a group id.
        .set("group.id", &settings.group_id)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS);
    config
}

/// Splits `bytes` between what waits in the queue and what one answer may bring on top of it.
fn fetching(config: &mut ClientConfig, bytes: usize, partition_max: usize) {
    const MIB: usize = 1 << 20;
    let half = (bytes / 2).clamp(MIB, 48 * MIB);
    config
        .set("queued.max.messages.kbytes", (half / 1024).to_string())
        .set("fetch.max.bytes", half.to_string())
        .set("fetch.message.max.bytes", half.min(partition_max).to_string());
}

/// A member of the group.
pub(super) fn member(settings: &Kafka, bytes: usize) -> Result<ClientConfig, Cause> {
    let mut config = reading(settings, "read_committed");
    fetching(&mut config, bytes, 1 << 20);
    config.set("group.instance.id", &settings.instance_id);
    // The newer protocol assigns on the broker's side and does not take a strategy.
    if settings.options.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
        config.set("partition.assignment.strategy", "cooperative-sticky");
    }
    finish(config, settings)
}

/// A reader of partitions that it is told.
pub(super) fn reader(settings: &Kafka, bytes: usize) -> Result<ClientConfig, Cause> {
    let mut config = reading(settings, "read_committed");
    // One partition at a time: larger answers, fewer round trips.
    fetching(&mut config, bytes, 8 << 20);
    finish(config, settings)
}

/// A client that asks for offsets, also those of open transactions.
pub(super) fn observer(settings: &Kafka) -> Result<ClientConfig, Cause> {
    let mut config = reading(settings, "read_uncommitted");
    config.remove("group.id").remove("enable.partition.eof");
    finish(config, settings)
}

fn writing(settings: &Kafka, bytes: usize) -> ClientConfig {
    let mut config = common(settings);
    config
        .set("enable.idempotence", "true")
        // The cheapest codec to undo, and restoring undoes all of the changelog; every client knows it.
        .set("compression.type", "lz4")
        // A flush does not wait for it: it only lets records sent while a batch is being made travel together.
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", (bytes / 1024).clamp(1024, 2_097_151).to_string())
        // The bytes are the limit; librdkafka's 100,000 would be one when records are small.
        .set("queue.buffering.max.messages", "1000000");
    config
}

/// A producer of transactions and how long one may be open.
pub(super) fn transactional(settings: &Kafka, bytes: usize) -> Result<(ClientConfig, Duration), Cause> {
    let mut config = writing(settings, bytes);
    config
        .set("transactional.id", identity(settings))
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string());
    let config = finish(config, settings)?;
    let timeout = config.get("transaction.timeout.ms").and_then(|millis| millis.parse().ok());
    Ok((config, timeout.map_or(TRANSACTION_TIMEOUT, Duration::from_millis)))
}

/// A producer without transactions.
pub(super) fn plain(settings: &Kafka, bytes: usize) -> Result<ClientConfig, Cause> {
    finish(writing(settings, bytes), settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &[(&str, &str)]) -> Kafka {
        Kafka {
            bootstrap_servers: "localhost:9092".to_owned(),
            group_id: "g".to_owned(),
            instance_id: "host-0".to_owned(),
            options: options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..Kafka::default()
        }
    }

    #[test]
    fn an_option_that_breaks_the_guarantee_is_refused_with_its_reason() {
        let refused = check_options(&settings(&[("isolation.level", "read_uncommitted")]).options).unwrap_err();
        assert_eq!(refused.kind, Kind::Misconfigured);
        assert_eq!(
            refused.text,
            "kafka.options: isolation.level cannot be set here: an uncommitted record may never have happened"
        );
        check_options(&settings(&[("security.protocol", "sasl_ssl"), ("sasl.mechanism", "PLAIN")]).options).unwrap();
        check_options(&settings(&[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN")]).options)
            .unwrap_err();
    }

    #[test]
    fn every_client_is_accepted_by_librdkafka() {
        let settings = settings(&[("session.timeout.ms", "6000")]);
        for config in [
            member(&settings, 64 << 20).unwrap(),
            reader(&settings, 64 << 20).unwrap(),
            observer(&settings).unwrap(),
            transactional(&settings, 64 << 20).unwrap().0,
            plain(&settings, 64 << 20).unwrap(),
        ] {
            config.create_native_config().unwrap();
        }
    }

    #[test]
    fn an_operators_option_comes_last() {
        let (config, timeout) = transactional(&settings(&[("transaction.timeout.ms", "3000")]), 1 << 20).unwrap();
        assert_eq!(config.get("transaction.timeout.ms"), Some("3000"));
        assert_eq!(timeout, Duration::from_secs(3));
    }
}
