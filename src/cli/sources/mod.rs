//! `sources`: prints mappings of other topics and schemas, and tries them on files.

mod attempt;
mod file;
mod show;
mod tally;

pub(super) use attempt::attempt;
pub(super) use file::SourcesFile;
pub(super) use show::show;
