//! The command line's arguments.

mod audit;
mod sources;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, value_parser};

use super::help;
use super::history::Place;
use super::shape::Shape;
use super::values::{days, from, instant, key_and_value, pace, place};
use crate::app;
use crate::app::reset::From;
use crate::event::Instant;
pub(super) use audit::Audit;
pub(super) use sources::{IgnoreSource, ResetSource, ShowSource, Sources, TrySource};

/// An upper bound: more than there are people.
const CUSTOMERS_MAX: u64 = 10_000_000_000;

/// Reads customer events from Kafka and publishes to Kafka which customers enter and leave behavioural cohorts.
#[derive(Debug, Parser)]
#[command(
    name = "cohortd",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = help::PROGRAM
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read events from Kafka and publish entries and exits, until stopped
    #[command(after_help = help::RUN)]
    Run(Run),

    /// Check settings, rules and schemas, and what the rules cost; with --connect also Kafka and the registry
    #[command(after_help = help::CHECK)]
    Check(Check),

    /// Run rules over event files: who enters and leaves, when and why; without Kafka
    #[command(after_help = help::REPLAY)]
    Replay(Replay),

    /// Explain from event files which cohorts a customer is in, why, and what would change it; without Kafka
    #[command(after_help = help::EXPLAIN)]
    Explain(Explain),

    /// Print the entries and exits that `run` has published, and with --follow those to come
    #[command(after_help = help::CHANGES)]
    Changes(Changes),

    /// Score the churn risk and the value of each customer in event files
    #[command(after_help = help::SCORE)]
    Score(Score),

    /// Fit the churn model to event files, and evaluate its predictions
    #[command(after_help = help::FIT)]
    Fit(Fit),

    /// Show how records of other topics and schemas become events, and try it on files or topics
    #[command(subcommand, after_help = help::SOURCES)]
    Sources(Sources),

    /// Look into topics or files of any shape: what is in them, what is wrong, and how they could be mapped
    #[command(after_help = help::AUDIT)]
    Audit(Audit),

    /// Continue after the input was recreated or lost records, or its offsets were set; or recompute everything
    #[command(after_help = help::RESET)]
    Reset(Reset),

    /// Watch a simulated shop: everything runs in this process, nothing to set up
    #[command(after_help = help::DEMO)]
    Demo(Demo),

    /// Check the health of the daemon on this machine: 0 when it is healthy, 1 otherwise
    #[command(after_help = help::HEALTH)]
    Health(Health),

    /// Print the effective settings and where each comes from; secrets are masked
    #[command(
        after_help = help::DUMP_CONFIG
    )]
    DumpConfig(Layers),
}

/// Where settings come from, besides the built-in defaults and the environment.
#[derive(Debug, Default, Args)]
pub(super) struct Layers {
    /// Settings that differ from the defaults, as TOML
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// A single setting, such as kafka.group_id=shop; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(super) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Make the rules file the next version of the rules even if it removes most cohorts or is an older version
    #[arg(long)]
    pub(super) accept_rules: bool,
    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("report").args(["connect", "size"])))]
pub(super) struct Check {
    /// The rules file, instead of the one in the settings
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Event files to check the rules against
    #[arg(long, value_name = "EVENTS", num_args = 1..)]
    pub(super) sample: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) shape: Shape,

    /// Exit with 78 if there is any warning
    #[arg(long)]
    pub(super) deny_warnings: bool,

    /// Also check brokers and schema registry, as `run` would at its start; changes nothing
    #[arg(long, conflicts_with_all = ["sample", "source"])]
    pub(super) connect: bool,

    /// Estimate memory, disk, network, lanes and partitions for --customers and --events-per-second
    #[arg(long, requires_all = ["customers", "events_per_second"])]
    pub(super) size: bool,

    /// The number of customers in the long run
    #[arg(long, value_name = "N", requires = "size", value_parser = value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    pub(super) customers: Option<u64>,

    /// Events per second in the busiest hour
    #[arg(long, value_name = "M", requires = "size", value_parser = pace)]
    pub(super) events_per_second: Option<f64>,

    /// Average size of an event's record, in bytes
    #[arg(long, value_name = "BYTES", requires = "size", default_value_t = 200, value_parser = value_parser!(u32).range(20..))]
    pub(super) event_bytes: u32,

    /// With --connect or --size: one JSON object instead of text
    #[arg(long, requires = "report")]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

/// Whether a check may end well with warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warnings {
    Allowed,
    Denied,
}

impl Check {
    pub(super) fn warnings(&self) -> Warnings {
        if self.deny_warnings { Warnings::Denied } else { Warnings::Allowed }
    }
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The rules file, instead of the one in the settings
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Event files; several files form one log
    #[arg(required_unless_present_any = ["topic", "source"], value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) range: TopicRange,

    /// Skip later events, and decide every deadline up to then [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) until: Option<Instant>,

    /// Apply events in the order of the files, as they would arrive, instead of by time
    #[arg(long, conflicts_with = "topic")]
    pub(super) as_is: bool,

