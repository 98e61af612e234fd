//! Counters of each partition that add up to what is known of all customers.
//!
//! Members are added and removed one by one, and the counters of several partitions are added like those of one. `bucket`
//! divides values into buckets, `histogram` counts them, `leaders` keeps the first of a ranking one by one, and
//! `threshold` finds where ranks begin. `survey` looks once a day at everybody, `surveys` adds up what partitions have
//! found, `digest` keeps of it what later weeks need, and `overview` says it.

mod block;
mod bucket;
mod counters;
mod digest;
mod extent;
mod frame;
mod histogram;
mod leaders;
mod overview;
mod survey;
mod surveys;
#[cfg(test)]
mod tests;
mod threshold;

pub use block::SurveyBlock;
pub use bucket::Bucket;
pub use counters::{Counters, RankingCounters};
pub use digest::{CohortDigest, Digest};
pub use extent::Extent;
pub use frame::{DAYS, Frame, WEEKS};
pub use histogram::Histogram;
pub use leaders::Leaders;
pub use overview::{
    Backtest, CohortDetail, CohortLine, DayForecast, EntryWeek, Flow, Forecast, LevelCount, Overview, Title,
    ValueQuantiles,
};
pub use survey::{CohortSurvey, Expected, Survey};
pub use surveys::{OPEN_DAYS_MAX, Surveys};
pub use threshold::{Found, POPULATION_MIN, found, thresholds};
