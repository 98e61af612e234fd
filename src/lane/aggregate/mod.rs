//! The lane's part of what depends on the customers of all partitions: counters for ranks, thresholds, parameters of
//! the churn model, surveys.

mod limits;
mod parameters;
mod publish_results;
mod ranks;
mod scans;
mod survey;
mod thresholds;
pub(in crate::lane) mod unpublished;
