//! Counters of each partition that add up to what is known of all customers.
//!
//! Members are added and removed one by one, and the counters of several partitions are added like those of one. `bucket`
//! divides values into buckets, `histogram` counts them, `leaders` keeps the first of a ranking one by one, and
//! `threshold` finds where ranks begin.

mod bucket;
mod counters;
mod histogram;
mod leaders;
mod threshold;

pub use bucket::Bucket;
pub use counters::{Counters, RankingCounters};
pub use histogram::Histogram;
pub use leaders::Leaders;
pub use threshold::{Found, POPULATION_MIN, thresholds};
