//! From an assignment to a running partition, in stages.
//!
//! In this order: `barrier` waits until no transaction of the partition is open and checks the local copy;
//! `read_changelog` reads the changelog into the database (`changelog_stage` is its state); `begin_replay` turns the
//! database into a partition; `read_input` replays the input (`replay_stage` is its state). `stages` holds what all of
//! them share, `wait` what a restore waits for, and `restoring` runs the restores of a lane.

mod barrier;
mod begin_replay;
mod changelog_stage;
mod read_changelog;
mod read_input;
mod replay_stage;
pub(in crate::lane) mod restoring;
pub(in crate::lane) mod stages;
mod wait;
