//! One running partition: its customers, its stream time, its deadlines, and what a batch changes in it.

mod apply;
pub(in crate::lane) mod automation;
mod deadlines;
mod due;
pub(in crate::lane) mod emit;
pub(in crate::lane) mod flush;
pub(in crate::lane) mod intake;
pub(in crate::lane) mod placement;
mod progress;
pub(in crate::lane) mod publish_schedule;
pub(in crate::lane) mod rank_state;
mod restored;
mod rules;
pub(in crate::lane) mod state;
mod surge;
pub(in crate::lane) mod survey_pass;
