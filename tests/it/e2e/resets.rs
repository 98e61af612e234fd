//! The input is no longer the log of the state, or the group's offsets are not where the state ends: one line
//! with the command to run, exit code 78, and that command, compared with the naive evaluator where it keeps the state.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;
use cohortd::kafka::partition_of;
use cohortd::store::{decode_meta, encode_meta};

use super::daemon::Daemon;
use super::lab::{Lab, Seen};
use super::refusals::refusal;
use super::shop::{self, Random};
use super::{avro, eventually, judge};

/// Sessions end soon, so that a command need not wait for one that was killed.
const SESSION: [&str; 2] = ["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"];

const VISITS: &str = r#"
[cohorts.second]
who = "did visit at least 2 times ever"

[cohorts.third]
who = "did visit at least 3 times ever"

[cohorts.fourth]
who = "did visit at least 4 times ever"
"#;

pub(super) fn sets() -> Vec<&'static str> {
    [&shop::SETS[..], &SESSION[..], &["state.flush_after_events=200", "state.flush_after=1 s"]].concat()
}

/// A shop that has been open for some seconds, as a process left it that was stopped; when its last event was.
pub(super) fn history(lab: &Lab, random: &mut Random) -> i64 {
    let open = shop::open(lab, random.next(), 30, 150);
    let mut daemon = lab.start("one", &sets());
    daemon.ready();
    thread::sleep(Duration::from_secs(3));
    let last = open.close();
    lab.read_through();
    daemon.stop();
    last
}

/// The shop is open for some seconds more while a process works, until everything is decided; then the process is stopped.
pub(super) fn work_on(lab: &Lab, random: &mut Random, mut daemon: Daemon) {
    daemon.ready();
    let open = shop::open(lab, random.next(), 30, 150);
    thread::sleep(Duration::from_secs(3));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
}

/// Goes on for some seconds, and judges all of it: `before` is what the input held that it does not hold now.
fn go_on(lab: &Lab, random: &mut Random, before: &[Vec<Seen>]) {
    work_on(lab, random, lab.start("one", &sets()));
    let now = lab.read("in");
    let input: Vec<Vec<Seen>> = before.iter().zip(now).map(|(before, now)| [before.clone(), now].concat()).collect();
    let found = judge::check_log(lab, shop::config(), &input, |seen| avro::decode(seen.payload.as_ref()?));
    println!("{}: {found:?}", lab.name);
    assert!(found.changes > 100 && found.by_time > 20, "too little happened: {found:?}");
}

fn done(lab: &Lab, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = lab.reset("one", &sets(), arguments);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    stdout
}

/// It is refused again and again, and the command without `--yes` changes nothing about that.
fn refused(lab: &Lab, words: &[&str], arguments: &[&str]) {
    for _ in 0..2 {
        refusal(lab.start("one", &sets()).ended(), words);
        done(lab, arguments);
    }
}

#[test]
fn offsets_set_by_another_program_are_refused_and_set_back() {
    let Some(lab) = Lab::new("offsets", 2, shop::RULES) else { return };
    let mut random = Random::seeded("offsets");
    history(&lab, &mut random);
    lab.set_offsets(&[(0, 5), (1, 1_000_000)]);
    let way = "`cohortd reset --from stored --yes`";
    refused(&lab, &["was set to", "by another program", way], &["--from", "stored"]);
    let printed = done(&lab, &["--from", "stored", "--yes"]);
    assert!(printed.contains("nothing is lost or published twice"), "{printed}");
    assert!(done(&lab, &["--from", "stored"]).contains("nothing to do"));
    go_on(&lab, &mut random, &[Vec::new(), Vec::new()]);
}

/// As brokers have been seen to leave a group whose coordinator was killed.
#[test]
fn an_offset_of_a_transaction_that_was_aborted_leaves_no_record_out() {
    let Some(lab) = Lab::new("kept", 1, shop::RULES) else { return };
    let mut random = Random::seeded("kept");
    history(&lab, &mut random);
    let log = lab.read("log").concat();
    let last = log.iter().rfind(|seen| seen.key == b"M").unwrap();
    let mut meta = decode_meta(last.payload.as_ref().unwrap()).unwrap();
    meta.sequence += 1;
    let mut bytes = Vec::new();
    encode_meta(&meta, &mut bytes);
    let open = shop::open(&lab, random.next(), 30, 150);
    thread::sleep(Duration::from_secs(1));
    open.close();
    lab.transactions_in("log").abort(&[("M", bytes)]);
    lab.set_offset_in(&lab.name, "in", 0, lab.end("in", 0), &format!("cohortd 1 {} {:016x}", meta.sequence, 7));
    let mut daemon = lab.start("one", &sets());
    daemon.ready();
    assert!(daemon.says("The brokers kept the offset of a transaction whose records they aborted"));
    daemon.stop();
    go_on(&lab, &mut random, &[Vec::new()]);

    // One that the changelog never held: it has lost it.
    lab.set_offset_in(&lab.name, "in", 0, lab.end("in", 0), &format!("cohortd 1 {} {:016x}", u64::MAX, 7));
    refused(&lab, &["one of them has lost records", "`cohortd reset --from stored --yes`"], &["--from", "stored"]);
}

