//! `check`: validates settings, rules and schemas, and shows what the rules cost. Opens only files, unless it is to
//! `connect`.

mod capacity;
mod connect;
mod facts;
mod notes;
mod sample;
mod schemas;
mod size;

use std::io::{self, Write};

use super::arguments::{Check, Warnings};
use super::format::{counted, grouped, length, size};
use super::history::Files;
use super::output::{self, Stopped};
use crate::app::Failure;
use crate::app::rules_file::{self, RulesFile};
use crate::app::sources_file::SourcesFile;
use crate::engine::Membership;
use crate::event::Span;
use crate::rules::ast::RankSize;
use crate::rules::{Churn, ChurnRule, Cohort, Page, RuleSet, Warning, in_order, warnings};
use crate::settings::Loaded;
use crate::summary::POPULATION_MIN;
use crate::telemetry;
use facts::Facts;
use sample::Sample;

/// Bytes of one stored event id: a hash, and a time relative to the previous one.
const ID: usize = 8 + 6;
/// Bytes of a membership: number and flags, counter, and three times.
const STANDING: usize = 2 + 3 + 3 * 6;
/// Bytes of one stored change of a membership.
const PAST_CHANGE: usize = 7;
/// Bytes of a customer's clock, deadline, counters and lengths.
const FRAME: usize = 48;

/// Checks everything and prints a description.
///
/// # Errors
/// The first wrong setting or schema, or all mistakes in the rules; a sample that cannot be read; with
/// `--deny-warnings`, any warning.
pub(super) fn run(settings: &Loaded, asked: Check) -> Result<(), Stopped> {
    // Only the log can parse a filter, and starting it opens nothing.
    telemetry::start(&settings.settings.log)
        .map_err(|error| Failure::Configuration(settings.refusal("log.filter", error.to_string()).to_string()))?;
    let schemas = schemas::check(settings)?;
    let file = rules_file::load(settings, asked.rules.clone())?;
    let sources = SourcesFile::beside(settings, asked.shape.file.given(), asked.rules.as_deref())?;
    let page = Page { file: &file.name, text: &file.text, document: &file.document };
    if asked.connect {
        let options = connect::Options { json: asked.json, warnings: asked.warnings() };
        return connect::run(settings, &file, options);
    }
    let sample = match (asked.sample.as_slice(), asked.shape.source.as_slice()) {
        ([], []) => None,
        (files, _) => {
            let files = Files::of(settings, files, &asked.shape, asked.rules.as_deref())?;
            Some(Sample::read(settings, &file, &files)?)
        }
    };
    let mut out = output::results();
    if asked.size {
        let load = size::Load::of(&asked, &file, settings);
        let measured = sample.as_ref().and_then(Sample::kept);
        match asked.json {
            true => size::write_json(&load, measured, &mut out)?,
            false => size::write_table(&load, measured, &mut out)?,
        }
        return Ok(out.flush()?);
    }
    cohorts(&file, &mut out)?;
    memory(&file, settings.settings.dedupe.ids, &mut out)?;
    section("Schemas", &schemas, &mut out)?;
    if let Some(sources) = &sources {
        section(&format!("Sources of {}", sources.name), &sources.described(settings), &mut out)?;
    }
    section("Exact up to", &capacity::of(&file.document), &mut out)?;
    let mut found = warnings(&page, |_| sample.is_some());
    found.extend(notes::of(&page));
    if let Some(sample) = &sample {
        section(&sample.title(), &sample.touched(&file.rules), &mut out)?;
        found.extend(sample.warnings(&page, &file.rules));
    }
    in_order(&mut found);
    writeln!(out, "\nSettings, rules and schemas are well formed.")?;
    out.flush()?;
    warn(&file.name, &found, asked.warnings())
}

/// Prints all warnings, and fails if they are denied.
fn warn(file: &str, found: &[Warning], policy: Warnings) -> Result<(), Stopped> {
    if found.is_empty() {
        return Ok(());
    }
    found.iter().for_each(|warning| output::say(&format!("{warning}\n")));
    let count = counted(found.len() as u64, "warning", "warnings");
    if policy == Warnings::Denied {
        return Err(Failure::Configuration(format!("{count} in {file}, and --deny-warnings was asked for")).into());
    }
    output::say(&format!("{count} in {file}"));
    Ok(())
}

fn section(title: &str, lines: &[String], out: &mut impl Write) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(out, "{}", format!("  {line}").trim_end()))
}

