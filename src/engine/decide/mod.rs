//! One customer: deadlines and events in their order, each decided at its instant.
//!
//! `engine` is the way in; `decision` is one customer at one instant. What a decision rests on (`context`) never changes while
//! it is made, and the room that it needs (`scratch`) is used anew by the next one.

mod cohort_set;
mod context;
mod decision;
mod detail;
mod engine;
mod feed;
mod scratch;

pub use detail::Words;
pub use engine::{Applied, Engine};
