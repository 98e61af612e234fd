//! The arguments of `sources`.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};

use super::Layers;
use crate::app::reset::From;
use crate::cli::help;
use crate::cli::shape::{Rows, SourcesPath};
use crate::cli::values::from;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Sources {
    /// Print a preset, or a source with what its preset adds; without a name, what there is
    #[command(after_help = help::SOURCES_SHOW)]
    Show(ShowSource),

    /// Map the records of files or topics: the first events with the origin of each field, and what was skipped or refused, and why
    #[command(after_help = help::SOURCES_TRY)]
    Try(TrySource),

    /// Go on without a source that says nothing, or with --undo wait for it again
    #[command(after_help = help::SOURCES_IGNORE)]
    Ignore(IgnoreSource),

    /// Go on with a topic that does not hold what was to be gathered next
    #[command(after_help = help::SOURCES_RESET)]
    Reset(ResetSource),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowSource {
    /// A preset (segment, debezium, cloudevents), or a source of the sources file
    #[arg(value_name = "PRESET|NAME")]
    pub(in crate::cli) name: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) file: SourcesPath,

    #[command(flatten)]
    pub(in crate::cli) layers: Layers,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct IgnoreSource {
    /// The source, as named in the sources file
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,

    /// Wait for it again
    #[arg(long)]
    pub(in crate::cli) undo: bool,

    #[command(flatten)]
    pub(in crate::cli) layers: Layers,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResetSource {
    /// The topic, as the sources file names it
    #[arg(value_name = "TOPIC")]
    pub(in crate::cli) topic: String,

    /// Where to go on: earliest, the first record that was not gathered and is still there; latest; or a time
    #[arg(long, value_name = "PLACE", value_parser = from, default_value = "earliest")]
    pub(in crate::cli) from: From,

    /// Carry the plan out instead of only printing it
    #[arg(long)]
    pub(in crate::cli) yes: bool,

    #[command(flatten)]
    pub(in crate::cli) layers: Layers,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TrySource {
    /// The source, as named in the sources file
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,

    /// Files with records in the source's shape; `-` is standard input
    #[arg(required_unless_present = "topic", value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) rows: Rows,

    /// Read the first records of the source's topics instead of files, with the brokers, registry and schemas of the settings
    #[arg(long, conflicts_with_all = ["files", "delimiter", "decimal_comma"])]
    pub(in crate::cli) topic: bool,

    /// With --topic: the most records of each topic to read
    #[arg(long, value_name = "N", requires = "topic", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub(in crate::cli) records: u32,

    #[command(flatten)]
    pub(in crate::cli) file: SourcesPath,

    /// How many events to print
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(0..=100_000))]
    pub(in crate::cli) events: u32,

    /// One JSON object instead of text
    #[arg(long)]
    pub(in crate::cli) json: bool,

    #[command(flatten)]
    pub(in crate::cli) layers: Layers,
}
