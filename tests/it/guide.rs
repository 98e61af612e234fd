//! Every example in the guide runs, and has the result shown below it.
//!
//! In `config/RULES.md` a block `toml example` is a rules file, and the block `text result` after it its result on
//! `config/sample-events.jsonl` until 1 July 2026: a line for each customer, below the cohort's name where there are
//! several.

use std::collections::BTreeMap;

use crate::check::buyers;
use crate::cli::run;

const SAMPLE: &str = "config/sample-events.jsonl";
const UNTIL: &str = "2026-07-01";

/// One example with its result, and the line of the guide that it begins in.
struct Example {
    line: usize,
    rules: String,
    result: String,
}

#[test]
fn every_example_of_the_guide_has_the_result_that_is_shown() {
    let guide = read("config/RULES.md");
    let examples = examples(&guide);
    assert!(examples.len() > 30, "only {} examples were found", examples.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let path = path.to_str().unwrap();
    let mut wrong = Vec::new();
    for Example { line, rules, result } in &examples {
        std::fs::write(path, rules).unwrap();
        let replay = run(&["replay", "--rules", path, "--until", UNTIL, SAMPLE]);
        if replay.code != 0 {
            wrong.push(format!("RULES.md:{line}: {}", replay.err));
        } else {
            let found = in_short(rules, &replay.out);
            if found != *result {
                wrong.push(format!("RULES.md:{line} shows\n{result}and comes to\n{found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sample_gives_the_examples_no_reason_for_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let path = path.to_str().unwrap();
    for Example { line, rules, .. } in examples(&read("config/RULES.md")) {
        std::fs::write(path, &rules).unwrap();
        let check = run(&["check", "--rules", path, "--sample", SAMPLE]);
        let meant = MEANT.iter().any(|word| check.err.contains(word));
        assert!(check.err.is_empty() || meant, "RULES.md:{line}: {}", check.err);
    }
}

/// What the guide shows on purpose: an event that has not happened yet, a property that only some events have.
const MEANT: [&str; 2] = ["the sample has no event `export_used`", "`cart_id` is missing in"];

#[test]
fn the_rules_that_are_shipped_and_shown_elsewhere_are_right_and_meant() {
    let shipped = run(&["check", "--deny-warnings", "--rules", "config/rules.toml"]);
    assert_eq!((shipped.code, shipped.err.as_str()), (0, ""));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let path = path.to_str().unwrap();
    let shown: Vec<String> = pages()
        .flat_map(|page| blocks(&read(&page), "toml").map(|(_, text)| text).collect::<Vec<_>>())
        .filter(|text| text.contains("[cohorts."))
        .collect();
    assert!(shown.len() >= 2, "{shown:?}");
    for rules in shown {
        std::fs::write(path, &rules).unwrap();
        let check = run(&["check", "--deny-warnings", "--rules", path]);
        assert_eq!((check.code, check.err.as_str()), (0, ""), "{rules}");
    }
}

/// A valid rule may still match nobody, because its conditions are never true together. That shows only
/// in a sample; of its warnings those on events and properties that this one does not have are left out.
#[test]
fn no_rule_that_is_shown_excludes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let [path, sample] = ["rules.toml", "buyers.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&sample, buyers(40)).unwrap();
    let excluding = |rules: &str| -> Vec<String> {
        std::fs::write(&path, rules).unwrap();
        let check =
            run(&["check".as_ref(), "--rules".as_ref(), path.as_os_str(), "--sample".as_ref(), sample.as_os_str()]);
        let of_the_sample = |line: &str| OF_THE_SAMPLE.iter().any(|words| line.contains(words));
        check.err.lines().filter(|line| line.contains("warning: ") && !of_the_sample(line)).map(str::to_owned).collect()
    };
    let mut tried = 0;
    for file in pages().chain(["config/RULES.md".to_owned()]) {
        let text = read(&file);
        for (line, rules) in blocks(&text, "toml").chain(blocks(&text, "toml example")) {
            if rules.contains("[cohorts.") {
                assert_eq!(excluding(&rules), Vec::<String>::new(), "{file}:{line}");
                tried += 1;
            }
        }
    }
    assert!(tried > 35, "only {tried} were found");
    // The one mistake that only a sample shows is found in this one.
    let churn = read("docs/churn.md");
    let (_, recipe) = blocks(&churn, "toml").find(|(_, rules)| rules.contains("clv_if_active")).unwrap();
    let found = excluding(&recipe.replace("clv_if_active", "clv"));
    assert!(found.len() == 1 && found[0].contains("never meet in the sample"), "{found:?}");
}

/// What `check` says where a sample has no such events, properties or values.
const OF_THE_SAMPLE: [&str; 4] =
    ["the sample has no event", "in the sample has a property", "no event of the sample has", " is missing in "];

/// The README, and the pages that it leads to.
fn pages() -> impl Iterator<Item = String> {
    let docs = std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let docs = docs.map(|file| format!("docs/{}", file.unwrap().file_name().to_str().unwrap()));
    docs.filter(|file| file.ends_with(".md")).chain(["README.md".to_owned()])
}

/// Nothing that a page leads to is missing.
#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let others = ["config/RULES.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned);
    let mut links = 0;
    for page in pages().chain(others) {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split_once('#').map_or(link, |(file, _)| file);
            if !file.is_empty() && !link.contains("://") {
                assert!(root.join(&page).parent().unwrap().join(file).exists(), "{page}: {link}");
                links += 1;
            }
        }
    }
    assert!(links > 30, "only {links} were found");
}

fn read(file: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn examples(guide: &str) -> Vec<Example> {
    let rules = blocks(guide, "toml example");
    let results: Vec<(usize, String)> = blocks(guide, "text result").collect();
    rules
        .map(|(line, rules)| {
            let result = results.iter().find(|(place, _)| *place > line).expect("a result follows each example");
            Example { line, rules, result: result.1.clone() }
        })
        .collect()
}

/// The fenced blocks of a kind, each with the number of its first line.
fn blocks(text: &str, kind: &str) -> impl Iterator<Item = (usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((number + 2, info == kind, String::new())),
            (Some(_), Some(_)) => {
                let (start, wanted, content) = open.take().unwrap();
                found.extend(wanted.then_some((start, content)));
            }
            (Some((_, _, content)), None) => {
                content.push_str(line);
                content.push('\n');
            }
            (None, None) => {}
        }
    }
    found.into_iter()
}

/// Changes as the guide shows them.
fn in_short(rules: &str, changes: &str) -> String {
    let mut stories: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in changes.lines() {
        let change: serde_json::Value = serde_json::from_str(line).unwrap();
        // A change of the level of risk is of no cohort.
        if change.get("cohort").is_none() {
            continue;
        }
        let text = |key: &str| change[key].as_str().unwrap().to_owned();
        let at = jiff::Timestamp::from_millisecond(change["at"].as_i64().unwrap()).unwrap();
        let at = at.strftime("%-d %b %H:%M");
        let word = if text("change") == "entered" { "in" } else { "out" };
        stories.entry((text("cohort"), text("customer_id"))).or_default().push(format!("{word} {at}"));
    }
    let cohorts: Vec<&str> =
        rules.lines().filter_map(|line| line.strip_prefix("[cohorts.")?.strip_suffix(']')).collect();
    let mut short = String::new();
    for cohort in &cohorts {
        if cohorts.len() > 1 {
            short.push_str(&format!("{cohort}:\n"));
        }
        let mut nobody = true;
        for ((_, customer), story) in stories.iter().filter(|((of, _), _)| of == cohort) {
            short.push_str(&format!("{customer:<8} {}\n", story.join(", ")));
            nobody = false;
        }
        if nobody {
            short.push_str("nobody\n");
        }
    }
    short
}
