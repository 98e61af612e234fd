//! `docs/metrics.md` is written from the source: names, kinds, labels and help as they are registered, and the comment that
//! begins with the family's name. `COHORTD_WRITE_DOCS=1` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prometheus::proto::{MetricFamily, MetricType};

use super::lively;

const HEAD: &str = "# Metrics

What `/metrics` shows, from `src/metrics`: a test fails where this page and the source differ
(`COHORTD_WRITE_DOCS=1 cargo test --release --lib metrics` regenerates it). Alerts on these are in `deploy/prometheus/alerts.yaml`,
what to do about each in [runbook.md](runbook.md).

Every family may be summed over its labels and over the processes of a group, or averaged, as its unit suggests, and the result is
meaningful. Instants are seconds since 1970: `time() - x` is the age. Series of a partition exist while a process
owns it; what exists once for a group (forecasts, ranks, `partitions_unowned`) is shown by one process, so leave `instance` out of
queries. No label names a customer. With C cohorts, R ranks and P partitions a process has about 16 C + 2 R + 5 P + 250 series, of which 13 C + 2 R in one process of the group only.

Conservation, for each topic: `records_consumed` = `events_applied` + `events_skipped` + `dead_letters`.

";

/// The comments of the source that begin with a family's name in backticks, without it.
fn comments() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics");
    for file in fs::read_dir(folder).unwrap().flatten().filter(|file| file.path().is_file()) {
        let source = fs::read_to_string(file.path()).unwrap();
        let mut open: Option<(String, String)> = None;
        for line in source.lines().map(str::trim) {
            let comment = line.strip_prefix("/// ").or_else(|| line.strip_prefix("// "));
            match (comment, &mut open) {
                (Some(text), Some((_, sentences))) => write!(sentences, " {text}").unwrap(),
                (Some(text), None) => open = begun(text),
                (None, _) => found.extend(open.take()),
            }
        }
    }
    found
}

/// A comment such as `name{label}`: what it is.
fn begun(text: &str) -> Option<(String, String)> {
    let (name, rest) = text.strip_prefix('`')?.split_once("`: ")?;
    let name = name.split('{').next()?.to_owned();
    name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| (name, rest.to_owned()))
}

/// The part of the comment up to and with the sentence about worry: what follows is for readers of the source.
fn description(comment: &str) -> String {
    let worry =
        comment.find("Worry ").or_else(|| comment.find("No worry ")).unwrap_or_else(|| panic!("no worry: {comment}"));
    let end = comment[worry..].find(". ").map_or(comment.len(), |end| worry + end + 1);
    comment[..end].replace(" |", "")
}

fn row(family: &MetricFamily, comments: &BTreeMap<String, String>) -> String {
    let name = family.name();
    let key = name.strip_prefix("cohortd_").unwrap_or(name);
    let comment = comments.get(key).unwrap_or_else(|| panic!("no comment in src/metrics begins with `{key}`"));
    let labels: Vec<String> =
        family.get_metric()[0].get_label().iter().map(|label| format!("`{}`", label.name())).collect();
    let kind = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::HISTOGRAM => "histogram",
        _ => "gauge",
    };
    let mut text = description(comment);
    text[..1].make_ascii_uppercase();
    format!("| `{name}` | {kind} | {} | {text} |\n", labels.join(" "))
}

#[test]
fn the_page_of_metrics_is_what_the_source_says() {
    let (metrics, _partition, _cohorts) = lively();
    let _restore = metrics.restore(4);
    let comments = comments();
    let mut page = HEAD.to_owned();
    page.push_str("| name | kind | labels | what it is, and when to worry |\n|---|---|---|---|\n");
    for family in metrics.families.gather() {
        page.push_str(&row(&family, &comments));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("COHORTD_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    for (line, (is, should)) in written.lines().zip(page.lines()).enumerate() {
        assert_eq!(is, should, "docs/metrics.md:{}; COHORTD_WRITE_DOCS=1 writes it", line + 1);
    }
    assert!(written == page, "docs/metrics.md is not whole; COHORTD_WRITE_DOCS=1 writes it");
}
