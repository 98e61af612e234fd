//! `sources`: prints mappings of other topics and schemas, and tries them on files or topics.

mod attempt;
mod ignore;
mod place;
mod reset;
mod show;
mod tally;
mod topics;

pub(super) use attempt::attempt;
pub(super) use ignore::ignore;
pub(super) use reset::reset;
pub(super) use show::show;
