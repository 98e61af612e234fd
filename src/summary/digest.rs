//! The digest of a survey: the few numbers of each cohort that later forecasts need.

use super::survey::{CohortSurvey, Expected, Survey};

/// A survey's day, and the numbers that later forecasts are compared with and corrected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Counted from 1970-01-01.
    pub day: i64,
    /// By the rule set's numbers.
    pub cohorts: Vec<CohortDigest>,
}

/// One cohort's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CohortDigest {
    /// As in [`CohortSurvey`].
    pub entered: u64,
    pub left: u64,
    pub entered_new: u64,
    pub left_new: u64,
    /// What the seven days to come were to bring together.
    pub week: Expected,
}

impl Digest {
    #[must_use]
    pub fn of(survey: &Survey) -> Self {
        Self { day: survey.frame.day, cohorts: survey.cohorts.iter().map(CohortDigest::of).collect() }
    }
}

impl CohortDigest {
    #[must_use]
    pub fn of(survey: &CohortSurvey) -> Self {
        let CohortSurvey { entered, left, entered_new, left_new, .. } = *survey;
        Self { entered, left, entered_new, left_new, week: survey.week() }
    }
}
