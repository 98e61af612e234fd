//! The decision: state, input, rules and an instant in; new state, effects and the next deadline out.
//!
//! Pure, synchronous, deterministic: no clock, no broker, no disk, no metrics, no order that depends on a hash. The
//! engine returns counts with its effects; others record them.
//!
//! Read `verdict` (the idea), `evaluate` (conditions at an instant), `membership` (the machine), `decide` (one customer:
//! deadlines and events in order), `foresight` (the same, run ahead without events), `shard` and `agenda` (one partition: whose turn it is).

mod agenda;
mod decide;
mod effect;
mod evaluate;
mod fact;
mod foresight;
mod membership;
mod shard;
mod state;
mod verdict;
mod why;
mod window;

pub use decide::{Applied, Engine, Words};
pub use effect::{Counts, Effect};
pub use shard::{Said, Shard, Slot, Timing};
pub use state::{CustomerState, DayBucket, EventCause, Fact, Membership, Opening, Pair, RecentId, Series, Wish};
pub use verdict::Verdict;
pub use why::{Claim, Counted, Found, Language, Part, Quantity};
