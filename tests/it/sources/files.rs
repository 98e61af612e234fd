//! `--source`: files in the shapes of sources, read by the commands that read events.

use std::fs;

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::cli::{Ended, run};

const SOURCES: &str = r#"
[sources.orders]
topic      = "shop.orders"
format     = "json"
customer   = "buyer.id"
time       = "paid_at"
id         = "order"
event      = "purchase"
where      = 'status = "PAID"'
properties = { amount = "total.value" }

[sources.tickets]
topic     = "tickets"
format    = "json"
customer  = "who"
time      = "at"
time_zone = "Europe/Paris"
event     = { field = "status", names = { opened = "ticket_opened" } }
"#;

const RULES: &str = "\
[cohorts.buyers]
who = 'did purchase where amount >= 50 in the last 7 days'
[cohorts.angry]
who = 'did purchase ever and did ticket_opened in the last 3 days'
[churn]
on = 'purchase'
";

const ORDERS: &str = r#"{"order": 1, "status": "PAID", "paid_at": "2026-01-05T09:00:00Z", "buyer": {"id": "b-1"}, "total": {"value": 59.99}}
{"order": 1, "status": "PAID", "paid_at": "2026-01-05T09:00:00Z", "buyer": {"id": "b-1"}, "total": {"value": 59.99}}
{"order": 2, "status": "NEW", "paid_at": null, "buyer": {"id": "b-2"}, "total": {"value": 70}}
{"order": 3, "status": "PAID", "paid_at": "yesterday", "buyer": {"id": "b-2"}, "total": {"value": 70}}
{"order": 4, "status": "PAID", "paid_at": "2026-01-06T09:00:00Z", "buyer": {"id": "b-2"}, "total": {"value": 70}}
"#;

/// The same orders as a French spreadsheet has them, with one that is cut off.
const COMMANDES: &str = "order;status;paid_at;buyer.id;total.value\n\
    1;PAID;2026-01-05T09:00:00Z;b-1;59,99\n1;PAID;2026-01-05T09:00:00Z;b-1;59,99\n2;NEW;;b-2;70\n3;PAID\n\
    4;PAID;2026-01-06T09:00:00Z;\"b-2\";70,00\n";

const TICKETS: &str = "who,at,status\nb-1,2026-01-06 11:00,opened\nb-9,2026-01-06 11:00,closed\n";

