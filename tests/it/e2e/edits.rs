//! Rules that are edited while events are read, and the result.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;
use cohortd::event::{Change, Instant, Number};
use cohortd::kafka::partition_of;
use cohortd::store::decode_meta;

use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{avro, eventually};
use crate::naive::{Advance, Case, LogEvent, OwnedValue, judge};

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
who = "sum(purchase.amount in the last 1 hour) >= 1"
on_create = "emit"
[cohorts.steps]
who = "visit then cart within 5 seconds then purchase within 5 seconds in the last 1 hour and not in looking"
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
        let (rules, config) = (rules.to_owned(), shop::config());
        let case =
            Case { rules, config, events, advances, thresholds: Vec::new(), parameters: Vec::new(), until: None };
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

/// How many changes an edit brought about, and how many of them may automate.
#[derive(Default)]
struct Edited {
    changes: usize,
    automated: usize,
}

/// Every change follows on the one before: numbered without a gap, in and out by turns, each id once. By an edit only
/// `spender` may automate.
fn changes_are_sound(lab: &Lab) -> Edited {
    let (mut ids, mut inside, mut edited) = (BTreeSet::new(), Members::new(), Edited::default());
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
            edited.changes += 1;
            edited.automated += usize::from(change["automation"] == true);
            assert!(change["automation"] == false || change["cohort"] == "spender", "{change}");
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
        meta.migration.is_none().then_some(meta.rules_version)
    };
    lab.read("log").into_iter().filter_map(last).collect()
}

/// Has every partition been caught up once, by its last META?
fn is_caught_up(lab: &Lab) -> bool {
    lab.read("log").into_iter().all(|seen| {
        let meta = seen.into_iter().rfind(|seen| seen.key == [b'M']);
        meta.is_some_and(|meta| decode_meta(&meta.payload.unwrap()).unwrap().caught_up)
    })
}

fn applied(lab: &Lab, version: u64) {
    let wanted = usize::try_from(lab.partitions).unwrap();
    eventually("every partition has taken the version up", || {
        let versions = versions(lab);
        (versions.len() == wanted && versions.iter().all(|found| *found == version)).then_some(())
    });
}

fn post(daemon: &mut Daemon, kind: &str, rules: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(daemon.address("admin")).unwrap();
    let length = rules.len();
    write!(stream, "POST /rules HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{rules}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn an_edit_under_load_and_kills_has_the_result_of_a_fresh_start() {
    let Some(lab) = Lab::new("edit", 2, BEFORE) else { return };
    let mut random = Random::seeded("edit");
    let sets = [&shop::SETS[..], &["state.flush_after_events=500", "state.flush_after=1 s"]].concat();
    let open = shop::open(&lab, random.next(), 60, 200);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    thread::sleep(Duration::from_secs(3));
    lab.write_rules(AFTER);
    eventually("the edit is written", || {
        daemon.assert_running();
        daemon.says("New rules; each partition migrates to them.").then_some(())
    });
    for _ in 0..5 {
        // From the first moment of taking up on, restores included.
        thread::sleep(Duration::from_millis(random.next() % 600));
        daemon.kill9();
        daemon = lab.start("one", &sets);
        daemon.ready();
    }
    applied(&lab, 2);
    thread::sleep(Duration::from_secs(2));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let edited = changes_are_sound(&lab).changes;
    let (found, expected) = (members(&lab), expected(&lab, AFTER));
    println!("edit: {edited} changes by the edit, {} members in the end", found.len());
    assert_eq!(found, expected);
    assert!(edited > 50 && found.len() > 50, "too little happened: {edited} {}", found.len());
}

#[test]
fn a_bad_edit_changes_nothing_and_is_reported_and_posted_rules_are_applied_by_all() {
    let Some(lab) = Lab::new("posted", 2, BEFORE) else { return };
    let sets = shop::SETS;
    let open = shop::open(&lab, 1, 20, 50);
    let mut one = lab.start("one", &sets);
    one.ready();
    let mut two = lab.start("two", &sets);
    two.ready();
    // A request during a rebalance is answered with the restore in progress.
    for daemon in [&mut one, &mut two] {
        eventually("each has a partition", || (daemon.metrics()["cohortd_partitions_assigned"] == 1.0).then_some(()));
        daemon.ready();
    }
    // Before that automation may act on nothing, whatever a rule says.
    eventually("every partition is caught up", || is_caught_up(&lab).then_some(()));
    lab.write_rules(&AFTER.replace("did visit", "did vist a lot of").replace("each cart", "each"));
    for daemon in [&mut one, &mut two] {
        eventually("the mistakes are told", || daemon.says("The edit of the rules is refused").then_some(()));
        let (status, body) = daemon.get("/health/ready").unwrap();
        let thresholds_reported =
            body.contains("rules.toml:") && body.contains("(and 1 more); version 1 stays in force");
        assert!(status == 200 && thresholds_reported, "{body}");
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
        // Until Kafka answers, and until what it answered is known.
        (answer.0 != 503 && answer.0 != 202).then_some(answer)
    });
    assert!(status == 200 && body.contains("\"version\":2") && body.contains("\"new\":false"), "{status} {body}");
    applied(&lab, 2);
    // A sound file afterwards, seen by both at about the same time, is one version.
    lab.write_rules(BEFORE);
    applied(&lab, 3);
    thread::sleep(Duration::from_secs(3));
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    one.stop();
    two.stop();
    assert_eq!(versions(&lab), [3, 3]);
    let edited = changes_are_sound(&lab);
    assert!(edited.automated > 0 && edited.automated < edited.changes, "{} of {}", edited.automated, edited.changes);
    assert_eq!(members(&lab), expected(&lab, BEFORE));
}

