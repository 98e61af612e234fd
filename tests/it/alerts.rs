//! What is deployed beside the daemon to watch it: alerts that fire when they should, each with an entry in the runbook, and
//! metrics that are shown under these names.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::BTreeSet;
use std::env;
use std::process::{Command, Stdio};

use crate::dashboards::FILES;

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yaml");
const CASES: &str = include_str!("../../deploy/prometheus/alerts.test.yaml");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");
const PAGE: &str = include_str!("../../docs/metrics.md");

/// Does a program of Debian's package `prometheus` run here? In CI it has to where the project's setup installs it.
pub(crate) fn has(tool: &str) -> bool {
    let quiet = |name: &str| {
        let status = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if quiet(tool) {
        return true;
    }
    assert!(env::var_os("CI").is_none() || !quiet("apt-get"), "{tool} is missing: sh .ci/setup tests installs it");
    println!("skipped: {tool} is not installed");
    false
}

/// Every alert's name, with its part of the file.
fn alerts() -> Vec<(&'static str, &'static str)> {
    let parts = ALERTS.split("- alert: ").skip(1);
    parts.map(|part| (part.split_whitespace().next().unwrap(), part)).collect()
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    if !has("promtool") {
        return;
    }
    for args in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
        let output = Command::new("promtool").args(args).current_dir(folder).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {}: {printed}", args.join(" "));
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases: Vec<&str> = CASES.split("promql_expr_test:").skip(1).collect();
    for (name, _) in alerts() {
        let of_alert =
            |case: &&&str| case.contains(&format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}\n"));
        let (quiet, firing): (Vec<&str>, Vec<&str>) =
            cases.iter().filter(of_alert).partition(|case| case.contains("exp_samples: []"));
        assert!(!quiet.is_empty() && !firing.is_empty(), "{name}: {} quiet, {} firing", quiet.len(), firing.len());
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let headings: Vec<&str> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: Vec<&str> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(headings, names, "the runbook has an entry for each alert, in the order of the file");
    for (name, text) in alerts() {
        let anchor = name.to_lowercase();
        assert!(text.contains(&format!("runbook_url: docs/runbook.md#{anchor}\n")), "{name} links elsewhere");
        for part in ["summary: ", "description: ", "severity: "] {
            assert!(text.contains(part), "{name} has no {part}");
        }
        let entry = RUNBOOK.split(&format!("## {name}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
        for part in ["**Means**: ", "**Look at**: ", "**Do**"] {
            assert!(entry.contains(part), "{name} has no {part}");
        }
    }
    // Links of the runbook to itself.
    for link in RUNBOOK.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(headings.iter().any(|heading| heading.to_lowercase() == link), "no entry {link}");
    }
}

/// What looks like the name of a metric of ours, without what histograms add.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("cohortd_") || word.starts_with("process_");
    words
        .filter(ours)
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn alerts_dashboards_and_runbook_name_metrics_that_there_are() {
    let known = named(PAGE);
    for text in [ALERTS, CASES, RUNBOOK].into_iter().chain(FILES.map(|(_, board)| board)) {
        for name in named(text) {
            // Headers of dead letters.
            let is_header = name == "cohortd_reason" || name == "cohortd_detail";
            assert!(is_header || known.contains(&name), "no metric {name}");
        }
    }
}