fn cohorts(file: &RulesFile, out: &mut impl Write) -> io::Result<()> {
    let rules = &file.rules;
    let count = counted(rules.cohorts.len() as u64, "cohort", "cohorts");
    writeln!(out, "{}: {count}, in the order in which they are decided", file.name)?;
    for (index, cohort) in rules.cohorts.iter().enumerate() {
        let off = match (cohort.enabled, cohort.shadow) {
            (false, _) => " (not enabled: nobody enters or leaves)",
            (true, true) => " (in the shadow: decided and counted, not emitted)",
            (true, false) => "",
        };
        writeln!(out, "\n  {}. {}: {}{off}", index + 1, cohort.name, cohort.title.en)?;
        let lines =
            [service(cohort), terms(cohort), group(rules, cohort), references(rules, index), parts(rules, index)];
        for line in lines.into_iter().flatten() {
            writeln!(out, "     {line}")?;
        }
    }
    if let Some((churn, rule)) = rules.churn.as_ref().zip(file.document.churn.as_ref()) {
        writeln!(out, "\n  Churn risk: {}", risk(churn, rule))?;
    }
    let zone = rules.time_zone.iana_name().unwrap_or("UTC");
    writeln!(out, "\n  Calendar days are those of {zone}. Fingerprint {}.", rules.fingerprint)
}

/// The churn definition, and where each level begins.
fn risk(churn: &Churn, rule: &ChurnRule) -> String {
    let levels: Vec<String> = rule.levels.iter().map(|(name, from)| format!("{name} from {from}")).collect();
    format!(
        "no {} within {}; {}, none of them before {} of silence",
        rule.on_text,
        length(churn.horizon),
        levels.join(", "),
        length(churn.min_silence)
    )
}

/// Owner and action.
fn service(cohort: &Cohort) -> Option<String> {
    match (&cohort.owner, &cohort.action) {
        (Some(owner), Some(action)) => Some(format!("{owner}: {action}")),
        (Some(words), None) | (None, Some(words)) => Some(words.clone()),
        (None, None) => None,
    }
}

/// The conditions of a stay besides its expressions.
fn terms(cohort: &Cohort) -> Option<String> {
    let part =
        |before: &str, span: Option<Span>, after: &str| span.map(|span| format!("{before}{}{after}", length(span)));
    let once = cohort.once.then(|| "entered at most once".to_owned());
    let parts = [
        part("stays at least ", cohort.at_least, ""),
        part("stays at most ", cohort.at_most, ""),
        part("not entered again for ", cohort.cooldown, ""),
        once,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The cohorts of its group that take precedence.
fn group(rules: &RuleSet, cohort: &Cohort) -> Option<String> {
    let group = cohort.group.as_ref()?;
    let first: Vec<&str> = cohort.excluded_by.iter().map(|other| rules.cohort(*other).name.as_str()).collect();
    Some(match first.as_slice() {
        [] => format!("comes first in the group {group}"),
        _ => format!("gives way to {} in the group {group}", first.join(", ")),
    })
}

/// The cohorts that it refers to.
fn references(rules: &RuleSet, index: usize) -> Option<String> {
    let names: Vec<&str> = (rules.cohorts.iter())
        .filter(|other| other.dependants.iter().any(|dependant| usize::from(dependant.0) == index))
        .map(|other| other.name.as_str())
        .collect();
    (!names.is_empty()).then(|| format!("looks at {}", names.join(", ")))
}

/// A note on ranks in per cent.
fn parts(rules: &RuleSet, index: usize) -> Option<String> {
    let of_cohort = rules.ranks.iter().filter(|rank| rank.readers.iter().any(|reader| usize::from(reader.0) == index));
    let words: Vec<String> = of_cohort
        .filter(|rank| matches!(rank.size, RankSize::Percent(_)))
        .map(|rank| format!("`{}`", rank.words))
        .collect();
    (!words.is_empty()).then(|| {
        format!("no customer enters by {} while fewer than {POPULATION_MIN} customers are ranked", words.join(" and "))
    })
}

/// What is stored for each customer, at most.
fn memory(file: &RulesFile, ids: usize, out: &mut impl Write) -> io::Result<()> {
    let rules = &file.rules;
    let facts = Facts::new(&file.document, rules);
    let mut rows: Vec<(usize, String)> =
        (0..rules.facts.len()).map(|fact| (rules.facts[fact].kind.bytes_max(), facts.in_words(fact))).collect();
    rows.push((
        ids * ID,
        format!("the ids of the latest {}, to recognize duplicates", counted(ids as u64, "event", "events")),
    ));
    let histories = rules.cohorts.iter().filter(|cohort| cohort.keeps_history).count();
    let standing = rules.cohorts.len() * STANDING + histories * Membership::HISTORY_MAX * PAST_CHANGE;
    rows.push((standing, "whether in each cohort, since when, how often".to_owned()));
    rows.push((FRAME, "clock, next deadline, counters".to_owned()));
    let total = rows.iter().map(|(bytes, _)| *bytes as u64).sum();

    writeln!(out, "\nStored for each customer, bytes at most")?;
    for (bytes, words) in &rows {
        writeln!(out, "  {:>9}  {words}", grouped(*bytes as u64))?;
    }
    writeln!(out, "  {:>9}  bytes in all; at most {} for a million customers", grouped(total), size(total * 1_000_000))
}
