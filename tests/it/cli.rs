//! The program as a user meets it: what it prints where, and how it ends.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use cohortd::event::Instant;

use crate::support::limit::Limit;

const RULES: &str = "config/rules.toml";
const SHOP: &str = "tests/fixtures/cli/shop.jsonl";

/// Worked out by hand from `SHOP` and the default cohorts: customer, cohort, change, instant, reason. Of the log, in the
/// order of its events; the changes that one event causes by instant, then customer.
const SHOP_UNTIL_JUNE: &[(&str, &str, &str, &str, &str)] = &[
    ("newcomer", "new_signups", "entered", "2026-01-05T10:00:00Z", "event"),
    ("buyer", "new_signups", "entered", "2026-01-05T11:00:00Z", "event"),
    ("buyer", "new_signups", "exited", "2026-01-06T09:00:00Z", "event"),
    ("looker", "recent_visitors_no_purchase", "entered", "2026-01-09T12:00:00Z", "event"),
    // All read with the event of `helped` on 11 January: two hours of quiet, and twice 72 hours.
    ("peeker", "recent_visitors_no_purchase", "entered", "2026-01-09T14:00:00.001Z", "time"),
    ("starter", "onboarding_stuck", "entered", "2026-01-10T08:00:00Z", "time"),
    ("helped", "onboarding_stuck", "entered", "2026-01-10T10:00:00Z", "time"),
    ("helped", "onboarding_stuck", "exited", "2026-01-11T10:00:00Z", "event"),
    // All read with the purchase of `dormant` in April: 7 days, twice 14 days after the first of two days, at most 14
    // days, 1.5 x 45 days, and twice 90 days.
    ("newcomer", "new_signups", "exited", "2026-01-12T10:00:00Z", "time"),
    ("looker", "recent_visitors_no_purchase", "exited", "2026-01-22T12:00:00Z", "time"),
    ("peeker", "recent_visitors_no_purchase", "exited", "2026-01-22T12:00:00Z", "time"),
    ("starter", "onboarding_stuck", "exited", "2026-01-24T08:00:00Z", "time"),
    ("regular", "recurring_at_risk", "entered", "2026-03-10T00:00:00.001Z", "time"),
    ("dormant", "re_engageable", "entered", "2026-04-02T12:00:00Z", "time"),
    ("buyer", "re_engageable", "entered", "2026-04-06T09:00:00Z", "time"),
    ("dormant", "re_engageable", "exited", "2026-04-20T08:00:00Z", "event"),
    // Nothing more is read: 3 x 45 days, and what waited for that.
    ("regular", "recurring_at_risk", "exited", "2026-05-16T12:00:00Z", "time"),
    ("regular", "re_engageable", "entered", "2026-05-16T12:00:00Z", "time"),
];

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn program(arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cohortd"));
    // The environment's settings must have no effect.
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn run(arguments: &[impl AsRef<OsStr>]) -> Ended {
    let _limit = Limit::start();
    ended(program(arguments).stdin(Stdio::null()).output().unwrap())
}

/// Runs with `input` on standard input.
fn fed(arguments: &[&str], input: &str) -> Ended {
    let _limit = Limit::start();
    let mut child =
        program(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    ended(child.wait_with_output().unwrap())
}

fn replayed(file: &str) -> Ended {
    run(&["replay", "--rules", RULES, "--until", "2026-06-01", file])
}

fn shop() -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(SHOP)).unwrap()
}

/// The lines of the shop in the order of their times, as they would arrive. ISO-8601 in UTC sorts as text.
fn shop_as_it_arrives() -> String {
    let text = shop();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| line.split("\"time\":\"").nth(1).unwrap().split('"').next().unwrap());
    lines.join("\n")
}

#[test]
fn replay_says_what_was_worked_out_by_hand_in_the_form_that_others_depend_on() {
    let replay = replayed(SHOP);
    assert_eq!(replay.code, 0, "{}", replay.err);
    let lines: Vec<&str> = replay.out.lines().collect();
    for (line, (customer, cohort, change, at, reason)) in lines.iter().zip(SHOP_UNTIL_JUNE) {
        let at: jiff::Timestamp = at.parse().unwrap();
        let at = Instant(at.as_millisecond()).0;
        let start = format!(
            r#"{{"customer_id":"{customer}","cohort":"{cohort}","change":"{change}","at":{at},"reason":"{reason}","why":""#
        );
        assert!(line.starts_with(&start), "expected {start}\nfound    {line}");
        assert!(line.ends_with(".\"}"), "{line}");
    }
    assert_eq!(lines.len(), SHOP_UNTIL_JUNE.len(), "{}", replay.out);
}

