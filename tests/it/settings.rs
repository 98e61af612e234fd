//! Layers, refusals and the dump, through the same doors as the program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cohortd::event::{Instant, Span};
use cohortd::settings::{Listen, Loaded, LogFormat, Settings, Sources, Start, SubjectNames};
use tempfile::TempDir;

/// Sources with a file, variables and `--set`s, each in the form in which a person writes it.
fn sources(file: &str, variables: &[&str], sets: &[&str]) -> (TempDir, Sources) {
    let dir = TempDir::new().unwrap();
    let config = (!file.is_empty()).then(|| {
        let path = dir.path().join("cohortd.toml");
        fs::write(&path, file).unwrap();
        path
    });
    let environment = variables
        .iter()
        .map(|variable| variable.split_once('=').map(|(name, value)| (name.into(), value.into())).unwrap())
        .collect();
    (dir, Sources { config, sets: sets.iter().map(|set| (*set).to_owned()).collect(), environment })
}

fn load(file: &str, variables: &[&str], sets: &[&str]) -> Loaded {
    let (_dir, sources) = sources(file, variables, sets);
    Settings::load(&sources).unwrap_or_else(|error| panic!("{error}"))
}

/// The error's one line, with the folder of the file cut off.
fn refusal(file: &str, variables: &[&str], sets: &[&str]) -> String {
    let (dir, sources) = sources(file, variables, sets);
    let line = Settings::load(&sources).unwrap_err().to_string();
    assert!(!line.contains('\n'), "more than one line: {line}");
    line.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn without_anything_set_the_manual_holds() {
    let settings = load("", &[], &[]).settings;
    assert_eq!(settings.kafka.bootstrap_servers, "localhost:9092");
    assert_eq!(settings.kafka.start, Start::Earliest);
    assert!(!settings.kafka.instance_id.is_empty(), "the host name stands in");
    assert!(settings.lanes >= 1);
    assert_eq!(settings.batch.max_wait, Duration::from_millis(100));
    assert_eq!(settings.topics.replication, None);
    assert_eq!(settings.time.max_lateness, Span(4 * Span::DAY.0));
    assert_eq!(settings.time.earliest, Instant(631_152_000_000));
    assert_eq!(settings.schemas.registry, None);
    assert_eq!(settings.log.format, LogFormat::Text);
    let memory = settings.memory;
    let shares = memory.customers() + memory.block_cache() + memory.write_buffers() + memory.queues();
    assert!(shares <= memory.pause_above());
}

#[test]
fn each_layer_wins_over_those_before_it() {
    let file = "[kafka]\ngroup_id = \"file\"\nbootstrap_servers = \"file:9092\"\n\n[batch]\nmax_records = 7\n";
    let variables = ["COHORTD_KAFKA__BOOTSTRAP_SERVERS=variable:9092", "COHORTD_BATCH__MAX_RECORDS=8"];
    let loaded = load(file, &variables, &["batch.max_records=9"]);
    assert_eq!(loaded.settings.kafka.group_id, "file");
    assert_eq!(loaded.settings.kafka.bootstrap_servers, "variable:9092");
    assert_eq!(loaded.settings.batch.max_records, 9);
    assert_eq!(loaded.settings.topics.input, "customer-events");

    assert!(loaded.origin("kafka.group_id").ends_with("cohortd.toml:2"));
    assert_eq!(loaded.origin("kafka.bootstrap_servers"), "COHORTD_KAFKA__BOOTSTRAP_SERVERS");
    assert_eq!(loaded.origin("batch.max_records"), "--set");
    assert_eq!(loaded.origin("topics.input"), "default");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    assert_eq!(
        refusal("[kafka]\ngroup_id = \"a\"\nbootstrap_server = \"b:1\"\n", &[], &[]),
        "cohortd.toml:3: kafka.bootstrap_server: unknown key; did you mean kafka.bootstrap_servers?"
    );
    assert_eq!(
        refusal("", &["COHORTD_STATE__DRI=/data"], &[]),
        "COHORTD_STATE__DRI: state.dri: unknown key; did you mean state.dir?"
    );
    assert_eq!(
        refusal("", &[], &["max_records=5"]),
        "--set: max_records: unknown key; did you mean batch.max_records?"
    );
    assert_eq!(
        refusal("[log]\ncolour = true\n", &[], &[]),
        "cohortd.toml:2: log.colour: unknown key; this section has log.format, log.filter"
    );
    assert_eq!(
        refusal("[kafka]\nsecurity.protocol = \"SSL\"\n", &[], &[]),
        "cohortd.toml:2: kafka.security.protocol: unknown key; did you mean kafka.options.security.protocol?"
    );
    assert_eq!(
        refusal("[sprockets]\n", &[], &[]),
        "cohortd.toml:1: sprockets: unknown key; `cohortd dump-config` lists all keys"
    );
    assert_eq!(
        refusal("", &[], &["kafka=b:1"]),
        "--set: kafka: is a section, not a value; write it as kafka.bootstrap_servers=..."
    );
}

#[test]
fn a_variable_with_one_underscore_too_few_is_refused_and_strangers_are_left_alone() {
    assert_eq!(
        refusal("", &["COHORTD_KAFKA_GROUP_ID=shop"], &[]),
        "COHORTD_KAFKA_GROUP_ID: kafka.group_id: write COHORTD_KAFKA__GROUP_ID"
    );
    load("", &["COHORTD_SERVICE_HOST=10.0.0.1", "COHORTD_PORT_9464_TCP=tcp://10.0.0.1:9464"], &[]);
    assert_eq!(load("", &["COHORTD_LANES=3"], &[]).settings.lanes, 3);
}

#[test]
fn a_wrong_value_is_refused_with_what_to_write() {
    assert_eq!(
        refusal("[batch]\n\nmax_wait = 100\n", &[], &[]),
        "cohortd.toml:3: batch.max_wait: 100 has no unit; write it like \"500 ms\" or \"4 days\" (units: ms, s, minutes, \
         hours, days, weeks)"
    );
    assert_eq!(
        refusal("", &["COHORTD_MEMORY__LIMIT=2 gigs"], &[]),
        "COHORTD_MEMORY__LIMIT: memory.limit: \"2 gigs\" is not a whole number with a unit; write it like \"512 MiB\" \
         (units: B, KiB, MiB, GiB, kB, MB, GB)"
    );
    assert_eq!(
        refusal("", &[], &["lanes=four"]),
        "--set: lanes: \"four\" is not a whole number; write digits only, such as 1000; or write \"none\""
    );
    assert_eq!(
        refusal("[topics]\ncreate = \"maybe\"\n", &[], &[]),
        "cohortd.toml:2: topics.create: string \"maybe\" is not a boolean; write true or false"
    );
    assert_eq!(
        refusal("[log]\nformat = \"xml\"\n", &[], &[]),
        "cohortd.toml:2: log.format: \"xml\" is not a valid log format; write \"text\" or \"json\""
    );
    assert_eq!(
        refusal("", &[], &["kafka.start=yesterday"]),
        "--set: kafka.start: \"yesterday\" is not a valid time; write \"2026-01-31\", \"2026-01-31T08:00:00Z\" or milliseconds \
         since 1970; or write \"earliest\" or \"latest\""
    );
    assert_eq!(
        refusal("[kafka]\nbootstrap_servers = [\"a:1\", \"b:1\"]\n", &[], &[]),
        "cohortd.toml:2: kafka.bootstrap_servers: a list; one value is expected here"
    );
    assert_eq!(refusal("", &[], &["lanes"]), "--set: lanes: no value; write it as --set kafka.group_id=shop");
}

#[test]
fn a_broken_or_missing_file_is_named_with_its_line() {
    let broken = refusal("[kafka]\ngroup_id = shop\n", &[], &[]);
    assert!(broken.starts_with("cohortd.toml:2: is not valid TOML: "), "{broken}");
    let missing = Sources { config: Some(PathBuf::from("/nowhere/cohortd.toml")), ..Sources::default() };
    let line = Settings::load(&missing).unwrap_err().to_string();
    assert!(line.starts_with("/nowhere/cohortd.toml: cannot be read ("), "{line}");
}

#[test]
fn values_that_do_not_go_together_are_refused_where_one_was_set() {
    assert_eq!(
        refusal("", &[], &["time.arrives_within=5 days"]),
        "--set: time.arrives_within: time.max_lateness is 4 days, time.arrives_within 5 days: events that arrive in time \
         would be too late; raise time.max_lateness"
    );
    assert_eq!(
        refusal("[batch]\nmax_record_bytes = \"32 MiB\"\n", &[], &[]),
        "cohortd.toml:2: batch.max_record_bytes: batch.max_record_bytes is 32 MiB, batch.max_bytes 16 MiB: a record \
         must fit in a batch; raise batch.max_bytes"
    );
    assert_eq!(
        refusal("", &[], &["topics.members=cohort-changes"]),
        "--set: topics.members: \"cohort-changes\" is also topics.changes; each needs a topic of its own"
    );
    assert_eq!(refusal("", &[], &["lanes=1025"]), "--set: lanes: 1025 is too large; the maximum is 1024");
    assert_eq!(
        refusal("", &[], &["memory.limit=32 MiB"]),
        "--set: memory.limit: 32 MiB is too small; the minimum is 64 MiB"
    );
    assert_eq!(
        refusal("", &[], &["schemas.bare=event.avsc"]),
        "--set: schemas.bare: names a file in schemas.dir, which is not set; set schemas.dir too"
    );
}

#[test]
fn how_the_registry_is_reached_is_checked_together() {
    let registry = "schemas.registry=https://sr-1:8081, http://sr-2:8081";
    let refused = |set: &str| refusal("", &[], &[registry, set]);
    assert_eq!(
        refusal("", &[], &["schemas.token=t"]),
        "--set: schemas.token: has no effect without schemas.registry; set schemas.registry too"
    );
    assert_eq!(
        refused("schemas.certificate=/c.pem"),
        "--set: schemas.certificate: has no effect without schemas.key; set schemas.key too"
    );
    assert_eq!(
        refused("schemas.key=/k.pem"),
        "--set: schemas.key: has no effect without schemas.certificate; set schemas.certificate too"
    );
    assert_eq!(
        refusal("", &[], &["schemas.registry=http://sr-1:8081", "schemas.ca=/ca.pem"]),
        "--set: schemas.ca: is for TLS, and no address in schemas.registry begins with https://"
    );
    assert_eq!(
        refusal("", &[], &["schemas.registry=http://sr-1,http://me:x@sr-2", "schemas.token=t"]),
        "--set: schemas.token: and user:password@ in schemas.registry are both credentials; set only one of them"
    );
    assert!(refusal("", &[], &["schemas.registry=http://sr-1,sr-2"]).contains("several separated by commas"));
    assert_eq!(
        refused("schemas.subjects=value"),
        "--set: schemas.subjects: \"value\" is not a valid value; write \"topic\", \"record\" or \"topic-record\""
    );
    let all = ["schemas.token=hunter2", "schemas.proxy=http://me:hunter2@proxy:3128", "schemas.register=no"];
    let loaded = load("", &[], &[&[registry][..], &all].concat());
    assert!(!loaded.settings.schemas.register && loaded.settings.schemas.subjects == SubjectNames::Topic);
    let dump = loaded.dump();
    assert!(!dump.contains("hunter2") && !format!("{loaded:?}{:?}", loaded.settings).contains("hunter2"), "{dump}");
    for line in ["token = \"********\" # --set", "proxy = \"http://********@proxy:3128\" # --set"] {
        assert!(dump.lines().any(|dumped| dumped == line), "no line {line}\n{dump}");
    }
}

#[test]
fn a_prefix_stands_before_the_names_that_nobody_set_and_the_dump_says_them_whole() {
    let loaded = load("", &["COHORTD_TOPICS__CHANGELOG=state-of-shop"], &["topics.prefix=shop.", "topics.rules=rules"]);
    let topics = &loaded.settings.topics;
    assert_eq!((&*topics.changes, &*topics.dead_letters), ("shop.cohort-changes", "shop.cohortd-dead-letters"));
    assert_eq!((&*topics.members, &*topics.summaries), ("shop.cohort-members", "shop.cohortd-summaries"));
    assert_eq!((&*topics.risks, &*topics.forecasts), ("shop.churn-risk-changes", "shop.cohort-forecasts"));
    assert_eq!((&*topics.input, &*topics.changelog, &*topics.rules), ("customer-events", "state-of-shop", "rules"));
    let dump = loaded.dump();
    for line in [
        "changes = \"shop.cohort-changes\" # default; with topics.prefix",
        "changelog = \"state-of-shop\" # COHORTD_TOPICS__CHANGELOG",
        "input = \"customer-events\" # default",
    ] {
        assert!(dump.lines().any(|dumped| dumped == line), "no line {line}\n{dump}");
    }
    // Given back, it is not put there twice.
    assert_eq!(&load(&dump, &[], &[]).settings.topics, topics);
    assert_eq!(
        refusal("", &[], &["topics.prefix=shop/"]),
        "--set: topics.prefix: \"shop/\" is not a valid prefix of topic names; use letters, digits, `.`, `_` and `-`"
    );
    assert!(refusal("", &[], &[&format!("topics.prefix={}", "x".repeat(249))]).contains("is not a valid topic name"));
}

#[test]
fn what_topics_are_made_with_is_checked_together() {
    assert_eq!(
        refusal("", &[], &["topics.min_insync_replicas=2"]),
        "--set: topics.min_insync_replicas: requires topics.replication; set topics.replication too"
    );
    assert_eq!(
        refusal("", &[], &["topics.replication=2", "topics.min_insync_replicas=3"]),
        "--set: topics.min_insync_replicas: topics of 2 copies cannot have 3 in sync; raise topics.replication"
    );
    assert!(refusal("", &[], &["topics.segment_size=512 KiB"]).contains("the minimum is 1 MiB"));
    assert!(refusal("", &[], &["topics.dirty_percent=101"]).contains("the maximum is 100"));
    assert!(refusal("", &[], &["topics.retention=4000 days"]).contains("the maximum is 3650 days"));
    let topics =
        load("", &[], &["topics.segment_size=0", "topics.retention=0", "topics.replication=3"]).settings.topics;
    assert_eq!((topics.segment_size, topics.retention, topics.insync()), (0, Duration::ZERO, Some(2)));
}

#[test]
fn the_admin_api_is_reached_from_outside_with_tls_and_a_token_only() {
    let outside = "admin.listen=0.0.0.0:9465";
    let tls = ["admin.tls_certificate_file=/c.pem", "admin.tls_key_file=/k.pem"];
    assert_eq!(
        refusal("", &["COHORTD_ADMIN__LISTEN=0.0.0.0:9465"], &[]),
        "COHORTD_ADMIN__LISTEN: admin.listen: 0.0.0.0:9465 can be reached from outside, where the admin API needs TLS and a \
         token; set admin.tls_certificate_file and admin.tls_key_file, and admin.token_file or admin.write_token_file, or \
         listen on 127.0.0.1, [::1] or a Unix socket"
    );
    let without_token = refusal("", &[], &[outside, tls[0], tls[1]]);
    assert!(without_token.contains("; set admin.token_file or admin.write_token_file, or listen"), "{without_token}");
    let without_tls = refusal("", &[], &[outside, "admin.token_file=/t"]);
    assert!(
        without_tls.contains("; set admin.tls_certificate_file and admin.tls_key_file, or listen"),
        "{without_tls}"
    );
    for token in ["admin.token_file=/t", "admin.write_token_file=/t"] {
        assert_eq!(load("", &[], &[outside, tls[0], tls[1], token]).settings.admin.listen.to_string(), "0.0.0.0:9465");
    }
    assert_eq!(
        refusal("", &[], &[tls[0]]),
        "--set: admin.tls_certificate_file: has no effect without admin.tls_key_file; set admin.tls_key_file too"
    );
    assert_eq!(
        refusal("", &[], &["admin.listen=127.0.0.1:9464"]),
        "--set: admin.listen: admin.listen and metrics.listen both take port 9464; give one another port"
    );
    assert!(
        refusal(
            "",
            &[],
            &["admin.listen=0.0.0.0:1", "metrics.listen=127.0.0.1:1", tls[0], tls[1], "admin.token_file=/t"]
        )
        .contains("both take port 1")
    );
}

#[test]
fn the_admin_api_may_be_a_unix_socket_or_off() {
    let listen = |listen: &str| load("", &[], &[&format!("admin.listen={listen}")]).settings.admin.listen;
    assert_eq!(listen("unix:/run/cohortd/admin.sock"), Listen::Unix("/run/cohortd/admin.sock".into()));
    assert_eq!((listen("off"), listen("")), (Listen::Off, Listen::Off));
    for wrong in ["unix:", "localhost:9465", "9465"] {
        let refused = refusal("", &[], &[&format!("admin.listen={wrong}")]);
        assert!(refused.contains("is neither an IP address with a port nor a Unix socket"), "{refused}");
    }
    let tls = ["admin.listen=unix:/a.sock", "admin.tls_certificate_file=/c.pem", "admin.tls_key_file=/k.pem"];
    assert!(refusal("", &[], &tls).contains("TLS does not apply to a Unix socket"));
}

#[test]
fn options_reach_librdkafka_from_every_layer_unless_they_would_break_the_guarantee() {
    let file = "[kafka.options]\nsecurity.protocol = \"SSL\"\n\"linger.ms\" = 5\n";
    let loaded = load(file, &["COHORTD_KAFKA__OPTIONS__SASL_PASSWORD=hunter2"], &["kafka.options.debug=broker"]);
    let options: Vec<_> = loaded.settings.kafka.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(options, ["debug=broker", "linger.ms=5", "sasl.password=hunter2", "security.protocol=SSL"]);
    assert_eq!(
        refusal("[kafka.options]\n\"isolation.level\" = \"read_uncommitted\"\n", &[], &[]),
        "cohortd.toml:2: kafka.options.isolation.level: would break exactly-once processing, and is fixed; remove it"
    );
    assert_eq!(
        refusal("", &[], &["kafka.options=x"]),
        "--set: kafka.options: is a section, not a value; write it as kafka.options.security.protocol=SSL"
    );
}

#[test]
fn the_dump_shows_origins_hides_secrets_and_can_be_loaded_again() {
    let file = "[kafka.options]\n\"sasl.password\" = \"hunter2\"\n\"session.timeout.ms\" = \"6000\"\n";
    let variables = ["COHORTD_SCHEMAS__REGISTRY=https://me:hunter2@registry:8081"];
    let loaded = load(file, &variables, &["batch.max_records=500", "topics.create=no"]);
    let dump = loaded.dump();
    assert!(!dump.contains("hunter2"), "{dump}");
    assert!(!format!("{loaded:?}{:?}", loaded.settings).contains("hunter2"));
    for line in [
        "registry = \"https://********@registry:8081\" # COHORTD_SCHEMAS__REGISTRY",
        "max_records = 500 # --set",
        "create = false # --set",
        "group_id = \"cohortd\" # default",
        "max_wait = \"100 ms\" # default",
        "\"sasl.password\" = \"********\" # ",
    ] {
        assert!(dump.lines().any(|dumped| dumped.starts_with(line)), "no line {line}\n{dump}");
    }
    assert!(dump.contains("\"session.timeout.ms\" = \"6000\" # ") && dump.contains("cohortd.toml:3"), "{dump}");

    // Secrets are all that is missing.
    let secrets = ["COHORTD_KAFKA__OPTIONS__SASL_PASSWORD=hunter2", variables[0]];
    let again = load(&dump, &secrets, &[]).settings;
    assert_eq!(again.kafka, loaded.settings.kafka);
    assert_eq!(again.schemas, loaded.settings.schemas);
    assert_eq!(again.batch, loaded.settings.batch);
    assert_eq!(again.time, loaded.settings.time);
    assert_eq!(again.topics, loaded.settings.topics);
    assert_eq!(again.lanes, loaded.settings.lanes);
}

#[test]
fn the_mask_of_a_secret_is_not_taken_for_the_secret() {
    let secrets = [
        "kafka.options.sasl.password=hunter2",
        "kafka.options.ssl.key.password=hunter2",
        "kafka.options.sasl.oauthbearer.client.secret=hunter2",
        "schemas.registry=https://me:hunter2@registry:8081",
    ];
    for secret in secrets {
        let (key, value) = secret.split_once('=').unwrap();
        let dumped = load("", &[], &[secret]).dump();
        assert!(dumped.contains("********") && !dumped.contains("hunter2"), "{dumped}");
        let refused = refusal(&dumped, &[], &[]);
        assert!(refused.starts_with("cohortd.toml:") && refused.contains(&format!("{key}: ")), "{refused}");
        assert!(refused.contains("what dump-config prints in place of a secret"), "{refused}");
        // Named where the secret may come from instead, and taken from there.
        let variable = refused.split(' ').find(|word| word.starts_with("COHORTD_")).unwrap();
        let loaded = load(&dumped, &[&format!("{variable}={value}")], &[]);
        assert_eq!(loaded.dump().matches("********").count(), 2, "the note and the value");
        let alone = refusal("", &[&format!("{variable}=********")], &[]);
        assert!(alone.starts_with(variable), "{alone}");
    }
    assert!(!load("", &[], &[]).dump().contains("********"));
}