#[test]
fn retention_that_passed_what_was_not_read_is_refused_and_left_out() {
    let Some(lab) = Lab::new("passed", 1, shop::RULES) else { return };
    let mut random = Random::seeded("passed");
    history(&lab, &mut random);
    let read = lab.read("in");
    let end = lab.end("in", 0);
    let open = shop::open(&lab, random.next(), 30, 150);
    thread::sleep(Duration::from_secs(1));
    open.close();
    lab.forget_before(end + 50);
    let way = "`cohortd reset --from earliest --yes`";
    refused(&lab, &["retention has dropped 50 records", way], &["--from", "earliest"]);
    let (code, _, stderr) = lab.reset("one", &sets(), &["--from", "stored", "--yes"]);
    assert!(code == Some(78) && stderr.contains("--from earliest"), "{stderr}");
    let printed = done(&lab, &["--from", "earliest", "--yes"]);
    assert!(printed.contains("50 records are never read") && !printed.contains("lost"), "{printed}");
    go_on(&lab, &mut random, &read);
}

#[test]
fn retention_that_overtakes_a_process_stops_it_once_everything_is_written() {
    let Some(lab) = Lab::new("overtaken", 1, shop::RULES) else { return };
    let mut random = Random::seeded("overtaken");
    // It sleeps for some seconds, and is still a member after that.
    let lazy = [&shop::SETS[..], &["kafka.options.session.timeout.ms=18000", "state.flush_after=1 hour"]].concat();
    let open = shop::open(&lab, random.next(), 30, 150);
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    thread::sleep(Duration::from_secs(3));
    open.close();
    lab.read_through();
    let (read, end) = (lab.read("in"), lab.end("in", 0));
    daemon.signal("-STOP");
    // The broker answers the fetch that waits there, or it would with the first of these.
    thread::sleep(Duration::from_secs(2));
    let open = shop::open(&lab, random.next(), 30, 150);
    thread::sleep(Duration::from_secs(1));
    open.close();
    lab.forget_before(end + 50);
    daemon.signal("-CONT");
    refusal(daemon.ended(), &["retention has dropped 50 records", "`cohortd reset --from earliest --yes`"]);
    let printed = done(&lab, &["--from", "earliest", "--yes"]);
    assert!(printed.contains("50 records are never read") && !printed.contains("lost"), "{printed}");
    go_on(&lab, &mut random, &read);
}

#[test]
fn retention_that_passed_what_was_not_written_is_refused_and_read_from_there_on() {
    let Some(lab) = Lab::new("unwritten", 1, VISITS) else { return };
    let writer = lab.writer();
    let visit = |customer: &str| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
        writer.flush();
        thread::sleep(Duration::from_millis(2));
    };
    let lazy = [&SESSION[..], &["state.flush_after=1 hour"]].concat();
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    ["a", "b", "a", "b"].into_iter().for_each(visit);
    lab.read_through();
    daemon.kill9();
    lab.forget_before(2);
    let words = ["what changed from 0 on is not all written", "`cohortd reset --from stored --yes`"];
    refusal(lab.start("one", &lazy).ended(), &words);
    let (code, printed, _) = lab.reset("one", &lazy, &["--from", "stored", "--yes"]);
    assert!(code == Some(0) && printed.contains("read again from 2 on"), "{printed}");
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    // Of each one visit is left, and this is the second.
    ["a", "b"].into_iter().for_each(visit);
    lab.read_through();
    daemon.stop();
    let (second, third) = (entered(&lab, "second"), entered(&lab, "third"));
    assert_eq!((second.len(), third.len()), (4, 0), "{second:?} {third:?}");
}

#[test]
fn a_longer_recreated_input_is_refused_and_read_from_its_end() {
    let Some(lab) = Lab::new("longer", 2, shop::RULES) else { return };
    let mut random = Random::seeded("longer");
    history(&lab, &mut random);
    let read = lab.read("in");
    lab.make_anew("in", 2, &[]);
    let writer = lab.writer();
    for partition in 0..2 {
        // Nothing that a customer did.
        for _ in 0..read.iter().map(Vec::len).max().unwrap() + 100 {
            writer.send_to(partition, Some("c1"), None);
        }
    }
    writer.flush();
    let ways = ["was made anew", "`cohortd reset --from earliest --yes`", "`cohortd reset --rebuild --yes`"];
    refused(&lab, &ways, &["--from", "latest"]);
    done(&lab, &["--from", "latest", "--yes"]);
    go_on(&lab, &mut random, &read);
}

