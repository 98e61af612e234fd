//! The arguments of `audit`.

use std::path::PathBuf;

use clap::Args;

use super::{Lang, Layers};
use crate::cli::shape::Shape;
use crate::cli::values::{instant, share};
use crate::event::Instant;

#[derive(Debug, Args)]
#[command(mut_arg("sources", |sources| sources.requires("source")))]
pub(in crate::cli) struct Audit {
    /// Files with records of any shape; `-` is standard input
    #[arg(required_unless_present_any = ["topics", "source"], value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) shape: Shape,

    /// Topics to read instead of files, with the brokers, registry and schemas of the settings
    #[arg(long = "topic", value_name = "NAME", num_args = 1.., conflicts_with_all = ["files", "source"])]
    pub(in crate::cli) topics: Vec<String>,

    /// Where to begin: of a topic the time at which records were written, of a file that of its events
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(in crate::cli) from: Option<Instant>,

    /// Where to end, exclusive: of a topic the time at which records were written, of a file that of its events
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(in crate::cli) until: Option<Instant>,

    /// Look at this share of the records, such as 0.1 or '10 %', chosen by their content
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "1")]
    pub(in crate::cli) sample: f64,

    /// The rules that events are compared with, instead of those in the settings
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rules: Option<PathBuf>,

    /// The language of the report, and of the comments of --propose
    #[arg(long, value_enum, default_value_t = Lang::En)]
    pub(in crate::cli) lang: Lang,

    /// One JSON object instead of text
    #[arg(long, conflicts_with = "propose")]
    pub(in crate::cli) json: bool,

    /// Show the most frequent values of each field, which may be personal
    #[arg(long, conflicts_with = "propose")]
    pub(in crate::cli) show_values: bool,

    /// Print a sources file for what was found, instead of the report
    #[arg(long, conflicts_with = "source")]
    pub(in crate::cli) propose: bool,

    #[command(flatten)]
    pub(in crate::cli) layers: Layers,
}
