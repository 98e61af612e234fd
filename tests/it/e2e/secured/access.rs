//! The access lists of `docs/kafka.md`: with exactly these it works, and without any single one of them one line says so.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;

use super::{Secured, USERS, works};
use crate::e2e::daemon::{Daemon, Ended};
use crate::e2e::eventually;
use crate::e2e::lab::Lab;

const DOCUMENT: &str = include_str!("../../../../docs/kafka.md");
/// The default names of the topics, and what they are called in a lab.
const KINDS: [(&str, &str); 9] = [
    ("customer-events", "in"),
    ("cohort-changes", "changes"),
    ("cohort-members", "members"),
    ("churn-risk-changes", "risks"),
    ("cohort-forecasts", "forecasts"),
    ("cohortd-dead-letters", "letters"),
    ("cohortd-changelog", "log"),
    ("cohortd-summaries", "summaries"),
    ("cohortd-rules", "rules"),
];
/// Processes that are started at a time.
const AT_A_TIME: usize = 8;

/// One operation on one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// `TOPIC`, `GROUP` or `TRANSACTIONAL_ID`.
    of: &'static str,
    name: String,
    pattern: &'static str,
    /// As the command writes it: `DescribeConfigs`.
    operation: String,
}

/// The commands of the document, by their words, with the names of a lab.
fn commands(lab: &Lab) -> Vec<Vec<String>> {
    let names: BTreeMap<&str, String> = KINDS.iter().map(|(name, kind)| (*name, lab.topic(kind))).collect();
    let word = |word: &str| match (names.get(word), word) {
        (Some(topic), _) => topic.clone(),
        (None, "cohortd") => lab.name.clone(),
        (None, "cohortd-") => format!("{}-", lab.name),
        (None, word) => word.to_owned(),
    };
    let lines = DOCUMENT.lines().filter_map(|line| line.trim().strip_prefix("acl --"));
    lines.map(|line| format!("--{line}").split(' ').map(word).collect()).collect()
}

/// What one command grants: every operation on every name.
fn grants(words: &[String]) -> Vec<Grant> {
    let of = |key: &str| words.windows(2).filter(|pair| pair[0] == key).map(|pair| pair[1].clone()).collect::<Vec<_>>();
    let pattern = if of("--resource-pattern-type") == ["prefixed"] { "PREFIXED" } else { "LITERAL" };
    let kinds = [("--topic", "TOPIC"), ("--group", "GROUP"), ("--transactional-id", "TRANSACTIONAL_ID")];
    let mut grants = Vec::new();
    for (key, kind) in kinds {
        for name in of(key) {
            let all = of("--operation").into_iter();
            grants.extend(all.map(|operation| Grant { of: kind, name: name.clone(), pattern, operation }));
        }
    }
    grants
}

/// The name that Kafka's own classes have for an operation.
fn constant(operation: &str) -> String {
    let words = operation.chars().flat_map(|c| {
        let new_word = c.is_uppercase().then_some('_');
        new_word.into_iter().chain([c.to_ascii_uppercase()])
    });
    words.collect::<String>().trim_start_matches('_').to_owned()
}

/// Gives `u0` everything by the commands themselves, and to each other user all but one.
fn grant(secured: &Secured, lab: &Lab, all: &[Grant]) {
    for words in commands(lab) {
        let head =
            ["--bootstrap-server", secured.broker.bootstrap(), "--add", "--force", "--allow-principal", "User:u0"];
        let words: Vec<&str> = head.into_iter().chain(words.iter().map(String::as_str)).collect();
        secured.broker.command("org.apache.kafka.tools.AclCommand", &words);
    }
    let mut lines = String::new();
    for without in 0..all.len() {
        for (_, grant) in all.iter().enumerate().filter(|(number, _)| *number != without) {
            let Grant { of, name, pattern, operation } = grant;
            lines += &format!("{of} {name} {pattern} {} u{}\n", constant(operation), without + 1);
        }
    }
    let file = lab.path("grants");
    fs::write(&file, lines).unwrap();
    secured.broker.command("Grants", &[secured.broker.bootstrap(), file.to_str().unwrap()]);
}

