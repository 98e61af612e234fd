//! The summary of a replay, for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::cli::fit::in_words;
use crate::cli::format::{counted, grouped, untimely};
use crate::cli::history::{self, Refitted};
use crate::cli::sizes::{Sizes, sparkline};
use crate::engine::{Counts, RiskEffect};
use crate::event::{Change, DeadLetterReason, Instant};
use crate::inquiry::NotFound;
use crate::rules::{CohortIx, LOWEST_LEVEL, RuleSet};
use crate::summary::POPULATION_MIN;

/// The number of kinds of rejected records that are listed.
const REFUSALS_MAX: usize = 20;
/// The number of names and values without an event that are listed.
const NOT_FOUND_MAX: usize = 10;
/// Columns of a cohort's size over time.
const COLUMNS: usize = 40;

/// Counts of one replay. Read = applied + duplicates + dead letters.
#[derive(Debug)]
pub(in crate::cli) struct Tally {
    read: u64,
    applied: u64,
    pub(super) duplicates: u64,
    pub(in crate::cli) customers: u64,
    /// The counts of the engine.
    pub(super) counts: Counts,
    /// The latest time of an event read.
    pub(in crate::cli) last: Option<Instant>,
    /// The earliest of one applied.
    first: Option<Instant>,
    /// Events, by the reason of their rejection.
    dead_letters: BTreeMap<DeadLetterReason, u64>,
    /// Records that are not events, by detail.
    refused: BTreeMap<(DeadLetterReason, String), u64>,
    /// The ranks without a threshold at the end, with the number of ranked customers.
    pub(super) too_few: BTreeMap<String, u64>,
    /// Events that were checked for names in the rules.
    pub(super) events_looked_at: u64,
    /// Names in the rules that none of those events has.
    pub(super) not_found: Vec<NotFound>,
    /// By the rules' numbers.
    cohorts: Vec<Sizes>,
    /// Of the levels of risk above the lowest.
    levels: Vec<Sizes>,
    /// Customers with a churn risk.
    pub(super) came: u64,
    /// The results of refits of the churn model; `None` if parameters were given.
    pub(super) refitted: Option<Refitted>,
}

impl Tally {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let levels = rules.churn.as_ref().map_or(0, |churn| churn.levels.len());
        Self {
            read: 0,
            applied: 0,
            duplicates: 0,
            customers: 0,
            counts: Counts::default(),
            last: None,
            first: None,
            dead_letters: BTreeMap::new(),
            refused: BTreeMap::new(),
            too_few: BTreeMap::new(),
            events_looked_at: 0,
            not_found: Vec::new(),
            cohorts: rules.cohorts.iter().map(|_| Sizes::default()).collect(),
            levels: (0..levels).map(|_| Sizes::default()).collect(),
            came: 0,
            refitted: None,
        }
    }

    pub(super) fn read(&mut self, at: Instant) {
        self.read += 1;
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    pub(super) fn applied(&mut self, at: Instant) {
        self.applied += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }

    pub(super) fn dead_letter(&mut self, reason: DeadLetterReason) {
        *self.dead_letters.entry(reason).or_default() += 1;
    }

    /// A record that could not be decoded, so that it has no time.
    pub(super) fn refuse(&mut self, reason: DeadLetterReason, detail: &str) {
        self.read += 1;
        self.refused_for(reason, detail, 1);
    }

    fn refused_for(&mut self, reason: DeadLetterReason, detail: &str, count: u64) {
        let kind = (reason, detail.to_owned());
        let known = self.refused.len() < REFUSALS_MAX || self.refused.contains_key(&kind);
        *self.refused.entry(if known { kind } else { (reason, "of other kinds".to_owned()) }).or_default() += count;
    }

    /// The number of records read, if there are any and `run` would reject all of them.
    pub(super) fn records_if_all_are_refused(&self) -> Option<u64> {
        let refused: u64 = self.refused.values().chain(self.dead_letters.values()).sum();
        (self.read > 0 && refused == self.read).then_some(self.read)
    }

    /// Adds the counts of another log.
    pub(super) fn add(&mut self, other: Self) {
        self.read += other.read;
        self.applied += other.applied;
        self.duplicates += other.duplicates;
        self.customers += other.customers;
        self.counts += other.counts;
        self.last = self.last.max(other.last);
        self.first = [self.first, other.first].into_iter().flatten().min();
        for (reason, count) in other.dead_letters {
            *self.dead_letters.entry(reason).or_default() += count;
        }
        for ((reason, detail), count) in other.refused {
            self.refused_for(reason, &detail, count);
        }
        self.add_not_found(other.events_looked_at, other.not_found);
        for (rank, ranked) in other.too_few {
            let most = self.too_few.entry(rank).or_default();
            *most = ranked.max(*most);
        }
        for (sizes, others) in self.cohorts.iter_mut().zip(other.cohorts) {
            sizes.add(others);
        }
        for (sizes, others) in self.levels.iter_mut().zip(other.levels) {
            sizes.add(others);
        }
        self.came += other.came;
        if let Some(refitted) = other.refitted {
            self.refitted.get_or_insert_default().add(refitted);
        }
    }

    /// Not found in several logs means found in none of them.
    fn add_not_found(&mut self, events: u64, not_found: Vec<NotFound>) {
        if self.events_looked_at == 0 {
            self.not_found = not_found;
        } else if events > 0 {
            let is_there =
                |here: &NotFound| not_found.iter().any(|there| (&there.key, &there.text) == (&here.key, &here.text));
            self.not_found.retain(is_there);
        }
        self.events_looked_at += events;
    }

    /// Entries and exits for each event that was applied; 0 where none was.
    pub(in crate::cli) fn changes_per_event(&self) -> f64 {
        let changes: u64 = self.cohorts.iter().map(|sizes| sizes.entered + sizes.exited).sum();
        changes as f64 / self.applied.max(1) as f64
    }

    pub(super) fn changed(&mut self, cohort: CohortIx, at: Instant, change: Change) {
        self.cohorts[usize::from(cohort.0)].record(at, change);
    }
}

