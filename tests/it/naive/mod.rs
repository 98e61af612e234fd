//! The reference implementation of the engine: decides the rules on every customer's full history by scanning it from
//! scratch. `judge` decides a whole log; tests call the result *judged*.
//!
//! It keeps all events, aggregates nothing, and never computes when a condition will change: it decides each customer
//! at every instant at which anything could change (`candidates`), since additional decisions change nothing. So it is
//! slow, but simple enough to be trusted. It shares with the engine only the parsed rules, the plain values of `event`,
//! the probability models of `churn` and their parameters.
//!
//! `log` is what goes in and comes out, `partition` the order of decisions, `machine` membership, `condition`,
//! `sequence`, `window`, `measure` and `churn` what a rule says at one instant.

mod calendar;
mod candidates;
mod churn;
mod condition;
mod customer;
mod kept;
mod log;
mod machine;
mod measure;
mod partition;
mod rank;
mod rules;
mod sequence;
mod silence;
mod window;

pub(crate) use log::{
    Advance, Case, Config, Decided, Handling, LogEvent, Outcome, OwnedValue, ParametersApplied, Rated, Threshold,
    ThresholdsApplied,
};
pub(crate) use partition::{judge, judge_ahead, judge_with};
pub(crate) use rank::tie_hash;
pub(crate) use rules::conditions;
pub(crate) use silence::{Silence, leave_in_silence};
