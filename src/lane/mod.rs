//! One lane: one thread, one consumer, one transactional producer, the partitions they own and their databases.
//!
//! # The guarantee
//!
//! Each input record has its effects exactly once in what a `read_committed` reader of the output topics sees, and in
//! the state that later decisions rest on.
//!
//! A batch is decided in memory (`partition`), then published as one Kafka transaction: outputs, dead letters, the states
//! that are flushed, META, and the input offsets (`commit`). Only when that is known to count is the same written to
//! the partition's database, in one write. So the database is never ahead of Kafka.
//!
//! | a crash | leaves | and a restart |
//! |---|---|---|
//! | before the commit | a transaction that the next owner's start aborts | reads the batch again |
//! | between commit and write | a database one batch behind | reads that batch's states from the changelog |
//! | at any time | changed customers that were not flushed | decides them again from the input, from META's `replay_from` |
//!
//! A commit whose answer is lost is never guessed at: the committed offsets say which transaction was the last. A lane
//! that lost a partition without knowing it cannot commit: its offsets carry a membership that the broker refuses.
//!
//! A failure that concerns one partition ends there: `failures` takes it out of work and restores it again later.
//!
//! Read `turn` (the loop), then the folders along the way of an event: `input`, `partition`, `commit`; then `restore`, `group`
//! (membership), `edits` (other rules), `aggregate` (what depends on all customers), `resources` and `failures`. `answers` is
//! what operators ask meanwhile.

mod aggregate;
mod answers;
mod commit;
mod context;
mod edits;
mod error;
mod failures;
mod group;
mod input;
#[expect(clippy::module_inception, reason = "the room is named after what it makes")]
mod lane;
mod partition;
mod resources;
mod restore;
mod turn;

pub use aggregate::model::ModelTold;
pub use aggregate::ranks::RankTold;
pub use aggregate::summaries::Summaries;
pub use aggregate::surveying::WholeDay;
pub use commit::limits::RecordLimits;
pub(crate) use commit::mark::OffsetMark;
pub use context::{Context, Found};
pub use edits::rulebook::{Rulebook, Version};
pub use error::LaneError;
pub use group::ownership::{Ownership, Watchdog};
pub use input::placement::is_mixed;
pub use lane::{Lane, Start, Told};
pub use restore::identity;
