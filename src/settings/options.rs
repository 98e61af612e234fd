//! Options for librdkafka that are refused, each with the reason and what to do instead.

use std::collections::BTreeMap;

/// Set by settings of our own, which other parts rely on.
const OWNED: [(&str, &str); 12] = [
    ("bootstrap.servers", "kafka.bootstrap_servers"),
    ("metadata.broker.list", "kafka.bootstrap_servers"),
    ("group.id", "kafka.group_id"),
    ("group.instance.id", "kafka.instance_id"),
    ("transactional.id", "kafka.instance_id"),
    ("client.id", "kafka.instance_id"),
    ("auto.offset.reset", "kafka.start"),
    ("allow.auto.create.topics", "topics.create"),
    ("message.max.bytes", "batch.max_record_bytes"),
    ("queued.max.messages.kbytes", "memory.limit"),
    ("queue.buffering.max.kbytes", "memory.limit"),
    ("queue.buffering.max.messages", "memory.limit"),
];

/// Fixed, because exactly-once or the order of one customer's events depends on the value.
const FIXED: [&str; 14] = [
    "isolation.level",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "enable.auto.commit",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "partition.assignment.strategy",
    "check.crcs",
    "delivery.report.only.error",
    "retries",
    "message.send.max.retries",
];

/// Name libraries that librdkafka loads into the process: whoever can write a setting could run anything here.
const LOAD_CODE: [&str; 3] = ["plugin.library.paths", "ssl.engine.location", "ssl.providers"];

/// The first option that must not be passed on, and why.
pub(super) fn refused(options: &BTreeMap<String, String>) -> Option<(&str, String)> {
    for (name, value) in options {
        if let Some((_, setting)) = OWNED.iter().find(|(owned, _)| owned == name) {
            return Some((name, format!("is set by another key; use {setting}")));
        }
        if FIXED.contains(&name.as_str()) {
            return Some((name, "would break exactly-once processing, and is fixed; remove it".to_owned()));
        }
        if LOAD_CODE.contains(&name.as_str()) {
            return Some((name, "would load a library into this process, and is not passed on; remove it".to_owned()));
        }
        let unverified = (name == "ssl.endpoint.identification.algorithm" && value.trim().eq_ignore_ascii_case("none"))
            || (name == "enable.ssl.certificate.verification" && is_false(value));
        if unverified {
            return Some((
                name,
                "anyone could pose as the broker; remove it and name the broker's CA in ssl.ca.location".to_owned(),
            ));
        }
    }
    let value = |name: &str| options.get(name).map(String::as_str).unwrap_or_default().to_ascii_uppercase();
    let mechanism = ["sasl.mechanisms", "sasl.mechanism"].into_iter().find_map(|name| options.get_key_value(name));
    match mechanism {
        // Kerberos would need libsasl2 and its plugins on every machine.
        Some((name, kerberos)) if kerberos.eq_ignore_ascii_case("GSSAPI") => {
            return Some((name, "Kerberos is not built in; use SCRAM-SHA-512, or SSL with a certificate".to_owned()));
        }
        // By librdkafka's other method, only tokens that nobody has signed could be shown.
        Some((name, bearer))
            if bearer.eq_ignore_ascii_case("OAUTHBEARER") && value("sasl.oauthbearer.method") != "OIDC" =>
        {
            let problem =
                "OAUTHBEARER takes its tokens from an endpoint; add kafka.options.sasl.oauthbearer.method = \"oidc\"";
            return Some((name, problem.to_owned()));
        }
        None if value("security.protocol").starts_with("SASL_") => {
            let problem = "needs kafka.options.sasl.mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
            return Some(("security.protocol", problem.to_owned()));
        }
        _ => {}
    }
    // Two names of one option in librdkafka; GSSAPI is its default.
    let plain = ["sasl.mechanisms", "sasl.mechanism"].into_iter().find(|name| value(name) == "PLAIN");
    if let (Some(name), "SASL_PLAINTEXT") = (plain, value("security.protocol").as_str()) {
        return Some((
            options.get_key_value(name).map_or("sasl.mechanism", |(name, _)| name),
            "PLAIN over SASL_PLAINTEXT sends the password in the clear; use SASL_SSL, or SCRAM-SHA-512".to_owned(),
        ));
    }
    None
}

fn is_false(value: &str) -> bool {
    ["false", "f", "0", "no", "off"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::{LOAD_CODE, refused};

    fn first_refused(options: &[(&str, &str)]) -> Option<String> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        refused(&options).map(|(name, why)| format!("{name}: {why}"))
    }

    #[test]
    fn what_would_break_the_guarantee_is_refused() {
        assert!(first_refused(&[("isolation.level", "read_uncommitted")]).unwrap().contains("exactly-once"));
        assert!(first_refused(&[("group.id", "x")]).unwrap().ends_with("use kafka.group_id"));
        assert!(first_refused(&[("enable.ssl.certificate.verification", "false")]).unwrap().contains("pose"));
        let unnamed = first_refused(&[("ssl.endpoint.identification.algorithm", "None")]);
        assert!(unnamed.unwrap().contains("pose"), "librdkafka takes words in any case");
    }

    #[test]
    fn what_would_load_code_is_refused() {
        for option in LOAD_CODE {
            let refused = first_refused(&[("linger.ms", "5"), (option, "/tmp/x.so")]).unwrap();
            assert!(refused.starts_with(option) && refused.contains("load a library"), "{refused}");
        }
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear() {
        let plain = [("sasl.mechanisms", "PLAIN"), ("security.protocol", "sasl_plaintext")];
        assert!(first_refused(&plain).unwrap().contains("in the clear"));
        let over_tls = [("sasl.mechanisms", "PLAIN"), ("security.protocol", "SASL_SSL")];
        assert_eq!(first_refused(&over_tls), None);
    }

    #[test]
    fn a_mechanism_that_is_missing_or_not_built_in_is_refused_with_those_that_are() {
        let missing = first_refused(&[("security.protocol", "SASL_SSL")]).unwrap();
        assert!(missing.starts_with("security.protocol: ") && missing.contains("SCRAM-SHA-512"), "{missing}");
        let kerberos = [("sasl.mechanism", "GSSAPI"), ("security.protocol", "SASL_SSL")];
        assert!(first_refused(&kerberos).unwrap().starts_with("sasl.mechanism: Kerberos is not built in"));
        let bearer = [("sasl.mechanism", "OAUTHBEARER"), ("security.protocol", "SASL_SSL")];
        assert!(first_refused(&bearer).unwrap().contains("sasl.oauthbearer.method = \"oidc\""));
        let [mechanism, protocol] = bearer;
        assert_eq!(first_refused(&[mechanism, protocol, ("sasl.oauthbearer.method", "OIDC")]), None);
    }

    #[test]
    fn tuning_is_passed_on() {
        assert_eq!(first_refused(&[("session.timeout.ms", "6000"), ("compression.type", "zstd")]), None);
    }
}