#[test]
fn the_sentence_names_the_parts_of_the_rule_that_decided_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    let rules = r#"
        [cohorts.trial]
        name  = "On trial"
        who   = "did trial ever and not (did pay ever and did call ever) and time since last trial >= 2 hours"
        until = "did cancel ever or did pay ever"
        [cohorts.quiet]
        who     = "silent for 3 hours"
        at_most = "2 days"
    "#;
    std::fs::write(&path, rules).unwrap();
    let events = r#"
        {"customer_id":"c","event":"trial","time":"2026-01-05T00:00:00Z"}
        {"customer_id":"c","event":"call","time":"2026-01-05T01:00:00Z"}
        {"customer_id":"c","event":"pay","time":"2026-01-09T00:00:00Z"}
    "#;
    let replay = fed(&["replay", "--rules", path.to_str().unwrap(), "-"], events);
    let sentences: Vec<&str> = replay.out.lines().map(|line| line.split("\"why\":").nth(1).unwrap()).collect();
    let expected = [
        r#""Entered On trial: did trial ever (once); did not pay ever (none); time since last trial >= 2 hours (2 hours)."}"#,
        r#""Entered quiet: silent for 3 hours (last one 3 hours ago)."}"#,
        r#""Left quiet: stays at most 2 days (entered 2 days ago)."}"#,
        r#""Left On trial: did pay ever (once)."}"#,
    ];
    assert_eq!(sentences, expected, "{}", replay.err);
}

/// Of two cohorts of a group only one is held, and a cohort in the shadow is decided, marked, and counted.
#[test]
fn a_replay_shows_exclusion_and_what_is_decided_in_the_shadow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    let rules = r#"
        [cohorts.buyers]
        who = "did buy in the last 3 days"
        shadow = true
        exclusive_in = "status"
        priority = 1
        [cohorts.visitors]
        who = "did visit"
        exclusive_in = "status"
        priority = 2
    "#;
    std::fs::write(&path, rules).unwrap();
    let events = r#"
        {"customer_id":"c","event":"visit","time":"2026-01-05T00:00:00Z"}
        {"customer_id":"c","event":"buy","time":"2026-01-06T00:00:00Z"}
    "#;
    let replay = fed(&["replay", "--rules", path.to_str().unwrap(), "-"], events);
    let expected = [
        r#"{"customer_id":"c","cohort":"visitors","change":"entered","at":1767571200000,"reason":"event","why":"Entered visitors: did visit (once)."}"#,
        r#"{"customer_id":"c","cohort":"buyers","change":"entered","at":1767657600000,"reason":"event","why":"Entered buyers: did buy in the last 3 days (last one just now).","shadow":true}"#,
        r#"{"customer_id":"c","cohort":"visitors","change":"exited","at":1767657600000,"reason":"excluded","why":"Left visitors: gives way to buyers in the group status (just now)."}"#,
    ];
    assert_eq!(replay.out.lines().collect::<Vec<_>>(), expected, "{}", replay.err);
    assert!(replay.err.lines().any(|line| line.starts_with("buyers") && line.contains("  1  ")), "{}", replay.err);

    let check = run(&["check", "--rules", path.to_str().unwrap()]);
    for line in [
        "  1. buyers: buyers (in the shadow: decided and counted, not emitted)",
        "     comes first in the group status",
        "     gives way to buyers in the group status",
    ] {
        assert!(check.out.lines().any(|printed| printed == line), "no line {line:?} in\n{}", check.out);
    }
}

#[test]
fn the_explanation_that_the_page_shows_is_the_one_of_the_sample_data() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/files.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, shown) = page.split_once("$ cohortd ").unwrap();
    let (command, shown) = shown.split_once('\n').unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let ended = run(&command.split(' ').collect::<Vec<_>>());
    assert_eq!((ended.code, ended.out.as_str()), (0, shown), "{}", ended.err);
}

fn explained(more: &[&str]) -> Ended {
    run(&[&["explain", "--rules", RULES, "--customer", "regular", SHOP][..], more].concat())
}

