//! What may be typed, and the help.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, value_parser};

use super::history::Place;
use crate::app;
use crate::app::reset::From;
use crate::event::{Instant, NotAnInstant, Span};
use crate::rules::parse_duration;

/// More than there are people.
const CUSTOMERS_MAX: u64 = 10_000_000_000;

/// Reads customer events from Kafka and says, as events back on Kafka, who enters and leaves behavioural cohorts.
#[derive(Debug, Parser)]
#[command(
    name = "cohortd",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  cohortd demo                                       a simulated shop, nothing to set up
  cohortd replay --rules rules.toml events.jsonl.gz  try rules on the past, without Kafka
  cohortd explain --rules rules.toml --customer c1 events.jsonl.gz  where c1 stands, and why
  cohortd score --rules rules.toml events.jsonl.gz   who is at risk of not coming back
  cohortd check --config cohortd.toml                what is wrong, and what the rules cost
  cohortd run --config cohortd.toml                  the daemon

Settings, later ones winning: the built-in defaults, --config FILE, the environment
(COHORTD_KAFKA__GROUP_ID=shop is kafka.group_id), --set kafka.group_id=shop.
`cohortd dump-config` prints all of them, and where each value comes from.

Results go to stdout, everything else to stderr.
Exit codes: 0 done, 1 failed while running, 64 wrong usage, 78 wrong configuration
(settings, rules, schemas, topics)."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read events from Kafka and publish who enters and leaves, until told to stop
    #[command(after_help = "\
SIGTERM or SIGINT drains and ends with 0; a second one ends at once.

Examples:
  cohortd run --config /etc/cohortd.toml
  COHORTD_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 cohortd run --set rules.file=rules.toml
  cohortd run --config /etc/cohortd.toml --accept-rules   once, to confirm a file that removes most cohorts")]
    Run(Run),

    /// Check settings, rules and schemas, and say what the rules cost; with --connect ask Kafka and the registry
    #[command(after_help = "\
Prints the cohorts in the order in which they are decided, and what must be remembered about a customer.
Mistakes in the rules are all shown at once, each with its place; exit code 78. What parses and is
probably not meant is shown in the same form as a warning, on stderr; exit code 0.

With --sample, events in files as `replay` reads them: how many customers each condition touches at the
end of the sample, and warnings of events and properties that the sample never has, has in another type,
or lacks in half of the events.

With --connect, whether brokers, credentials, topics, permissions and the registry are as `run` needs them, what it
would make, and what would become of the first 1,000 records of the input. All that is wrong is said at once. Nothing is
made or registered, and no group is joined. Exit code 0: ready; 78: something must be put right first; 1: something did
not answer. Warnings of the rules are those of `check` without it.

With --size, what to give to so many customers and events under these rules: memory, disk, topics, network, lanes and
partitions, each with its bounds and with what it comes from. With --sample too, what a customer takes and how often
cohorts change is measured there.

Examples:
  cohortd check --rules rules.toml
  cohortd check --rules rules.toml --sample events.jsonl.gz
  cohortd check --rules rules.toml --size --customers 1000000 --events-per-second 20
  cohortd check --rules rules.toml --deny-warnings       in a pipeline
  cohortd check --config /etc/cohortd.toml
  cohortd check --config /etc/cohortd.toml --connect     before the first start")]
    Check(Check),

    /// Run rules over files of events: who enters and leaves, when and why; needs no Kafka
    #[command(after_help = "\
