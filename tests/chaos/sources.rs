//! The shop's events in two topics of other shapes, which the daemon gathers into its log; and whether each of their records
//! is in that log, or among the dead letters, exactly once.

use std::collections::BTreeMap;

use cohortd::event::Number;
use cohortd::kafka::partition_of;
use serde_json::json;

use crate::avro;
use crate::hostile::{self, HEADER, Letter};
use crate::naive::{LogEvent, OwnedValue};
use crate::reader::{Reader, Seen};

/// Each with its number of partitions.
const TOPICS: [(&str, i32); 2] = [("orders", 2), ("clicks", 3)];

const FILE: &str = r#"
[sources.orders]
topic = "{name}-orders"
customer = "customer_id"
no_customer = "dead_letter"
time = "occurred_at"
event = { field = "event" }
id = "event_id"
properties = { amount = "properties.amount" }

[sources.clicks]
topic = "{name}-clicks"
format = "json"
customer = "visitor.id"
time = { field = "ts", unit = "milliseconds" }
event = { field = "action" }
"#;

/// The sources file of a run.
pub(super) fn file(name: &str) -> String {
    FILE.replace("{name}", name)
}

/// The topics of a run, each with its number of partitions.
pub(super) fn topics(name: &str) -> Vec<(String, i32)> {
    TOPICS.iter().map(|(kind, partitions)| (format!("{name}-{kind}"), *partitions)).collect()
}

/// Where an event is written, and under which key: not the customer's. `framed` is the event as a `CustomerEvent`.
pub(super) fn record(name: &str, event: &LogEvent, number: i64, framed: Vec<u8>) -> (String, String, Vec<u8>) {
    if ["purchase", "cart", "refund"].contains(&event.name.as_str()) {
        return (format!("{name}-orders"), format!("order-{number}"), framed);
    }
    let click = json!({"visitor": {"id": event.customer}, "ts": event.at.0, "action": event.name, "n": number});
    (format!("{name}-clicks"), format!("session-{}", number % 17), click.to_string().into_bytes())
}

/// A record of a source by its topic, partition and offset.
type Origin = (String, i32, i64);

/// What is expected of a record.
struct Source {
    /// Its event, if it is one.
    event: Option<Action>,
    /// What it is, if it is hostile; empty otherwise.
    kind: String,
    content: u64,
}

/// Who did what, when, for how much.
#[derive(Debug, PartialEq, Eq)]
struct Action {
    customer: String,
    name: String,
    at: i64,
    amount: Option<i128>,
}

impl Action {
    fn of(event: LogEvent) -> Self {
        let amount = event.properties.into_iter().find(|(name, _)| name == "amount");
        let amount = amount.and_then(|(_, value)| match value {
            OwnedValue::Number(Number(millionths)) => Some(millionths),
            _ => None,
        });
        Self { customer: event.customer, name: event.name, at: event.at.0, amount }
    }

    fn of_click(payload: &[u8]) -> Option<Self> {
        let click: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Some(Self {
            customer: text(&click["visitor"]["id"])?,
            name: text(&click["action"])?,
            at: click["ts"].as_i64()?,
            amount: None,
        })
    }
}

/// The records of the sources, and what became of them.
pub(super) struct Sources {
    topics: Vec<(String, Reader)>,
    records: BTreeMap<Origin, Source>,
    letters: BTreeMap<Origin, Letter>,
    gathered: BTreeMap<Origin, Action>,
    /// The last one of a source's partition in each partition of the log.
    last: BTreeMap<(i32, String, i32), i64>,
}