#[test]
fn a_rules_file_counts_once_it_is_whole_and_loses_most_cohorts_only_when_confirmed() {
    let cohort = |name: &&str| format!("[cohorts.{name}]\nwho = \"did seen_{name} in the last 1 hour\"\n");
    let of = |names: &[&str]| names.iter().map(cohort).collect::<String>();
    let Some(lab) = Lab::new("whole", 1, &of(&["a", "b", "c", "d"])) else { return };
    let rules = lab.path("rules.toml");
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let logged = |daemon: &Daemon, text: &str, times: usize| {
        eventually(text, || (daemon.log().matches(text).count() == times).then_some(()));
    };
    let is_told = |daemon: &mut Daemon, words: &[&str]| {
        eventually("the health check tells it", || {
            let (status, body) = daemon.get("/health/ready")?;
            (status == 200 && words.iter().all(|word| body.contains(word))).then_some(())
        });
    };
    // The first part of a file is as sound as the whole, and all that there is of it for a while.
    fs::write(&rules, of(&["a"])).unwrap();
    logged(&daemon, "The rules file has lost most of its cohorts.", 1);
    is_told(&mut daemon, &["has lost 3 of 4 cohorts", "version 1 stays in force"]);
    fs::write(&rules, of(&["a", "b", "c", "d", "e"])).unwrap();
    logged(&daemon, "New rules; each partition migrates to them.", 1);

    fs::rename(&rules, lab.path("away")).unwrap();
    logged(&daemon, "The rules file is missing", 1);
    is_told(&mut daemon, &["is missing", "version 2 stays in force"]);
    fs::rename(lab.path("away"), &rules).unwrap();
    logged(&daemon, "The rules file is back.", 1);

    fs::write(&rules, of(&["a"])).unwrap();
    logged(&daemon, "The rules file has lost most of its cohorts.", 2);
    daemon.signal("-HUP");
    logged(&daemon, "New rules; each partition migrates to them.", 2);
    daemon.stop();
}

/// Lines that are logged only if something takes long.
const ON_A_SLOW_MACHINE: [&str; 4] = [
    "Reading the input again for the new rules.",
    "Applying new rules.",
    "The group is changing; the batch waits.",
    "The outcome of the transaction is known.",
];

