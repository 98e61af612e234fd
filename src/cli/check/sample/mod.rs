//! Rules held against events: what each condition would touch, and what the rules look for that the events do not have.

mod meeting;
mod survey;
mod touched;

use std::path::PathBuf;
use std::sync::Arc;

use self::survey::Survey;
use crate::app::rules_file::RulesFile;
use crate::cli::history::{Budget, Held, Input, shard};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::cli::replay::Deciding;
use crate::cli::words::counted;
use crate::engine::Shard;
use crate::event::{Instant, Properties};
use crate::rules::{Page, RuleSet, Warning};
use crate::settings::Loaded;

/// A sample, read and decided to its end.
pub(super) struct Sample {
    survey: Survey,
    shard: Shard,
    end: Instant,
}

impl Sample {
    /// Reads all files as one log, by time.
    ///
    /// # Errors
    /// A file that cannot be read to its end.
    pub(super) fn read(settings: &Loaded, file: &RulesFile, files: &[PathBuf]) -> Result<Self, Stopped> {
        let rules = Arc::clone(&file.rules);
        let mut survey = Survey::default();
        let mut held = Held::within(Budget::of(settings.settings.memory));
        let mut input = Input::new(files, None);
        let reading = Progress::of_reading(input.bytes());
        input.read_whole(&reading, |event| {
            survey.count(event);
            let mut properties = Properties::new();
            held.push(&event.borrowed(&rules.vocabulary, &mut properties))
        })?;
        let mut deciding = Deciding::silent(shard(&settings.settings, &rules));
        let progress = Progress::of_deciding(held.len());
        held.for_each_by_time(&progress, |event| deciding.take(event))?;
        progress.finish();
        let end = deciding.tally().last.unwrap_or(Instant::MIN);
        let (_, shard) = deciding.finish(end)?;
        Ok(Self { survey, shard, end })
    }

    pub(super) fn title(&self) -> String {
        let customers = counted(self.shard.len() as u64, "customer", "customers");
        match self.shard.is_empty() {
            true => "The sample".to_owned(),
            false => format!("Of {customers} at the end of the sample, {}", self.end),
        }
    }

    /// For each condition of each cohort how many customers it holds for.
    pub(super) fn touched(&self, rules: &RuleSet) -> Vec<String> {
        touched::lines(rules, &self.shard, self.end)
    }

    pub(super) fn warnings(&self, page: &Page<'_>, rules: &RuleSet) -> Vec<Warning> {
        let mut found = self.survey.warnings(page);
        found.extend(meeting::warnings(page, rules, &self.shard, self.end));
        found
    }
}
