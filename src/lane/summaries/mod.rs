//! What all partitions publish of their customers, followed by a thread of its own, and what follows from it for the
//! lanes.

pub(in crate::lane) mod follower;
mod overview_metrics;
mod publisher;
mod ranking;
mod results;
pub(in crate::lane) mod role;
mod training;
pub(in crate::lane) mod updates;
