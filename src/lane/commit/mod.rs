//! From a plan to a committed transaction, and from there to the databases.
//!
//! `ahead` sends what is decided so far -> `finish` completes the plan -> `publish_pending` tries until it is committed or
//! discarded -> `publish` sends the rest, in one transaction -> `finish::committed` writes the databases.

pub(in crate::lane) mod ahead;
pub(in crate::lane) mod finish;
mod outcome;
mod oversized;
pub(in crate::lane) mod pending;
mod publish;
mod publish_pending;
mod resolve;
mod send;
