//! Updates for the lanes: results of the summaries of all partitions.

use std::sync::Arc;

use crate::engine::{Parameters, Thresholds};
use crate::store::KeyValue;
use crate::summary::Overview;

/// An update for a lane.
#[derive(Debug, Clone)]
pub enum LaneUpdate {
    Thresholds(ThresholdsUpdate),
    Parameters(ParametersUpdate),
    /// A result that the lane of partition 0 is to publish.
    Record(Arc<KeyValue>),
    /// A day's survey of all partitions, for the same lane.
    DailySurvey(Arc<DailySurvey>),
}

/// The thresholds of the ranks of one version of the rules.
#[derive(Debug, Clone)]
pub struct ThresholdsUpdate {
    pub(in crate::lane) version: u64,
    pub(in crate::lane) thresholds: Thresholds,
}

/// The parameters of the churn model for one version of the rules.
#[derive(Debug, Clone)]
pub struct ParametersUpdate {
    pub(in crate::lane) version: u64,
    pub(in crate::lane) parameters: Parameters,
}

/// The surveys of all partitions of one day, added up.
#[derive(Debug)]
pub struct DailySurvey {
    /// The version of the rules.
    pub(in crate::lane) version: u64,
    /// Counted from 1970-01-01.
    pub(in crate::lane) day: i64,
    pub(in crate::lane) overview: Overview,
    /// For the summaries.
    pub(in crate::lane) records: Vec<KeyValue>,
}
