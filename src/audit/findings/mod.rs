//! What is wrong, by what it costs, each with what to do.
//!
//! The cost of a finding is the share of all records that it concerns, times how much of their use is lost: all of a
//! record that is refused or counted twice, little of one whose properties have two names. The weights stand here.

mod critical;
mod duplicates;
mod names;
mod reading;
mod rules;
mod sources;
mod times;

use super::report::{Finding, Report};
use super::text::{Language, Text, counted, number, percent};
use crate::event::named;

/// The most findings: more are not read.
pub const FINDINGS_MAX: usize = 7;

named! {
    /// What is wrong.
    Flaw {
        Unreadable = "unreadable",
        NoCustomer = "no_customer",
        MixedUnits = "mixed_units",
        Unit = "unit",
        NoZone = "no_time_zone",
        ZoneSlip = "zone_slip",
        Future = "future",
        TooLate = "too_late",
        Duplicates = "duplicates",
        IdReused = "id_reused",
        Apart = "sources_apart",
        EventsAlike = "events_alike",
        PropertiesAlike = "properties_alike",
        TwoTypes = "two_types",
        CriticalMissing = "critical_missing",
        UnusedEvents = "unused_events",
        UnfedRules = "unfed_rules",
        OtherNames = "rules_with_other_names",
        MixedPartitioners = "mixed_partitioners",
    }
}

impl Flaw {
    /// How much of the use of a record is lost.
    fn weight(self) -> f64 {
        match self {
            // It is refused, counted twice, or at the wrong time.
            Self::Unreadable | Self::NoCustomer | Self::MixedUnits | Self::ZoneSlip | Self::Future | Self::TooLate => {
                1.0
            }
            Self::Duplicates | Self::IdReused | Self::EventsAlike | Self::OtherNames => 1.0,
            // Nothing is decided with it, or half of what is known is missing.
            Self::Apart | Self::CriticalMissing | Self::UnfedRules | Self::MixedPartitioners => 0.5,
            // A line in a sources file repairs it.
            Self::NoZone | Self::Unit | Self::TwoTypes => 0.3,
            // It costs space, and attention.
            Self::UnusedEvents => 0.2,
            Self::PropertiesAlike => 0.1,
        }
    }
}

/// The findings of a report, the most expensive first.
pub(super) fn of(report: &Report) -> Vec<Finding> {
    let mut found = Found { report, findings: Vec::new() };
    reading::add(&mut found);
    times::add(&mut found);
    duplicates::add(&mut found);
    sources::add(&mut found);
    names::add(&mut found);
    critical::add(&mut found);
    rules::add(&mut found);
    let mut findings = found.findings;
    findings.sort_by(|one, other| other.cost.total_cmp(&one.cost));
    findings.truncate(FINDINGS_MAX);
    findings
}

/// Findings so far.
struct Found<'r> {
    report: &'r Report,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, flaw: Flaw, topics: &[&str], records: u64, (what, to_do): (Text, Text)) {
        let share = records as f64 / self.report.records.max(1) as f64;
        self.findings.push(Finding {
            kind: flaw.as_str(),
            cost: flaw.weight() * share.min(1.0),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            records,
            what,
            to_do,
        });
    }
}

fn text(en: impl Into<String>, fr: impl Into<String>) -> Text {
    Text { en: en.into(), fr: fr.into() }
}

/// A number of records in both languages.
fn records(count: u64) -> (String, String) {
    (counted(count, "record", "records", Language::English), counted(count, "message", "messages", Language::French))
}

/// A share in both languages.
fn share(share: f64) -> (String, String) {
    (percent(share, Language::English), percent(share, Language::French))
}

/// A number in both languages.
fn both(count: u64) -> (String, String) {
    (number(count, Language::English), number(count, Language::French))
}

/// `a`, between backticks.
fn quoted(name: &str) -> String {
    format!("`{name}`")
}
