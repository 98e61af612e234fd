//! The customers of one partition that are in memory: their timers, their changes not yet flushed, and their eviction.
//!
//! `shard` is the data and the loading of customers; each other file is one aspect of it. A customer is kept as bytes, in
//! `slab`, as the store has them; those who had an event lately are in `decoded` as well, as far as there is memory.

mod apply;
mod decoded;
mod dirty;
mod eviction;
mod flush;
mod index;
mod packed;
mod prefetch;
mod ranks;
mod shard;
mod slab;
mod slot;
mod slots;
#[cfg(test)]
mod tests;
mod timers;
mod timing;

pub use ranks::RankMove;
pub use shard::{CustomerEffect, Shard};
pub use slot::Slot;
pub use timing::Timing;
