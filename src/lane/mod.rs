//! One lane: one thread, one consumer, one transactional producer, the partitions they own and their databases.
//!
//! # The guarantee
//!
//! Each input record has its effects exactly once in what a `read_committed` reader of the output topics sees, and in
//! the state that later decisions rest on.
//!
//! A batch is decided in memory (`partition`), then published as one Kafka transaction: outputs, dead letters, the states
//! that are flushed, META, and the input offsets (`publish`). Only when that is known to count is the same written to
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
//! A failure that concerns one partition ends there: `contain` takes it out of work and restores it again later.
//!
//! Read `partition` (a batch on one partition), `intake` (one record), `publish`, `restore`, `due` (timers),
//! `ranks`, `model`, `survey` and `summaries` (what depends on all customers), `answers` (what operators ask meanwhile).

mod adopt;
mod answers;
mod assignment;
mod buffers;
mod clock_gate;
mod contain;
mod context;
mod disk;
mod due;
mod edits;
mod error;
mod fence;
mod hold;
pub mod identity;
mod intake;
mod lag;
mod learning;
mod letter;
mod limits;
mod looking;
mod mark;
mod memory_gate;
mod model;
mod output;
mod oversized;
mod ownership;
mod pace;
mod partition;
mod pending;
mod placement;
mod plan;
mod publish;
mod publisher;
mod ranking;
mod ranks;
mod refusals;
mod refused;
mod restore;
mod results;
mod role;
mod rulebook;
mod schema_waits;
mod setback;
mod size;
mod summaries;
mod surge;
mod survey;
mod surveying;
mod turn;

pub use context::{Context, Found};
pub use error::LaneError;
pub use limits::RecordLimits;
pub(crate) use mark::OffsetMark;
pub use model::ModelTold;
pub use ownership::{Ownership, Watchdog};
pub use placement::is_mixed;
pub use ranks::RankTold;
pub use rulebook::{Rulebook, Version};
pub use summaries::Summaries;
pub use surveying::WholeDay;
pub use turn::{Lane, Start, Told};
