//! The decision: state, input, rules and an instant in; new state, effects and the next deadline out.
//!
//! Pure, synchronous, deterministic: no clock, no broker, no disk, no metrics, no order that depends on a hash. The
//! engine returns counts with its effects; others record them.
//!
//! The folders in reading order, each of which names only those before it:
//!
//! | folder | what it is |
//! |---|---|
//! | `customer` | what is remembered about one customer: data |
//! | `model` | the churn model as an input: its parameters, and what it looks at in a customer |
//! | `conditions` | whether a condition holds of a customer at an instant, and until when; begin with `verdict` |
//! | `effects` | what decisions say: data |
//! | `machines` | a customer's standing in a cohort and their level of risk, as they move |
//! | `evidence` | which parts of a rule decided, and what they looked at |
//! | `decide` | one customer: deadlines and events in order |
//! | `explain` | what people ask of a customer, in the words of a language |
//! | `forecast` | the days to come of one customer |
//! | `partition` | the customers of one partition in memory, and whose turn it is |
//! | `edit` | one customer from one rule set to the next |
//! | `training` | the parameters of the churn model from what was seen of customers |

mod conditions;
mod customer;
mod decide;
mod edit;
mod effects;
mod evidence;
mod explain;
mod forecast;
mod machines;
mod model;
mod partition;
mod training;

pub use conditions::{Observed, Verdict};
pub use customer::{
    CustomerState, Deadlines, EventCause, Membership, Places, RecentId, Risk, Sparse, Standing, Thresholds, Wish,
};
pub use decide::{Applied, Engine, Words};
pub use edit::{Left, Migration};
pub use effects::{Cause, Claim, Counts, Effect, Factor, Found, Part, Quantity, RiskEffect, RiskNow};
pub use explain::{Clause, Deed, Explanation, Language, Of, Prospect, Term, Turn, explain, instant};
pub use forecast::{Ahead, Provided, Worth};
pub use machines::level_name;
pub use model::{Comings, Model, Parameters};
pub use partition::{Moved, Said, Shard, Slot, Timing};
pub use training::{
    Fit, Learner, Learnt, Quality, SAMPLES_MAX, Sample, SampleRow, Sampling, Sighting, Watched, week_begins, week_of,
};