/// They speak of clients, rebalances, restores and summaries, as often as a slow machine makes them.
const OF_SOMETHING_ELSE: [&str; 4] =
    ["cohortd::kafka", "cohortd::lane::group", "cohortd::lane::restore", "cohortd::lane::summaries"];

/// What a process with so many partitions says of two edits, after the first of which the input is read again.
fn log_of_edits(partitions: i32) -> Option<Vec<String>> {
    let lab = Lab::new("lines", partitions, BEFORE)?;
    let writer = lab.writer();
    for partition in 0..partitions {
        let customer =
            (0..).map(|n| format!("c{n}")).find(|c| partition_of(c.as_bytes(), partitions as u32) == partition);
        let customer = customer.unwrap();
        let visit = avro::event(&customer, "visit", wall_clock().0 - 60_000, None);
        writer.send(&customer, &avro::encode(&visit));
    }
    writer.flush();
    let mut daemon = lab.start("one", &shop::SETS);
    daemon.ready();
    let all: Vec<i64> = (0..partitions.into()).collect();
    for once in ["Caught up with the input.", "Live: its time follows the wall clock from here on."] {
        eventually(once, || (daemon.partitions_of(once) == all).then_some(()));
    }
    let before = daemon.lines().len();
    for (edit, rules) in [AFTER, BEFORE].into_iter().enumerate() {
        lab.write_rules(rules);
        let ends = || daemon.lines_of("The new rules are in force.");
        eventually("the edit is applied", || (ends().len() == edit + 1).then_some(()));
        assert_eq!(ends()[edit]["partitions"], partitions);
    }
    assert_eq!(daemon.partitions_of("Live: its time follows the wall clock from here on."), all);
    let logged = daemon.lines().split_off(before);
    daemon.stop();
    let text = |line: &serde_json::Value, field: &str| line[field].as_str().unwrap().to_owned();
    let is_own =
        |target: &str| target.starts_with("cohortd") && !OF_SOMETHING_ELSE.iter().any(|of| target.starts_with(of));
    let own = logged.iter().filter(|line| line["level"] == "INFO" && is_own(&text(line, "target")));
    let logged = own.map(|line| text(line, "message"));
    let mut logged: Vec<String> = logged.filter(|message| !ON_A_SLOW_MACHINE.contains(&message.as_str())).collect();
    // In which order two threads log is their matter.
    logged.sort();
    Some(logged)
}

#[test]
fn an_edit_takes_few_lines_of_the_log_however_many_partitions_there_are() {
    let (Some(of_one), Some(of_many)) = (log_of_edits(1), log_of_edits(7)) else { return };
    println!("{}", of_one.join("\n"));
    assert_eq!(of_one, of_many);
    assert!((2..=2 * 4).contains(&of_one.len()), "{of_one:?}");
}

#[test]
fn names_that_the_input_does_not_have_are_warnings_after_the_first_load_and_after_an_edit() {
    let asks_for = |event: &str| format!("[cohorts.some]\nwho = \"did {event} ever or did visit ever\"\n");
    let Some(lab) = Lab::new("misspelt", 2, &asks_for("purchas")) else { return };
    let writer = lab.writer();
    for (number, name) in ["visit", "purchase", "refund"].into_iter().cycle().take(30).enumerate() {
        let customer = format!("c{number}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, name, wall_clock().0 - 60_000, None)));
    }
    writer.flush();
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let is_missing = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|message| message.starts_with("The rules ask for what was not found"))
    };
    let missing = |daemon: &Daemon| -> Vec<serde_json::Value> {
        let lines = daemon.lines().into_iter().filter(is_missing);
        let fields = ["level", "version", "key", "message", "hint"];
        lines.map(|line| fields.iter().map(|field| line[*field].clone()).collect()).collect()
    };
    let warning = |version: u64, wrong: &str, right: &str| {
        let message = format!("The rules ask for what was not found in the input: no event is called `{wrong}`.");
        serde_json::json!(["WARN", version, "cohorts.some.who", message, format!("did you mean `{right}`?")])
    };
    let first = warning(1, "purchas", "purchase");
    eventually("the misspelt name is logged", || (missing(&daemon) == [first.clone()]).then_some(()));

    lab.write_rules(&asks_for("refnud"));
    let both = [first, warning(2, "refnud", "refund")];
    eventually("the misspelt name of the edit is logged", || (missing(&daemon) == both).then_some(()));
    lab.write_rules(&asks_for("refund"));
    eventually("the edit is applied", || (daemon.lines_of("The new rules are in force.").len() == 2).then_some(()));
    assert_eq!(missing(&daemon), both, "a right name is no reason");
    daemon.stop();
}

