//! The decision: state, input, rules and an instant in; new state, effects and the next deadline out.
//!
//! Pure, synchronous, deterministic: no clock, no broker, no disk, no metrics, no order that depends on a hash. The
//! engine returns counts with its effects; others record them.
//!
//! Read `verdict` (the idea), `evaluate` and `measure` (conditions at an instant), `membership` (the machine), `decide` (one
//! customer: deadlines and events in order), `foresight` and `ahead` (the same, run ahead without events), `why` and `explain` (what
//! people ask), `shard` and `agenda` (one partition: whose turn it is), `migrate` (one customer from one rule set to the
//! next).

mod agenda;
mod ahead;
mod answer;
mod chain;
mod comings;
mod days;
mod decide;
mod effect;
mod evaluate;
mod explain;
mod fact;
mod fitting;
mod foresight;
mod learner;
mod looked_at;
mod measure;
mod membership;
mod memo;
mod migrate;
mod observed;
mod periods;
mod prospect;
mod rank;
mod risk;
mod sample;
mod score;
mod shard;
mod shrink;
mod sparse;
mod state;
mod steps;
mod stored_hash;
mod values;
mod verdict;
mod why;
mod window;

pub use ahead::{Ahead, Provided, Worth};
pub use chain::{Chain, Link, Reached};
pub use comings::Comings;
pub use days::{Bought, DayBought, Used};
pub use decide::{Applied, Engine, Words};
pub use effect::{Counts, Effect};
pub use explain::{Clause, Deed, Explanation, Of, Term, Turn, explain, instant};
pub use fitting::{Fit, Sighting, Watched};
pub use learner::{Learner, Learnt, Quality, SAMPLES_MAX};
pub use migrate::{Left, Migration};
pub use observed::Observed;
pub use periods::Period;
pub use prospect::Prospect;
pub use rank::{Places, Standing, Thresholds};
pub use risk::{Cause, Factor, Risk, RiskEffect, RiskNow, level_name};
pub use sample::{Sample, SampleRow, Sampling, week_begins, week_of};
pub use score::{Model, Parameters};
pub use shard::{Moved, Said, Shard, Slot, Timing};
pub use sparse::Sparse;
pub use state::{
    CustomerState, DayBucket, Deadlines, Distinct, Encounter, EventCause, Fact, Membership, Opening, Pair, RecentId,
    Series, Steps, Total, Values, Wish,
};
pub use stored_hash::tie_hash;
pub use verdict::Verdict;
pub use why::{Claim, Counted, Found, Language, Part, Quantity};
