//! `sources`: prints mappings of other topics and schemas, and tries them on files.

mod attempt;
mod reset;
mod show;
mod tally;

pub(super) use attempt::attempt;
pub(super) use reset::reset;
pub(super) use show::show;
