//! From an assignment to a running partition, in stages.

mod barrier;
mod begin_replay;
mod changelog_stage;
mod read_changelog;
mod read_input;
mod replay_stage;
pub(in crate::lane) mod restoring;
pub(in crate::lane) mod stages;
mod wait;
