//! The surveys of all partitions, merged by day as they arrive.

use std::collections::BTreeMap;

use super::block::{Progress, SurveyBlock};
use super::survey::Survey;
use crate::rules::RuleSet;
use crate::rules::ast::Unit;

/// Maximum number of days that are merged at the same time. Partitions reach a new day within minutes of each other;
/// one that is days behind surveys only its present day, so that the days it skips never become complete.
pub const OPEN_DAYS_MAX: usize = 3;

/// Surveys of one rule set. There is one sum for each day, whatever the number of partitions.
#[derive(Debug, Clone)]
pub struct Surveys {
    partitions: u32,
    open: BTreeMap<i64, OpenDay>,
    /// Days up to this one are closed.
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
    /// For so many partitions, numbered from 0.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self { partitions, open: BTreeMap::new(), closed: i64::MIN }
    }

    /// Adds a block of a partition's survey. Of two surveys of one partition and day the first one counts. Returns the
    /// sum of the day once all partitions are complete; from then on that day, and those before it, are closed.
    pub fn take(&mut self, partition: u32, block: &SurveyBlock, rules: &RuleSet) -> Option<Survey> {
        let day = rules.calendar().period(block.at, Unit::Day);
        let index = usize::try_from(partition).ok().filter(|_| partition < self.partitions)?;
        if day <= self.closed {
            return None;
        }
        let open = self.open.entry(day).or_insert_with(|| OpenDay {
            sum: Survey::new(rules, block.at),
            progress: vec![None; self.partitions as usize],
            missing: self.partitions,
        });
        if open.progress[index].is_some_and(|progress| progress.is_whole(rules)) {
            return None;
        }
        let progress = Progress::after(open.progress[index], block)?;
        open.progress[index] = Some(progress);
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

    /// Closes the days up to this one, which another process has completed.
    pub fn close(&mut self, day: i64) {
        self.closed = self.closed.max(day);
        self.open = self.open.split_off(&self.closed.saturating_add(1));
    }

    /// The number of days being merged.
    #[must_use]
    pub fn open_days(&self) -> usize {
        self.open.len()
    }
}