/// Who entered a cohort, in the order of the output.
fn entered(lab: &Lab, cohort: &str) -> Vec<String> {
    let changes = lab.read("changes").concat().into_iter();
    let changes = changes.map(|seen| Output::CohortChange.to_json(&seen.payload.unwrap()).unwrap());
    let entered = changes.filter(|change| change["cohort"] == cohort && change["change"] == "ENTERED");
    entered.map(|change| change["customer_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_recreated_input_stops_a_process_and_its_customers_stay_as_they_are() {
    let Some(lab) = Lab::new("shorter", 1, VISITS) else { return };
    let writer = lab.writer();
    let visit = |customer: &str| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
        writer.flush();
        // No two are alike.
        thread::sleep(Duration::from_millis(2));
    };
    let lazy = [&SESSION[..], &["state.flush_after=1 hour"]].concat();
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    for _ in 0..20 {
        writer.send("other", b"no event");
    }
    ["a", "b", "a"].into_iter().for_each(visit);
    lab.read_through();
    lab.make_anew("in", 1, &[]);
    let ways = ["was made anew", "`cohortd reset --from earliest --yes`", "`cohortd reset --rebuild --yes`"];
    refusal(daemon.ended(), &ways);
    refusal(lab.start("one", &lazy).ended(), &ways);
    let (code, _, stderr) = lab.reset("one", &lazy, &["--from", "stored", "--yes"]);
    assert!(code == Some(78) && stderr.contains("of another log"), "{stderr}");
    let (code, printed, _) = lab.reset("one", &lazy, &["--from", "earliest", "--yes"]);
    assert!(code == Some(0) && printed.contains("continues at 0"), "{printed}");
    // What was changed and not written when the topic went was written as the process ended.
    assert!(!printed.contains("lost"), "{printed}");

    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    let writer = lab.writer();
    let visit = |customer: &str| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
        writer.flush();
        thread::sleep(Duration::from_millis(2));
    };
    ["a", "b"].into_iter().for_each(visit);
    let entered_are = |daemon: &mut Daemon, cohort: &str, expected: &[&str]| {
        eventually("everybody has entered who should", || {
            daemon.assert_running();
            let entered = entered(&lab, cohort);
            (entered.len() >= expected.len()).then(|| assert_eq!(entered, expected, "{cohort}"))
        });
    };
    entered_are(&mut daemon, "third", &["a"]);
    entered_are(&mut daemon, "second", &["a", "b"]);
    // The offsets of the new topic are below those as of which customers were written: they are read again all the same.
    daemon.kill9();
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    ["a", "b"].into_iter().for_each(visit);
    entered_are(&mut daemon, "fourth", &["a"]);
    entered_are(&mut daemon, "third", &["a", "b"]);
    daemon.stop();
}

#[test]
fn added_partitions_stop_a_process_and_a_copy_of_the_input_is_decided_again() {
    let Some(lab) = Lab::new("added", 2, shop::RULES) else { return };
    let mut random = Random::seeded("added");
    let open = shop::open(&lab, random.next(), 30, 150);
    let mut daemon = lab.start("one", &sets());
    daemon.ready();
    thread::sleep(Duration::from_secs(3));
    open.close();
    lab.read_through();
    lab.enlarge("in", 4);
    let words = ["has 4 partitions and the state is of 2", "topics.input", "`cohortd reset --rebuild --yes`"];
    refusal(daemon.ended(), &words);
    refusal(lab.start("one", &sets()).ended(), &words);
    let (code, _, stderr) = lab.reset("one", &sets(), &["--from", "earliest", "--yes"]);
    assert!(code == Some(78) && stderr.contains("has 4 partitions and the state is of 2"), "{stderr}");

    // The way on.
    lab.create("copy", 4, &[]);
    let mut records = lab.read("in").concat();
    records.sort_by_key(|seen| seen.written);
    let copy = lab.writer_to("copy");
    for seen in &records {
        copy.send_to(partition_of(&seen.key, 4), Some(seen.key()), seen.payload.as_deref());
    }
    copy.flush();
    let renamed = format!("topics.input={}", lab.topic("copy"));
    let sets = [&sets()[..], &[&renamed]].concat();
    let (code, ..) = lab.reset("one", &sets, &["--rebuild", "--yes"]);
    assert_eq!(code, Some(0));
    let said_before: Vec<i64> = (0..2).map(|partition| lab.end("changes", partition)).collect();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let wide = lab.with_partitions(4);
    eventually("the copy is read", || {
        let metrics = daemon.metrics();
        let done = metrics["cohortd_records_consumed_total"] as usize >= records.len();
        (done && metrics.get("cohortd_consumer_lag_records") == Some(&0.0)).then_some(())
    });
    daemon.stop();
    let changes = wide.read("changes").concat().into_iter();
    let printed = changes.filter(|seen| said_before.get(seen.partition as usize).is_none_or(|end| seen.offset >= *end));
    // Every customer's changes are published again, where their records are now.
    let customers: BTreeSet<String> = printed
        .map(|seen| {
            assert_eq!(seen.partition, partition_of(&seen.key, 4));
            seen.key().to_owned()
        })
        .collect();
    assert!(customers.len() > 20, "{customers:?}");
}

