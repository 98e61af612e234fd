//! `check --connect`: what `run` would find at its start, on one screen, without changing anything.

mod records;

use std::io::Write;

use serde_json::{Value, json};

use crate::app::Failure;
use crate::app::preflight::{Finding, Part, Preflight, Verdict};
use crate::app::rules_file::RulesFile;
use crate::cli::arguments::Warnings;
use crate::cli::format::counted;
use crate::cli::output::{self, Stopped};
use crate::settings::Loaded;
use records::Outcomes;

/// The output format, and what counts as a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) json: bool,
    pub(super) warnings: Warnings,
}

/// Checks everything and prints the findings.
///
/// # Errors
/// 78: something must be put right before `run`, or there are warnings and there were to be none. 1: brokers or the registry
/// did not answer.
pub(super) fn run(settings: &Loaded, file: &RulesFile, options: Options) -> Result<(), Stopped> {
    let mut found = Preflight::run(settings);
    let outcomes = match found.input {
        Some(_) => records::check(settings, file, &mut found)?,
        None if settings.settings.gather.sources.is_some() => {
            let text = "nothing is gathered yet; `cohortd sources try NAME --topic` shows what the first records of a source become";
            found.add(Part::Records, "", Verdict::NotAsked, text);
            None
        }
        None => None,
    };
    let mut out = output::results();
    if options.json {
        writeln!(out, "{:#}", in_json(&found, outcomes.as_ref()))?;
    } else {
        let count = counted(file.rules.cohorts.len() as u64, "cohort", "cohorts");
        writeln!(out, "Settings, rules ({count}) and schemas are well formed.\n")?;
        for line in lines(&found.findings) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(outcome(&found, options.warnings)?)
}

/// One line for each finding; the part is shown before its first one.
fn lines(findings: &[Finding]) -> Vec<String> {
    let mut before = None;
    let mut lines = Vec::with_capacity(findings.len());
    for finding in findings {
        let part = if before == Some(finding.part) { "" } else { heading(finding.part) };
        before = Some(finding.part);
        let about = if finding.about.is_empty() { String::new() } else { format!("{}: ", finding.about) };
        lines.push(format!("{part:<9} {:<8} {about}{}", word(finding.verdict), finding.text));
    }
    lines
}

fn heading(part: Part) -> &'static str {
    match part {
        Part::Kafka => "Kafka",
        Part::Topics => "Topics",
        Part::Group => "Group",
        Part::Registry => "Registry",
        Part::Records => "Records",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::NotAsked => "-",
        Verdict::Warning => "warning",
        Verdict::Unreachable => "silent",
        Verdict::Wrong => "WRONG",
    }
}

fn in_json(found: &Preflight, outcomes: Option<&Outcomes>) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "part": finding.part.as_str(),
            "about": finding.about,
            "verdict": finding.verdict.as_str(),
            "text": finding.text,
        })
    };
    json!({
        "verdict": found.verdict().as_str(),
        "findings": found.findings.iter().map(finding).collect::<Vec<_>>(),
        "records": outcomes.map(Outcomes::in_json),
    })
}

/// How the command ends.
fn outcome(found: &Preflight, policy: Warnings) -> Result<(), Failure> {
    let of = |verdict: Verdict| found.findings.iter().filter(|finding| finding.verdict == verdict).count() as u64;
    let wrong = counted(of(Verdict::Wrong), "thing", "things");
    let silent = counted(of(Verdict::Unreachable), "question was", "questions were");
    let warnings = counted(of(Verdict::Warning), "warning", "warnings");
    match found.verdict() {
        Verdict::Wrong => Err(Failure::Configuration(format!("{wrong} must be fixed before `cohortd run`"))),
        Verdict::Unreachable => Err(Failure::Running(format!("{silent} not answered; `cohortd run` would wait"))),
        Verdict::Warning if policy == Warnings::Denied => {
            Err(Failure::Configuration(format!("{warnings}, and --deny-warnings was asked for")))
        }
        Verdict::Warning | Verdict::NotAsked | Verdict::Good => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcomes, Part, Preflight, Verdict, Warnings, in_json, lines, outcome};

    fn found(verdicts: &[Verdict]) -> Preflight {
        let mut found = Preflight::default();
        for verdict in verdicts {
            found.add(Part::Topics, "cohort-changes", *verdict, "as it is");
        }
        found
    }

    #[test]
    fn every_finding_is_a_line_and_its_part_is_shown_once() {
        let mut all = found(&[Verdict::Good, Verdict::Wrong]);
        all.add(Part::Records, "", Verdict::Warning, "3 records would be dead letters");
        let expected = [
            "Topics    ok       cohort-changes: as it is",
            "          WRONG    cohort-changes: as it is",
            "Records   warning  3 records would be dead letters",
        ];
        assert_eq!(lines(&all.findings), expected);
        let json = in_json(&all, Some(&Outcomes::default()));
        assert_eq!(json["verdict"], "wrong");
        assert_eq!(json["findings"][2]["part"], "records");
        assert_eq!(json["records"]["read"], 0);
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let code =
            |verdicts: &[Verdict], policy| outcome(&found(verdicts), policy).map_err(|failure| failure.ending().code());
        assert_eq!(code(&[Verdict::Good, Verdict::NotAsked, Verdict::Warning], Warnings::Allowed), Ok(()));
        assert_eq!(code(&[Verdict::Good, Verdict::NotAsked], Warnings::Denied), Ok(()));
        assert_eq!(code(&[Verdict::Good, Verdict::Warning], Warnings::Denied), Err(78));
        assert_eq!(code(&[Verdict::Warning, Verdict::Unreachable], Warnings::Allowed), Err(1));
        assert_eq!(code(&[Verdict::Unreachable, Verdict::Wrong], Warnings::Allowed), Err(78));
    }
}
