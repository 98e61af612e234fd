//! From a plan to a committed transaction, and from there to the databases.

pub(in crate::lane) mod finish;
mod outcome;
mod oversized;
pub(in crate::lane) mod pending;
pub(in crate::lane) mod producer;
mod publish;
mod publish_pending;
mod resolve;
