//! Statistics of each partition that merge by addition into those of all customers.
//!
//! `bucket` divides values into buckets, `histogram` counts them, `leaders` holds the first customers of a ranking
//! exactly, and `threshold` computes the thresholds of ranks. `survey` scans all customers once a day, `surveys` merges
//! the surveys of all partitions, `digest` keeps what later weeks need, and `overview` is the report.

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
pub use threshold::{POPULATION_MIN, RankThreshold, threshold_of, thresholds};
