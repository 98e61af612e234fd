//! The customers of one partition that are in memory: who is due when, who changed, who may leave memory.

mod shard;
mod slot;
mod timers;
mod timing;

pub use shard::{Moved, Said, Shard};
pub use slot::Slot;
pub use timing::Timing;
