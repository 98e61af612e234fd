//! What became visible, held against what had to: nothing lost, nothing twice, every instant right.
//!
//! Each customer is decided by the naive evaluator over the whole history, and compared change by change with
//! what is in the topic. Across edits of the rules this is exact for the cohorts that are never edited; of the edited one
//! the members must be those of a fresh start under the rules now in force, and its changes must follow on one another.

use std::collections::{BTreeMap, BTreeSet};

use cohortd::codec::Output;
use cohortd::event::{Change, Instant};
use cohortd::store::{Meta, Recorded, decode_meta};
use serde_json::Value;

use crate::hostile::{self, Letter};
use crate::input::{Edit, Input};
use crate::reader::{Reader, Seen};
use crate::rules::{BASE, EDITED, Version};
use crate::sources::Sources;

/// Differences shown for one check.
const SHOWN_MAX: usize = 5;
const TEXT_MAX: usize = 4_000;

pub(super) struct Checker {
    inputs: Reader,
    /// Where the input is gathered from, if it is.
    sources: Option<Sources>,
    changes: Reader,
    members: Reader,
    letters: Reader,
    log: Reader,
    partitions: Vec<Partition>,
    /// Every id of a change, ever.
    ids: BTreeSet<String>,
    version: Option<Version>,
}

#[derive(Default)]
struct Partition {
    input: Input,
    /// By customer, all changes in their order.
    changes: BTreeMap<String, Vec<Published>>,
    /// Customers with new events or changes since the last check.
    fresh: BTreeSet<String>,
    /// By offset of the input.
    letters: BTreeMap<i64, Letter>,
    /// The late events of customers checked so far.
    too_late: BTreeMap<String, Vec<i64>>,
    table: BTreeMap<String, Value>,
    fold: BTreeMap<String, Value>,
    edited: BTreeMap<String, bool>,
    meta: Option<Meta>,
}

struct Published {
    cohort: String,
    line: String,
    at: Instant,
    /// The offset of the input at which it was decided.
    position: i64,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Compared {
    pub(super) events: usize,
    pub(super) changes: usize,
    pub(super) hostile: usize,
    pub(super) letters: usize,
    pub(super) customers: usize,
    /// Records of sources.
    pub(super) sources: usize,
}

impl Checker {
    pub(super) fn new(bootstrap: &str, name: &str, gathers: bool, partitions: i32) -> Self {
        let reader = |kind: &str| Reader::new(bootstrap, &format!("{name}-{kind}"), partitions);
        Self {
            inputs: reader("in"),
            sources: gathers.then(|| Sources::new(bootstrap, name)),
            changes: reader("changes"),
            members: reader("members"),
            letters: reader("letters"),
            log: reader("log"),
            partitions: (0..partitions)
                .map(|_| Partition { input: Input::new(gathers), ..Partition::default() })
                .collect(),
            ids: BTreeSet::new(),
            version: None,
        }
    }

    /// Reads the changelog on; META of each partition, as far as there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn metas(&mut self) -> Result<Vec<Option<&Meta>>, String> {
        for seen in self.log.read()? {
            let part = &mut self.partitions[usize::try_from(seen.partition).unwrap()];
            let (Some(key), Some(payload)) = (seen.key, seen.payload) else { continue };
            match key.first() {
                Some(b'M') => part.meta = Some(decode_meta(&payload).map_err(|error| error.to_string())?),
                Some(b'I') => {
                    if let (position, Recorded::Advance(to)) =
                        Recorded::read(&key, &payload).map_err(|error| error.to_string())?
                    {
                        part.input.take_advance(position, to);
                    }
                }
                _ => {}
            }
        }
        Ok(self.partitions.iter().map(|part| part.meta.as_ref()).collect())
    }

    /// Compares all that is visible now. Only while nothing is under way, under this version of the rules.
    ///
    /// # Errors
    /// The differences, or why nothing could be compared.
    pub(super) fn check(&mut self, version: Version) -> Result<Compared, Vec<String>> {
        self.metas().map_err(|error| vec![error])?;
        let mut wrong = Vec::new();
        self.read(&mut wrong).map_err(|error| vec![error])?;
        let was_edited = self.version.replace(version) != Some(version);
        let mut compared = Compared::default();
        if let Some(sources) = &self.sources {
            sources.compare(&mut wrong);
            compared.sources = sources.count();
        }
        for (number, part) in self.partitions.iter_mut().enumerate() {
            let before = wrong.len();
            part.input.compute_times();
            part.compare_changes(&mut wrong);
            part.compare_dead_letters(&mut wrong);
            part.compare_members(version, was_edited, &mut wrong);
            compared.events += part.input.events();
            compared.hostile += part.input.hostile().len();
            compared.letters += part.letters.len();
            compared.changes += part.changes.values().map(Vec::len).sum::<usize>();
            compared.customers += part.changes.len();
            part.fresh.clear();
            for text in &mut wrong[before..] {
                *text = format!("partition {number}: {text}");
            }
        }
        if wrong.is_empty() { Ok(compared) } else { Err(shortened(wrong)) }
    }

