//! Requests of operators about one customer, on their way from HTTP to the lane that owns the customer, and back; and
//! the overview of all cohorts.
//!
//! The lane only looks up and copies the state: the HTTP side explains it (`found`), and writes it for programs
//! (`json`) or people (`text`).

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

/// A customer id, and other partitions with a part of the same customer.
pub type Customer<'a> = (&'a str, &'a [i32]);
