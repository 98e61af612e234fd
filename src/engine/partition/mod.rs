//! The customers of one partition that are in memory: their timers, their changes not yet flushed, and their eviction.
//!
//! `shard` is the data and the loading of customers; each other file is one aspect of it.

mod apply;
mod eviction;
mod flush;
mod index;
mod ranks;
mod resident;
mod shard;
mod slot;
#[cfg(test)]
mod tests;
mod timers;
mod timing;

pub use ranks::RankMove;
pub use shard::{CustomerEffect, Shard};
pub use slot::Slot;
pub use timing::Timing;
