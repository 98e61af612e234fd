//! `audit`: what is in topics or files of any shape.

mod files;
mod mapped;
mod page;
mod schemas;
mod screen;
mod topic;
mod topics;

use std::io::Write;

use super::arguments::{Audit, Lang};
use super::history::Files;
use super::output::{self, Stopped};
use crate::app::{Failure, rules_file};
use crate::audit::{Audit as Auditing, Language, Limits, RulesUse, Scope, TOPICS_MAX};
use crate::clock::wall_clock;
use crate::settings::Loaded;

/// Reads the records and prints the report, or a sources file.
///
/// # Errors
/// Wrong rules; a file or topic that cannot be read; nothing that could be mapped, with `--propose`.
pub(super) fn run(settings: &Loaded, asked: &Audit) -> Result<(), Stopped> {
    let rules = rules(settings, asked)?;
    let time = settings.settings.time;
    let limits = Limits {
        now: wall_clock(),
        future_skew: time.max_future_skew,
        arrives_within: time.arrives_within,
        lateness: time.max_lateness,
    };
    let range = if asked.topics.is_empty() { (asked.from, asked.until) } else { (None, None) };
    let scope = Scope { limits, from: range.0, until: range.1, sample: asked.sample, shows_values: asked.show_values };
    let mut audit = Auditing::new(scope);
    let unread = if !asked.shape.source.is_empty() {
        let beside = asked.rules.as_deref();
        let named = Files::of(settings, &asked.files, &asked.shape, beside)?;
        let mut unread = mapped::read(&named, &mut audit)?;
        unread.extend(files::read(&named.unmapped(), asked.shape.rows, &mut audit)?);
        unread
    } else if asked.topics.is_empty() {
        files::read(&asked.files, asked.shape.rows, &mut audit)?
    } else {
        topics::read(settings, asked, &mut audit)?;
        Vec::new()
    };
    let audited = audit.finish(rules);
    let language = match asked.lang {
        Lang::En => Language::English,
        Lang::Fr => Language::French,
    };
    let mut out = output::results();
    if asked.propose {
        let proposal = audited.propose(language);
        out.write_all(proposal.text.as_bytes())?;
        out.flush()?;
        if proposal.sources == 0 {
            let text = "nothing that was read could be mapped: each source lacks a customer, a time, or a format";
            return Err(Failure::Running(text.to_owned()).into());
        }
    } else {
        let report = audited.report();
        if asked.json {
            serde_json::to_writer(&mut out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            out.write_all(screen::text(&report, language).as_bytes())?;
        }
        out.flush()?;
    }
    if unread.is_empty() { Ok(()) } else { Err(Failure::Running(unread.join("\n")).into()) }
}

/// The rules that are given, or else those of the settings, if they are there.
fn rules(settings: &Loaded, asked: &Audit) -> Result<Option<RulesUse>, Failure> {
    if asked.rules.is_none() && !settings.settings.rules.file.exists() {
        return Ok(None);
    }
    let file = rules_file::load(settings, asked.rules.clone())?;
    Ok(Some(RulesUse::of(&file.document, &file.rules)))
}

fn too_many() -> Failure {
    Failure::Running(format!("an audit has at most {TOPICS_MAX} topics or files of different names; make several"))
}