    /// Reads all topics on: the dead letters first, since they say which of the input are no events.
    fn read(&mut self, wrong: &mut Vec<String>) -> Result<(), String> {
        for seen in self.letters.read()? {
            if let Some(outcome) = self.sources.as_mut().and_then(|sources| sources.take_letter(&seen)) {
                wrong.extend(outcome.err());
                continue;
            }
            let part = &mut self.partitions[usize::try_from(seen.partition).unwrap()];
            let Ok(offset) = seen.header("cohortd_offset").parse() else {
                wrong.push(format!("a dead letter without an offset: {:?}", seen.headers));
                continue;
            };
            if part.letters.insert(offset, Letter::of(&seen)).is_some() {
                wrong.push(format!("record {offset} is in the dead letters twice"));
            }
        }
        let partitions = i32::try_from(self.partitions.len()).unwrap();
        if let Some(sources) = &mut self.sources {
            sources.read()?;
        }
        for seen in self.inputs.read()? {
            if let Some(sources) = &mut self.sources {
                wrong.extend(sources.take_gathered(&seen, partitions).err());
            }
            let part = &mut self.partitions[usize::try_from(seen.partition).unwrap()];
            let letters = &part.letters;
            let customer = part.input.take(&seen, |offset| letters.contains_key(&offset));
            part.fresh.extend(customer);
        }
        for seen in self.changes.read()? {
            let part = &mut self.partitions[usize::try_from(seen.partition).unwrap()];
            if let Err(problem) = part.take_change(&seen, &mut self.ids) {
                wrong.push(problem);
            }
        }
        for seen in self.members.read()? {
            let part = &mut self.partitions[usize::try_from(seen.partition).unwrap()];
            let key = String::from_utf8_lossy(seen.key.as_deref().unwrap_or_default()).into_owned();
            match seen.payload.map(|row| Output::CohortMember.to_json(&row)) {
                Some(Some(row)) => part.table.insert(key, row),
                Some(None) => return Err(format!("a row of {key} is no CohortMember")),
                None => part.table.remove(&key),
            };
        }
        Ok(())
    }
}

fn shortened(mut wrong: Vec<String>) -> Vec<String> {
    let more = wrong.len().saturating_sub(SHOWN_MAX);
    wrong.truncate(SHOWN_MAX);
    for text in &mut wrong {
        // Some customers have very long ids.
        *text = text.chars().take(TEXT_MAX).collect();
    }
    if more > 0 {
        wrong.push(format!("and {more} more differences"));
    }
    wrong
}

impl Partition {
    /// Takes a change and checks that it follows on what came before.
    fn take_change(&mut self, seen: &Seen, ids: &mut BTreeSet<String>) -> Result<(), String> {
        let payload = seen.payload.as_ref().ok_or("a change without a value")?;
        let change = Output::CohortChange.to_json(payload).ok_or("a change is no CohortChange")?;
        let text = |field: &str| change[field].as_str().unwrap_or_default().to_owned();
        let (customer, cohort) = (text("customer_id"), text("cohort"));
        if !ids.insert(text("event_id")) {
            return Err(format!("twice: {change}"));
        }
        self.fresh.insert(customer.clone());
        let position: i64 = seen.header("cohortd_position").parse().map_err(|_| "a change without a position")?;
        let line = line(
            &cohort,
            &text("change"),
            &change["occurred_at"],
            &text("reason"),
            &self.input.place_of(&change["cause"]),
            &change["entered_at"],
            &change["times_entered"],
        );
        let changes = self.changes.entry(customer.clone()).or_default();
        let at = Instant(change["occurred_at"].as_i64().ok_or("a change without an instant")?);
        changes.push(Published { cohort: cohort.clone(), line, at, position });
        if change["sequence"] != changes.len() {
            return Err(format!("a gap before, or a repetition: change {} of its customer is {change}", changes.len()));
        }
        let key = format!("{cohort}/{customer}");
        let is_in = self.fold.contains_key(&key);
        if is_in == (change["change"] == "ENTERED") {
            return Err(format!("in twice or out twice: {change}"));
        }
        if is_in {
            self.fold.remove(&key);
        } else {
            let fields = ["customer_id", "cohort", "entered_at", "times_entered", "event_id", "sequence", "reason"];
            let row: serde_json::Map<String, Value> =
                fields.iter().map(|field| ((*field).to_owned(), change[*field].clone())).collect();
            self.fold.insert(key, Value::Object(row));
        }
        Ok(())
    }

