//! Rules that are edited while events flow, and what comes of it in the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use cohortd::codec::Output;
use cohortd::event::{Change, Instant};
use cohortd::store::decode_meta;

use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{avro, eventually};
use crate::naive::{Advance, Case, LogEvent, judge};

/// Cohorts whose members follow from the facts alone.
const BEFORE: &str = r#"
[cohorts.bought]
who = "did purchase in the last 4 seconds"
[cohorts.gone]
who = "did refund in the last 1 hour"
[cohorts.looking]
who = "did visit at least 2 times in the last 3 seconds"
"#;

/// One cohort as before, one with a fact that must reach further, one less, and three that ask about what was not kept.
const AFTER: &str = r#"
[cohorts.bought]
who = "did purchase in the last 4 seconds"
[cohorts.looking]
who = "did visit at least 5 times in the last 1 hour"
[cohorts.abandoned]
who = "each cart then no purchase within 2 seconds"
[cohorts.spender]
who = "sum(purchase.amount in the last 1 hour) >= 100 and not in looking"
[cohorts.steps]
who = "visit then cart within 5 seconds then purchase within 5 seconds in the last 1 hour"
"#;

type Members = BTreeSet<(String, String)>;

/// Who is in which cohort, by the membership table.
fn members(lab: &Lab) -> Members {
    let mut members = Members::new();
    for seen in lab.read("members").into_iter().flatten() {
        let (cohort, customer) = seen.key().split_once('/').unwrap();
        let member = (customer.to_owned(), cohort.to_owned());
        if seen.payload.is_some() {
            members.insert(member)
        } else {
            members.remove(&member)
        };
    }
    members
}

/// Who would be in which cohort, had these rules been there from the beginning.
fn expected(lab: &Lab, rules: &str) -> Members {
    let mut members = Members::new();
    for (input, advances) in lab.read("in").iter().zip(lab.advances()) {
        let event = |payload: &Option<Vec<u8>>| avro::decode(payload.as_ref()?);
        let (offsets, events): (Vec<i64>, Vec<LogEvent>) =
            input.iter().filter_map(|seen| Some((seen.offset, event(&seen.payload)?))).unzip();
        let place = |offset: i64| offsets.partition_point(|known| *known < offset);
        let advances =
            advances.iter().map(|(at, to)| Advance { position: place(*at), stream_time: Instant(*to) }).collect();
        let case = Case { rules: rules.to_owned(), config: shop::config(), events, advances, until: None };
        for change in judge(&case).unwrap().changes {
            let member = (change.customer, change.cohort);
            if change.change == Change::Entered {
                members.insert(member)
            } else {
                members.remove(&member)
            };
        }
    }
    members
}

/// Every change follows on the one before: numbered without a gap, in and out by turns, each id once.
fn changes_are_sound(lab: &Lab) -> usize {
    let (mut ids, mut inside, mut edited) = (BTreeSet::new(), Members::new(), 0);
    let mut sequences = std::collections::BTreeMap::<String, u64>::new();
    for seen in lab.read("changes").into_iter().flatten() {
        let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
        let text = |field: &str| change[field].as_str().unwrap().to_owned();
        assert!(ids.insert(text("event_id")), "twice: {change}");
        let sequence = sequences.entry(text("customer_id")).or_default();
        *sequence += 1;
        assert_eq!(change["sequence"], *sequence, "{change}");
        let member = (text("customer_id"), text("cohort"));
        let follows = if change["change"] == "ENTERED" { inside.insert(member) } else { inside.remove(&member) };
        assert!(follows, "{change}");
        if change["reason"] == "DEFINITION_CHANGED" {
            edited += 1;
            assert_eq!(change["automation"], false, "{change}");
        }
    }
    assert_eq!(inside, members(lab), "the membership table is the fold of the changes");
    edited
}

/// The version that decides in each partition by its last META, once none is under way.
fn versions(lab: &Lab) -> Vec<u64> {
    let last = |seen: Vec<super::lab::Seen>| {
        let meta = seen.into_iter().rfind(|seen| seen.key == [b'M'])?;
        let meta = decode_meta(&meta.payload?).unwrap();
        meta.adopting.is_none().then_some(meta.rules_version)
    };
    lab.read("log").into_iter().filter_map(last).collect()
}

fn adopted(lab: &Lab, version: u64) {
    let wanted = usize::try_from(lab.partitions).unwrap();
    eventually("every partition has taken the version up", || {
        let versions = versions(lab);
        (versions.len() == wanted && versions.iter().all(|found| *found == version)).then_some(())
    });
}

