//! Two rules files over the same events: who would have entered, and who would not.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use serde::Serialize;

use super::summary::{self, Tally};
use super::topic::{self, Part};
use super::{Deciding, strict};
use crate::app::rules_file;
use crate::cli::arguments::Replay;
use crate::cli::format::grouped;
use crate::cli::history::{self, Budget, EventBuffer, Files, Input, RANKED_APART, Seen, Topic, shard};
use crate::cli::output::{self, Stopped};
use crate::cli::progress::Progress;
use crate::engine::{Membership, Parameters, Shard, Slot};
use crate::event::{CustomerEvent, Instant, Properties, PropertyId, Vocabulary};
use crate::rules::RuleSet;
use crate::settings::Loaded;

/// One of the two, with the mapping from common property ids to its own.
struct Side {
    rules: Arc<RuleSet>,
    deciding: Deciding<io::Sink>,
    properties: Vec<Option<PropertyId>>,
}

impl Side {
    fn new(settings: &Loaded, rules: Arc<RuleSet>, parameters: Option<Arc<Parameters>>, common: &Vocabulary) -> Self {
        let properties = common.properties().into_iter().map(|name| rules.vocabulary.property(name)).collect();
        let mut deciding = Deciding::silent(shard(&settings.settings, &rules));
        deciding.set_parameters(parameters);
        Self { deciding, rules, properties }
    }

    fn apply(&mut self, event: &CustomerEvent<'_>) -> Result<(), Stopped> {
        let own = |id: PropertyId| {
            let own = self.properties.get(usize::from(id.alone().0)).copied().flatten()?;
            Some(if id.is_in_a_list() { own.in_a_list() } else { own })
        };
        let properties: Properties<'_> =
            event.properties.iter().filter_map(|(id, value)| Some((own(*id)?, *value))).collect();
        let name_id = self.rules.vocabulary.name(event.name);
        self.deciding.apply(&CustomerEvent { name_id, properties: &properties, ..*event })
    }
}

/// A difference for one customer in one cohort, as a line on stdout: a public format, including keys and their order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Line<'a> {
    cohort: &'a str,
    customer_id: String,
    difference: Difference,
    a: CohortResult,
    b: CohortResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    OnlyA,
    OnlyB,
    Otherwise,
}

/// The result of a customer's events in one cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
struct CohortResult {
    entered: u32,
    first_entered_at: Option<i64>,
    #[serde(rename = "in")]
    member: bool,
}

impl CohortResult {
    fn of(membership: &Membership) -> Self {
        let entered = membership.times_entered;
        let first_entered_at = (entered > 0).then_some(membership.first_entered_at.0);
        Self { entered, first_entered_at, member: membership.member }
    }

    fn differs_from(self, other: Self) -> Option<Difference> {
        match (self.entered > 0, other.entered > 0) {
            (true, false) => Some(Difference::OnlyA),
            (false, true) => Some(Difference::OnlyB),
            _ => (self != other).then_some(Difference::Otherwise),
        }
    }
}

/// Replays files or a topic with both; differences go to stdout, everything else to stderr.
///
/// # Errors
/// As of a replay.
pub(super) fn run(settings: &Loaded, asked: &Replay, other: &Path) -> Result<(), Stopped> {
    let files = [rules_file::load(settings, asked.rules.clone())?, rules_file::load(settings, Some(other.to_owned()))?];
    let names = files.each_ref().map(|file| file.name.clone());
    let rules = files.map(|file| file.rules);
    let started = Stopwatch::now();
    let [a, b] = rules.each_ref().map(|rules| super::parameters(asked, rules));
    let mut both = Both::new(settings, &rules, [a?, b?]);
    let input = match &asked.range.topic {
        Some(topic) => both.over_topic(asked, topic)?,
        None => both.over_files(asked)?,
    };
    let until = asked.until.or(both.tallies[0].last).unwrap_or(Instant::MIN);
    let nothing_read = asked.range.topic.as_ref().map_or(Ok(()), |name| topic::nothing_read(name, &both.tallies[0]));
    let counts = write_lines(&rules, both.lines)?;
    let rules = rules.each_ref().map(|rules| &**rules);
    let mut lines = summary::of_both(rules, both.tallies, input, until, started.elapsed());
    lines.push(format!("a: {}, b: {}", names[0], names[1]));
    lines.push(String::new());
    lines.extend(counts.iter().map(|counts| counts.in_words(&names[1])));
    output::say(&lines.join("\n"));
    if asked.range.topic.is_some() && rules.iter().any(|rules| !rules.rankings.is_empty()) {
        output::say(RANKED_APART);
    }
    nothing_read?;
    strict(asked, input.bad_lines)
}

/// Both rules over one log after another.
struct Both<'a> {
    settings: &'a Loaded,
    rules: &'a [Arc<RuleSet>; 2],
    parameters: [Option<Arc<Parameters>>; 2],
    common: Vocabulary,
    tallies: [Tally; 2],
    lines: Vec<Line<'a>>,
}

impl<'a> Both<'a> {
    fn new(settings: &'a Loaded, rules: &'a [Arc<RuleSet>; 2], parameters: [Option<Arc<Parameters>>; 2]) -> Self {
        let mut common = rules[0].vocabulary.clone();
        common.absorb(&rules[1].vocabulary);
        let tallies = rules.each_ref().map(|rules| Tally::new(rules));
        Self { settings, rules, parameters, common, tallies, lines: Vec::new() }
    }

    fn sides(&self) -> [Side; 2] {
        [0, 1].map(|side| {
            Side::new(self.settings, Arc::clone(&self.rules[side]), self.parameters[side].clone(), &self.common)
        })
    }