#[test]
fn a_file_that_was_edited_while_nothing_ran_is_in_force_after_the_restart() {
    let Some(lab) = Lab::new("rollout", 1, BEFORE) else { return };
    let open = shop::open(&lab, 1, 20, 100);
    let restarted = |version| {
        let mut daemon = lab.start("one", &shop::SETS);
        daemon.ready();
        applied(&lab, version);
        thread::sleep(Duration::from_secs(2));
        daemon.stop();
    };
    restarted(1);
    lab.write_rules(AFTER);
    restarted(2);
    // Nobody edited it.
    restarted(2);
    // Going back is an edit too.
    lab.write_rules(BEFORE);
    restarted(3);
    let mut daemon = lab.start("one", &shop::SETS);
    daemon.ready();
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    assert!(changes_are_sound(&lab).changes > 0);
    assert_eq!(members(&lab), expected(&lab, BEFORE));
}

#[test]
fn a_file_that_nobody_edited_does_not_go_back_to_older_rules() {
    let Some(lab) = Lab::new("older", 1, BEFORE) else { return };
    let open = shop::open(&lab, 1, 20, 50);
    // Another process takes over at once.
    let sets = [&shop::SETS[..], &["kafka.on_stop=leave"]].concat();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    applied(&lab, 1);
    assert_eq!(post(&mut daemon, "application/toml", AFTER).0, 200);
    applied(&lab, 2);
    daemon.stop();
    // The same process, and one that has never read a file.
    for instance in ["one", "two"] {
        let mut daemon = lab.start(instance, &sets);
        daemon.ready();
        assert!(daemon.says("The rules file is an older version"), "{}", daemon.log());
        daemon.stop();
    }
    assert_eq!(versions(&lab), [2]);
    // Unless it is asked to.
    let mut daemon = lab.start_accepting("one", &sets);
    daemon.ready();
    applied(&lab, 3);
    daemon.stop();
    open.close();
}

#[test]
fn a_file_that_lost_most_cohorts_while_nothing_ran_waits_to_be_confirmed() {
    let cohort = |name: &&str| format!("[cohorts.{name}]\nwho = \"did seen_{name} in the last 1 hour\"\n");
    let of = |names: &[&str]| names.iter().map(cohort).collect::<String>();
    let Some(lab) = Lab::new("confirm", 1, &of(&["a", "b", "c", "d"])) else { return };
    let open = shop::open(&lab, 1, 20, 50);
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    applied(&lab, 1);
    daemon.stop();
    lab.write_rules(&of(&["a"]));
    // However often it is restarted.
    for _ in 0..2 {
        let mut daemon = lab.start("one", &[]);
        daemon.ready();
        let (status, body) = daemon.get("/health/ready").unwrap();
        let is_told = body.contains("has lost 3 of 4 cohorts") && body.contains("version 1 stays in force");
        assert!(status == 200 && is_told, "{body}");
        daemon.stop();
        assert_eq!(versions(&lab), [1]);
    }
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    daemon.signal("-HUP");
    applied(&lab, 2);
    daemon.stop();
    lab.write_rules(&of(&["b", "c", "d", "e"]));
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    applied(&lab, 3);
    daemon.stop();
    // A setting makes a confirmation unnecessary.
    lab.write_rules(&of(&["b"]));
    let mut daemon = lab.start("one", &["rules.confirm_removal=false"]);
    daemon.ready();
    applied(&lab, 4);
    daemon.stop();
    open.close();
}