EVENTS are JSON Lines or Avro object container files, plain, gzip or zstd; `-` is standard input. A line:
  {\"event_id\": \"e1\", \"customer_id\": \"c1\", \"event\": \"purchase\", \"time\": 1700000000000,
   \"properties\": {\"amount\": 12.5}}
time is milliseconds since 1970 or ISO-8601; event_id, source and properties may be left out.
INSTANT is one of these, or a date: its midnight, UTC.

With --topic NAME, records of a topic in place of files: all partitions, each a log by itself, decided in
the order of its records and up to its last event, one after the other; the summary adds them up. Committed
records only; no group is joined and nothing is committed. What `run` would send to the dead letters is
counted by reason. A whole number is an offset, in every partition; TIME is when a record was written.
Rules that rank customers rank those of each partition by themselves, where `run` ranks all.

Changes go to stdout as JSON Lines, in the order decided; a summary goes to stderr. The same files and
rules always give the same bytes. Where the rules have [churn], changes of the level of risk are among them;
without --params the model is fitted anew each Monday, midnight UTC of stream time, to the past alone. Of the settings, time.* and dedupe.ids take part, as in `run`; there is
no wall clock, so no event is in the future.

With --compare OTHER, both rules files are run over the same events, and stdout has one line for each
customer and cohort whose story differs, by cohort, then customer; `a` is --rules, `b` is OTHER:
  {\"cohort\": \"vip\", \"customer_id\": \"c1\", \"difference\": \"only_b\",
   \"a\": {\"entered\": 0, \"first_entered_at\": null, \"in\": false},
   \"b\": {\"entered\": 2, \"first_entered_at\": 1700000000000, \"in\": true}}
difference is only_a, only_b (who entered with one file only) or otherwise (at another time, another
number of times, or in at the end with one only).

Examples:
  cohortd replay --rules rules.toml events.jsonl.gz > changes.jsonl
  cohortd replay --rules rules.toml --compare draft.toml events.jsonl.gz > differences.jsonl
  cohortd replay --config cohortd.toml --compare draft.toml --topic customer-events > differences.jsonl
  zcat events-*.gz | cohortd replay --rules rules.toml --until 2026-12-31 -
  cohortd replay --rules rules.toml --as-is --set time.arrives_within='5 minutes' topic.avro
  cohortd replay --config cohortd.toml --topic customer-events --from 2026-12-01 > changes.jsonl")]
    Replay(Replay),

    /// Say from files of events where one customer stands, why, and what would change it; needs no Kafka
    #[command(after_help = "\
EVENTS and INSTANT are as for `replay`; events are taken by time. Text goes to stdout in the language asked
for; with --json one object, in both languages, its instants in milliseconds. Each condition comes with what
was found, whether it holds, and what would change that; at the end stands what comes next in silence.
With --topic NAME the records of the customer's partition are read in place of files, in their order.

Examples:
  cohortd explain --rules rules.toml --customer c1 events.jsonl.gz
  cohortd explain --rules rules.toml --customer c1 --cohort vip --at 2026-01-14 --lang fr events.jsonl
  cohortd explain --rules rules.toml --customer c1 --json events.jsonl | jq .cohorts[0].conditions
  cohortd explain --config cohortd.toml --customer c1 --topic customer-events")]
    Explain(Explain),

    /// Say of each customer in files how likely it is that they do not come back, and what they are worth
    #[command(after_help = "\
EVENTS and INSTANT are as for `replay`; events are taken by time. The rules must have [churn]; their cohorts
take no part. What one customer bought on one calendar day, in the rules' time zone, is one purchase.
Without --params, parameters are fitted first, as `fit` does, to the events up to --at.

A line for each customer who came goes to stdout, by customer id; numbers are in full precision:
  {\"customer_id\": \"c1\", \"at\": 1700000000000, \"model\": \"mbg_nbd\", \"x\": 2, \"t_x_days\": 30.0, \"t_days\": 38.5,
   \"alive\": 0.73, \"p_none\": {\"30\": 0.71, \"90\": 0.49}, \"expected\": {\"30\": 0.39, \"90\": 1.1, \"360\": 3.6},
   \"spend\": 24.7, \"clv\": 84.1, \"level\": \"low\", \"crossings\": [{\"level\": \"medium\", \"at\": 1704000000000}],
   \"provisional\": false}
x: purchases after the first, the last of them t_x_days after it; t_days: now; of a model of usage activity and
exposure_days stand there, as of now. p_none: the probability of nothing in so many days; expected: how many
to expect; spend: of the next purchase; clv: of a year, in 30-day months, each discounted by 1 % more than the
one before; crossings: the first instant of silence on each level to come.

Examples:
  cohortd score --rules rules.toml events.jsonl.gz > scores.jsonl
  cohortd score --rules rules.toml --params params.toml --at 2026-12-31 --horizon 45 events.jsonl")]
    Score(Score),

    /// Fit the model of churn to files of events, and hold what it says against what came
    #[command(after_help = "\
EVENTS and INSTANT are as for `replay`; events are taken by time. What counts as coming back is what [churn]
in the rules says, or --on, with days in UTC. Parameters go to stdout as TOML that --params takes; with --json
as one object, with customers, purchases and the log-likelihood, times in days. Of more than 5,000 customers
about 5,000 are looked at, chosen by a hash of their ids.

On stderr stands how good such a fit was: one to what was known a horizon before the end, against what came
of the customers until then.

Examples:
  cohortd fit --rules rules.toml events.jsonl.gz > params.toml
  cohortd fit --model mbg_nbd --on purchase --amount purchase.amount --until 2026-12-31 events.jsonl
  cohortd fit --model fgp --on 'any of (login, feature_used)' --json events.jsonl")]
    Fit(Fit),

    /// Go on after the input was made anew or lost records, or its offsets were set; or decide everything anew
    #[command(after_help = "\
`run` refuses to start where the state does not fit the input or the group's offsets, and names the command
for it. Give the same settings as to `run`, and stop every process of the group first: this waits until their
sessions have ended (session.timeout.ms, 45 s), and refuses while one is at work.

--from keeps every customer as they are. Nothing is published for it, and no record is read twice:
  stored    go on where the state ends: after offsets were set or deleted by another program. Nothing is lost
  earliest  go on at the first record that is not in the state and that the input still holds: after
            retention has dropped records that were not read, or with an input topic made anew, or another one
  latest    leave out all that is there
  TIME      leave out what was written before: 2026-12-31, 2026-12-31T08:00:00Z, or milliseconds since 1970

--rebuild decides everything anew from the input, from kafka.start on, by the newest rules: what changelog,
members and summaries hold is deleted, and what was published is published again, with the same event ids where
the same is decided. With partitions added to the input, copy it into a new topic first, keys and timestamps
kept, and name that in topics.input: topics that are written get as many partitions.

Without --yes, what would be done goes to stdout, and nothing is changed. Ended halfway, the same command goes
on; until then `run` refuses to start.

Examples:
  cohortd reset --config /etc/cohortd.toml --from stored
  cohortd reset --config /etc/cohortd.toml --from earliest --yes
  cohortd reset --config /etc/cohortd.toml --rebuild --yes")]
    Reset(Reset),

    /// Watch a simulated shop: everything in this one process, nothing to set up
    #[command(after_help = "\
Kafka is a broker in this process, and forgets everything at the end: nothing is read from or written to
a Kafka of yours. Of the settings, those of kafka, schemas and state.dir do not take part.

Examples:
  cohortd demo
  cohortd demo --seconds 300 --customers 10000
  cohortd demo --rules my-rules.toml                 begin with a copy of config/rules.toml

With --to-kafka only the shop runs, and its events go to topics.input at kafka.bootstrap_servers, where a `cohortd run`
reads them: eight months of past, taking --seconds, then what happens as time passes, until told to stop. A topic that is
missing is made, with 4 partitions; into one that holds records no past is sent.

  cohortd demo --to-kafka --set kafka.bootstrap_servers=localhost:9092")]
    Demo(Demo),

    /// Ask the daemon on this machine how it is: 0 when it is well, 1 otherwise
    #[command(after_help = "\
Asks /health/live, or /health/ready, at the port of metrics.listen; give the same settings as to `run`.

Examples:
  cohortd health --config /etc/cohortd.toml
  cohortd health ready")]
    Health(Health),

    /// Print the settings in force and where each comes from; secrets are masked
    #[command(
        after_help = "The output can be given back to --config, once the secrets that it masks are written in or come from the \
                            environment."
    )]
    DumpConfig(Layers),
}

