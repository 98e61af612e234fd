//! The state machines that events and time drive: a customer's membership in a cohort, and their risk level.

mod cohort;
mod lookahead;
mod risk;
mod trigger;

pub(super) use cohort::{Outcome, Step, excluder, keep_pending, step};
pub(super) use lookahead::Lookahead;
pub use risk::level_name;
pub(super) use risk::{RiskInput, RiskReport, assess_risk};
pub(super) use trigger::Trigger;