const EVENTS: &str = r#"{"event_id": "1", "customer_id": "b-1", "event": "purchase", "time": "2026-01-05T09:00:00Z", "source": "orders", "properties": {"amount": 59.99}}
{"event_id": "4", "customer_id": "b-2", "event": "purchase", "time": "2026-01-06T09:00:00Z", "source": "orders", "properties": {"amount": 70}}
"#;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("sources.toml", SOURCES),
            ("rules.toml", RULES),
            ("orders.jsonl", ORDERS),
            ("commandes.csv", COMMANDES),
            ("tickets.csv", TICKETS),
            ("events.jsonl", EVENTS),
        ] {
            fs::write(files.path(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// With `{}` in an argument as the folder, and the rules of the folder, beside which the sources are.
    fn run(&self, command: &str, arguments: &[&str]) -> Ended {
        let folder = self.0.path().display().to_string();
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("{}", &folder)).collect();
        let rules = self.path("rules.toml");
        let mut all = vec![command, "--rules", &rules];
        all.extend(arguments.iter().map(String::as_str));
        run(&all)
    }
}

#[test]
fn a_replay_of_a_source_decides_as_one_of_its_events() {
    let files = Files::new();
    let direct = files.run("replay", &["{}/events.jsonl"]);
    assert_eq!((direct.code, direct.out.lines().count()), (0, 2), "{}", direct.err);
    let strip = |ended: &Ended| -> Vec<Json> {
        let of = |line: &str| serde_json::from_str::<Json>(line).unwrap();
        ended.out.lines().map(of).map(|mut change| (change["cause"].take(), change).1).collect()
    };
    let orders = files.run("replay", &["--source", "orders", "{}/orders.jsonl"]);
    assert_eq!(strip(&orders), strip(&direct), "{}", orders.err);
    for words in
        ["1 duplicate", "1 line or record could not be read", "1 record skipped by its source", "record 4: bad_time: "]
    {
        assert!(orders.err.contains(words), "{words}: {}", orders.err);
    }
    let commandes = files.run("replay", &["--source", "orders", "--decimal-comma", "{}/commandes.csv"]);
    assert_eq!(strip(&commandes), strip(&direct), "{}", commandes.err);
    assert!(commandes.err.contains("it has 2 cells, and the header 5"), "{}", commandes.err);
    let strict = files.run("replay", &["--source", "orders", "--strict", "{}/orders.jsonl"]);
    assert_eq!(strict.code, 1);
}

#[test]
fn several_sources_and_files_of_events_become_one_log() {
    let files = Files::new();
    for arguments in [
        &["--source", "orders={}/orders.jsonl", "--source", "tickets={}/tickets.csv"][..],
        &["--source", "tickets", "{}/tickets.csv", "--source", "orders={}/orders.jsonl"],
        &["--source", "tickets={}/tickets.csv", "{}/events.jsonl"],
    ] {
        let ended = files.run("replay", arguments);
        let angry: Vec<Json> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let angry: Vec<&Json> = angry.iter().filter(|change| change["cohort"] == "angry").collect();
        assert_eq!(angry.len(), 1, "{arguments:?} {}\n{}", ended.out, ended.err);
        assert_eq!(angry[0]["customer_id"], "b-1");
        // 11 in the morning in Paris.
        assert_eq!(angry[0]["at"], 1_767_693_600_000_i64);
    }
}

#[test]
fn every_command_that_reads_events_reads_sources() {
    let files = Files::new();
    let source = ["--source", "orders={}/orders.jsonl"];
    let with = |more: &[&'static str]| [more, &source].concat();
    let explained = files.run("explain", &with(&["--customer", "b-1", "--cohort", "buyers"]));
    assert!(explained.code == 0 && explained.out.contains("buyers"), "{}{}", explained.out, explained.err);
    let scored = files.run("score", &with(&["--refit"]));
    let direct = files.run("score", &["--refit", "{}/events.jsonl"]);
    assert_eq!((scored.code, scored.out), (direct.code, direct.out), "{}", scored.err);
    let (fitted, direct) = (files.run("fit", &with(&["--json"])), files.run("fit", &["--json", "{}/events.jsonl"]));
    assert_eq!((fitted.code, fitted.out), (direct.code, direct.out), "{}", fitted.err);
    let checked = files.run("check", &source);
    assert!(checked.out.contains("Of 2 customers at the end of the sample"), "{}{}", checked.out, checked.err);
    let compared = files.run("replay", &with(&["--compare", "{}/rules.toml"]));
    assert!(compared.code == 0 && compared.err.contains("no difference"), "{}", compared.err);
    let audited = files.run("audit", &with(&["--json"]));
    let report: Json = serde_json::from_str(&audited.out).unwrap_or_else(|_| panic!("{}", audited.err));
    assert_eq!((&report["topics"][0]["topic"], &report["records"]), (&"orders".into(), &4.into()));
    assert_eq!(report["topics"][0]["events"][0]["event"], "purchase");
}

#[test]
fn csv_can_be_tried_and_audited() {
    let files = Files::new();
    let sources = files.path("sources.toml");
    let (commandes, tickets) = (files.path("commandes.csv"), files.path("tickets.csv"));
    let tried = run(&["sources", "try", "orders", &commandes, "--decimal-comma", "--sources", &sources]);
    assert_eq!(tried.code, 0, "{}", tried.err);
    for words in ["5  read with the source orders", "amount", "59.99", "it has 2 cells, and the header 5"] {
        assert!(tried.out.contains(words), "{words}: {}", tried.out);
    }
    let wrong = run(&["sources", "try", "orders", &commandes, "--sources", &sources]);
    assert!(wrong.code == 1 && wrong.err.contains("with the option --delimiter ';' it has 5"), "{}", wrong.err);
    let audited = run(&["audit", &tickets, "--json"]);
    let report: Json = serde_json::from_str(&audited.out).unwrap_or_else(|_| panic!("{}", audited.err));
    assert_eq!((&report["topics"][0]["topic"], &report["records"]), (&"tickets".into(), &2.into()));
}

#[test]
fn what_cannot_be_read_as_a_source_is_an_error_that_says_why() {
    let files = Files::new();
    fs::write(files.path("new.jsonl"), ORDERS.lines().nth(2).unwrap()).unwrap();
    for (arguments, code, words) in [
        (&["--source", "order", "{}/orders.jsonl"][..], 64, "has no source order; did you mean orders?"),
        (&["--source", "orders"], 64, "--source orders: name the files"),
        (&["--source", "orders", "--source", "tickets", "{}/x"], 64, "write --source tickets=FILE"),
        (&["--delimiter", ";", "{}/events.jsonl"], 64, "name it with --source"),
        (&["--source", "orders", "--topic", "t"], 64, "cannot be used with"),
        (&["--source", "orders", "--sources", "nowhere.toml", "{}/orders.jsonl"], 78, "nowhere.toml: cannot be read"),
        (&["{}/commandes.csv"], 1, "read it with --source NAME (and --delimiter if"),
        (&["--source", "orders", "{}/new.jsonl"], 1, "none becomes an event"),
        (&[], 64, "EVENTS"),
    ] {
        let ended = files.run("replay", arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.err);
        let words = if words == "none becomes an event" { "`cohortd sources try orders" } else { words };
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
}
