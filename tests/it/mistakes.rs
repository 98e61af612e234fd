//! Typical mistakes of new users: each error names the mistake in plain words, and how to correct it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and tell what they saw")]

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const SOUND: &str = "[cohorts.buyers]\nwho = \"did purchase in the last 7 days\"\n";
const EVENT: &str = "{\"customer_id\": \"c\", \"event\": \"purchase\", \"time\": \"2026-01-05T10:00:00Z\", \"properties\": {\"amount\": 12.5, \"country\": \"fr\"}}\n";

/// What a run came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    /// Checks the exit code, and that stderr has all these words.
    fn says(&self, code: i32, words: &[&str]) {
        println!("{}", self.err);
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in\n{}", self.err);
        }
    }
}

/// Runs the program in a folder with these files.
fn cohortd(files: &[(&str, &[u8])], arguments: &[&str]) -> Ended {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn check(rules: &str) -> Ended {
    cohortd(&[("r.toml", rules.as_bytes())], &["check", "--rules", "r.toml"])
}

/// `who` between single quotes, so that it may have double ones.
fn check_who(who: &str) -> Ended {
    check(&format!("[cohorts.c]\nwho = '''{who}'''\n"))
}

fn replay(rules: &str, events: &[u8]) -> Ended {
    let files = [("r.toml", rules.as_bytes()), ("events", events)];
    cohortd(&files, &["replay", "--rules", "r.toml", "events"])
}

#[test]
fn a_zone_with_a_slip_finds_the_one_that_was_meant() {
    check(&format!("time_zone = \"Europe/Pari\"\n{SOUND}"))
        .says(78, &["is not a known time zone", "did you mean \"Europe/Paris\"?"]);
}

#[test]
fn quotes_of_a_word_processor_are_named() {
    check("[cohorts.c]\nwho = “did purchase”\n").says(78, &["not valid TOML", "write straight quotes"]);
    check_who("did purchase where country = ‘fr’")
        .says(78, &["`‘` is not an operator of the language", "double quotes"]);
}

#[test]
fn quotes_within_quotes_and_no_quotes_are_named() {
    let nested = check("[cohorts.c]\nwho = \"did purchase where country = \"FR\" ever\"\n");
    nested.says(78, &["not valid TOML", "quotes inside quotes", "put the whole rule between '...'"]);
    check("[cohorts.c]\nwho = did purchase\n").says(78, &["not valid TOML", "put a rule or a text in quotes"]);
}

#[test]
fn a_cohort_with_a_space_in_its_name_is_refused_with_a_hint() {
    check("[cohorts.best customers]\nwho = 'did purchase'\n").says(78, &["not valid TOML", "[cohorts.best_customers]"]);
}

#[test]
fn signs_in_the_wrong_order_are_put_right() {
    check_who("count(purchase ever) => 3").says(78, &["`=>` is not a comparison; write `>=`"]);
    check_who("count(purchase ever) =< 3").says(78, &["`=<` is not a comparison; write `<=`"]);
}

#[test]
fn lists_in_other_brackets_or_none_are_put_right() {
    check_who("did purchase where country in [fr, de]")
        .says(78, &["`[` is not an operator", "round brackets: `(a, b)`"]);
    let alone = check("activity = \"visit\"\n[cohorts.c]\nwho = 'silent for 3 days'\n");
    alone.says(78, &["expected a list of event names", "[\"visit\", \"login\"]"]);
}

#[test]
fn a_currency_behind_a_number_and_a_path_before_a_property_are_put_right() {
    check_who("sum(purchase.amount ever) > 50 euros").says(78, &["write the number without a currency"]);
    check_who("did purchase where properties.amount > 50").says(78, &["without the event or `properties`"]);
}

#[test]
fn a_file_in_another_place_is_taken_for_what_it_is() {
    let events = cohortd(&[("e", EVENT.as_bytes())], &["check", "--rules", "e"]);
    events.says(78, &["not valid TOML", "this looks like JSON"]);
    let settings = cohortd(&[("c.toml", b"[kafka]\ngroup_id = \"x\"\n")], &["check", "--rules", "c.toml"]);
    settings.says(78, &["unknown key `kafka`", "belongs in the settings", "--config"]);
    let rules = cohortd(&[("r.toml", SOUND.as_bytes())], &["run", "--config", "r.toml"]);
    rules.says(78, &["r.toml:2: cohorts.buyers.who: belongs in the rules", "rules.file"]);
    let listed = cohortd(&[("r.toml", b"activity = ['visit']\n")], &["run", "--config", "r.toml"]);
    listed.says(78, &["activity: belongs in the rules"]);
}

#[test]
fn text_that_is_not_utf_8_is_named_in_rules_settings_and_events() {
    let latin = b"[cohorts.c]\nname = \"R\xe9guliers\"\nwho = 'did purchase'\n";
    let words = &["is not text in UTF-8; save it as UTF-8"];
    cohortd(&[("r.toml", latin)], &["check", "--rules", "r.toml"]).says(78, words);
    cohortd(&[("c.toml", latin)], &["run", "--config", "c.toml"]).says(78, words);
    let wide: Vec<u8> = EVENT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    replay(SOUND, &wide).says(1, &["this is text in UTF-16", "UTF-8"]);
}

#[test]
fn an_archive_and_other_compressions_are_named() {
    let mut archive = [0; 512];
    archive[..6].copy_from_slice(b"e.json");
    archive[257..262].copy_from_slice(b"ustar");
    replay(SOUND, &[&archive[..], EVENT.as_bytes()].concat())
        .says(1, &["this is a tar archive", "JSON Lines in UTF-8"]);
    replay(SOUND, b"\x78\x9cwhatever").says(1, &["compressed by zlib", "gzip"]);
}

#[test]
fn times_in_seconds_are_reported_as_taken_for_milliseconds() {
    let seconds = replay(SOUND, b"{\"customer_id\": \"c\", \"event\": \"purchase\", \"time\": 1767607200}\n");
    assert!(seconds.err.contains("in seconds where milliseconds are expected"), "{}", seconds.err);
}

#[test]
fn a_replay_names_what_the_rules_name_and_no_event_has() {
    let name = replay("[cohorts.c]\nwho = \"did purchas in the last 7 days\"\n", EVENT.as_bytes());
    name.says(0, &["cohorts.c.who: of 1 event no event is called `purchas`; did you mean `purchase`?"]);
    let case = replay("[cohorts.c]\nwho = 'did purchase where country = \"FR\" ever'\n", EVENT.as_bytes());
    case.says(0, &["no `purchase` has the value \"FR\" for `country`; nearest: \"fr\""]);
    let texts = EVENT.replace("12.5", "\"12,5\"");
    let unit = replay("[cohorts.c]\nwho = \"sum(purchase.amount ever) > 5\"\n", texts.as_bytes());
    unit.says(0, &["no `purchase` has a number as `amount`; it is a text"]);
    let sound = replay(SOUND, EVENT.as_bytes());
    assert!(!sound.err.contains("cohorts.buyers") && !sound.out.is_empty(), "{sound:?}");
}

#[test]
fn an_address_that_is_no_broker_is_refused_before_anything_is_opened() {
    let run = |servers: &str| {
        let set = format!("kafka.bootstrap_servers={servers}");
        cohortd(&[("rules.toml", SOUND.as_bytes())], &["run", "--set", &set])
    };
    for servers in ["http://kafka:9092", "kafka:9092,kafka:port", "kafka:9092/", ":9092", "kafka-1:9092 kafka-2:9092"] {
        run(servers).says(78, &["kafka.bootstrap_servers", "is not a valid broker address; write host:port"]);
    }
}