impl Tally {
    pub(super) fn level_changed(&mut self, effect: &RiskEffect) {
        for (level, change) in [(effect.previous, Change::Exited), (effect.level, Change::Entered)] {
            // All others are on the lowest level.
            if let Some(sizes) = level.checked_sub(1).and_then(|above| self.levels.get_mut(above)) {
                sizes.record(effect.at, change);
            }
        }
    }
}

/// The summary, several lines without a last line break.
pub(super) fn of(rules: &RuleSet, tally: Tally, input: history::Counts, until: Instant, took: Duration) -> String {
    let mut lines = events(&tally, input, took);
    lines.extend(not_found(&tally, ""));
    let Some(first) = tally.first else { return lines.join("\n") };
    let until = until.max(first);
    let rows: Vec<_> = rules.cohorts.iter().map(|cohort| cohort.name.clone()).zip(tally.cohorts).collect();
    if !rows.is_empty() {
        lines.push(String::new());
        lines.extend(table("cohort", rows, first, until));
    }
    if let Some(churn) = &rules.churn {
        lines.push(String::new());
        lines.extend(churn_risk(tally.came, tally.refitted.as_ref(), &tally.levels));
        let rows = churn.levels.iter().cloned().zip(tally.levels).collect();
        lines.extend(table("level", rows, first, until));
    }
    lines.join("\n")
}

/// For two rules files over the same events: the fate of the events, and a row for each cohort of each file.
pub(super) fn of_both(
    rules: [&RuleSet; 2],
    tallies: [Tally; 2],
    input: history::Counts,
    until: Instant,
    took: Duration,
) -> Vec<String> {
    let mut lines = events(&tallies[0], input, took);
    for (tally, side) in tallies.iter().zip(["a: ", "b: "]) {
        lines.extend(not_found(tally, side));
    }
    let Some(first) = tallies[0].first else { return lines };
    let mut rows = Vec::new();
    for ((rules, tally), side) in rules.into_iter().zip(tallies).zip(["a", "b"]) {
        rows.extend(rules.cohorts.iter().zip(tally.cohorts).map(|(cohort, sizes)| ((&cohort.name, side), sizes)));
    }
    rows.sort_by_key(|(key, _)| *key);
    let rows = rows.into_iter().map(|((name, side), sizes)| (format!("{name}, {side}"), sizes)).collect();
    lines.push(String::new());
    lines.extend(table("cohort", rows, first, until.max(first)));
    lines
}

