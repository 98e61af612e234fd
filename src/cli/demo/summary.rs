//! The texts before and after the demo.

use std::ops::Range;

use super::Watched;
use super::screen::date;
use crate::app::demo::{Demo, Figures, LIVES, Options, SOURCE_TOPICS};
use crate::cli::format::{counted, grouped};
use crate::cli::sizes::sparkline;
use crate::event::{Instant, Span};
use crate::rules::RuleSet;

/// Columns of a row beside its cohort's name and its line of blocks.
const FIGURES: usize = 30;
/// The maximum number of blocks.
const BLOCKS_MAX: usize = 60;

/// The first line, shown before anything is started.
pub(super) fn first_word(options: &Options) -> String {
    format!(
        "A shop of {} customers lives {} months in about {} s.\n",
        grouped(options.customers.into()),
        LIVES.0 / (30 * Span::DAY.0),
        options.pace.as_secs(),
    )
}

/// How it is built, and where to look next.
pub(super) fn opening(demo: &Demo) -> String {
    let address = demo.metrics_address();
    let [shop, desk] = SOURCE_TOPICS;
    let cohorts = counted(demo.rules().cohorts.len() as u64, "cohort", "cohorts");
    format!(
        "  {shop} (Avro) ──────┐
  {desk} (JSON) ──┴─► gather ─► cohortd-events ─► lane ({cohorts}, RocksDB)
                             here ◄─ cohort-changes ◄─┘

Two topics become one log: the shop's events, and the tickets of its support desk.

  metrics   http://{address}/metrics, while it runs
  to stop   Ctrl-C: the lane drains, and the figures so far are shown

A line says when it became so (UTC), who, in or out of which cohort, and why.
Changes come faster than one can read: about two a second are shown.
The lane joins its consumer group first; the group waits 3 s for others to come.
"
    )
}

/// Several lines without a last line break.
pub(super) fn of(
    rules: &RuleSet,
    time: Range<Instant>,
    figures: Figures,
    watched: Watched,
    customers: u32,
    columns: usize,
) -> String {
    let to = figures.lived.max(time.start);
    let seconds = watched.lived.as_secs_f64().max(0.001);
    let mut lines = vec![
        String::new(),
        format!(
            "{} to {} in {seconds:.1} s: {} of {}, {} of them from tickets.",
            date(time.start),
            date(to),
            counted(figures.events(), "event", "events"),
            counted(customers.into(), "customer", "customers"),
            grouped(figures.tickets),
        ),
        format!(
            "{} a second: {} applied, {} sent twice and skipped, {}.",
            grouped((figures.events() as f64 / seconds) as u64),
            grouped(figures.applied),
            grouped(figures.skipped),
            counted(figures.dead, "dead letter", "dead letters"),
        ),
        format!(
            "{}, {} of them by time alone, with no event; {} shown above.",
            counted(watched.changes, "change", "changes"),
            grouped(watched.by_time),
            grouped(watched.shown),
        ),
        String::new(),
    ];
    lines.extend(table(rules, watched, time.start, to, columns));
    lines.extend(
        "
What this does not prove: the broker in this process is librdkafka's mock. It
has no transactions, keeps about 5 MB a partition and forgets all of it now, so
nothing here shows exactly-once or a restart. `make test` shows both, on Kafka.

Where to go next
  cohortd demo --rules FILE            your cohorts, in this shop; begin with a
                                       copy of config/rules.toml
  cohortd replay --rules FILE EVENTS   your cohorts, on your history, no Kafka
  cohortd run --config FILE            the daemon on your Kafka; see README.md"
            .lines()
            .map(str::to_owned),
    );
    lines.join("\n")
}

/// A row for each cohort, its size over time as a line of blocks.
fn table(rules: &RuleSet, watched: Watched, from: Instant, to: Instant, columns: usize) -> Vec<String> {
    let width = rules.cohorts.iter().map(|cohort| cohort.name.chars().count()).max().unwrap_or(0).max("cohort".len());
    let blocks = columns.saturating_sub(width + FIGURES + 1).clamp(10, BLOCKS_MAX);
    let mut lines =
        vec![format!("{:width$} {:>7} {:>7} {:>5} {:>5}  size", "cohort", "entered", "left", "now", "most")];
    for (cohort, mut sizes) in rules.cohorts.iter().zip(watched.cohorts) {
        let (over_time, most) = sizes.over_time(from, to, blocks);
        let row = format!(
            "{:width$} {:>7} {:>7} {:>5} {:>5}  {}",
            cohort.name,
            grouped(sizes.entered),
            grouped(sizes.exited),
            grouped(sizes.now()),
            grouped(most),
            sparkline(&over_time),
        );
        lines.push(row.trim_end().to_owned());
    }
    lines
}
