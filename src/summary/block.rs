//! Blocks of a survey: consecutive cohorts, as many as fit into one record.

use std::ops::Range;

use super::survey::{CohortSurvey, Survey};
use crate::event::Instant;
use crate::rules::RuleSet;

/// A part of a survey, by cohorts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyBlock {
    /// The survey's instant.
    pub at: Instant,
    /// All customers of the survey, in each of its blocks.
    pub customers: u64,
    /// The number of the first cohort in the block.
    pub first: usize,
    pub cohorts: Vec<CohortSurvey>,
}

/// How many blocks of one survey have been merged. Blocks arrive in order; others are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    at: Instant,
    next: usize,
}

impl Progress {
    /// The progress after a block; `None` if it is not the next one of the survey that was begun.
    pub(super) fn after(known: Option<Self>, block: &SurveyBlock) -> Option<Self> {
        let follows = match known {
            Some(Self { at, next }) => block.at == at && block.first == next,
            None => block.first == 0,
        };
        follows.then(|| Self { at: block.at, next: block.first + block.cohorts.len() })
    }

    pub(super) fn is_whole(self, rules: &RuleSet) -> bool {
        self.next >= rules.cohorts.len()
    }
}

impl Survey {
    /// The cohorts with these numbers, as a block.
    #[must_use]
    pub fn block(&self, cohorts: Range<usize>) -> SurveyBlock {
        let (at, customers, first) = (self.frame.at(), self.customers, cohorts.start);
        SurveyBlock { at, customers, first, cohorts: self.cohorts[cohorts].to_vec() }
    }

    /// Adds a part of another survey of the same day: as if its customers had been counted here.
    pub(super) fn merge_block(&mut self, block: &SurveyBlock) {
        self.frame.moves_to(block.at);
        if block.first == 0 {
            self.customers += block.customers;
        }
        let mine = self.cohorts.iter_mut().skip(block.first);
        mine.zip(&block.cohorts).for_each(|(cohort, other)| cohort.merge(other));
    }

    /// Merges blocks into their survey, in order. `None`: some are missing, or they are of more than one survey.
    #[must_use]
    pub fn of_blocks(rules: &RuleSet, blocks: &[SurveyBlock]) -> Option<Self> {
        let mut survey = Self::new(rules, blocks.first()?.at);
        let mut progress = None;
        for block in blocks {
            progress = Some(Progress::after(progress, block)?);
            survey.merge_block(block);
        }
        progress.filter(|progress| progress.is_whole(rules)).map(|_| survey)
    }
}