#[test]
fn explain_says_where_a_customer_stands_and_what_would_change_it() {
    let text = explained(&["--at", "2026-04-01", "--cohort", "recurring_at_risk"]);
    let expected = "\
regular, 1 Apr 2026 02:00 (Europe/Paris)

recurring_at_risk: Recurring customers at risk
  in since 10 Mar 2026 01:00:00.001, entered once
  who
    yes  did purchase at least 2 times ever (2 times)
           nothing can change this
    yes  time since last purchase > 1.5 x usual gap of purchase (89 days, usual gap 45 days)
           changes with a purchase
    yes  time since last purchase < 3 x usual gap of purchase (89 days, usual gap 45 days)
           changes with a purchase, or silence until 16 May 2026 14:00
    yes  did not unsubscribed ever (none)
           changes with an unsubscribed
  next: leaves 16 May 2026 14:00, if nothing more happens
";
    assert_eq!((text.code, text.out.as_str(), text.err.as_str()), (0, expected, ""));

    // All that it rests on is run ahead: it enters when the customer leaves the one above.
    let text = explained(&["--at", "2026-04-01", "--cohort", "re_engageable", "--lang", "fr"]);
    let expected = "\
regular, 1er\u{a0}avr. 2026 à 02:00 (Europe/Paris)

re_engageable: À reconquérir
  pas membre, aucune entrée
  who
    oui  did purchase ever (2 fois)
           plus rien ne peut changer ce résultat
    non  silent for 90 days (la dernière fois il y a 89\u{a0}jours)
           changerait avec le silence jusqu’au 1er\u{a0}avr. 2026 à 14:00
    oui  not silent for 365 days (la dernière fois il y a 89\u{a0}jours)
           changerait avec le silence jusqu’au 1er\u{a0}janv. 2027 à 13:00
    oui  did not unsubscribed ever (aucune fois)
           changerait avec un événement unsubscribed
    non  not in recurring_at_risk (depuis 21\u{a0}jours)
           changerait avec la sortie de la cohorte recurring_at_risk
  until
    non  did purchase in the last 1 day (la dernière fois il y a 89\u{a0}jours)
           changerait avec un événement purchase
  ensuite\u{a0}: entrée le 16\u{a0}mai 2026 à 14:00, si rien d’autre n’arrive
";
    assert_eq!((text.code, text.out.as_str(), text.err.as_str()), (0, expected, ""));
}

#[test]
fn explain_gives_one_json_object_that_agrees_with_the_replay() {
    let of = |customer: &str, at: &str| -> serde_json::Value {
        let arguments = ["explain", "--rules", RULES, "--customer", customer, "--at", at, "--json", SHOP];
        let ended = run(&arguments);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        serde_json::from_str(&ended.out).unwrap()
    };
    for (customer, cohort, change, at, reason) in SHOP_UNTIL_JUNE {
        let now = of(customer, at);
        let cohorts = now["cohorts"].as_array().unwrap();
        assert_eq!(cohorts.len(), 6);
        let found = cohorts.iter().find(|found| found["cohort"] == *cohort).unwrap();
        let stamp = at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        assert_eq!((&found["member"], &found["since"]), (&(*change == "entered").into(), &stamp.into()), "{found}");
        // A millisecond before, what comes by time alone is what was promised.
        if *reason == "time" {
            let before = of(customer, &(stamp - 1).to_string());
            let found = before["cohorts"].as_array().unwrap().iter().find(|found| found["cohort"] == *cohort).unwrap();
            assert_eq!(found["next_change"], serde_json::json!({"change": change, "at": stamp}), "{found}");
        }
    }
    let stuck = &of("helped", "2026-01-10T12:00:00Z")["cohorts"][0];
    assert_eq!(stuck["terms"][0]["en"], "stays at most until 24 Jan 2026 11:00");
    assert_eq!(stuck["conditions"][0]["of"], "who");
    assert_eq!(stuck["conditions"][0]["holds"], true);
    assert_eq!(stuck["conditions"][0]["until"], serde_json::Value::Null);
    assert_eq!(stuck["conditions"][0]["changes_with"]["en"], "a fitting onboarding_step_completed");
}