/// Where settings come from, beside the built-in defaults and the environment.
#[derive(Debug, Default, Args)]
pub(super) struct Layers {
    /// Settings that differ from the defaults, as TOML
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// One setting, as kafka.group_id=shop; may be repeated
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
    /// The rules, in place of the file that the settings name
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Files of events to hold the rules against
    #[arg(long, value_name = "EVENTS", num_args = 1..)]
    pub(super) sample: Vec<PathBuf>,

    /// End with exit code 78 if there is any warning
    #[arg(long)]
    pub(super) deny_warnings: bool,

    /// Ask brokers and schema registry, too: all that `run` would find at its start; changes nothing there
    #[arg(long, conflicts_with = "sample")]
    pub(super) connect: bool,

    /// Say what to give to --customers and --events-per-second: memory, disk, network, lanes, partitions
    #[arg(long, requires_all = ["customers", "events_per_second"])]
    pub(super) size: bool,

    /// Customers who will be known, one day
    #[arg(long, value_name = "N", requires = "size", value_parser = value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    pub(super) customers: Option<u64>,

    /// Events in a second of the busiest hour
    #[arg(long, value_name = "M", requires = "size", value_parser = pace)]
    pub(super) events_per_second: Option<f64>,

    /// Bytes of an event's record, on average
    #[arg(long, value_name = "BYTES", requires = "size", default_value_t = 200, value_parser = value_parser!(u32).range(20..))]
    pub(super) event_bytes: u32,

