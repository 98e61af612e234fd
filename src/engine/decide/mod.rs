//! Decisions: the events and deadlines of one customer in order, each decided at its own instant.
//!
//! `engine` is the entry point; `decision` is one customer at one instant. A decision reads `context`, which never
//! changes meanwhile, and reuses the memory in `scratch`.

mod context;
mod decision;
mod derived;
mod detail;
mod engine;
mod feed;
mod machine_set;
mod scratch;
#[cfg(test)]
mod tests;
mod trial;

pub use detail::Detail;
pub use engine::{Applied, Engine};
pub(super) use trial::Trial;