    /// Another rules file to run over the same events: who would have entered, and who would not
    #[arg(long, value_name = "OTHER")]
    pub(super) compare: Option<PathBuf>,

    /// Churn parameters as written by `fit` [default: fitted each week on past data]
    #[arg(long, value_name = "FILE")]
    pub(super) params: Option<PathBuf>,

    /// Exit with 1 if any line could not be read
    #[arg(long)]
    pub(super) strict: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

/// A range of a topic, instead of files.
#[derive(Debug, Args)]
pub(super) struct TopicRange {
    /// Read this topic instead of files, with the brokers, registry and schemas of the settings
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "source"])]
    pub(super) topic: Option<String>,

    /// Where to begin: an offset, or the time at which records were written [default: the oldest]
    #[arg(long, value_name = "OFFSET|TIME", value_parser = place, requires = "topic")]
    pub(super) from: Option<Place>,

    /// Where to end, exclusive: an offset, the time at which records were written, or `now`
    #[arg(long, value_name = "OFFSET|TIME", value_parser = place, default_value = "now", requires = "topic")]
    pub(super) to: Place,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The rules file, instead of the one in the settings
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// The customer's id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) customer: String,

    /// Only this cohort
    #[arg(long, value_name = "NAME")]
    pub(super) cohort: Option<String>,

    /// The time to look at; later events are skipped [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) at: Option<Instant>,

    /// The language of the text
    #[arg(long, value_enum, default_value_t = Lang::En)]
    pub(super) lang: Lang,

    /// One JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,

    /// Event files; several files form one log
    #[arg(required_unless_present_any = ["topic", "source"], value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) range: TopicRange,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Changes {
    /// Go on with each change as it is published, until interrupted
    #[arg(long)]
    pub(super) follow: bool,

    /// Where to begin: an offset, or the time at which changes were written [default: the oldest; with --follow, now]
    #[arg(long, value_name = "OFFSET|TIME", value_parser = place)]
    pub(super) from: Option<Place>,

    /// Only changes of this cohort
    #[arg(long, value_name = "NAME")]
    pub(super) cohort: Option<String>,

    /// Only changes of the customer with this id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) customer: Option<String>,

    /// The language of the reasons
    #[arg(long, value_enum, default_value_t = Lang::En)]
    pub(super) lang: Lang,

    /// One JSON object a line, with all fields, instead of text
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Score {
    /// The rules file, instead of the one in the settings
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Parameters as written by `fit` [default: those that `run` would have fitted on the last Monday]
    #[arg(long, value_name = "FILE", conflicts_with = "refit")]
    pub(super) params: Option<PathBuf>,

    /// Fit to all events up to that time, not as `run` does on Mondays
    #[arg(long)]
    pub(super) refit: bool,

    /// The time to look at; later events are skipped [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) at: Option<Instant>,

    /// An additional horizon in days: a number, or '6 weeks'
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub(super) horizon: Option<u32>,

    /// Event files; several files form one log
    #[arg(required_unless_present = "source", value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Fit {
    /// The model [default: that of the rules; with --on, mbg_nbd]
    #[arg(long, value_enum)]
    pub(super) model: Option<ModelName>,

    /// The rules file, instead of the one in the settings
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Which events count as coming back, instead of those in the rules
    #[arg(long, value_name = "EVENT", conflicts_with = "rules")]
    pub(super) on: Option<String>,

    /// The value of a purchase
    #[arg(long, value_name = "EVENT.PROPERTY", requires = "on")]
    pub(super) amount: Option<String>,

    /// Skip later events, and fit to what is known then [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) until: Option<Instant>,

    /// One JSON object instead of TOML
    #[arg(long)]
    pub(super) json: bool,

    /// Event files; several files form one log
    #[arg(required_unless_present = "source", value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Reset {
    /// Keep the state of every customer, and continue from there: stored, earliest, latest or a time
    #[arg(long, value_name = "PLACE", value_parser = from, required_unless_present = "rebuild")]
    pub(super) from: Option<From>,

    /// Delete the state, and recompute everything from the input
    #[arg(long, conflicts_with = "from")]
    pub(super) rebuild: bool,

    /// Carry the plan out instead of only printing it
    #[arg(long)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelName {
    /// For purchases
    #[value(name = "mbg_nbd")]
    MbgNbd,
    /// For usage
    #[value(name = "fgp")]
    Fgp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    /// English
    En,
    /// French
    Fr,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// How many seconds the shop's eight months should take
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: u64,

    /// How many customers the shop has
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(super) customers: u32,

    /// The seed of the random shop
    #[arg(long, value_name = "N", default_value_t = app::demo::SEED)]
    pub(super) seed: u64,

    /// Your rules file, instead of the default cohorts
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Run only the shop: send its events to the Kafka of the settings
    #[arg(long, conflicts_with = "rules")]
    pub(super) to_kafka: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Health {
    /// What to check
    #[arg(value_enum, default_value_t = Probe::Live)]
    pub(super) probe: Probe,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Probe {
    /// Does every processing thread make progress? If not, a restart helps
    Live,
    /// Are all owned partitions restored, and is none waiting?
    Ready,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
