//! The decision: state, input, rules and an instant in; new state, effects and the next deadline out.
//!
//! Pure, synchronous, deterministic: no clock, no broker, no disk, no metrics, no order that depends on a hash. The
//! engine returns counts with its effects; others record them.
//!
//! The folders in reading order, each of which names only those before it:
//!
//! | folder | what it is |
//! |---|---|
//! | `customer` | the state of one customer: data |
//! | `model` | the churn model as an input: its parameters, and the activity of a customer |
//! | `conditions` | whether a condition holds for a customer at an instant, and until when; begin with `verdict` |
//! | `effects` | the effects of decisions: data |
//! | `machines` | the state machines of a membership and of the risk level |
//! | `evidence` | which parts of a rule decided, and on which values |
//! | `decide` | events and deadlines of one customer, in order |
//! | `explain` | explanations of one customer, as text in each language |
//! | `forecast` | the forecast of one customer |
//! | `partition` | the customers of one partition in memory: timers, changes not yet flushed, eviction |
//! | `edit` | migration of one customer from one rule set to the next |
//! | `training` | fits of the churn model to samples of customers |

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
    CustomerState, Deadlines, EventCause, Membership, PendingChange, RankedValues, RecentId, Risk, Spares, Sparse,
    Standing, Thresholds, as_of, decode_state, encode_state, next_deadline, places, read_state,
};
pub use decide::{Applied, Detail, Engine};
pub use edit::{Departures, LogCoverage, Migration};
pub use effects::{Claim, Counts, Effect, EvidencePart, Factor, Finding, Quantity, RiskCause, RiskEffect, RiskNow};
pub use explain::{
    Action, Clause, CustomerPrediction, Explanation, Language, Remedy, RulePart, Term, explain, instant,
};
pub use forecast::{Assumption, ForecastChange, RiskAndValue};
pub use machines::level_name;
pub use model::{ActivityHistory, Model, Parameters};
pub use partition::{CustomerEffect, RankMove, Shard, Slot, Timing};
pub use training::{
    Fit, LabeledSnapshot, Quality, SAMPLES_MAX, Sample, SampleRow, Sampling, Snapshot, TrainedModel, Trainer,
    week_begins, week_of,
};