    /// With --connect or --size, one JSON object in place of text
    #[arg(long, requires = "report")]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The rules, in place of the file that the settings name
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Files of events; several are one log
    #[arg(required_unless_present = "topic", value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) range: TopicRange,

    /// Leave later events out, and decide all that is due by then [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) until: Option<Instant>,

    /// Take events in the order of the files, as they would arrive, instead of by time
    #[arg(long, conflicts_with = "topic")]
    pub(super) as_is: bool,

    /// Other rules over the same events: who would have entered, and who would not
    #[arg(long, value_name = "OTHER")]
    pub(super) compare: Option<PathBuf>,

    /// Parameters of the model of churn, as `fit` writes them; without, they are fitted each week on the past
    #[arg(long, value_name = "FILE")]
    pub(super) params: Option<PathBuf>,

    /// End with exit code 1 if any line could not be read
    #[arg(long)]
    pub(super) strict: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

/// Records of a topic in place of files.
#[derive(Debug, Args)]
pub(super) struct TopicRange {
    /// Read this topic in place of files; brokers, registry and schemas are those of the settings
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    pub(super) topic: Option<String>,

    /// Begin there: an offset, or when records were written [default: the oldest]
    #[arg(long, value_name = "OFFSET|TIME", value_parser = place, requires = "topic")]
    pub(super) from: Option<Place>,

    /// End before: an offset, when records were written, or `now`
    #[arg(long, value_name = "OFFSET|TIME", value_parser = place, default_value = "now", requires = "topic")]
    pub(super) to: Place,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The rules, in place of the file that the settings name
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Whose standing
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) customer: String,

    /// In one cohort only
    #[arg(long, value_name = "NAME")]
    pub(super) cohort: Option<String>,

    /// At that instant; later events are left out [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) at: Option<Instant>,

    /// The language of the text
    #[arg(long, value_enum, default_value_t = Lang::En)]
    pub(super) lang: Lang,

    /// One JSON object in place of text
    #[arg(long)]
    pub(super) json: bool,

    /// Files of events; several are one log
    #[arg(required_unless_present = "topic", value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) range: TopicRange,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Score {
    /// The rules, in place of the file that the settings name
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Parameters as `fit` writes them [default: those that `run` would have learnt on the last Monday]
    #[arg(long, value_name = "FILE", conflicts_with = "refit")]
    pub(super) params: Option<PathBuf>,

    /// Fit to all events up to the instant, not as `run` does on Mondays
    #[arg(long)]
    pub(super) refit: bool,

    /// At that instant; later events are left out [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) at: Option<Instant>,

    /// So many days ahead too: a number, or '6 weeks'
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub(super) horizon: Option<u32>,

    /// Files of events; several are one log
    #[arg(required = true, value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Fit {
    /// Which model [default: that of the rules; with --on, mbg_nbd]
    #[arg(long, value_enum)]
    pub(super) model: Option<ModelName>,

    /// The rules, in place of the file that the settings name
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// What counts as coming back, as in rules, in place of theirs
    #[arg(long, value_name = "EVENT", conflicts_with = "rules")]
    pub(super) on: Option<String>,

    /// What a purchase is worth
    #[arg(long, value_name = "EVENT.PROPERTY", requires = "on")]
    pub(super) amount: Option<String>,

    /// Leave later events out, and fit to what is known then [default: the last event]
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    pub(super) until: Option<Instant>,

    /// One JSON object in place of TOML
    #[arg(long)]
    pub(super) json: bool,

    /// Files of events; several are one log
    #[arg(required = true, value_name = "EVENTS")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Reset {
    /// Keep every customer as they are, and read on from there: stored, earliest, latest or a time
    #[arg(long, value_name = "PLACE", value_parser = from, required_unless_present = "rebuild")]
    pub(super) from: Option<From>,

    /// Delete the state, and decide everything anew from the input
    #[arg(long, conflicts_with = "from")]
    pub(super) rebuild: bool,

    /// Do it, in place of saying what would be done
    #[arg(long)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelName {
    /// Of purchases
    #[value(name = "mbg_nbd")]
    MbgNbd,
    /// Of use
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
    /// How long the shop's eight months should take
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: u64,

    /// How many customers the shop has
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(super) customers: u32,

    /// Another seed, another shop
    #[arg(long, value_name = "N", default_value_t = app::demo::SEED)]
    pub(super) seed: u64,

