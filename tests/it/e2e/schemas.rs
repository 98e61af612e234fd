//! Records whose schemas cannot be had: foreign bytes in the place of ids, and a registry that is away, refuses, or is
//! somebody else. Nothing of it stops a partition that could go on.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cohortd::clock::wall_clock;

use super::daemon::{Daemon, Ended};
use super::lab::{Follower, Lab, Writer};
use super::registry::{Mood, Registry};
use super::{avro, eventually};
use crate::naive::LogEvent;
use crate::support::apicurio::{Apicurio, PATH};
use crate::support::certificates::{certificates, is_without_openssl};
use crate::support::fronts::{Clients, TlsFront};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";
const SCHEMA: &str = include_str!("../../../schemas/customer-event.avsc");

fn visit(customer: &str) -> LogEvent {
    avro::event(customer, "visit", wall_clock().0, Some(format!("id-{customer}")))
}

/// A registry that knows the schema of events, and the settings with which it is used.
fn registry() -> (Registry, u32, Vec<String>) {
    let registry = Registry::start();
    let id = registry.register("events-value", SCHEMA);
    let sets = vec![format!("schemas.registry={}", registry.address.replace("://", "://me:hunter2@"))];
    (registry, id, sets)
}

fn start(lab: &Lab, instance: &str, sets: &[String], more: &[&str]) -> Daemon {
    let sets: Vec<&str> = sets.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let daemon = lab.start(instance, &sets);
    assert!(!daemon.says("hunter2"));
    daemon
}

fn send(writer: &Writer, partition: i32, id: u32, customer: &str) {
    writer.send_to(partition, Some(customer), Some(&avro::framed(id, &visit(customer))));
}

/// Whose change is published next.
fn next(changes: &Follower) -> String {
    let seen = eventually("a change", || changes.next(std::time::Duration::from_millis(100)));
    seen.key().to_owned()
}

/// What a person sees while something waits: the check, the log and the metric.
fn is_reported_to_wait(daemon: &mut Daemon, cause: &str, words: &[&str]) {
    let (status, body) = eventually(&format!("it is not ready for {cause}, and says {words:?}"), || {
        daemon.assert_running();
        let logged = |body: &str| body.contains(cause) && words.iter().all(|word| body.contains(word));
        daemon.get("/health/ready").filter(|(status, body)| *status == 503 && logged(body))
    });
    println!("{status} {body}");
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    let waiting = format!("cohortd_waiting{{cause=\"{cause}\"}}");
    let (_, metrics) = daemon.get("/metrics").unwrap();
    let line = metrics.lines().find(|line| line.starts_with(&waiting)).unwrap();
    assert!(!line.ends_with(" 0"), "{line}");
    eventually("it is logged", || daemon.says("Waiting: ").then_some(()));
}

/// For how long partitions waited, as the log has it.
fn print_waits(what: &str, daemon: &Daemon) {
    for line in daemon.log().lines().filter(|line| line.contains("No longer waiting.")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        println!("{what}: partition {} waited {} s for its {}", line["partition"], line["seconds"], line["cause"]);
    }
}

