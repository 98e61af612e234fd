//! What has a state of its own and moves with time: a customer's standing in a cohort, and their level of risk.

mod cohort;
mod lookahead;
mod risk;
mod trigger;

pub(super) use cohort::{Outcome, Step, excluder, keep_wish, step};
pub(super) use lookahead::Foresight;
pub use risk::level_name;
pub(super) use risk::{Weight, weigh};
pub(super) use trigger::Trigger;