    /// Your rules, in place of the default cohorts
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,

    /// Only the shop: send its events to the Kafka of the settings
    #[arg(long, conflicts_with = "rules")]
    pub(super) to_kafka: bool,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Args)]
pub(super) struct Health {
    /// What to ask
    #[arg(value_enum, default_value_t = Probe::Live)]
    pub(super) probe: Probe,

    #[command(flatten)]
    pub(super) layers: Layers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Probe {
    /// Does every lane turn? If not, a restart helps
    Live,
    /// Are all owned partitions restored, and does none stand still?
    Ready,
}

fn key_and_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("write it as KEY=VALUE, such as kafka.group_id=shop".to_owned()),
    }
}

/// Whole days, up to ten years.
fn days(text: &str) -> Result<u32, String> {
    const MOST: i64 = 3_650;
    let span = |text| parse_duration(text).ok().map(|duration| duration.span.0).filter(|ms| ms % Span::DAY.0 == 0);
    let days = text.parse::<i64>().ok().or_else(|| span(text).map(|ms| ms / Span::DAY.0));
    days.filter(|days| (1..=MOST).contains(days))
        .and_then(|days| u32::try_from(days).ok())
        .ok_or_else(|| format!("write whole days, from 1 to {MOST}: 45, or '6 weeks'"))
}

/// A whole number is an offset: times are written as dates here.
fn place(text: &str) -> Result<Place, String> {
    match text.parse() {
        Ok(offset) if offset >= 0 => Ok(Place::Offset(offset)),
        _ if text == "now" => Ok(Place::Now),
        _ => match instant(text) {
            Ok(at) if text.contains('-') && at.0 >= 0 => Ok(Place::Time(at)),
            _ => Err("write an offset, 2026-12-31, 2026-12-31T08:00:00Z or now".to_owned()),
        },
    }
}

/// Events in a second: above zero, and no more than any cluster carries.
fn pace(text: &str) -> Result<f64, String> {
    let pace = text.parse().ok().filter(|pace| (0.000_1..=1e9).contains(pace));
    pace.ok_or_else(|| "write a number of events from 0.0001 to 1000000000".to_owned())
}

fn from(text: &str) -> Result<From, String> {
    match text {
        "stored" => Ok(From::Stored),
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        time => instant(time).map(From::At).map_err(|problem| format!("{problem}; or stored, earliest or latest")),
    }
}

fn instant(text: &str) -> Result<Instant, String> {
    Instant::written(text).map_err(|problem| match problem {
        NotAnInstant::ProbablySeconds | NotAnInstant::Beyond => format!("{problem}; write milliseconds, or a date"),
        NotAnInstant::Unclear => "write 2026-12-31, 2026-12-31T08:00:00Z or milliseconds since 1970".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Arguments, From, Place, days, from, instant, place};
    use crate::event::Instant;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_place_is_an_offset_a_time_or_now() {
        assert_eq!(place("0"), Ok(Place::Offset(0)));
        assert_eq!(place("now"), Ok(Place::Now));
        assert_eq!(place("1970-01-02"), Ok(Place::Time(Instant(86_400_000))));
        assert!(place("-1").is_err());
        assert!(place("earliest").is_err());
    }

    #[test]
    fn a_reset_goes_on_from_a_word_or_a_time() {
        assert_eq!(from("stored"), Ok(From::Stored));
        assert_eq!(from("1970-01-02"), Ok(From::At(Instant(86_400_000))));
        assert!(from("yesterday").is_err());
    }

    #[test]
    fn a_horizon_is_whole_days() {
        assert_eq!(days("45"), Ok(45));
        assert_eq!(days("6 weeks"), Ok(42));
        assert!(days("36 hours").is_err());
        assert!(days("0").is_err());
        assert!(days("3651").is_err());
    }

    #[test]
    fn an_instant_is_milliseconds_a_stamp_or_a_date_in_utc() {
        assert_eq!(instant("1700000000000"), Ok(Instant(1_700_000_000_000)));
        assert_eq!(instant("1970-01-02"), Ok(Instant(86_400_000)));
        assert_eq!(instant("1970-01-01T02:00:00.5+01:00"), Ok(Instant(3_600_500)));
        assert!(instant("1700000000").is_err());
        assert!(instant("1700000000000000").is_err());
        assert!(instant("1970-01-02T00:00:00").is_err());
        assert!(instant("yesterday").is_err());
    }
}
