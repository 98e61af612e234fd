//! From an assignment to a running partition, in stages.

mod barrier;
mod begin_replay;
mod changelog;
mod hold;
mod read_changelog;
mod read_input;
mod replay;
pub(in crate::lane) mod restoring;
pub(in crate::lane) mod stages;
