//! What a record of the summaries topic is, by its key.

use super::layout::{COUNTERS, DIGEST, FORMAT, PARAMETERS, RESULT, SAMPLE, SURVEY_BLOCK, THRESHOLDS, WHOLE};
use crate::bytes::{Corrupt, Reader};

/// The kinds of records in the summaries topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SummaryKind {
    /// One partition's counters of one ranking.
    Counters,
    /// Some cohorts of one partition's survey.
    Survey,
    /// One partition's sample.
    Sample,
    /// Rank thresholds.
    Thresholds,
    /// Churn parameters.
    Parameters,
    /// The parts of a survey that later forecasts need.
    Digest,
    /// Some cohorts of the newest survey of all partitions.
    Whole,
    /// Written by an earlier release, and obsolete.
    Retired,
    /// Written by a newer release, or by another program.
    Unknown,
}

impl SummaryKind {
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        match key {
            [RESULT, THRESHOLDS] => Self::Thresholds,
            [RESULT, PARAMETERS] => Self::Parameters,
            [RESULT, WHOLE, _, _] => Self::Whole,
            [RESULT, DIGEST, _, _, _] => Self::Digest,
            [_, _, _, _, COUNTERS, _, _] => Self::Counters,
            [_, _, _, _, SAMPLE, _, _] => Self::Sample,
            [_, _, _, _, b'S', _, _] | [_, _, _, _, _, _] => Self::Retired,
            [_, _, _, _, SURVEY_BLOCK, _, _, _] => Self::Survey,
            _ => Self::Unknown,
        }
    }

    /// Is it a result computed from all partitions? Every process reads these; the others only the process that
    /// computes them.
    #[must_use]
    pub fn is_result(self) -> bool {
        matches!(self, Self::Thresholds | Self::Parameters | Self::Whole | Self::Digest)
    }

    /// A label of a metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Survey => "survey",
            Self::Sample => "sample",
            Self::Thresholds => "thresholds",
            Self::Parameters => "parameters",
            Self::Whole => "overview",
            Self::Digest => "digest",
            Self::Retired => "retired",
            Self::Unknown => "unknown",
        }
    }
}

/// The head of all values: the fingerprint of the rules; for samples a description of what is sampled.
///
/// # Errors
/// Bytes of a newer release, or damage.
pub fn made_for(value: &[u8]) -> Result<&str, Corrupt> {
    let mut reader = Reader::new(value);
    if reader.u8("format")? != FORMAT {
        return Err(Corrupt("format of a summary"));
    }
    reader.text("rules")
}
