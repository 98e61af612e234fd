//! From a plan to a committed transaction, and from there to the databases.
//!
//! `finish` completes the plan -> `publish_pending` tries until it is committed or discarded -> `publish` sends it in one
//! transaction -> `finish::committed` writes the databases.

pub(in crate::lane) mod finish;
mod outcome;
mod oversized;
pub(in crate::lane) mod pending;
mod publish;
mod publish_pending;
mod resolve;
mod send;
