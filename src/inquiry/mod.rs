//! Requests of operators about one customer, on their way from HTTP to the lane that owns the customer, and back; and
//! the overview of all cohorts.
//!
//! The lane only looks up and copies the state: the HTTP side explains it (`found`), and writes it for programs
//! (`json`) or people (`text`).

mod coverage;
mod found;
mod json;
mod latest;
mod router;
mod text;

pub use coverage::{Coverage, NotFound};
pub use found::{Form, Found};
pub use json::write as write_json;
pub use latest::{InForce, Latest};
pub use router::{Answer, Inbox, PartitionStates, Request, RequestRouter, Scope, Unavailable};
pub use text::write as write_text;

/// A customer id, and other partitions with a part of the same customer.
pub type Customer<'a> = (&'a str, &'a [i32]);
