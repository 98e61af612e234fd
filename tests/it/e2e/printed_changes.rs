//! `cohortd changes`: what was published, as lines for people and programs, and what follows.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use cohortd::clock::wall_clock;
use serde_json::Value;

use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = r#"
[cohorts.seen]
who = "did visit in the last 1 day"
[cohorts.buyers]
who = "did purchase in the last 1 day"
name = { en = "Buyers", fr = "Acheteurs" }
"#;

fn changes(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cohortd"));
    let settings = lab.settings("reader");
    command.arg("changes").args(arguments).args(settings.iter().flat_map(|set| ["--set", set])).env_clear();
    command
}

/// The lines that it prints, sorted: partitions are in any order.
fn printed(lab: &Lab, arguments: &[&str]) -> Vec<String> {
    let output = changes(lab, arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn changes_are_printed_as_they_are_published_and_as_they_are_asked_for() {
    let Some(lab) = Lab::new("printed", 2, RULES) else { return };
    let missing = changes(&lab, &[]).output().unwrap();
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(1) && text.contains(&lab.topic("changes")), "{text}");

    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let followed = lab.path("followed");
    let mut follower = changes(&lab, &["--follow", "--from", "0"])
        .stdout(File::create(&followed).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let at = wall_clock();
    let writer = lab.writer();
    for customer in ["a", "b", "c", "d"] {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", at.0, None)));
    }
    writer.send("a", &avro::encode(&avro::event("a", "purchase", at.0, None)));
    writer.flush();
    let line = |customer: &str, cohort: &str, why: &str| format!("{at}  {customer}  {cohort}  {why}");
    let seen =
        |customer: &str| line(customer, "seen", "Entered seen: did visit in the last 1 day (last one just now).");
    let buys = line("a", "buyers", "Entered Buyers: did purchase in the last 1 day (last one just now).");
    let mut all = vec![seen("a"), seen("b"), seen("c"), seen("d"), buys.clone()];
    all.sort();
    let lines = || {
        let text = fs::read_to_string(&followed).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    eventually("the changes are printed", || (lines().len() == all.len()).then_some(()));
    assert_eq!(lines(), all);
    assert_eq!(follower.try_wait().unwrap(), None, "it goes on");
    follower.kill().unwrap();
    follower.wait().unwrap();

    assert_eq!(printed(&lab, &[]), all);
    assert_eq!(printed(&lab, &["--customer", "c"]), [seen("c")]);
    assert_eq!(printed(&lab, &["--cohort", "buyers"]), [buys]);
    assert_eq!(printed(&lab, &["--cohort", "buyers", "--customer", "b"]), [""; 0]);
    assert_eq!(printed(&lab, &["--from", "now"]), [""; 0]);
    let french = printed(&lab, &["--cohort", "buyers", "--lang", "fr"]);
    assert!(french[0].contains("Entrée dans «\u{a0}Acheteurs\u{a0}»"), "{french:?}");
    let json: Value = serde_json::from_str(&printed(&lab, &["--cohort", "buyers", "--json"])[0]).unwrap();
    assert_eq!(
        (&json["customer_id"], &json["change"], &json["reason"]),
        (&"a".into(), &"ENTERED".into(), &"EVENT".into())
    );
    daemon.stop();
}