#[test]
fn explain_ends_as_the_other_commands_do() {
    let nobody = run(&["explain", "--rules", RULES, "--customer", "nobody", SHOP]);
    assert_eq!((nobody.code, nobody.out.as_str()), (1, ""));
    assert_eq!(nobody.err, "cohortd: the files hold no event of this customer\n");
    assert_eq!(explained(&["--at", "2025-01-01"]).code, 1);
    let unknown = explained(&["--cohort", "best"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (64, ""));
    assert!(
        unknown.err.starts_with("cohortd: --cohort: the rules hold no cohort `best`; there are onb"),
        "{}",
        unknown.err
    );
    assert_eq!(run(&["explain", "--rules", RULES, SHOP]).code, 64);
    assert_eq!(explained(&["--lang", "de"]).code, 64);
    assert_eq!(run(&["explain", "--rules", "nowhere.toml", "--customer", "c", SHOP]).code, 78);
    let by_default = explained(&[]);
    assert!(by_default.out.starts_with("regular, 20 Apr 2026 10:00 (Europe/Paris)\n"), "{}", by_default.out);
}

#[test]
fn the_same_events_give_the_same_bytes_whatever_carries_them() {
    let first = replayed(SHOP).out;
    assert_eq!(replayed(SHOP).out, first);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.gz");
    let mut packed = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
    packed.write_all(shop().as_bytes()).unwrap();
    packed.finish().unwrap();
    assert_eq!(replayed(path.to_str().unwrap()).out, first);
    assert_eq!(fed(&["replay", "--rules", RULES, "--until", "2026-06-01", "-"], &shop()).out, first);

    // As several files, of which one is standard input.
    let shop = shop();
    let half = shop.lines().take(8).map(|line| line.len() + 1).sum();
    let (one, two) = shop.split_at(half);
    let path = folder.path().join("first.jsonl");
    std::fs::write(&path, one).unwrap();
    let several = ["replay", "--rules", RULES, "--until", "2026-06-01", path.to_str().unwrap(), "-"];
    assert_eq!(fed(&several, two).out, first);
}

#[test]
fn events_are_sorted_by_time_unless_taken_as_they_are() {
    let arguments = ["replay", "--rules", RULES, "--until", "2026-06-01", "--as-is", "-"];
    let sorted = replayed(SHOP);
    assert_eq!(fed(&arguments, &shop_as_it_arrives()).out, sorted.out);

    let as_is = fed(&arguments, &shop());
    assert_eq!(as_is.code, 0);
    assert_ne!(as_is.out, sorted.out);
    // After the purchase of April everything else is months late.
    assert!(as_is.err.contains("13 too_late"), "{}", as_is.err);
    assert!(!sorted.err.contains("too_late"), "{}", sorted.err);
}

#[test]
fn until_leaves_later_events_out_and_is_by_default_the_last_event() {
    let until = |instant: &str| run(&["replay", "--rules", RULES, "--until", instant, SHOP]);
    let last_event = run(&["replay", "--rules", RULES, SHOP]);
    assert_eq!(last_event.out.lines().count(), SHOP_UNTIL_JUNE.len() - 2);
    assert_eq!(until("2026-04-20T08:00:00Z").out, last_event.out);
    assert_eq!(until("1776672000000").out, last_event.out);

    // The purchase of 20 April is left out; a deadline at the very instant is not.
    let before = until("2026-04-06T11:00:00+02:00");
    assert_eq!(before.out.lines().count(), 15, "{}", before.out);
    assert!(before.out.ends_with("}\n") && before.out.lines().last().unwrap().contains("buyer"), "{}", before.out);
    assert!(before.err.contains("1 event later than --until left out"), "{}", before.err);
}

#[test]
fn the_summary_counts_what_was_read_and_shows_sizes() {
    let replay = replayed(SHOP);
    let first = replay.err.lines().next().unwrap();
    assert!(first.starts_with("17 events of 9 customers in "), "{first}");
    assert!(first.ends_with(" a second: 16 applied, 1 duplicate, 0 dead letters"), "{first}");
    let row = |cohort: &str| {
        let line = replay.err.lines().find(|line| line.starts_with(cohort)).unwrap();
        line.split_whitespace().skip(1).take(4).map(|word| word.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(row("new_signups"), [2, 2, 0, 2]);
    assert_eq!(row("re_engageable"), [3, 1, 2, 2]);
    assert!(replay.err.contains('█'), "{}", replay.err);
}

#[test]
fn settings_take_part_in_a_replay() {
    let duplicates_count = ["replay", "--rules", RULES, "--set", "dedupe.ids=0", SHOP];
    assert!(run(&duplicates_count).err.contains("17 applied, 0 duplicates"));
    let later = ["replay", "--rules", RULES, "--set", "time.earliest=2026-01-05", SHOP];
    assert!(run(&later).err.contains("3 bad_time"), "{}", run(&later).err);
}

#[test]
fn a_bad_line_is_named_without_its_content_and_the_rest_is_replayed() {
    let lines = format!("{}\n{{\"customer_id\":\"hidden\"}}\n\nhidden\n", shop().trim_end());
    let arguments = ["replay", "--rules", RULES, "--until", "2026-06-01", "-"];
    let replay = fed(&arguments, &lines);
    assert_eq!((replay.code, replay.out), (0, replayed(SHOP).out));
    let mut printed = replay.err.lines();
    assert_eq!(printed.next(), Some("cohortd: standard input:18: `event` is missing, null or empty"));
    assert_eq!(printed.next(), Some("cohortd: standard input:20: not a JSON object (column 1)"));
    assert!(replay.err.contains("\n2 lines or records could not be read\n"), "{}", replay.err);
    assert!(!replay.err.contains("hidden"), "{}", replay.err);

    let strict = fed(&[&arguments[..], &["--strict"]].concat(), &lines);
    assert_eq!((strict.code, strict.out), (1, replayed(SHOP).out));
    assert!(
        strict.err.ends_with("cohortd: 2 lines or records could not be read, and --strict was asked for\n"),
        "{}",
        strict.err
    );
}

#[test]
fn a_file_of_which_nothing_could_be_read_is_no_success() {
    for (text, printed) in [
        ("customer_id,event,time\nc1,purchase,2026-01-05\n", "this is CSV"),
        (
            "one\ntwo\nthree\n",
            "3 lines or records, and none is an event; standard input:1: not a JSON object (column 1)",
        ),
        (
            "{\"customer_id\": \"c1\"}\n",
            "1 line or record, and it is not an event; standard input:1: `event` is missing",
        ),
    ] {
        for command in [&["replay", "--rules", RULES, "-"][..], &["explain", "--rules", RULES, "--customer", "c1", "-"]]
        {
            let ended = fed(command, text);
            assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{command:?}: {}", ended.err);
            assert!(ended.err.contains(printed) && ended.err.lines().count() == 1, "{}", ended.err);
            assert!(ended.err.contains("{\"customer_id\": \"c1\", \"event\": \"purchase\""), "{}", ended.err);
        }
    }
    assert_eq!(fed(&["replay", "--rules", RULES, "-"], "").code, 0, "nothing is not unreadable");
}

#[test]
fn fields_that_are_not_read_are_named_with_the_way_out() {
    let line = "{\"customer_id\":\"c\",\"event\":\"purchase\",\"time\":1767603600000,\"amount\":5,\"shop\":\"x\"}\n";
    let replay = fed(&["replay", "--rules", RULES, "-"], &line.repeat(2));
    assert_eq!(replay.code, 0, "{}", replay.err);
    let printed = "cohortd: standard input: unused fields: amount, shop; put them into properties\n";
    assert!(replay.err.starts_with(printed), "{}", replay.err);
    assert!(!replayed(SHOP).err.contains("unused fields"), "{}", replayed(SHOP).err);
}

#[test]
fn for_ever_is_an_instant_like_any_other() {
    let rules = "[cohorts.seen]\nwho = \"did seen in the last 7 days by calendar\"\n";
    let line =
        |customer: &str, time: &str| format!("{{\"customer_id\":\"{customer}\",\"event\":\"seen\",\"time\":{time}}}\n");
    let events = [
        line("ordinary", "1767603600000"),
        line("in_ms", "253402214400000"),
        line("in_text", "\"9999-12-31T00:00:00Z\""),
        line("elsewhere", "\"9999-12-30T22:00:00-02:00\""),
    ];
    let (_folder, rules, events) = written(rules, &events.concat());
    for until in [&[][..], &["--until", "9999-12-31"], &["--until", "9999-12-31T23:59:59.999Z"]] {
        let replay = run(&[&["replay", "--rules", rules.as_str()][..], until, &[events.as_str()]].concat());
        assert_eq!(replay.code, 0, "{}", replay.err);
        let entered = |line: &&str| line.contains("\"entered\"") && line.contains("253402214400000");
        assert_eq!(replay.out.lines().filter(entered).count(), 3, "{}", replay.out);
    }
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_fails() {
    let missing = replayed("nowhere.jsonl");
    assert_eq!((missing.code, missing.out.as_str()), (1, ""));
    assert!(missing.err.starts_with("cohortd: nowhere.jsonl: cannot be read ("), "{}", missing.err);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torn.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(shop().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(&path, &packed[..packed.len() - 20]).unwrap();
    let torn = replayed(path.to_str().unwrap());
    assert_eq!((torn.code, torn.out.as_str()), (1, ""));
}

#[test]
fn a_reader_who_has_seen_enough_ends_a_replay_quietly() {
    let arguments = ["replay", "--rules", RULES, "-"];
    let mut child =
        program(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    // Enough changes that the buffer must be written before the end.
    for customer in 0..2_000 {
        writeln!(input, r#"{{"customer_id":"c{customer}","event":"signup","time":1700000000000}}"#).unwrap();
    }
    drop(input);
    let mut printed = String::new();
    child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!((child.wait().unwrap().code(), printed.as_str()), (Some(0), ""));
}

#[test]
fn check_says_what_was_understood_and_what_it_costs() {
    let check = run(&["check", "--rules", RULES]);
    assert_eq!((check.code, check.err.as_str()), (0, ""));
    for line in [
        "  1. onboarding_stuck: Stuck in onboarding",
        "     success: send the guided set-up, then call",
        "     stays at most 14 days; entered at most once",
        "     looks at onboarding_stuck",
        "         28  the latest 2 days with product_viewed or visit (recent_visitors_no_purchase)",
        "         10  when last signup (new_signups)",
    ] {
        assert!(check.out.lines().any(|printed| printed == line), "no line {line:?} in\n{}", check.out);
    }
    assert!(check.out.contains(" bytes in all; at most 9.7 GB for a million customers"), "{}", check.out);
    assert!(check.out.contains("fewer than 200 customers"), "{}", check.out);
}

#[test]
fn check_points_out_a_measure_that_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, "[cohorts.idle]\nwho = \"count(purchase in the last 30 days) = 0\"\n").unwrap();
    let check = run(&["check", "--rules", path.to_str().unwrap()]);
    let note = "r.toml:2:8: cohorts.idle.who: this can hold from a customer's first event on";
    assert!(check.err.starts_with("warning: ") && check.err.contains(note), "{}", check.err);
    assert_eq!(check.code, 0);
}

#[test]
fn check_reads_the_schemas() {
    let schemas = |folder: &str| run(&["check", "--rules", RULES, "--set", &format!("schemas.dir={folder}")]);
    let good = schemas("schemas");
    assert!(good.out.contains("schemas/customer-event.avsc: its records are events"), "{}", good.out);
    let missing = schemas("nowhere");
    assert_eq!((missing.code, missing.out.as_str()), (78, ""));
    assert!(missing.err.starts_with("cohortd: --set: schemas.dir: nowhere: "), "{}", missing.err);
}

#[test]
fn mistakes_in_rules_are_shown_with_a_caret_and_a_way_on() {
    for command in [&["check"][..], &["replay", SHOP]] {
        let ended = run(&[command, &["--rules", "tests/fixtures/cli/mistakes.toml"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (78, ""));
        assert_eq!(
            ended.err,
            "cohortd: tests/fixtures/cli/mistakes.toml:4:49: cohorts.new_signups.who: there is no cohort \
             `onbording_stuck`; did you mean `onboarding_stuck`?\n   |\n \
             4 | who = \"did signup in the last 7 days and not in onbording_stuck\"\n   \
             |                                                 ^^^^^^^^^^^^^^^\n"
        );
    }
    let several = run(&["check", "--rules", "tests/fixtures/cli/slips.toml"]);
    assert_eq!(several.code, 78);
    assert!(several.err.starts_with("cohortd: 2 mistakes in tests/fixtures/cli/slips.toml\n"), "{}", several.err);
    assert!(several.err.contains("did you mean `owner`?"), "{}", several.err);
    assert!(several.err.contains("slips.toml:2:"), "{}", several.err);
}

#[test]
fn wrong_usage_ends_with_64_and_wrong_configuration_with_78() {
    for usage in [
        &["--frobnicate"][..],
        &["frobnicate"],
        &[],
        &["replay"],
        &["replay", "--rulez", RULES, SHOP],
        &["replay", "--until", "yesterday", SHOP],
        &["replay", "--until", "1700000000", SHOP],
        &["check", "--set", "kafka.group_id"],
    ] {
        let ended = run(usage);
        assert_eq!((ended.code, ended.out.as_str()), (64, ""), "{usage:?}: {}", ended.err);
        assert!(usage.is_empty() || ended.err.starts_with("cohortd: "), "{usage:?}: {}", ended.err);
    }
    for configuration in [
        &["check", "--set", "kafka.grup_id=x"][..],
        &["check", "--config", "nowhere.toml"],
        &["check", "--rules", "nowhere.toml"],
        &["check", "--rules", RULES, "--set", "log.filter=a=b=c"],
        &["replay", "--set", "time.max_lateness=soon", SHOP],
        &["dump-config", "--set", "lanes=many"],
    ] {
        let ended = run(configuration);
        assert_eq!((ended.code, ended.out.as_str()), (78, ""), "{configuration:?}: {}", ended.err);
        assert!(ended.err.starts_with("cohortd: ") && ended.err.lines().count() == 1, "{}", ended.err);
    }
}

#[test]
fn help_and_version_are_results() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    for word in [
        "run",
        "check",
        "replay",
        "explain",
        "changes",
        "score",
        "fit",
        "demo",
        "dump-config",
        "COHORTD_KAFKA__GROUP_ID",
        "64",
        "78",
    ] {
        assert!(help.out.contains(word), "no {word} in\n{}", help.out);
    }
    assert!(help.out.lines().all(|line| line.chars().count() <= 120), "{}", help.out);
    let version = run(&["--version"]);
    assert_eq!((version.code, version.out), (0, format!("cohortd {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn dump_config_prints_each_value_with_its_origin() {
    let dump = program(&["dump-config", "--set", "batch.max_records=500"])
        .env("COHORTD_KAFKA__GROUP_ID", "shop")
        .output()
        .unwrap();
    let dump = ended(dump);
    assert_eq!((dump.code, dump.err.as_str()), (0, ""));
    for line in [
        "max_records = 500 # --set",
        "group_id = \"shop\" # COHORTD_KAFKA__GROUP_ID",
        "max_wait = \"100 ms\" # default",
    ] {
        assert!(dump.out.lines().any(|printed| printed == line), "no line {line} in\n{}", dump.out);
    }
}

const RANKING: &str = "[cohorts.best]\nwho = 'in the top 10 % by sum(purchase.amount)'\n\
                       [cohorts.few]\nwho = 'among the 3 highest by sum(purchase.amount)'\n";

/// A purchase as a line of a file, so many seconds after midnight.
fn purchase(number: usize, day: usize, second: usize, amount: usize) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!(
        "{{\"customer_id\": \"c{number}\", \"event\": \"purchase\", \"time\": \"2026-01-0{day}T00:{minute:02}:{second:02}Z\", \
         \"event_id\": \"{day}-{number}\", \"properties\": {{\"amount\": {amount}}}}}\n"
    )
}

/// So many customers: the n-th spends n on the first day.
fn buyers(count: usize) -> String {
    (1..=count).map(|number| purchase(number, 1, number, number)).collect()
}

/// The rules and the events as files.
fn written(rules: &str, events: &str) -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let paths = (path("rules.toml"), path("events.jsonl"));
    std::fs::write(&paths.0, rules).unwrap();
    std::fs::write(&paths.1, events).unwrap();
    (folder, paths.0, paths.1)
}

#[test]
fn a_replay_ranks_all_customers_at_each_full_hour_of_the_log() {
    // The first ten spend a lot more on the second day.
    let second: String = (1..=10).map(|number| purchase(number, 2, number, 1_000)).collect();
    let events = buyers(300) + &second + &purchase(300, 3, 0, 0);
    let (_folder, rules, events) = written(RANKING, &events);
    let replay = run(&["replay", "--rules", &rules, &events]);
    assert_eq!(replay.code, 0, "{}", replay.err);
    assert!(!replay.err.contains("has no threshold"), "{}", replay.err);
    let lines: Vec<serde_json::Value> = replay.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let moved = |cohort: &str, change: &str| -> Vec<&str> {
        let of = |line: &&serde_json::Value| line["cohort"] == cohort && line["change"] == change;
        lines.iter().filter(of).map(|line| line["customer_id"].as_str().unwrap()).collect()
    };
    // The thirty highest: those from 271 on, where a bucket begins at 270 or so. Then ten others come before them.
    let entered = moved("best", "entered");
    assert!((271..=300).all(|number| entered.contains(&format!("c{number}").as_str())), "{entered:?}");
    assert!((1..=10).all(|number| entered.contains(&format!("c{number}").as_str())), "{entered:?}");
    assert!((40..=44).contains(&entered.len()), "{entered:?}");
    assert!((8..=12).contains(&moved("best", "exited").len()), "{:?}", moved("best", "exited"));
    let highest = moved("few", "entered");
    assert!(["c299", "c300", "c8", "c9", "c10"].iter().all(|customer| highest.contains(customer)), "{highest:?}");
    assert!(lines.iter().any(|line| line["reason"] == "threshold"), "{}", replay.out);
    assert_eq!(run(&["replay", "--rules", &rules, &events]).out, replay.out);

    let explain = run(&["explain", "--rules", &rules, "--customer", "c300", "--cohort", "best", &events]);
    assert!(explain.out.contains("in the top 10 % by sum(purchase.amount) (300, threshold 2"), "{}", explain.out);
    let check = run(&["check", "--rules", &rules]);
    assert!((check.out + &check.err).contains("fewer than 200 customers"));
}

#[test]
fn a_percentage_of_fewer_than_200_customers_lets_nobody_in_and_says_so() {
    let last = |customers: usize| buyers(customers) + &purchase(1, 2, 0, 0);
    let (_folder, rules, events) = written(RANKING, &last(199));
    let replay = run(&["replay", "--rules", &rules, &events]);
    assert_eq!(replay.code, 0, "{}", replay.err);
    assert!(!replay.out.contains("\"cohort\":\"best\""), "{}", replay.out);
    assert!(replay.out.contains("\"cohort\":\"few\""), "{}", replay.out);
    let printed = "`in the top 10 % by sum(purchase.amount)` has no threshold at the end, when it ranks 199 customers: nobody enters by it under 200";
    assert!(replay.err.lines().any(|line| line == printed), "{}", replay.err);
    for (language, words) in
        [("en", "no threshold: too few customers"), ("fr", "pas de seuil\u{a0}: trop peu de clients")]
    {
        let asked =
            ["explain", "--rules", &rules, "--customer", "c199", "--cohort", "best", "--lang", language, &events];
        assert!(run(&asked).out.contains(words), "{}", run(&asked).out);
    }

    let (_folder, rules, events) = written(RANKING, &last(200));
    let replay = run(&["replay", "--rules", &rules, &events]);
    assert!(replay.out.contains("\"customer_id\":\"c200\",\"cohort\":\"best\""), "{}", replay.out);
    assert!(!replay.err.contains("has no threshold"), "{}", replay.err);
}

/// Nine of ten customers have an average of zero, which counts for an average.
#[test]
fn a_threshold_is_within_a_hundredth_where_nearly_all_are_at_zero() {
    let rules =
        |percent: usize| format!("[cohorts.best]\nwho = 'in the top {percent} % by average(purchase.amount)'\n");
    let amount = |number: usize| if number.is_multiple_of(10) { 10_000 + 37 * number } else { 0 };
    let events: String = (1..=1_000).map(|number| purchase(number, 1, number, amount(number))).collect();
    let events = events + &purchase(1, 2, 0, 0);
    for percent in [1, 5, 9, 10, 11, 50] {
        let (_folder, rules, events) = written(&rules(percent), &events);
        let replay = run(&["replay", "--rules", &rules, &events]);
        let mut amounts: Vec<usize> = (1..=1_000).map(amount).collect();
        amounts.sort_unstable_by(|a, b| b.cmp(a));
        let exact = amounts[percent * 10 - 1];
        let found: Vec<usize> = replay
            .out
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                amount(line["customer_id"].as_str().unwrap()[1..].parse().unwrap())
            })
            .collect();
        let least = *found.iter().min().unwrap();
        assert!(least <= exact && (exact - least) * 100 <= exact, "top {percent} %: from {least}, exactly {exact}");
        assert!(found.len() >= percent * 10, "top {percent} %: {} are in", found.len());
        assert!(exact == 0 || found.len() <= percent * 10 + percent / 2 + 3, "top {percent} %: {} are in", found.len());
    }
}

#[test]
fn events_that_do_not_fit_in_memory_end_a_replay_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let line = |number: usize| {
        format!(
            "{{\"event_id\":\"{number:0>1000}\",\"customer_id\":\"c{}\",\"event\":\"visit\",\"time\":{}}}\n",
            number % 100,
            1_767_225_600_000_u64 + number as u64
        )
    };
    std::fs::write(&path, (0..80_000).map(line).collect::<String>()).unwrap();
    let replay = |more: &[&str]| {
        let given = ["replay", "--rules", RULES, path.to_str().unwrap()];
        run(&[&given, more].concat())
    };
    let ended = replay(&["--set", "memory.limit=64MiB"]);
    assert_eq!((ended.code, &*ended.out), (1, ""), "{}", ended.err);
    for words in ["memory.limit is 64 MiB", "--set memory.limit=", "replay --as-is"] {
        assert!(ended.err.contains(words), "{}", ended.err);
    }
    // Enough of it, or none needed.
    for more in [&["--set", "memory.limit=512MiB"][..], &["--set", "memory.limit=64MiB", "--as-is"]] {
        let ended = replay(more);
        assert_eq!(ended.code, 0, "{}", ended.err);
    }
}
