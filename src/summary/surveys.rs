//! The surveys of all partitions, by day, added up as they come.

use std::collections::BTreeMap;

use super::block::{Progress, SurveyBlock};
use super::survey::Survey;
use crate::rules::RuleSet;
use crate::rules::ast::Unit;

/// Days that are added up at once. Partitions reach a new day within minutes of each other; one that is days behind goes
/// straight to its present day, and the days that it left out are never whole.
pub const OPEN_DAYS_MAX: usize = 3;

/// Surveys of one rule set. Of each day there is one sum, whatever the number of partitions.
#[derive(Debug, Clone)]
pub struct Surveys {
    partitions: u32,
    open: BTreeMap<i64, OpenDay>,
    /// Days up to this one are done with.
    closed: i64,
}

#[derive(Debug, Clone)]
struct OpenDay {
    sum: Survey,
    /// By partition.
    progress: Vec<Option<Progress>>,
    missing: u32,
}

impl Surveys {
    /// Of so many partitions, numbered from 0.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self { partitions, open: BTreeMap::new(), closed: i64::MIN }
    }

    /// Adds a part of what a partition has found. Of two surveys of one partition and day the first one counts. Returns the
    /// sum of the day once all partitions have told; from then on the day, and those before it, are done with.
    pub fn take(&mut self, partition: u32, block: &SurveyBlock, rules: &RuleSet) -> Option<Survey> {
        let day = rules.calendar().period(block.at, Unit::Day);
        let place = usize::try_from(partition).ok().filter(|_| partition < self.partitions)?;
        if day <= self.closed {
            return None;
        }
        let open = self.open.entry(day).or_insert_with(|| OpenDay {
            sum: Survey::new(rules, block.at),
            progress: vec![None; self.partitions as usize],
            missing: self.partitions,
        });
        if open.progress[place].is_some_and(|progress| progress.is_whole(rules)) {
            return None;
        }
        let progress = Progress::take(open.progress[place], block)?;
        open.progress[place] = Some(progress);
        open.sum.merge_block(block);
        open.missing -= u32::from(progress.is_whole(rules));
        if open.missing == 0 {
            let whole = self.open.remove(&day).map(|open| open.sum);
            self.close(day);
            return whole;
        }
        if self.open.len() > OPEN_DAYS_MAX {
            self.open.pop_first();
        }
        None
    }

    /// Days up to this one are of no interest any more: another process has added them up.
    pub fn close(&mut self, day: i64) {
        self.closed = self.closed.max(day);
        self.open = self.open.split_off(&self.closed.saturating_add(1));
    }

    /// Days that are being added up.
    #[must_use]
    pub fn open_days(&self) -> usize {
        self.open.len()
    }
}