impl Sources {
    pub(super) fn new(bootstrap: &str, name: &str) -> Self {
        let reader = |(topic, partitions): (String, i32)| {
            let reader = Reader::new(bootstrap, &topic, partitions);
            (topic, reader)
        };
        Self {
            topics: topics(name).into_iter().map(reader).collect(),
            records: BTreeMap::new(),
            letters: BTreeMap::new(),
            gathered: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Takes a dead letter, if it is one of a source. An error is a difference.
    pub(super) fn take_letter(&mut self, seen: &Seen) -> Option<Result<(), String>> {
        let topic = seen.header("cohortd_topic").to_owned();
        if !self.topics.iter().any(|(known, _)| *known == topic) {
            return None;
        }
        let number = |name: &str| seen.header(name).parse::<i64>().unwrap_or(-1);
        let partition = i32::try_from(number("cohortd_partition")).unwrap_or(-1);
        let origin = (topic, partition, number("cohortd_offset"));
        let twice = format!("{origin:?} is in the dead letters twice");
        Some(self.letters.insert(origin, Letter::of(seen)).map_or(Ok(()), |_| Err(twice)))
    }

    /// Takes a record of the log.
    ///
    /// # Errors
    /// It comes from nowhere, is there twice, is out of order, or is in the wrong place.
    pub(super) fn take_gathered(&mut self, seen: &Seen, partitions: i32) -> Result<(), String> {
        let payload = seen.payload.as_deref().unwrap_or_default();
        let event = avro::decode(payload).ok_or_else(|| format!("record {} of the log is no event", seen.offset))?;
        let key = seen.key.as_deref().unwrap_or_default();
        let place = partition_of(key, u32::try_from(partitions).unwrap());
        if key != event.customer.as_bytes() || place != seen.partition {
            return Err(format!("an event of {} has another key or partition", event.customer));
        }
        let action = Action::of(event);
        let number = |name: &str| seen.header(name).parse::<i64>().ok();
        let (Some(partition), Some(offset)) = (number("cohortd_source_partition"), number("cohortd_source_offset"))
        else {
            return Err(format!("a record of the log comes from no source: {action:?}"));
        };
        let partition = i32::try_from(partition).unwrap();
        let topic = seen.header("cohortd_source_topic").to_owned();
        let last = self.last.insert((seen.partition, topic.clone(), partition), offset);
        if last.is_some_and(|last| last >= offset) {
            return Err(format!("{topic}/{partition} offset {offset} comes after {last:?}"));
        }
        match self.gathered.insert((topic, partition, offset), action) {
            None => Ok(()),
            Some(twice) => Err(format!("in the log twice: {twice:?}")),
        }
    }

    /// Reads the sources on.
    ///
    /// # Errors
    /// A topic cannot be read.
    pub(super) fn read(&mut self) -> Result<(), String> {
        for (topic, reader) in &mut self.topics {
            for seen in reader.read()? {
                let kind = seen.header(HEADER).to_owned();
                let payload = seen.payload.as_deref().unwrap_or_default();
                let event = match kind.is_empty() {
                    false => None,
                    true if topic.ends_with("-clicks") => Action::of_click(payload),
                    true => avro::decode(payload).map(Action::of),
                };
                let content = seen.content();
                self.records.insert((topic.clone(), seen.partition, seen.offset), Source { event, kind, content });
            }
        }
        Ok(())
    }

    /// Each event once in the log, as it was sent, and each hostile record once in the dead letters, as it came.
    pub(super) fn compare(&self, wrong: &mut Vec<String>) {
        for (origin, source) in &self.records {
            let (found, letter) = (self.gathered.get(origin), self.letters.get(origin));
            if found != source.event.as_ref() {
                wrong.push(format!("of {origin:?} ({:?}) came {found:?}", source.event));
            }
            let expected = hostile::reasons(&source.kind);
            let is_right = match letter {
                Some(letter) => expected.contains(&letter.reason.as_str()) && letter.is_as_it_came(source.content),
                None => expected.is_empty(),
            };
            if !is_right {
                let reason = letter.map(|letter| &letter.reason);
                wrong.push(format!("{origin:?} ({}) is set aside as {reason:?}, or not as it came", source.kind));
            }
        }
        for origin in self.gathered.keys().chain(self.letters.keys()).filter(|key| !self.records.contains_key(*key)) {
            wrong.push(format!("{origin:?} is no record of a source"));
        }
    }

    /// Records of the sources read so far.
    pub(super) fn count(&self) -> usize {
        self.records.len()
    }
}