fn post(daemon: &mut Daemon, kind: &str, rules: &str) -> (u16, String) {
    let address = eventually("it listens", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("\"Listening.\""))?.to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        Some(line.get("admin").or_else(|| line["fields"].get("admin")).unwrap().as_str().unwrap().to_owned())
    });
    let mut stream = TcpStream::connect(address).unwrap();
    let length = rules.len();
    write!(stream, "POST /rules HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{rules}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn an_edit_under_load_and_kills_comes_to_what_a_fresh_start_would() {
    let Some(lab) = Lab::new("edit", 2, BEFORE) else { return };
    let mut random = Random::seeded("edit");
    let sets = [&shop::SETS[..], &["state.flush_after_events=500", "state.flush_after=1 s"]].concat();
    let open = shop::open(&lab, random.next(), 60, 200);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    thread::sleep(Duration::from_secs(3));
    fs::write(lab.path("rules.toml"), AFTER).unwrap();
    eventually("the edit is written", || {
        daemon.assert_running();
        daemon.says("Other rules; each partition takes them up.").then_some(())
    });
    for _ in 0..5 {
        // From the first moment of taking up on, restores included.
        thread::sleep(Duration::from_millis(random.next() % 600));
        daemon.kill9();
        daemon = lab.start("one", &sets);
        daemon.ready();
    }
    adopted(&lab, 2);
    thread::sleep(Duration::from_secs(2));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let edited = changes_are_sound(&lab);
    let (found, expected) = (members(&lab), expected(&lab, AFTER));
    println!("edit: {edited} changes by the edit, {} members in the end", found.len());
    assert_eq!(found, expected);
    assert!(edited > 50 && found.len() > 50, "too little happened: {edited} {}", found.len());
}

#[test]
fn a_bad_edit_changes_nothing_and_is_told_and_posted_rules_are_taken_up_by_all() {
    let Some(lab) = Lab::new("posted", 2, BEFORE) else { return };
    let sets = shop::SETS;
    let open = shop::open(&lab, 1, 20, 50);
    let mut one = lab.start("one", &sets);
    one.ready();
    let mut two = lab.start("two", &sets);
    two.ready();
    fs::write(lab.path("rules.toml"), AFTER.replace("did visit", "did vist a lot of").replace("each cart", "each"))
        .unwrap();
    for daemon in [&mut one, &mut two] {
        eventually("the mistakes are told", || daemon.says("The edit of the rules is refused").then_some(()));
        let (status, body) = daemon.get("/health/ready").unwrap();
        assert!(status == 200 && body.contains("was refused with 2 mistakes; version 1 stays in force"), "{body}");
        assert!(daemon.metrics()["cohortd_rules_rejected_total"] >= 1.0);
    }
    let (status, body) = post(&mut one, "application/toml", "[cohorts.x]\nwho = 'did'\n");
    assert!(status == 422 && body.contains("POST /rules:2"), "{status} {body}");
    assert_eq!(post(&mut one, "text/plain", AFTER).0, 415);
    let (status, body) = post(&mut one, "application/toml", AFTER);
    assert!(status == 200 && body.contains("\"version\":2") && body.contains("\"new\":true"), "{status} {body}");
    // The same again, from the other process: no new version.
    let (status, body) = eventually("the other process answers", || {
        let answer = post(&mut two, "application/toml", AFTER);
        (answer.0 != 503).then_some(answer)
    });
    assert!(status == 200 && body.contains("\"version\":2") && body.contains("\"new\":false"), "{status} {body}");
    adopted(&lab, 2);
    // A sound file afterwards, seen by both at about the same time, is one version.
    fs::write(lab.path("rules.toml"), BEFORE).unwrap();
    adopted(&lab, 3);
    thread::sleep(Duration::from_secs(3));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    one.stop();
    two.stop();
    assert_eq!(versions(&lab), [3, 3]);
    assert!(changes_are_sound(&lab) > 0);
    assert_eq!(members(&lab), expected(&lab, BEFORE));
}

#[test]
fn a_file_that_was_edited_while_nothing_ran_is_accepted_only_when_asked() {
    let Some(lab) = Lab::new("accept", 1, BEFORE) else { return };
    let open = shop::open(&lab, 1, 20, 100);
    let mut daemon = lab.start("one", &shop::SETS);
    daemon.ready();
    thread::sleep(Duration::from_secs(2));
    daemon.stop();
    fs::write(lab.path("rules.toml"), AFTER).unwrap();
    let ended = lab.start("one", &shop::SETS).ended();
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    for word in ["old file", "--accept-rules", "topics.changelog"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    let mut daemon = lab.start_accepting("one", &shop::SETS);
    daemon.ready();
    adopted(&lab, 2);
    daemon.stop();
    // From then on it is the file, and the old one would be a step back.
    let mut daemon = lab.start("one", &shop::SETS);
    daemon.ready();
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    assert!(changes_are_sound(&lab) > 0);
    assert_eq!(members(&lab), expected(&lab, AFTER));
}
