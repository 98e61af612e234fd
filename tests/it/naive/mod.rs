//! The judge of the engine: the rules of a file, decided over every customer's full history by scanning it from scratch.
//!
//! It keeps all events, summarises nothing, and never computes when a condition will change: it decides each customer at
//! every instant at which anything could (`candidates`), since deciding at extra instants changes nothing. So it is slow,
//! and simple enough to be believed. It shares with the engine only the parsed rules and the plain values of `event`.
//!
//! `log` is what goes in and comes out, `partition` the order of decisions, `machine` membership, `condition`, `sequence`,
//! `window` and `measure` what a rule says at one instant.

mod calendar;
mod candidates;
mod condition;
mod customer;
mod log;
mod machine;
mod measure;
mod partition;
mod rank;
mod rules;
mod sequence;
mod window;

pub(crate) use log::{Advance, Case, Config, Decided, Fate, LogEvent, Outcome, OwnedValue, TakenUp, Threshold};
pub(crate) use partition::{judge, judge_ahead, judge_with};
pub(crate) use rank::tie_hash;
