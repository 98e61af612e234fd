//! What an operator asks about one customer, on its way from an HTTP request to the lane that owns the customer, and back; and what
//! there is to say of all cohorts.
//!
//! The lane looks up and copies the state, and no more: what it means is worked out by whoever asked (`found`), and
//! written for programs (`json`) or for people (`text`).

mod board;
mod coverage;
mod desk;
mod found;
mod json;
mod text;

pub use board::{Board, InForce};
pub use coverage::{Coverage, NotFound};
pub use desk::{Answer, Census, Desk, Elsewhere, Inbox, Question, Scope};
pub use found::{Form, Found};
pub use json::write as write_json;
pub use text::write as write_text;

/// A customer's id, and other partitions that know a part of the same customer.
pub type Customer<'a> = (&'a str, &'a [i32]);
