//! What `check --size` says: what stands in `docs/sizing.md`, and how it follows the load and the rules.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::check::buyers;
use crate::cli::run;

const RULES: &str = "config/rules.toml";
/// Name, customers, events a second.
const COMPANIES: [(&str, &str, &str); 3] =
    [("a shop", "50000", "2"), ("a retailer", "1000000", "20"), ("a platform", "20000000", "1000")];

fn sized(rules: &str, customers: &str, pace: &str, more: &[&str]) -> Value {
    let load = ["check", "--rules", rules, "--size", "--json", "--customers", customers, "--events-per-second", pace];
    let ended = run(&[&load[..], more].concat());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    serde_json::from_str(&ended.out).unwrap()
}

fn grouped(digits: &str) -> String {
    let place = |(place, digit): (usize, char)| {
        let comma = place > 0 && (digits.len() - place).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(place).collect()
}

/// A column for each company, a row for each figure.
fn companies() -> String {
    let answers = COMPANIES.map(|(_, customers, pace)| sized(RULES, customers, pace, &[]));
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads = COMPANIES.map(|(name, customers, pace)| {
        format!("{name}: {} customers, {} events a second", grouped(customers), grouped(pace))
    });
    let mut table = row(&[&["".to_owned()][..], &heads].concat());
    table += "|---|---|---|---|\n";
    for (place, figure) in answers[0]["figures"].as_array().unwrap().iter().enumerate() {
        let cell = |answer: &Value| {
            let shown = &answer["figures"][place]["shown"];
            let [expected, least, most] = [0, 1, 2].map(|place| shown[place].as_str().unwrap());
            format!("{expected} ({least} to {most})")
        };
        let name = figure["name"].as_str().unwrap().to_owned();
        table += &row(&[&[name][..], &answers.each_ref().map(cell)].concat());
    }
    table
}

/// What the command prints for one of them.
fn output() -> String {
    let (_, customers, pace) = COMPANIES[1];
    let words = ["check", "--rules", RULES, "--size", "--customers", customers, "--events-per-second", pace];
    let ended = run(&words);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(ended.out.lines().count() <= 24, "it no longer fits on a screen");
    assert!(ended.out.lines().all(|line| line.chars().count() <= 132), "it is too wide");
    format!("```text\n$ cohortd {}\n{}```\n", words.join(" "), ended.out)
}

#[test]
fn the_page_shows_what_the_command_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sizing.md");
    let mut page = fs::read_to_string(&path).unwrap();
    for (mark, should) in [("<!-- companies -->\n", companies()), ("<!-- output -->\n", output())] {
        let start = page.find(mark).unwrap() + mark.len();
        let end = start + page[start..].find("<!-- end -->").unwrap();
        if std::env::var_os("COHORTD_WRITE_DOCS").is_some() {
            page.replace_range(start..end, &should);
            fs::write(&path, &page).unwrap();
        } else {
            assert_eq!(&page[start..end], should, "COHORTD_WRITE_DOCS=1 writes it");
        }
    }
}

/// One figure, or what others rest on.
fn figure<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let all = ["figures", "rests_on"].into_iter().flat_map(|part| answer[part].as_array().unwrap());
    all.into_iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

fn expected(answer: &Value, name: &str) -> f64 {
    figure(answer, name)["expected"].as_f64().unwrap()
}

#[test]
fn more_customers_and_events_need_more_and_bounds_hold_what_is_expected() {
    let small = sized(RULES, "100000", "100", &[]);
    let customers = sized(RULES, "10000000", "100", &[]);
    let events = sized(RULES, "100000", "100000", &[]);
    for name in ["memory.limit", "disk", "cohortd-changelog", "rebuild of a lost disk"] {
        assert!(expected(&customers, name) > 5.0 * expected(&small, name), "{name}");
    }
    for name in ["lanes", "partitions", "network in", "network out"] {
        assert!(expected(&events, name) > 2.0 * expected(&small, name), "{name}");
    }
    for answer in [small, customers, events] {
        for part in ["figures", "rests_on"] {
            for figure in answer[part].as_array().unwrap() {
                let [least, expected, most] =
                    ["least", "expected", "most"].map(|bound| figure[bound].as_f64().unwrap());
                assert!(0.0 < least && least <= expected && expected <= most, "{figure}");
                assert!(!figure["comes_from"].as_str().unwrap().is_empty(), "{figure}");
            }
        }
    }
}

#[test]
fn what_a_customer_takes_follows_the_rules_and_a_sample_measures_it() {
    let folder = tempfile::tempdir().unwrap();
    let [few, many, events] = ["few.toml", "many.toml", "events.jsonl"].map(|name| folder.path().join(name));
    let cohorts = |count: usize| -> String {
        let who = |days| format!("did e{days} with at least 40 different page in the last {days} days");
        (1..=count).map(|number| format!("[cohorts.c{number}]\nwho = '{}'\n", who(number))).collect()
    };
    fs::write(&few, cohorts(1)).unwrap();
    fs::write(&many, cohorts(90)).unwrap();
    let [few, many, events] = [&few, &many, &events].map(|path| path.to_str().unwrap());
    let of = |rules: &str, name| expected(&sized(rules, "100000", "100", &[]), name);
    assert!(of(many, "a customer as stored") > 2.0 * of(few, "a customer as stored"));
    assert!(of(many, "events/s of a lane") < of(few, "events/s of a lane"));

    fs::write(events, buyers(40)).unwrap();
    let guessed = sized(RULES, "100000", "1", &[]);
    let measured = sized(RULES, "100000", "1", &["--sample", events]);
    let source = figure(&measured, "a customer as stored")["comes_from"].as_str().unwrap();
    assert!(source.contains("60 customers of the sample"), "{source}");
    let stored = expected(&measured, "a customer as stored");
    assert!((60.0..2_000.0).contains(&stored), "{stored}");
    assert!(stored != expected(&guessed, "a customer as stored"));
    // Half of the sixty come every ten days and never leave; the others stop.
    let changes = expected(&measured, "changes for each event");
    assert!((0.01..1.0).contains(&changes), "{changes}");
}

#[test]
fn what_is_asked_for_by_halves_is_refused() {
    for (words, source) in [
        (&["--size"][..], "--customers"),
        (&["--size", "--customers", "10"], "--events-per-second"),
        (&["--customers", "10"], "--size"),
        (&["--size", "--customers", "0", "--events-per-second", "1"], "--customers"),
        (&["--size", "--customers", "1", "--events-per-second", "0"], "write a number of events"),
        (&["--size", "--connect", "--customers", "1", "--events-per-second", "1"], "cannot be used with"),
        (&["--json"], "required"),
    ] {
        let ended = run(&[&["check", "--rules", RULES], words].concat());
        assert_eq!(ended.code, 64, "{words:?}: {}", ended.err);
        assert!(ended.err.contains(source), "{words:?}: {}", ended.err);
    }
}