    fn compare_changes(&mut self, wrong: &mut Vec<String>) {
        for customer in &self.fresh {
            let none = Vec::new();
            let published = self.changes.get(customer).unwrap_or(&none);
            let edited = published.iter().filter(|published| published.line.contains(" reason DEFINITION_CHANGED "));
            let edits: Vec<Edit> =
                edited.map(|published| Edit { position: published.position, at: published.at }).collect();
            let judged = self.input.judge(customer, BASE, &edits);
            let expected: Vec<String> = judged
                .outcome
                .changes
                .iter()
                .filter(|change| change.customer == *customer)
                .map(|change| {
                    let cause = change.cause.map_or(Value::Null, |cause| judged.offset(cause).into());
                    let line = line(
                        &change.cohort,
                        change.change.symbol(),
                        &change.occurred_at.0.into(),
                        change.reason.as_str(),
                        &cause,
                        &change.entered_at.0.into(),
                        &change.times_entered.into(),
                    );
                    placed(&line, self.input.decided_at(&judged, change.position, change.occurred_at))
                })
                .collect();
            // The position is looked up only now, since the log has grown since the change was published.
            let published = published.iter().filter(|published| published.cohort != EDITED);
            let published: Vec<String> =
                published.map(|published| placed(&published.line, self.input.place(published.position))).collect();
            if published != expected {
                let same =
                    expected.iter().zip(&published).take_while(|(expected, published)| expected == published).count();
                wrong.push(format!(
                    "customer {customer}: after {same} changes as expected come\n    expected {:#?}\n    said {:#?}\n    \
                     of {} and {} in all",
                    &expected[same..(same + 3).min(expected.len())],
                    &published[same..(same + 3).min(published.len())],
                    expected.len(),
                    published.len()
                ));
            }
            self.too_late.insert(customer.clone(), judged.too_late);
        }
    }

    /// Exactly the hostile ones and those that came too late, each with its reason and as it came.
    fn compare_dead_letters(&self, wrong: &mut Vec<String>) {
        let too_late: BTreeSet<i64> = self.too_late.values().flatten().copied().collect();
        for (offset, letter) in &self.letters {
            let expected: &[&str] = match self.input.hostile().get(offset).map(String::as_str) {
                Some(kind) => hostile::reasons(kind),
                None if too_late.contains(offset) => &["too_late"],
                None => &[],
            };
            let reason = &letter.reason;
            if !expected.contains(&reason.as_str()) {
                let kind = self.input.hostile().get(offset);
                wrong.push(format!("record {offset} ({kind:?}) is set aside as {reason}, expected {expected:?}"));
            }
            if !self.input.content(*offset).is_some_and(|content| letter.is_as_it_came(content)) {
                wrong.push(format!("the dead letter of record {offset} is not as it came"));
            }
        }
        let must = self
            .input
            .hostile()
            .iter()
            .filter(|(_, kind)| ![hostile::TOMBSTONE, hostile::LONG_ID].contains(&kind.as_str()));
        for offset in must.map(|(offset, _)| offset).chain(&too_late) {
            if !self.letters.contains_key(offset) {
                let kind = self.input.hostile().get(offset).map_or("too late", String::as_str);
                wrong.push(format!("record {offset} ({kind}) is not in the dead letters"));
            }
        }
    }

    fn compare_members(&mut self, version: Version, was_edited: bool, wrong: &mut Vec<String>) {
        for key in self.table.keys().chain(self.fold.keys()).collect::<BTreeSet<_>>() {
            let (row, change) = (self.table.get(key), self.fold.get(key));
            let is_same = match (row, change) {
                (Some(row), Some(change)) => {
                    change.as_object().unwrap().iter().all(|(name, value)| row[name] == *value)
                }
                _ => false,
            };
            if !is_same {
                wrong.push(format!("members say {row:?} of {key}, the changes come to {change:?}"));
            }
        }
        let rules = version.edited_alone();
        let concerned: Vec<String> = if was_edited {
            self.input.customers().cloned().collect()
        } else {
            self.fresh.iter().filter(|customer| self.input.knows(customer)).cloned().collect()
        };
        for customer in concerned {
            let is_member = rules.as_ref().is_some_and(|rules| {
                let judged = self.input.judge(&customer, rules, &[]);
                let last = judged.outcome.changes.iter().rfind(|change| change.customer == customer);
                last.is_some_and(|change| change.change == Change::Entered)
            });
            self.edited.insert(customer, is_member);
        }
        for (customer, is_member) in &self.edited {
            let key = format!("{EDITED}/{customer}");
            if self.fold.contains_key(&key) != *is_member {
                wrong.push(format!("{customer} should be a member of {EDITED}: {is_member}, under {rules:?}"));
            }
        }
    }
}

fn line(
    cohort: &str,
    change: &str,
    at: &Value,
    reason: &str,
    cause: &Value,
    entered_at: &Value,
    times: &Value,
) -> String {
    format!("{change} {cohort} at {at} reason {reason} cause {cause} since {entered_at} times {times}")
}

fn placed(line: &str, place: i64) -> String {
    match place {
        i64::MAX => format!("{line}, decided at the end"),
        offset => format!("{line}, decided at {offset}"),
    }
}
