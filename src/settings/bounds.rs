//! What a value, or two together, must satisfy beyond their types.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::event::Span;

use super::values::NO_LANES;
use super::{Error, LANES_MAX, Listen, Loaded, options};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Checks everything; `lanes` and `kafka.instance_id` still as written.
pub(super) fn check(loaded: &Loaded) -> Result<(), Error> {
    names(loaded)?;
    limits(loaded)?;
    times(loaded)?;
    listeners(loaded)?;
    schemas(loaded)
}

/// Could librdkafka take it for a broker: a host, with a port or without, after a security protocol or not?
fn is_server(server: &str) -> bool {
    let rest = match server.split_once("://") {
        Some((protocol, rest)) => {
            let protocols = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
            if !protocols.contains(&protocol.to_ascii_lowercase().as_str()) {
                return false;
            }
            rest
        }
        None => server,
    };
    let (host, port) = match rest.rsplit_once(':') {
        // An address of IPv6 has colons of its own.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (rest, "9092"),
    };
    !host.is_empty() && !host.contains(['/', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn names(loaded: &Loaded) -> Result<(), Error> {
    let kafka = &loaded.settings.kafka;
    if kafka.bootstrap_servers.trim().is_empty() {
        return Err(loaded.refusal("kafka.bootstrap_servers", "is empty; write a broker, such as \"localhost:9092\""));
    }
    if let Some(server) =
        kafka.bootstrap_servers.split(',').map(str::trim).find(|server| !server.is_empty() && !is_server(server))
    {
        let problem =
            format!("{server:?} is not a valid broker address; write host:port, such as \"kafka-1:9092,kafka-2:9092\"");
        return Err(loaded.refusal("kafka.bootstrap_servers", problem));
    }
    if kafka.group_id.trim().is_empty() {
        return Err(loaded.refusal("kafka.group_id", "is empty; write a name, such as \"cohortd\""));
    }
    if kafka.instance_id.len() > 200 || !kafka.instance_id.chars().all(is_name_character) {
        let problem = format!("{:?} is not a valid name; {NAME_FORM}, at most 200", kafka.instance_id);
        return Err(loaded.refusal("kafka.instance_id", problem));
    }
    if let Some((name, problem)) = options::refused(&kafka.options) {
        return Err(loaded.refusal(&format!("kafka.options.{name}"), problem));
    }

    let topics = &loaded.settings.topics;
    if !topics.prefix.chars().all(is_name_character) {
        return Err(loaded.refusal(
            "topics.prefix",
            format!("{:?} is not a valid prefix of topic names; {NAME_FORM}", topics.prefix),
        ));
    }
    let mut seen = BTreeMap::new();
    for (key, topic) in [
        ("topics.input", &topics.input),
        ("topics.changes", &topics.changes),
        ("topics.members", &topics.members),
        ("topics.risks", &topics.risks),
        ("topics.forecasts", &topics.forecasts),
        ("topics.dead_letters", &topics.dead_letters),
        ("topics.changelog", &topics.changelog),
        ("topics.summaries", &topics.summaries),
        ("topics.rules", &topics.rules),
        ("topics.events", &topics.events),
        ("topics.marks", &topics.marks),
    ] {
        if !(1..=249).contains(&topic.len())
            || !topic.chars().all(is_name_character)
            || [".", ".."].contains(&topic.as_str())
        {
            return Err(loaded.refusal(key, format!("{topic:?} is not a valid topic name; {NAME_FORM}, 1 to 249")));
        }
        if let Some(other) = seen.insert(topic, key) {
            let problem = format!("{topic:?} is also {other}; each needs a topic of its own");
            return Err(loaded.refusal(loaded.set_one_of(key, other), problem));
        }
    }

    for (key, path) in [("rules.file", &loaded.settings.rules.file), ("state.dir", &loaded.settings.state.dir)] {
        if path.as_os_str().is_empty() {
            return Err(loaded.refusal(key, "is empty; write a path"));
        }
    }
    Ok(())
}

fn limits(loaded: &Loaded) -> Result<(), Error> {
    let settings = &loaded.settings;
    let whole = |key, value: u64, range| within(loaded, key, value, range, |number| number.to_string());
    if settings.lanes == NO_LANES {
        if settings.gather.sources.is_none() || settings.gather.lanes == 0 {
            let problem = "\"none\" leaves this process nothing to do: it gathers no sources either (gather.sources, gather.lanes)";
            return Err(loaded.refusal("lanes", problem));
        }
    } else {
        whole("lanes", settings.lanes as u64, 0..=LANES_MAX as u64)?;
    }
    whole("batch.max_records", settings.batch.max_records as u64, 1..=1_000_000)?;
    whole("state.flush_after_events", settings.state.flush_after_events, 0..=1_000_000_000)?;
    whole("gather.lanes", settings.gather.lanes as u64, 0..=64)?;
    whole("dedupe.ids", settings.dedupe.ids as u64, 0..=4_096)?;
    whole("automation.surge", u64::from(settings.automation.surge), 0..=100)?;
    made_topics(loaded)?;

    let size = |key, value, range| within(loaded, key, value, range, shown_size);
    size("batch.max_bytes", settings.batch.max_bytes, 64 * KIB..=256 * MIB)?;
    size("batch.max_record_bytes", settings.batch.max_record_bytes, KIB..=256 * MIB)?;
    size("memory.limit", settings.memory.limit, 64 * MIB..=u64::MAX / 100)?;
    if settings.batch.max_record_bytes > settings.batch.max_bytes {
        return Err(loaded.refusal(
            loaded.set_one_of("batch.max_record_bytes", "batch.max_bytes"),
            format!(
                "batch.max_record_bytes is {}, batch.max_bytes {}: a record must fit in a batch; raise batch.max_bytes",
                shown_size(settings.batch.max_record_bytes),
                shown_size(settings.batch.max_bytes)
            ),
        ));
    }
    Ok(())
}

/// Of topics that are made here.
fn made_topics(loaded: &Loaded) -> Result<(), Error> {
    let topics = &loaded.settings.topics;
    let copies = |key, value: Option<i32>| {
        value.map_or(Ok(()), |value| within(loaded, key, value, 0..=100, |number| number.to_string()))
    };
    copies("topics.replication", topics.replication)?;
    copies("topics.min_insync_replicas", topics.min_insync_replicas)?;
    if let Some(insync) = topics.min_insync_replicas {
        let key = loaded.set_one_of("topics.min_insync_replicas", "topics.replication");
        match topics.replication {
            None => return Err(loaded.refusal(key, "requires topics.replication; set topics.replication too")),
            Some(copies) if insync > copies => {
                let problem =
                    format!("topics of {copies} copies cannot have {insync} in sync; raise topics.replication");
                return Err(loaded.refusal(key, problem));
            }
            Some(_) => {}
        }
    }
    let most = Duration::from_hours(24 * 3_650);
    for (key, value) in
        [("topics.retention", topics.retention), ("topics.dead_letter_retention", topics.dead_letter_retention)]
    {
        within(loaded, key, value, Duration::ZERO..=most, |time| shown_time(time.as_millis()))?;
    }
    let least = Duration::from_hours(24 * 14);
    if !topics.events_keep.is_zero() {
        within(loaded, "topics.events_keep", topics.events_keep, least..=most, |time| shown_time(time.as_millis()))?;
    }
    if let Some(partitions) = topics.events_partitions {
        within(loaded, "topics.events_partitions", partitions, 0..=65_535, |number| number.to_string())?;
    }
    if topics.segment_size > 0 {
        within(loaded, "topics.segment_size", topics.segment_size, MIB..=1_024 * MIB, shown_size)?;
    }
    within(loaded, "topics.dirty_percent", topics.dirty_percent, 0..=100, |number| number.to_string())
}

fn times(loaded: &Loaded) -> Result<(), Error> {
    let settings = &loaded.settings;
    let wait = |key, value: Duration, range: RangeInclusive<Duration>| {
        within(loaded, key, value, range, |time| shown_time(time.as_millis()))
    };
    wait("batch.max_wait", settings.batch.max_wait, Duration::from_millis(1)..=Duration::from_secs(5))?;
    wait("state.flush_after", settings.state.flush_after, Duration::ZERO..=Duration::from_hours(24))?;
    wait("ranks.refresh", settings.ranks.refresh, Duration::from_secs(1)..=Duration::from_hours(24))?;
    wait("ranks.wait_for_load", settings.ranks.wait_for_load, Duration::ZERO..=Duration::from_hours(24 * 30))?;
    wait("schemas.retry_for", settings.schemas.retry_for, Duration::ZERO..=Duration::from_hours(1))?;

    let time = settings.time;
    let days = |days| Span(0)..=Span(days * Span::DAY.0);
    let span = |key, value, range| within(loaded, key, value, range, shown_span);
    span("time.arrives_within", time.arrives_within, days(7))?;
    span("time.live_after", time.live_after, days(30))?;
    span("time.max_lateness", time.max_lateness, days(365))?;
    span("time.max_future_skew", time.max_future_skew, days(7))?;
    span("automation.max_delay", settings.automation.max_delay, days(365))?;

    let at_least_arrival = |key: &'static str, value: Span, why: &str| {
        if value >= time.arrives_within {
            return Ok(());
        }
        Err(loaded.refusal(
            loaded.set_one_of(key, "time.arrives_within"),
            format!(
                "{key} is {}, time.arrives_within {}: {why}; raise {key}",
                shown_span(value),
                shown_span(time.arrives_within)
            ),
        ))
    };
    at_least_arrival("time.max_lateness", time.max_lateness, "events that arrive in time would be too late")?;
    at_least_arrival("automation.max_delay", settings.automation.max_delay, "no deadline could ever be automated")
}

fn listeners(loaded: &Loaded) -> Result<(), Error> {
    let admin = &loaded.settings.admin;
    tls_is_whole(loaded)?;
    let address = match &admin.listen {
        Listen::Off => return Ok(()),
        Listen::Unix(_) if admin.tls_certificate_file.is_some() => {
            let problem =
                "TLS does not apply to a Unix socket; remove admin.tls_certificate_file and admin.tls_key_file";
            return Err(loaded.refusal("admin.tls_certificate_file", problem));
        }
        Listen::Unix(_) => return Ok(()),
        Listen::Tcp(address) => *address,
    };
    if !address.ip().is_loopback() {
        let mut missing = Vec::new();
        if admin.tls_certificate_file.is_none() {
            missing.push("admin.tls_certificate_file and admin.tls_key_file");
        }
        if admin.token_file.is_none() && admin.write_token_file.is_none() {
            missing.push("admin.token_file or admin.write_token_file");
        }
        if !missing.is_empty() {
            let problem = format!(
                "{address} can be reached from outside, where the admin API needs TLS and a token; set {}, or listen on \
                 127.0.0.1, [::1] or a Unix socket",
                missing.join(", and ")
            );
            return Err(loaded.refusal("admin.listen", problem));
        }
    }
    let metrics = loaded.settings.metrics.listen;
    let overlaps = metrics.ip() == address.ip() || metrics.ip().is_unspecified() || address.ip().is_unspecified();
    if metrics.port() == address.port() && metrics.port() != 0 && overlaps {
        return Err(loaded.refusal(
            loaded.set_one_of("admin.listen", "metrics.listen"),
            format!("admin.listen and metrics.listen both take port {}; give one another port", address.port()),
        ));
    }
    Ok(())
}

fn tls_is_whole(loaded: &Loaded) -> Result<(), Error> {
    let admin = &loaded.settings.admin;
    let (set, missing) = match (&admin.tls_certificate_file, &admin.tls_key_file) {
        (Some(_), None) => ("admin.tls_certificate_file", "admin.tls_key_file"),
        (None, Some(_)) => ("admin.tls_key_file", "admin.tls_certificate_file"),
        _ => return Ok(()),
    };
    Err(loaded.refusal(set, format!("has no effect without {missing}; set {missing} too")))
}

fn schemas(loaded: &Loaded) -> Result<(), Error> {
    let schemas = &loaded.settings.schemas;
    let addresses: Vec<&str> = schemas.registry.iter().flat_map(|all| all.split(',').map(str::trim)).collect();
    for address in &addresses {
        let host = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
        // The value is not repeated: it may hold a password.
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(char::is_whitespace)) {
            let form = "is not a valid address; write it like \"http://registry:8081\", several separated by commas";
            return Err(loaded.refusal("schemas.registry", form));
        }
    }
    let set = [
        ("schemas.token", schemas.token.is_some()),
        ("schemas.ca", schemas.ca.is_some()),
        ("schemas.certificate", schemas.certificate.is_some()),
        ("schemas.key", schemas.key.is_some()),
        ("schemas.proxy", schemas.proxy.is_some()),
    ];
    for key in set.into_iter().filter_map(|(key, is_set)| is_set.then_some(key)) {
        if addresses.is_empty() {
            return Err(loaded.refusal(key, "has no effect without schemas.registry; set schemas.registry too"));
        }
        let is_of_tls = matches!(key, "schemas.ca" | "schemas.certificate" | "schemas.key");
        if is_of_tls && !addresses.iter().any(|address| address.starts_with("https://")) {
            return Err(loaded.refusal(key, "is for TLS, and no address in schemas.registry begins with https://"));
        }
    }
    if schemas.certificate.is_some() != schemas.key.is_some() {
        let (set, missing) = match schemas.key {
            Some(_) => ("schemas.key", "schemas.certificate"),
            None => ("schemas.certificate", "schemas.key"),
        };
        return Err(loaded.refusal(set, format!("has no effect without {missing}; set {missing} too")));
    }
    if schemas.token.is_some() && addresses.iter().any(|address| address.contains('@')) {
        let problem = "and user:password@ in schemas.registry are both credentials; set only one of them";
        return Err(loaded.refusal("schemas.token", problem));
    }
    if let Some(bare) = &schemas.bare {
        if schemas.dir.is_none() {
            let problem = "names a file in schemas.dir, which is not set; set schemas.dir too";
            return Err(loaded.refusal("schemas.bare", problem));
        }
        if bare.file_name() != Some(bare.as_os_str()) {
            let problem =
                format!("{} is not a plain file name; write the name of a file in schemas.dir", shown_path(bare));
            return Err(loaded.refusal("schemas.bare", problem));
        }
    }
    Ok(())
}

const NAME_FORM: &str = "use letters, digits, `.`, `_` and `-`";

/// The characters that Kafka takes in names of topics and instances.
pub(super) fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn within<T: PartialOrd + Copy>(
    loaded: &Loaded,
    key: &str,
    value: T,
    range: RangeInclusive<T>,
    shown: impl Fn(T) -> String,
) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let problem = if value < *range.start() {
        format!("{} is too small; the minimum is {}", shown(value), shown(*range.start()))
    } else {
        format!("{} is too large; the maximum is {}", shown(value), shown(*range.end()))
    };
    Err(loaded.refusal(key, problem))
}

fn shown_size(bytes: u64) -> String {
    for (unit, scale) in [("GiB", 1 << 30), ("MiB", MIB), ("KiB", KIB)] {
        if bytes >= scale && bytes.is_multiple_of(scale) {
            return format!("{} {unit}", bytes / scale);
        }
    }
    format!("{bytes} B")
}

fn shown_span(span: Span) -> String {
    shown_time(u128::from(span.0.unsigned_abs()))
}

fn shown_time(ms: u128) -> String {
    for (unit, scale) in [("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("s", 1_000)] {
        if ms >= scale && ms.is_multiple_of(scale) {
            return format!("{} {unit}", ms / scale);
        }
    }
    format!("{ms} ms")
}

fn shown_path(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
