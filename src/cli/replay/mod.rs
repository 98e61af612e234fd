//! `replay`: rules over files of events, as one partition, without a broker and without a clock.
//!
//! `deciding` runs the engine over events and writes its changes, `compare` does so with two rules files at once,
//! `topic` for each partition of a topic, `summary` is for people.

mod compare;
mod deciding;
mod summary;
mod topic;

use std::sync::Arc;
use std::time::Instant as Stopwatch;

use super::arguments::Replay;
use super::format::counted;
use super::history::{Budget, EventBuffer, Files, Input, shard};
use super::output::{self, Stopped};
use super::progress::Progress;
use crate::app::Failure;
use crate::app::{parameters_file, rules_file};
use crate::engine::Parameters;
use crate::event::Instant;
use crate::rules::RuleSet;
use crate::settings::Loaded;
pub(super) use deciding::Deciding;

/// Replays the files; changes go to stdout, everything else to stderr.
///
/// # Errors
/// Wrong rules; a file that cannot be read to its end; with `--strict`, at last, any line that could not be read.
pub(super) fn run(settings: &Loaded, asked: Replay) -> Result<(), Stopped> {
    if let Some(other) = &asked.compare {
        return compare::run(settings, &asked, other);
    }
    if let Some(topic) = &asked.range.topic {
        return topic::run(settings, &asked, topic);
    }
    let rules = rules_file::load(settings, asked.rules.clone())?.rules;
    let started = Stopwatch::now();
    let mut deciding = Deciding::new(shard(&settings.settings, &rules), output::results());
    deciding.set_parameters(parameters(&asked, &rules)?);
    let files = Files::of(settings, &asked.files, &asked.shape, asked.rules.as_deref())?;
    let mut input = Input::new(&files, asked.until);
    let reading = Progress::of_reading(input.bytes());
    if asked.as_is {
        input.read_all(&rules.vocabulary, &reading.beside_results(), |event| deciding.apply(event))?;
    } else {
        let mut held = EventBuffer::within(Budget::of(settings.settings.memory));
        input.read_all(&rules.vocabulary, &reading, |event| held.push(event))?;
        let progress = Progress::of_deciding(held.len()).beside_results();
        held.for_each_by_time(&progress, |event| deciding.apply(event))?;
        progress.finish();
    }
    let until = asked.until.or_else(|| deciding.tally().last).unwrap_or(Instant::MIN);
    let (tally, _) = deciding.finish(until)?;
    output::say(&summary::of(&rules, tally, input.counts(), until, started.elapsed()));
    strict(&asked, input.counts().bad_lines)
}

/// The given parameters, if the rules need any.
fn parameters(asked: &Replay, rules: &RuleSet) -> Result<Option<Arc<Parameters>>, Failure> {
    let Some((path, churn)) = asked.params.as_deref().zip(rules.churn.as_ref()) else { return Ok(None) };
    Ok(Some(Arc::new(parameters_file::read(path)?.for_rules(churn, path)?)))
}

/// With `--strict`, unreadable lines are a failure at the end.
fn strict(asked: &Replay, bad_lines: u64) -> Result<(), Stopped> {
    match bad_lines {
        bad if asked.strict && bad > 0 => {
            let lines = counted(bad, "line or record", "lines or records");
            Err(Failure::Running(format!("{lines} could not be read, and --strict was asked for")).into())
        }
        _ => Ok(()),
    }
}