#[test]
fn a_changelog_that_was_emptied_is_refused_and_made_again_from_the_input() {
    let Some(lab) = Lab::new("emptied", 2, VISITS) else { return };
    let writer = lab.writer();
    for customer in ["a", "b", "c"] {
        for at in 0..3 {
            let id = Some(format!("{customer}{at}"));
            let event = avro::event(customer, "visit", wall_clock().0 - 1_000 * at, id);
            writer.send(customer, &avro::encode(&event));
        }
    }
    writer.flush();
    let mut daemon = lab.start("one", &SESSION);
    daemon.ready();
    lab.read_through();
    daemon.stop();
    let ids = || -> Vec<String> {
        let changes = lab.read("changes").concat().into_iter();
        changes.map(|seen| seen.header("ce_id").to_owned()).collect()
    };
    let before = ids();
    lab.make_anew("log", 2, &[("cleanup.policy", "compact")]);
    let words = ["holds no state", "`cohortd reset --rebuild --yes`"];
    refusal(lab.start("one", &SESSION).ended(), &words);
    let (code, _, stderr) = lab.reset("one", &SESSION, &["--from", "stored", "--yes"]);
    assert!(code == Some(78) && stderr.contains("--rebuild"), "{stderr}");
    let (code, ..) = lab.reset("one", &SESSION, &["--rebuild", "--yes"]);
    assert_eq!(code, Some(0));
    // The membership table is empty until everything is decided again.
    let rows = |seen: &Seen| seen.payload.is_some();
    assert_eq!(lab.read("members").concat().iter().rev().take(6).filter(|seen| rows(seen)).count(), 0);
    let mut daemon = lab.start("one", &SESSION);
    daemon.ready();
    lab.read_through();
    daemon.stop();
    let after = ids();
    let again: BTreeSet<&String> = after[..].iter().filter(|id| before.contains(id)).collect();
    assert_eq!((again.len(), after.len()), (before.len(), 2 * before.len()), "{before:?} {after:?}");
    // And once more, with the state in order and the copies on disk.
    let (code, ..) = lab.reset("one", &SESSION, &["--rebuild", "--yes"]);
    assert_eq!(code, Some(0));
    let mut daemon = lab.start("one", &SESSION);
    daemon.ready();
    lab.read_through();
    daemon.stop();
    assert_eq!(ids().len(), 3 * before.len());
}

#[test]
fn offsets_that_the_group_has_lost_are_known_to_the_state() {
    let Some(lab) = Lab::new("expired", 2, shop::RULES) else { return };
    let mut random = Random::seeded("expired");
    history(&lab, &mut random);
    // As the brokers do after offsets.retention.minutes.
    lab.delete_group();
    go_on(&lab, &mut random, &[Vec::new(), Vec::new()]);
}

#[test]
fn a_local_copy_that_may_lack_deletions_is_rebuilt() {
    let Some(lab) = Lab::new("old", 1, shop::RULES) else { return };
    lab.create("log", 1, &[("cleanup.policy", "compact"), ("delete.retention.ms", "4000")]);
    let mut random = Random::seeded("old");
    history(&lab, &mut random);
    // Half of what deletions are kept for.
    thread::sleep(Duration::from_secs(3));
    let mut daemon = lab.start("one", &sets());
    daemon.ready();
    assert!(daemon.says("the local copy is too old") && daemon.says("delete.retention.ms is 4000"), "{}", daemon.log());
    daemon.stop();
    go_on(&lab, &mut random, &[Vec::new()]);
}

#[test]
fn a_command_waits_for_sessions_and_is_refused_while_a_process_works() {
    let Some(lab) = Lab::new("busy", 1, VISITS) else { return };
    let mut daemon = lab.start("one", &SESSION);
    daemon.ready();
    let (code, _, stderr) = lab.reset("one", &SESSION, &["--rebuild", "--yes"]);
    assert!(code == Some(1) && stderr.contains("active members"), "{stderr}");
    daemon.ready();
    daemon.stop();
}
