//! The decision: state, input, rules and an instant in; new state, effects and the next deadline out.
//!
//! Pure, synchronous, deterministic: no clock, no broker, no disk, no metrics, no order that depends on a hash. The
//! engine returns counts with its effects; others record them.
//!
//! Read `verdict` (the idea), `evaluate` (conditions at an instant), `membership` (the machine), `decide` (one customer:
//! deadlines and events in order), `shard` and `agenda` (one partition: whose turn it is).

mod agenda;
mod chain;
mod decide;
mod effect;
mod evaluate;
mod fact;
mod membership;
mod migrate;
mod periods;
mod shard;
mod state;
mod verdict;
mod why;
mod window;

pub use chain::{Chain, Link, Reached};
pub use decide::{Applied, Engine, Words};
pub use effect::{Counts, Effect};
pub use migrate::{Left, Migration};
pub use periods::Period;
pub use shard::{Said, Shard, Slot, Timing};
pub use state::{CustomerState, DayBucket, EventCause, Fact, Membership, Opening, Pair, RecentId, Series, Wish};
pub use verdict::Verdict;
