//! Two rules files over the same events: who would have entered, and who would not.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use serde::Serialize;

use super::{Deciding, strict, summary};
use crate::app::rules_file;
use crate::cli::arguments::Replay;
use crate::cli::history::{Held, Input, shard};
use crate::cli::output::{self, Stopped};
use crate::cli::progress::Progress;
use crate::cli::words::grouped;
use crate::engine::{Membership, Shard, Slot};
use crate::event::{CustomerEvent, Instant, Properties, PropertyId, Vocabulary};
use crate::rules::RuleSet;
use crate::settings::Loaded;

/// One of the two, with how the common numbers of properties are its own.
struct Side {
    rules: Arc<RuleSet>,
    deciding: Deciding<io::Sink>,
    properties: Vec<Option<PropertyId>>,
}

impl Side {
    fn new(settings: &Loaded, rules: Arc<RuleSet>, common: &Vocabulary) -> Self {
        let properties = common.properties().into_iter().map(|name| rules.vocabulary.property(name)).collect();
        Self { deciding: Deciding::silent(shard(&settings.settings, &rules)), rules, properties }
    }

    fn take(&mut self, event: &CustomerEvent<'_>) -> Result<(), Stopped> {
        let own = |id: PropertyId| self.properties.get(usize::from(id.0)).copied().flatten();
        let properties: Properties<'_> =
            event.properties.iter().filter_map(|(id, value)| Some((own(*id)?, *value))).collect();
        let name_id = self.rules.vocabulary.name(event.name);
        self.deciding.take(&CustomerEvent { name_id, properties: &properties, ..*event })
    }
}

/// What differs for one customer in one cohort: a line on stdout, what others depend on, keys and their order too.
#[derive(Serialize)]
struct Line<'a> {
    cohort: &'a str,
    customer_id: &'a str,
    difference: Difference,
    a: Story,
    b: Story,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    OnlyA,
    OnlyB,
    Otherwise,
}

/// What a customer's events came to in one cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Story {
    entered: u32,
    first_entered_at: Option<i64>,
    #[serde(rename = "in")]
    member: bool,
}

impl Story {
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

/// Replays the files with both; differences go to stdout, all else to stderr.
///
/// # Errors
/// As of a replay.
pub(super) fn run(settings: &Loaded, asked: &Replay, other: &Path) -> Result<(), Stopped> {
    let first = rules_file::load(settings, asked.rules.clone())?;
    let second = rules_file::load(settings, Some(other.to_owned()))?;
    let started = Stopwatch::now();
    let mut common = first.rules.vocabulary.clone();
    common.absorb(&second.rules.vocabulary);
    let mut a = Side::new(settings, Arc::clone(&first.rules), &common);
    let mut b = Side::new(settings, Arc::clone(&second.rules), &common);
    let mut input = Input::new(&asked.files, asked.until);
    let reading = Progress::of_reading(input.bytes());
    if asked.as_is {
        input.read_all(&common, &reading, |event| a.take(event).and_then(|()| b.take(event)))?;
    } else {
        let mut held = Held::default();
        input.read_all(&common, &reading, |event| {
            held.push(event);
            Ok(())
        })?;
        let progress = Progress::of_deciding(held.len());
        held.for_each_by_time(&progress, |event| a.take(event).and_then(|()| b.take(event)))?;
        progress.finish();
    }
    let until = asked.until.or_else(|| a.deciding.tally().last).unwrap_or(Instant::MIN);
    let (tally_a, shard_a) = a.deciding.finish(until)?;
    let (tally_b, mut shard_b) = b.deciding.finish(until)?;
    let counts = differences([&a.rules, &b.rules], &shard_a, &mut shard_b)?;
    let tallies = [tally_a, tally_b];
    let mut lines = summary::of_both([&a.rules, &b.rules], tallies, input.counts(), until, started.elapsed());
    lines.push(format!("a: {}, b: {}", first.name, second.name));
    lines.push(String::new());
    lines.extend(counts.iter().map(|counts| counts.in_words(&second.name)));
    output::say(&lines.join("\n"));
    strict(asked, input.counts().bad_lines)
}

/// Of one cohort, how many customers differ and how.
#[derive(Debug, Default)]
struct Counts {
    cohort: String,
    /// Is it in the one file and in the other?
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

/// Writes every difference, by cohort, then customer, and counts them. Both partitions took in the same events, so both
/// know the same customers.
fn differences(rules: [&RuleSet; 2], a: &Shard, b: &mut Shard) -> Result<Vec<Counts>, Stopped> {
    let mut cohorts: Vec<&str> = rules.iter().flat_map(|rules| &rules.cohorts).map(|cohort| &*cohort.name).collect();
    cohorts.sort_unstable();
    cohorts.dedup();
    let mut customers: Vec<(&str, Slot, Option<Slot>)> = (0..a.len())
        .map(|slot| Slot(u32::try_from(slot).expect("slots are numbered in 32 bits")))
        .map(|slot| (a.customer(slot), slot, b.find(a.customer(slot))))
        .collect();
    customers.sort_unstable();
    let mut out = output::results();
    let mut all = Vec::new();
    for cohort in cohorts {
        let places = rules.map(|rules| rules.cohorts.iter().position(|found| found.name == cohort));
        let mut counts =
            Counts { cohort: cohort.to_owned(), defined: places.map(|place| place.is_some()), ..Counts::default() };
        for (customer_id, slot_a, slot_b) in &customers {
            let story = |shard: &Shard, slot: Option<Slot>, place: Option<usize>| {
                let (Some(slot), Some(place)) = (slot, place) else { return Story::default() };
                Story::of(&shard.state(slot).memberships[place])
            };
            let (story_a, story_b) = (story(a, Some(*slot_a), places[0]), story(b, *slot_b, places[1]));
            let Some(difference) = story_a.differs_from(story_b) else { continue };
            match difference {
                Difference::OnlyA => counts.only_a += 1,
                Difference::OnlyB => counts.only_b += 1,
                Difference::Otherwise => counts.otherwise += 1,
            }
            let line = Line { cohort, customer_id, difference, a: story_a, b: story_b };
            serde_json::to_writer(&mut out, &line).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        all.push(counts);
    }
    out.flush()?;
    Ok(all)
}
