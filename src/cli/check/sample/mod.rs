//! Checks rules against sample events: how many customers match each condition, and what the rules use that the events
//! lack.

mod incompatible_conditions;
mod survey;
mod touched;

use std::sync::Arc;

use self::survey::Survey;
use crate::app::rules_file::RulesFile;
use crate::cli::format::counted;
use crate::cli::history::{Budget, EventBuffer, Files, Input, shard};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::cli::replay::Deciding;
use crate::engine::Shard;
use crate::event::{Instant, Properties};
use crate::rules::{Page, RuleSet, Warning};
use crate::settings::Loaded;

/// A sample, read and evaluated to its end.
pub(super) struct Sample {
    survey: Survey,
    shard: Shard,
    end: Instant,
    changes_per_event: f64,
}

/// Averages over the customers at the end of the sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) customers: u64,
    /// Bytes of the stored state, and of the customer in memory.
    pub(super) stored: f64,
    pub(super) in_memory: f64,
    pub(super) changes_per_event: f64,
}

impl Sample {
    /// Reads all files as one log, by time.
    ///
    /// # Errors
    /// A file that cannot be read to its end.
    pub(super) fn read(settings: &Loaded, file: &RulesFile, files: &Files) -> Result<Self, Stopped> {
        let rules = Arc::clone(&file.rules);
        let mut survey = Survey::default();
        let mut held = EventBuffer::within(Budget::of(settings.settings.memory));
        let mut input = Input::new(files, None);
        let reading = Progress::of_reading(input.bytes());
        input.read_whole(&reading, |event| {
            survey.count(event);
            let mut properties = Properties::new();
            held.push(&event.borrowed(&rules.vocabulary, &mut properties))
        })?;
        let mut deciding = Deciding::silent(shard(&settings.settings, &rules));
        let progress = Progress::of_deciding(held.len());
        held.for_each_by_time(&progress, |event| deciding.apply(event))?;
        progress.finish();
        let end = deciding.tally().last.unwrap_or(Instant::MIN);
        let (tally, mut shard) = deciding.finish(end)?;
        // As most customers of a running partition are.
        shard.pack(usize::MAX);
        Ok(Self { survey, shard, end, changes_per_event: tally.changes_per_event() })
    }

    /// What is stored for a customer; `None`: the sample has none.
    pub(super) fn kept(&self) -> Option<Kept> {
        let mut bytes = Vec::new();
        self.shard.residents().for_each(|slot| self.shard.encode(slot, &mut bytes));
        let of_each = |bytes: usize| bytes as f64 / self.shard.len() as f64;
        (!self.shard.is_empty()).then(|| Kept {
            customers: self.shard.len() as u64,
            stored: of_each(bytes.len()),
            in_memory: of_each(self.shard.bytes()),
            changes_per_event: self.changes_per_event,
        })
    }

    pub(super) fn title(&self) -> String {
        let customers = counted(self.shard.len() as u64, "customer", "customers");
        match self.shard.is_empty() {
            true => "The sample".to_owned(),
            false => format!("Of {customers} at the end of the sample, {}", self.end),
        }
    }

    /// The number of matching customers for each condition of each cohort.
    pub(super) fn touched(&self, rules: &RuleSet) -> Vec<String> {
        touched::lines(rules, &self.shard, self.end)
    }

    pub(super) fn warnings(&self, page: &Page<'_>, rules: &RuleSet) -> Vec<Warning> {
        let mut found = self.survey.warnings(page);
        found.extend(incompatible_conditions::warnings(page, rules, &self.shard, self.end));
        found
    }
}