/// The folder in which a process caches the registry's answers.
fn kept(lab: &Lab, instance: &str) -> PathBuf {
    let root = lab.state(instance).join("schemas");
    fs::read_dir(root).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_thousand_bare_records_each_with_another_id_are_set_aside_together() {
    let Some(lab) = Lab::new("bare", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let writer = lab.writer();
    (0..20).for_each(|n| send(&writer, 0, id, &format!("before{n}")));
    for n in 0..1_000 {
        // Without an event id a bare datum begins with 00, and the customer's first letters are taken for an id.
        let customer = format!("{n:03}-bare");
        let bare = avro::datum(&avro::event(&customer, "visit", wall_clock().0, None));
        assert_eq!(bare[0], 0);
        writer.send_to(0, Some(&customer), Some(&bare));
    }
    (0..20).for_each(|n| send(&writer, 0, id, &format!("after{n:02}")));
    writer.flush();
    // As it is set by default.
    let mut daemon = start(&lab, "one", &sets, &["schemas.retry_for=30 s"]);
    is_reported_to_wait(&mut daemon, "schema", &["Partition 0", "does not know schema id", "more)"]);
    let changes = lab.follow("changes");
    let changed: Vec<String> = (0..40).map(|_| next(&changes)).collect();
    assert_eq!(changed[39], "after19");
    lab.read_through();
    daemon.ready();
    print_waits("bare", &daemon);
    daemon.stop();
    let dead_letters = lab.read("letters").concat();
    assert_eq!(dead_letters.len(), 1_000);
    assert!(dead_letters.iter().all(|letter| letter.header("cohortd_reason") == "unknown_schema"));
    println!("bare: the registry was asked {} times", registry.asked());
    assert!(registry.asked() < 10_000);
}

#[test]
fn implausible_schema_ids_block_nothing() {
    let Some(lab) = Lab::new("beyond", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let writer = lab.writer();
    send(&writer, 0, id, "a");
    // Negative; and one that this registry's web server does not take.
    writer.send_to(0, Some("x"), Some(&[0, 0xff, 0xff, 0xff, 0xff, 2, 0x61]));
    writer.send_to(0, Some("y"), Some(&[0, 0x7f, 0xff, 0xff, 0xff, 2, 0x61]));
    send(&writer, 0, id, "b");
    writer.flush();
    let daemon = start(&lab, "one", &sets, &["schemas.retry_for=1 s"]);
    let changes = lab.follow("changes");
    assert_eq!((next(&changes), next(&changes)), ("a".to_owned(), "b".to_owned()));
    daemon.kill9();
    // Decided as then, whatever the registry says now.
    registry.register("late-value", "\"string\"");
    let mut daemon = start(&lab, "one", &sets, &["schemas.retry_for=1 s"]);
    daemon.ready();
    send(&writer, 0, id, "c");
    writer.flush();
    assert_eq!(next(&changes), "c");
    daemon.stop();
    let dead_letters = lab.read("letters").concat();
    let dead_letters: Vec<_> = dead_letters.iter().map(|seen| (seen.key(), seen.header("cohortd_reason"))).collect();
    assert_eq!(dead_letters, [("x", "unknown_schema"), ("y", "unknown_schema")]);
}

#[test]
fn one_bad_writer_costs_a_partition_its_patience_once() {
    let Some(lab) = Lab::new("burst", 2, RULES) else { return };
    let (_registry, id, sets) = registry();
    let mut daemon = start(&lab, "one", &sets, &["schemas.retry_for=3 s"]);
    daemon.ready();
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    // The other partition never waits.
    for n in 0..30 {
        writer.send_to(0, Some("x"), Some(&[0, 0, 1, 0, n, 2, 0x61]));
        writer.flush();
        send(&writer, 1, id, &format!("other{n}"));
        writer.flush();
        assert_eq!(next(&changes), format!("other{n}"));
    }
    send(&writer, 0, id, "after");
    writer.flush();
    assert_eq!(next(&changes), "after");
    // Later ones of the burst are set aside as soon as the registry has denied them: 30 times 3 s would be too long.
    for n in 30..60 {
        writer.send_to(0, Some("x"), Some(&[0, 0, 1, 0, n, 2, 0x61]));
        send(&writer, 0, id, &format!("good{n}"));
        writer.flush();
        assert_eq!(next(&changes), format!("good{n}"));
    }
    print_waits("burst", &daemon);
    daemon.stop();
    assert_eq!(lab.read("letters").concat().len(), 60);
}

#[test]
fn a_flood_of_foreign_bytes_is_not_asked_for_and_a_new_schema_in_it_is_found() {
    const FOREIGN: u32 = 6_000;
    let Some(lab) = Lab::new("flood", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let writer = lab.writer();
    send(&writer, 0, id, "before");
    for n in 0..FOREIGN {
        let id = 0x0a63_0000 + n;
        writer.send_to(0, Some("x"), Some(&[&[0], &id.to_be_bytes()[..], &[2, 0x61]].concat()));
    }
    let new = registry.register("new-value", &SCHEMA.replace("\"doc\": \"", "\"doc\": \"New. "));
    send(&writer, 0, new, "after");
    writer.flush();
    let daemon = start(&lab, "one", &sets, &["schemas.retry_for=0 s"]);
    let changes = lab.follow("changes");
    assert_eq!((next(&changes), next(&changes)), ("before".to_owned(), "after".to_owned()));
    print_waits("flood", &daemon);
    daemon.stop();
    assert_eq!(lab.read("letters").concat().len(), FOREIGN as usize);
    println!("flood: the registry was asked {} times", registry.asked());
    assert!(registry.asked() < 3_000, "{}", registry.asked());
}

#[test]
fn an_edit_of_the_rules_that_needs_a_schema_waits_for_the_registry() {
    let Some(lab) = Lab::new("reread", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    let mut daemon = start(&lab, "one", &sets, &["state.flush_after_events=0"]);
    for n in 0..3 {
        let event = avro::event("a", "visit", wall_clock().0, Some(format!("visit{n}")));
        writer.send_to(0, Some("a"), Some(&avro::framed(id, &event)));
    }
    writer.flush();
    assert_eq!(next(&changes), "a");
    daemon.ready();
    lab.read_through();
    daemon.stop();
    forget_schemas(&lab, "one");
    registry.set(Mood::Down);
    // How often was not kept, so that the input is read again.
    let edited = format!("{RULES}\n[cohorts.often]\nwho = \"did visit at least 3 times in the last 1 hour\"\n");
    lab.write_rules(&edited);
    let sets: Vec<&str> = sets.iter().map(String::as_str).chain(["state.flush_after_events=0"]).collect();
    let mut daemon = lab.start_accepting("one", &sets);
    is_reported_to_wait(&mut daemon, "registry", &["Partition 0", "read again for an edit of the rules"]);
    registry.set(Mood::Well);
    let seen = eventually("a change", || changes.next(std::time::Duration::from_millis(100)));
    assert_eq!((seen.key(), seen.header("cohort")), ("a", "often"));
    daemon.ready();
    daemon.stop();
}

/// Of the cached answers of the registry only the ids of the outputs are left.
fn forget_schemas(lab: &Lab, instance: &str) {
    for file in fs::read_dir(kept(lab, instance)).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "avsc") {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn a_registry_that_is_away_at_the_first_start_is_waited_for() {
    let Some(lab) = Lab::new("first", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    for mood in [Mood::Down, Mood::Says(503)] {
        registry.set(mood);
        let mut daemon = start(&lab, "one", &sets, &[]);
        eventually("it waits", || daemon.says("Registering the schema of an output failed").then_some(()));
        let (_, metrics) = daemon.get("/metrics").unwrap();
        assert!(metrics.contains("cohortd_registry_reachable 0"), "{mood:?}");
        // Not ready but alive, with few log lines; and it stops on request.
        is_waiting_at_start(&mut daemon);
        daemon.stop();
    }
    let mut daemon = start(&lab, "one", &sets, &[]);
    is_waiting_at_start(&mut daemon);
    let lines = daemon.log().lines().filter(|line| line.contains("Registering the schema of an output failed")).count();
    assert!(lines < 10, "{lines} lines: {}", daemon.log());
    registry.set(Mood::Well);
    daemon.ready();
    assert!((daemon.metrics()["cohortd_registry_reachable"] - 1.0).abs() < 0.1);
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    send(&writer, 0, id, "a");
    writer.flush();
    assert_eq!(next(&changes), "a");
    daemon.stop();
}

fn is_waiting_at_start(daemon: &mut Daemon) {
    eventually("it counts as waiting", || {
        daemon.assert_running();
        let (_, metrics) = daemon.get("/metrics")?;
        metrics.contains("cohortd_waiting{cause=\"registry\"} 1").then_some(())
    });
    assert_eq!(daemon.get("/health/ready").unwrap().0, 503);
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
}

#[test]
fn an_answer_that_only_a_person_can_change_ends_a_start_with_the_address_and_the_status() {
    let Some(lab) = Lab::new("useless", 1, RULES) else { return };
    let (registry, _, sets) = registry();
    let refused = |ended: Ended, words: &[&str]| {
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        let line = ended.stderr.lines().rfind(|line| !line.starts_with('{')).unwrap();
        println!("{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line:?}");
        }
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    };
    let wrong: Vec<String> = sets.iter().map(|set| format!("{set}/no/such/path")).collect();
    let address = format!("{}/no/such/path/subjects/", registry.address);
    refused(start(&lab, "one", &wrong, &[]).ended(), &["schemas.registry", "HTTP 404", &address]);
    registry.set(Mood::Says(401));
    let address = format!("{}/subjects/", registry.address);
    refused(start(&lab, "one", &sets, &[]).ended(), &["credentials in schemas.registry", "HTTP 401", &address]);
    let two_hosts = vec![format!("schemas.registry={}", registry.address.replace("://", "://me:p@ss@"))];
    refused(start(&lab, "one", &two_hosts, &[]).ended(), &["schemas.registry", "%40"]);
}

#[test]
fn credentials_that_are_refused_while_it_runs_are_waited_out_and_named() {
    let Some(lab) = Lab::new("rotated", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let mut daemon = start(&lab, "one", &sets, &[]);
    daemon.ready();
    for (mood, words) in [
        (Mood::Says(401), ["credentials in schemas.registry", "HTTP 401"]),
        (Mood::Says(500), ["does not answer", "HTTP 500"]),
        (Mood::Hangs, ["does not answer", "timeout"]),
    ] {
        registry.set(mood);
        let (writer, changes) = (lab.writer(), lab.follow("changes"));
        let id = if mood == Mood::Says(401) {
            id
        } else {
            registry.register(&format!("{mood:?}"), &SCHEMA.replace("\"doc\": \"", &format!("\"doc\": \"{mood:?} ")))
        };
        let customer = format!("{mood:?}");
        send(&writer, 0, id, &customer);
        writer.flush();
        is_reported_to_wait(&mut daemon, "registry", &words);
        assert!(daemon.metrics()["cohortd_registry_reachable"].abs() < 0.1);
        registry.set(Mood::Well);
        eventually("it goes on", || {
            changes.next(std::time::Duration::from_millis(100)).filter(|seen| seen.key() == customer)
        });
        daemon.ready();
        assert!((daemon.metrics()["cohortd_registry_reachable"] - 1.0).abs() < 0.1);
    }
    assert!(!daemon.says("hunter2"));
    print_waits("rotated", &daemon);
    daemon.stop();
}

#[test]
fn a_restart_without_the_registry_decides_what_it_can() {
    let Some(lab) = Lab::new("kept", 2, RULES) else { return };
    let (registry, id, sets) = registry();
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    let mut daemon = start(&lab, "one", &sets, &[]);
    send(&writer, 0, id, "a");
    writer.flush();
    assert_eq!(next(&changes), "a");
    daemon.ready();
    daemon.kill9();

    registry.set(Mood::Down);
    let new = registry.register("new-value", &SCHEMA.replace("\"doc\": \"", "\"doc\": \"New. "));
    assert_ne!(new, id);
    let mut daemon = start(&lab, "one", &sets, &[]);
    daemon.ready();
    // What was fetched before is read, restore included; what is new waits, in its partition alone.
    send(&writer, 1, new, "new");
    send(&writer, 0, id, "b");
    writer.flush();
    assert_eq!(next(&changes), "b");
    is_reported_to_wait(&mut daemon, "registry", &["Partition 1", &format!("schema id {new}")]);
    send(&writer, 0, id, "c");
    writer.flush();
    assert_eq!(next(&changes), "c");
    registry.set(Mood::Well);
    assert_eq!(next(&changes), "new");
    eventually("the ids of the outputs are confirmed", || daemon.says("confirms the ids").then_some(()));
    daemon.ready();
    daemon.stop();
}

#[test]
fn a_damaged_copy_of_a_schema_is_passed_over_and_fetched_again() {
    let Some(lab) = Lab::new("spoilt", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    let mut daemon = start(&lab, "one", &sets, &[]);
    send(&writer, 0, id, "a");
    writer.flush();
    assert_eq!(next(&changes), "a");
    daemon.ready();
    daemon.stop();
    let mut spoilt = 0;
    for file in fs::read_dir(kept(&lab, "one")).unwrap().map(|file| file.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        // Still an Avro schema, of other records.
        fs::write(&file, text.replace("occurred_at", "occurred_on").replace("1 ", "9 ")).unwrap();
        spoilt += 1;
    }
    assert_eq!(spoilt, 5);
    let mut daemon = start(&lab, "one", &sets, &[]);
    daemon.ready();
    assert!(daemon.says("is damaged; it is fetched again"));
    send(&writer, 0, id, "b");
    writer.flush();
    assert_eq!(next(&changes), "b");
    daemon.stop();
    drop(registry);
}

#[test]
fn a_recreated_registry_ends_a_process_that_writes_its_old_ids() {
    let Some(lab) = Lab::new("recreated", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let mut daemon = start(&lab, "one", &sets, &[]);
    daemon.ready();
    daemon.stop();
    registry.set(Mood::Down);
    let mut daemon = start(&lab, "one", &sets, &[]);
    daemon.ready();
    registry.forget();
    registry.set(Mood::Well);
    let ended = daemon.ended();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("it was recreated"), "{}", ended.stderr);
    let mut daemon = start(&lab, "one", &sets, &[]);
    daemon.ready();
    let writer = lab.writer();
    // By its fingerprint: the registry no longer knows it.
    writer.send_to(0, Some("a"), Some(&avro::encode(&visit("a"))));
    writer.flush();
    let changes = lab.follow("changes");
    let seen = eventually("a change", || changes.next(std::time::Duration::from_millis(100)));
    let written = u32::from_be_bytes(seen.payload.unwrap()[1..5].try_into().unwrap());
    assert!(written > 50 && written != id, "{written}");
    daemon.stop();
}

#[test]
fn restores_without_the_registry_wait_in_each_process_and_end_none() {
    let Some(lab) = Lab::new("cascade", 2, RULES) else { return };
    let (registry, id, sets) = registry();
    let quick = ["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"];
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    let mut one = start(&lab, "one", &sets, &quick);
    one.ready();
    for partition in 0..2 {
        send(&writer, partition, id, &format!("a{partition}"));
        writer.flush();
        assert_eq!(next(&changes), format!("a{partition}"));
    }
    one.kill9();
    // Nothing is flushed, so both partitions read their events again; the one process has lost its copies, the other
    // never had any. Only the ids of the outputs are known.
    forget_schemas(&lab, "one");
    let schemas = |instance: &str| lab.state(instance).join("schemas").join(kept(&lab, "one").file_name().unwrap());
    fs::create_dir_all(schemas("two")).unwrap();
    for file in fs::read_dir(kept(&lab, "one")).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, schemas("two").join(file.file_name().unwrap())).unwrap();
    }
    registry.set(Mood::Down);
    let mut one = start(&lab, "one", &sets, &quick);
    let mut two = start(&lab, "two", &sets, &quick);
    eventually("both hold a partition and wait", || {
        one.assert_running();
        two.assert_running();
        let waits = |daemon: &mut Daemon| daemon.metrics()["cohortd_waiting"] > 0.9;
        (waits(&mut one) && waits(&mut two)).then_some(())
    });
    is_reported_to_wait(&mut two, "registry", &["Partition"]);
    two.kill9();
    eventually("the other takes its partition too, and waits for both", || {
        one.assert_running();
        (one.metrics()["cohortd_waiting"] > 1.9).then_some(())
    });
    is_reported_to_wait(&mut one, "registry", &["Partition 0", "Partition 1"]);
    registry.set(Mood::Well);
    one.ready();
    for partition in 0..2 {
        send(&writer, partition, id, &format!("b{partition}"));
        writer.flush();
        assert_eq!(next(&changes), format!("b{partition}"));
    }
    print_waits("cascade", &one);
    one.stop();
}

#[test]
fn a_real_registry_knows_denies_and_goes_away() {
    let Some(lab) = Lab::new("apicurio", 1, RULES) else { return };
    let Some(registry) = Apicurio::shared() else { return };
    if is_without_openssl() {
        return;
    }
    let id = registry.register("apicurio-events-value", SCHEMA);
    certificates(&lab.path(""));
    let front = TlsFront::start(&lab.path(""), Clients::Anybody, &registry.place());
    let at = |path: &str| {
        let ca = format!("schemas.ca={}", lab.path("ca.pem").display());
        vec![format!("schemas.registry={}{path}", front.address), ca, "schemas.retry_for=2 s".to_owned()]
    };
    let sets = at(PATH);
    let (writer, changes) = (lab.writer(), lab.follow("changes"));
    send(&writer, 0, id, "a");
    let foreign = [9_999, 0, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    for id in foreign {
        send(&writer, 0, id, "x");
    }
    send(&writer, 0, id, "b");
    writer.flush();
    let mut daemon = start(&lab, "one", &sets, &[]);
    assert_eq!((next(&changes), next(&changes)), ("a".to_owned(), "b".to_owned()));
    daemon.ready();
    daemon.kill9();
    // The right host, and another path on it.
    let ended = start(&lab, "one", &at(&PATH.replace("/apis/", "/api/")), &[]).ended();
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("HTTP 404"), "{}", ended.stderr);
    front.close(true);
    let mut daemon = start(&lab, "one", &sets, &[]);
    send(&writer, 0, id, "c");
    writer.flush();
    assert_eq!(next(&changes), "c");
    daemon.ready();
    assert!(daemon.metrics()["cohortd_registry_reachable"].abs() < 0.1);
    daemon.stop();
    let dead_letters = lab.read("letters").concat();
    assert_eq!(dead_letters.len(), foreign.len());
    assert!(dead_letters.iter().all(|letter| letter.header("cohortd_reason") == "unknown_schema"));
}

#[test]
fn a_replay_says_that_it_waits_for_the_registry() {
    let Some(lab) = Lab::new("replayed", 1, RULES) else { return };
    let (registry, id, sets) = registry();
    let writer = lab.writer();
    send(&writer, 0, id, "a");
    writer.flush();
    registry.set(Mood::Says(503));
    let mut replay = Command::new(env!("CARGO_BIN_EXE_cohortd"));
    replay.args(["replay", "--topic", &lab.topic("in"), "--rules"]).arg(lab.path("rules.toml"));
    for set in sets.iter().cloned().chain([format!("kafka.bootstrap_servers={}", lab.bootstrap)]) {
        replay.args(["--set", &set]);
    }
    let mut child =
        replay.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut logged = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = logged.find(|line| line.as_ref().unwrap().contains("does not answer")).unwrap().unwrap();
    println!("{waits}");
    assert!(waits.contains("HTTP 503") && waits.contains(&registry.address) && !waits.contains("hunter2"), "{waits}");
    registry.set(Mood::Well);
    let mut changes = String::new();
    child.stdout.take().unwrap().read_to_string(&mut changes).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(changes.contains("\"cohort\":\"seen\""), "{changes}");
}