fn events(tally: &Tally, input: history::Counts, took: Duration) -> Vec<String> {
    let seconds = took.as_secs_f64().max(0.001);
    let mut lines = vec![format!(
        "{} of {} in {seconds:.2} s, {} a second: {} applied, {}, {}",
        counted(tally.read, "event", "events"),
        counted(tally.customers, "customer", "customers"),
        grouped((tally.read as f64 / seconds) as u64),
        grouped(tally.applied),
        counted(tally.duplicates, "duplicate", "duplicates"),
        counted(tally.dead_letters.values().chain(tally.refused.values()).sum(), "dead letter", "dead letters"),
    )];
    let mut note = |count: u64, one: &str, more: &str| {
        if count > 0 {
            lines.push(counted(count, one, more));
        }
    };
    for ((reason, detail), count) in &tally.refused {
        let words = format!("{reason}: {detail}");
        note(*count, &words, &words);
    }
    for (reason, count) in &tally.dead_letters {
        let words = format!("{reason}: {}", untimely(*reason));
        note(*count, &words, &words);
    }
    note(input.bad_lines, "line or record could not be read", "lines or records could not be read");
    note(input.tombstones, "record without a value passed over", "records without a value passed over");
    note(input.skipped, "record skipped by its source", "records skipped by their sources");
    note(input.left_out, "event later than --until left out", "events later than --until left out");
    note(
        input.unusable_values,
        "value of a property is a number that does not fit, a list, an object or bytes, and counts as missing",
        "values of properties are numbers that do not fit, lists, objects or bytes, and count as missing",
    );
    note(
        tally.counts.approximated,
        "event beyond the exact capacity of a fact",
        "events beyond the exact capacity of a fact",
    );
    note(
        tally.counts.ids_evicted,
        "event id forgotten early; see dedupe.ids",
        "event ids forgotten early; see dedupe.ids",
    );
    for (rank, ranked) in &tally.too_few {
        let ranked = counted(*ranked, "customer", "customers");
        lines.push(format!(
            "`{rank}` has no threshold at the end, when it ranks {ranked}: nobody enters by it under {POPULATION_MIN}"
        ));
    }
    lines
}

/// Names in the rules that no event has, which make a rule that matches nobody.
fn not_found(tally: &Tally, side: &str) -> Vec<String> {
    if tally.events_looked_at == 0 {
        return Vec::new();
    }
    let events = counted(tally.events_looked_at, "event", "events");
    let line = |NotFound { key, text, hint }: &NotFound| {
        let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{side}{key}: of {events} {text}{hint}")
    };
    let mut lines: Vec<String> = tally.not_found.iter().take(NOT_FOUND_MAX).map(line).collect();
    if let more @ 1.. = tally.not_found.len().saturating_sub(NOT_FOUND_MAX) {
        lines.push(format!(
            "{side}and {more} more that no event has; `cohortd check --sample` shows all with their places"
        ));
    }
    lines
}

/// The churn model, and the customers on the lowest level.
fn churn_risk(came: u64, refitted: Option<&Refitted>, levels: &[Sizes]) -> Vec<String> {
    let above: u64 = levels.iter().map(Sizes::now).sum();
    let low = format!(
        "churn risk of {}, {} of them {LOWEST_LEVEL}",
        counted(came, "customer", "customers"),
        grouped(came.saturating_sub(above))
    );
    match refitted {
        None => vec![format!("{low}; with the parameters given")],
        Some(Refitted { last: None, .. }) => {
            vec![format!("{low}; there was nothing to fit on a Monday, so no parameters")]
        }
        Some(Refitted { times, last: Some((at, parameters)) }) => {
            let provisional = if parameters.provisional { ", provisional" } else { "" };
            let corrected = if parameters.recalibration.is_some() { ", corrected by outcomes" } else { "" };
            let fits = counted(*times, "fit", "fits");
            vec![
                format!("{low}; {fits}, the last on {}{provisional}{corrected}:", day(*at)),
                in_words(&parameters.model),
            ]
        }
    }
}

/// A table with a line of blocks for each cohort, or level.
fn table(title: &str, rows: Vec<(String, Sizes)>, from: Instant, to: Instant) -> Vec<String> {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(title.len());
    let mut lines = vec![format!(
        "{:width$}  {:>9}  {:>9}  {:>9}  {:>9}  size from {} to {}",
        title,
        "entered",
        "exited",
        "now",
        "most",
        day(from),
        day(to)
    )];
    for (name, mut sizes) in rows {
        let (over_time, most) = sizes.over_time(from, to, COLUMNS);
        let mut line = String::new();
        write!(
            line,
            "{:width$}  {:>9}  {:>9}  {:>9}  {:>9}  {}",
            name,
            grouped(sizes.entered),
            grouped(sizes.exited),
            grouped(sizes.now()),
            grouped(most),
            sparkline(&over_time),
        )
        .expect("writing to a string cannot fail");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The day in UTC.
fn day(at: Instant) -> String {
    let text = at.to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
}