    fn over_files(&mut self, asked: &Replay) -> Result<history::Counts, Stopped> {
        let [mut a, mut b] = self.sides();
        let files = Files::of(self.settings, &asked.files, &asked.shape, asked.rules.as_deref())?;
        let mut input = Input::new(&files, asked.until);
        let reading = Progress::of_reading(input.bytes());
        if asked.as_is {
            input.read_all(&self.common, &reading, |event| a.apply(event).and_then(|()| b.apply(event)))?;
        } else {
            let mut held = EventBuffer::within(Budget::of(self.settings.settings.memory));
            input.read_all(&self.common, &reading, |event| held.push(event))?;
            let progress = Progress::of_deciding(held.len());
            held.for_each_by_time(&progress, |event| a.apply(event).and_then(|()| b.apply(event)))?;
            progress.finish();
        }
        self.add([a, b], asked.until)?;
        Ok(input.counts())
    }

    fn over_topic(&mut self, asked: &Replay, name: &str) -> Result<history::Counts, Stopped> {
        let mut topic = Topic::open(self.settings, name, asked.until)?;
        let (parts, progress) = topic::parts(&topic, &asked.range)?;
        for Part { partition, offsets } in parts {
            let [mut a, mut b] = self.sides();
            topic.read(partition, offsets, &self.common, &progress, |seen| match seen {
                Seen::Event(event) => a.apply(event).and_then(|()| b.apply(event)),
                Seen::Refused(reason, detail) => {
                    a.deciding.refuse(reason, detail);
                    b.deciding.refuse(reason, detail);
                    Ok(())
                }
            })?;
            self.add([a, b], asked.until)?;
        }
        progress.finish();
        Ok(topic.counts())
    }

    /// Finishes a log and compares the results. Both sides read the same events, so both know the same customers.
    fn add(&mut self, [a, b]: [Side; 2], until: Option<Instant>) -> Result<(), Stopped> {
        let until = until.or_else(|| a.deciding.tally().last).unwrap_or(Instant::MIN);
        let (tally_a, shard_a) = a.deciding.finish(until)?;
        let (tally_b, mut shard_b) = b.deciding.finish(until)?;
        self.tallies[0].add(tally_a);
        self.tallies[1].add(tally_b);
        let place = |rules: &RuleSet, cohort| rules.cohorts.iter().position(|found| found.name == cohort);
        let places = cohorts(self.rules).map(|name| (name, self.rules.each_ref().map(|rules| place(rules, name))));
        let places: Vec<_> = places.collect();
        for slot in (0..shard_a.len()).map(|slot| Slot(u32::try_from(slot).expect("slots are numbered in 32 bits"))) {
            let customer = shard_a.customer(slot);
            let other = shard_b.find(customer);
            for (cohort, places) in &places {
                let story = |shard: &Shard, slot: Option<Slot>, place: Option<usize>| {
                    let (Some(slot), Some(place)) = (slot, place) else { return CohortResult::default() };
                    CohortResult::of(&shard.state(slot).memberships[place])
                };
                let (a, b) = (story(&shard_a, Some(slot), places[0]), story(&shard_b, other, places[1]));
                if let Some(difference) = a.differs_from(b) {
                    self.lines.push(Line { cohort, customer_id: customer.to_owned(), difference, a, b });
                }
            }
        }
        Ok(())
    }
}

/// The cohorts of either file, by name.
fn cohorts(rules: &[Arc<RuleSet>; 2]) -> impl Iterator<Item = &str> {
    let names: BTreeSet<&str> = rules.iter().flat_map(|rules| &rules.cohorts).map(|cohort| &*cohort.name).collect();
    names.into_iter()
}

/// For one cohort, how many customers differ and how.
#[derive(Debug)]
struct Counts {
    cohort: String,
    /// Is it in each of the files?
    defined: [bool; 2],
    only_a: u64,
    only_b: u64,
    otherwise: u64,
}

impl Counts {
    fn in_words(&self, other: &str) -> String {
        let noun = |count: u64| if count == 1 { "person" } else { "people" };
        let people = |count: u64| format!("{} {}", grouped(count), noun(count));
        let Self { cohort, only_a, only_b, otherwise, .. } = self;
        match self.defined {
            [true, false] => format!("{cohort}: not in {other}; {} entered", people(*only_a)),
            [false, true] => format!("{cohort}: only in {other}; {} would have entered", people(*only_b)),
            _ if only_a + only_b + otherwise == 0 => format!("{cohort}: no difference"),
            _ => {
                let mut parts = Vec::new();
                if *only_b > 0 {
                    parts.push(format!("{} more {} would have entered", grouped(*only_b), noun(*only_b)));
                }
                if *only_a > 0 {
                    parts.push(format!("{} who entered would not", people(*only_a)));
                }
                if *otherwise > 0 {
                    parts.push(format!("{} would have come or gone at other times", people(*otherwise)));
                }
                format!("{cohort}: with {other} {}", parts.join(", "))
            }
        }
    }
}

/// Writes every difference, by cohort, then customer, and counts them.
fn write_lines(rules: &[Arc<RuleSet>; 2], mut lines: Vec<Line<'_>>) -> Result<Vec<Counts>, Stopped> {
    lines.sort_unstable();
    let mut out = output::results();
    for line in &lines {
        serde_json::to_writer(&mut out, line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    let counts = |cohort: &str| {
        let own = || lines.iter().filter(|line| line.cohort == cohort);
        let count = |difference| own().filter(|line| line.difference == difference).count() as u64;
        Counts {
            cohort: cohort.to_owned(),
            defined: rules.each_ref().map(|rules| rules.cohorts.iter().any(|found| found.name == cohort)),
            only_a: count(Difference::OnlyA),
            only_b: count(Difference::OnlyB),
            otherwise: count(Difference::Otherwise),
        }
    };
    Ok(cohorts(rules).map(counts).collect())
}
