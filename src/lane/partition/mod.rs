//! One running partition: what a batch changes in it, and what it emits. Its customers are in [`crate::residents`].

mod apply;
pub(in crate::lane) mod automation;
mod deadlines;
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
