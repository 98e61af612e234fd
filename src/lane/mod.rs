//! One lane: one thread, one consumer, one transactional producer, the partitions they own and their databases.
//!
//! # The guarantee
//!
//! Each input record has its effects exactly once in what a `read_committed` reader of the output topics sees, and in
//! the state that later decisions rest on.
//!
//! A batch is decided in memory (`partition`), then published as one Kafka transaction: outputs, dead letters, the
//! flushed states, META, and the input offsets (`commit`). Only once that is known to be committed, the same is written
//! to the partition's database, in one write. So the database is never ahead of Kafka. Of a large batch the first records
//! are sent while the rest is decided (`commit::ahead`): into the same transaction, which ends with the offsets or is
//! aborted.
//!
//! | a crash | leaves | and a restart |
//! |---|---|---|
//! | before the commit | a transaction that the next owner's start aborts | reads the batch again |
//! | between commit and write | a database one batch behind | reads that batch's states from the changelog |
//! | at any time | changed customers that were not flushed | decides them again from the input, from META's `replay_from` |
//!
//! The outcome of a commit whose answer is lost is never guessed: the committed offsets say which transaction was the
//! last, and the changelog holds its META or does not. A lane that lost a partition without knowing it cannot commit: its offsets carry a membership that the broker
//! refuses.
//!
//! A failure that concerns one partition ends there: `failures` closes the partition and restores it again later.
//!
//! # Reading order
//!
//! `turn` shows one turn of the loop. `lane` is what a lane consists of; everything in it belongs to one thread.
//! `context` is what all partitions of a process share. Each folder adds methods to `Lane` or `Partition`, and imports
//! only from folders above it:
//!
//! | folder | what it is |
//! |---|---|
//! | `versions` | the versions of the rules |
//! | `output` | what a batch is to write: the plan, its records, dead letters, limits of size |
//! | `partition` | one partition: applying an event, emitting effects, flushing; its customers are in `crate::residents` |
//! | `input` | from the consumer to an accepted event: polling, checks, the wall clock |
//! | `commit` | from a plan to a committed transaction, and from there to the databases |
//! | `restore` | from an assignment to a running partition: barrier, changelog, replay of the input |
//! | `migration` | from one version of the rules to the next, with a backfill from the log where facts are new |
//! | `summaries` | the thread that follows what all partitions publish of their customers |
//! | `aggregate` | the lane's part of that: counters, thresholds, parameters of the churn model, surveys |
//! | `group` | membership: assignments, fencing, partitions without an owner |
//! | `failures` | failed partitions, and access that brokers deny |
//! | `resources` | pausing while memory or disk are short |
//!
//! `identity` says whether the state belongs to the log, and what to do if not. `changelog_reader` finds META of one
//! transaction. `answers` answers operators' questions.
//!
//! What any loop does that reads in a group and writes transactions is in `crate::member`: waiting for schemas, starting
//! a producer, cutting dead letters.

mod aggregate;
mod answers;
mod changelog_reader;
mod commit;
mod context;
mod error;
mod failures;
mod group;
pub mod identity;
mod input;
#[expect(clippy::module_inception, reason = "the module is named after what it makes")]
mod lane;
mod migration;
mod output;
mod partition;
mod resources;
mod restore;
mod summaries;
mod turn;
mod versions;

pub use context::{ClusterFacts, Context};
pub use error::LaneError;
pub use group::ownership::Ownership;
pub use group::unowned_partitions::Watchdog;
pub use lane::{Lane, Start};
pub use output::limits::RecordLimits;
pub(crate) use output::offset_mark::OffsetMark;
pub use partition::placement::is_mixed;
pub use summaries::follower::Summaries;
pub use summaries::updates::{DailySurvey, LaneUpdate, ParametersUpdate, ThresholdsUpdate};
pub use versions::rulebook::{Rulebook, Version};