/// Of many customers little; who is where follows from a customer's number.
const FEW: &str = r#"
[cohorts.bought]
who = "did purchase ever"
[cohorts.gone]
who = "did refund ever"
"#;
const OTHERS: &str = r#"
[cohorts.bought]
who = "did purchase ever"
[cohorts.keen]
who = "did visit at least 2 times ever"
[cohorts.spender]
who = "sum(purchase.amount ever) >= 50"
"#;
/// Some ten transactions.
const MANY: i64 = 20_000;

fn of_number(number: i64) -> Vec<LogEvent> {
    let customer = format!("c{number}");
    let at = wall_clock().0;
    let event = |name: &str, nr: i64| avro::event(&customer, name, at + nr, Some(format!("{number}-{nr}")));
    let mut events = vec![event("visit", 0)];
    events.extend((number % 3 == 0).then(|| event("visit", 1)));
    events.extend((number % 5 == 0).then(|| event("refund", 2)));
    if number % 2 == 0 {
        let amount = OwnedValue::Number(Number::from_integer(number % 90));
        events.push(LogEvent { properties: vec![("amount".into(), amount)], ..event("purchase", 3) });
    }
    events
}

fn of_numbers(others: bool) -> Members {
    let mut members = Members::new();
    for number in 0..MANY {
        let mut is_in = |cohort: &str, so: bool| {
            if so {
                members.insert((format!("c{number}"), cohort.to_owned()));
            }
        };
        is_in("bought", number % 2 == 0);
        is_in("gone", !others && number % 5 == 0);
        is_in("keen", others && number % 3 == 0);
        is_in("spender", others && number % 2 == 0 && number % 90 >= 50);
    }
    members
}

/// Is the partition between two versions, as a restart would find it?
fn is_between(lab: &Lab) -> bool {
    let last = lab.read("log").concat().into_iter().rfind(|seen| seen.key == [b'M']).unwrap();
    decode_meta(&last.payload.unwrap()).unwrap().migration.is_some()
}

#[test]
fn a_kill_between_two_parts_of_an_edit_migrates_every_customer_once() {
    let Some(lab) = Lab::new("parts", 1, FEW) else { return };
    let mut random = Random::seeded("parts");
    let writer = lab.writer();
    for event in (0..MANY).flat_map(of_number) {
        writer.send(&event.customer, &avro::encode(&event));
    }
    writer.flush();
    let mut daemon = lab.start("one", &shop::SETS);
    lab.read_through();
    let log = lab.follow("log");
    let mut between = 0;
    for version in 2..12 {
        let others = version % 2 == 0;
        lab.write_rules(if others { OTHERS } else { FEW });
        for _ in 0..3 {
            eventually("a part of the edit is committed", || {
                daemon.assert_running();
                // There are far more customers than METAs.
                while let Some(seen) = log.next(Duration::from_millis(20)) {
                    if seen.key != [b'M'] {
                        continue;
                    }
                    let migration = decode_meta(&seen.payload?).unwrap().migration;
                    if migration.is_some_and(|migration| migration.version == version) {
                        return Some(());
                    }
                }
                None
            });
            // Meanwhile everybody can be asked about, by whichever rules their state is by.
            for _ in 0..random.below(120) {
                let customer = format!("/customers/c{}", random.below(MANY));
                let (status, body) = daemon.ask("admin", &customer).unwrap();
                assert!([200, 421, 503].contains(&status), "{status} {body}");
            }
            daemon.kill9();
            let is_between = is_between(&lab);
            daemon = lab.start("one", &shop::SETS);
            if !is_between {
                break;
            }
            between += 1;
        }
        applied(&lab, version);
        assert_eq!(members(&lab), of_numbers(others), "version {version}");
        if between >= 3 && version > 3 {
            break;
        }
    }
    daemon.stop();
    let edited = changes_are_sound(&lab);
    println!("parts: {between} kills between two parts, {} changes by edits", edited.changes);
    assert!(between >= 3, "{between}");
}