/// A process of the user who lacks one grant.
fn start(secured: &Secured, lab: &Lab, without: usize) -> Daemon {
    let sets = secured.by_password(&format!("u{}", without + 1), "right");
    lab.start(&format!("without-{without}"), &sets.iter().map(String::as_str).collect::<Vec<_>>())
}

/// It ends with 78 and one line that names what is missing.
fn is_refused(ended: &Ended, grant: &Grant) {
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    println!("without {grant:?}: {lines:?}");
    assert_eq!((ended.code, lines.len()), (Some(78), 1), "without {grant:?}: {}", ended.stderr);
    assert!(ended.stderr.contains("\"ending\":\"access\""), "without {grant:?}: {}", ended.stderr);
    assert!(lines[0].contains(&grant.name), "without {grant:?}: {}", lines[0]);
    let in_our_words = format!("{} ", grant.operation);
    let in_the_brokers = "uthorization failed";
    assert!(lines[0].contains(&in_our_words) || lines[0].contains(in_the_brokers), "without {grant:?}: {}", lines[0]);
}

fn check(lab: &Lab, user: &str, secured: &Secured) -> (Option<i32>, String) {
    let mut settings = lab.settings("check");
    settings.extend(secured.by_password(user, "right"));
    let output = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["check", "--connect"])
        .args(settings.iter().flat_map(|set| ["--set", set]))
        .env_clear()
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("check as {user}: {:?}\n{printed}", output.status.code());
    (output.status.code(), printed)
}

#[test]
fn exactly_the_documented_access_lists_are_needed() {
    let Some(secured) = Secured::shared() else { return };
    let lab = secured.lab("access").limited_to(std::time::Duration::from_secs(600));
    let all: Vec<Grant> = commands(&lab).iter().flat_map(|words| grants(words)).collect();
    assert!(all.len() > 25 && all.len() < USERS, "{all:#?}");
    grant(secured, &lab, &all);
    let (creates, others): (Vec<_>, Vec<_>) =
        all.iter().enumerate().partition(|(_, grant)| grant.operation == "Create");

    // Before there are any topics: nothing is wrong, and nothing is made by asking.
    let (code, printed) = check(&lab, "u0", secured);
    assert_eq!((code, printed.matches("would be created").count()), (Some(0), 8), "{printed}");
    let (code, printed) = check(&lab, &format!("u{}", creates[0].0 + 1), secured);
    assert_eq!(
        (code, printed.matches("WRONG").count(), printed.matches("would be created").count()),
        (Some(78), 1, 7),
        "{printed}"
    );

    // In the order in which topics are made, so that each finds its own missing, and makes those before it.
    let order = ["changes", "members", "risks", "forecasts", "letters", "log", "summaries", "rules"];
    for topic in order.map(|kind| lab.topic(kind)) {
        let (without, grant) = creates.iter().find(|(_, grant)| grant.name == topic).unwrap();
        is_refused(&start(secured, &lab, *without).ended(), grant);
    }
    works(&lab, &secured.by_password("u0", "right"), "by-documented-grants");
    let (code, printed) = check(&lab, "u0", secured);
    assert_eq!((code, printed.contains("WRONG"), printed.contains("warning")), (Some(0), false, false), "{printed}");

    let (configs, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(_, grant)| grant.operation == "DescribeConfigs");
    for cases in others.chunks(AT_A_TIME) {
        thread::scope(|scope| {
            for (without, grant) in cases {
                let lab = &lab;
                scope.spawn(move || is_refused(&start(secured, lab, *without).ended(), grant));
            }
        });
    }
    for cases in configs.chunks(AT_A_TIME) {
        let mut started: Vec<_> =
            cases.iter().map(|(without, grant)| (start(secured, &lab, *without), *grant)).collect();
        for (daemon, grant) in &mut started {
            let line = format!("This user may not DescribeConfigs topic {}:", grant.name);
            eventually(&format!("it warns without {grant:?}"), || {
                daemon.assert_running();
                daemon.says(&line).then_some(())
            });
        }
        started.into_iter().for_each(|(daemon, _)| daemon.kill9());
    }
}
