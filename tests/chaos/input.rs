//! One partition of the input as the naive evaluator sees it: its events, and when its time passed what.

use std::collections::BTreeMap;

use cohortd::engine::Timing;
use cohortd::event::{Instant, Span};

use serde_json::Value;

use crate::avro;
use crate::hostile::{self, HEADER};
use crate::naive::{Advance, Case, Config, Handling, LogEvent, Outcome, judge};
use crate::reader::Seen;

pub(super) const CONFIG_SETS: [&str; 2] = ["time.arrives_within=1 s", "time.max_lateness=60 s"];

const ARRIVES_WITHIN: Span = Span(1_000);

/// Before every plausible time: such an event takes no part in anything.
const NEVER: i64 = 0;

#[derive(Default)]
pub(super) struct Input {
    config: Config,
    /// Usable ones, by offset.
    events: BTreeMap<i64, LogEvent>,
    /// What each hostile record is.
    hostile: BTreeMap<i64, String>,
    /// Key and value of every record, as a hash.
    contents: BTreeMap<i64, u64>,
    /// Of gathered events, by topic, partition and offset of the source's record: where they are in the log.
    gathered: BTreeMap<(String, i64, i64), i64>,
    /// Recorded advances of stream time: before the record at this offset was read.
    advances: BTreeMap<i64, Instant>,
    by_customer: BTreeMap<String, Vec<i64>>,
    times: Times,
}

/// Stream time along the log.
#[derive(Default)]
struct Times {
    /// Just before each event, by its offset.
    before: BTreeMap<i64, Instant>,
    /// Where it rose, and to what; both rise.
    steps: Vec<(i64, Instant)>,
    end: Instant,
}

/// What the naive evaluator says of one customer.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) too_late: Vec<i64>,
    /// The offset of what stands at every second position of the outcome.
    places: Vec<i64>,
}

/// A change caused by an edit of the rules: its log position and its instant. The customer is decided no earlier
/// than that from there on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    pub(super) position: i64,
    pub(super) at: Instant,
}

impl Input {
    /// The events of a log that is gathered do not move its time.
    pub(super) fn new(is_gathered: bool) -> Self {
        let arrives_within = if is_gathered { Timing::MARKS } else { ARRIVES_WITHIN };
        let config = Config { arrives_within, max_lateness: Span(60_000), ..Config::default() };
        Self { config, ..Self::default() }
    }

    /// Takes a record of the input; the customer, if it is an event that can be used. `set_aside`: it is in the dead
    /// letters.
    pub(super) fn take(&mut self, seen: &Seen, is_set_aside: impl Fn(i64) -> bool) -> Option<String> {
        self.contents.insert(seen.offset, seen.content());
        let kind = seen.header(HEADER);
        if !kind.is_empty() {
            self.hostile.insert(seen.offset, kind.to_owned());
            if kind != hostile::LONG_ID || is_set_aside(seen.offset) {
                return None;
            }
        }
        let mut event = avro::decode(seen.payload.as_ref()?)?;
        let number = |name: &str| seen.header(name).parse().unwrap_or(-1);
        let topic = seen.header("cohortd_source_topic").to_owned();
        if !topic.is_empty() {
            let source = (topic, number("cohortd_source_partition"), number("cohortd_source_offset"));
            self.gathered.insert(source, seen.offset);
        }
        // No rule reads it, and it is long.
        event.properties.retain(|(name, _)| name != "text");
        let customer = event.customer.clone();
        self.by_customer.entry(customer.clone()).or_default().push(seen.offset);
        self.events.insert(seen.offset, event);
        Some(customer)
    }

    pub(super) fn take_advance(&mut self, position: i64, to: Instant) {
        let known = self.advances.entry(position).or_insert(to);
        *known = to.max(*known);
    }

    pub(super) fn hostile(&self) -> &BTreeMap<i64, String> {
        &self.hostile
    }

    pub(super) fn content(&self, offset: i64) -> Option<u64> {
        self.contents.get(&offset).copied()
    }

    /// The place in the log of the event that a change names as its cause: by the record of its source, or, where the
    /// change had to wait, by that place.
    pub(super) fn place_of(&self, cause: &Value) -> Value {
        let number = |name: &str| cause[name].as_i64().unwrap_or(-1);
        let topic = cause["topic"].as_str().unwrap_or_default().to_owned();
        let source = (topic, number("partition"), number("offset"));
        self.gathered.get(&source).map_or_else(|| cause["offset"].clone(), |offset| (*offset).into())
    }

    pub(super) fn customers(&self) -> impl Iterator<Item = &String> {
        self.by_customer.keys()
    }

    pub(super) fn knows(&self, customer: &str) -> bool {
        self.by_customer.contains_key(customer)
    }

    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// Goes through the whole log again. Too late an event cannot move time, nor can one sent twice.
    pub(super) fn compute_times(&mut self) {
        let mut times = Times { end: Instant::MIN, ..Times::default() };
        let mut advances = self.advances.iter().peekable();
        let rise = |times: &mut Times, position: i64, to: Instant| {
            if to > times.end {
                times.end = to;
                times.steps.push((position, to));
            }
        };
        let offsets: Vec<i64> = self.events.keys().copied().collect();
        // An advance is before the first usable event from its position on, or at the end.
        let place = |position: i64| offsets.get(offsets.partition_point(|offset| *offset < position)).copied();
        for (offset, event) in &self.events {
            while let Some((position, to)) = advances.next_if(|(position, _)| *position <= offset) {
                rise(&mut times, place(*position).unwrap_or(i64::MAX), *to);
            }
            times.before.insert(*offset, times.end);
            rise(&mut times, *offset, event.at - self.config.arrives_within);
        }
        for (_, to) in advances {
            rise(&mut times, i64::MAX, *to);
        }
        self.times = times;
    }

    /// The first event with which, or an advance before which, time passed an instant.
    fn passed(&self, instant: Instant) -> i64 {
        let at = self.times.steps.partition_point(|(_, to)| *to <= instant);
        self.times.steps.get(at).map_or(i64::MAX, |(position, _)| *position)
    }

    /// The place of an advance or a decision at a position: that of the first usable event from there on; `i64::MAX` is
    /// the end of the log.
    pub(super) fn place(&self, position: i64) -> i64 {
        self.events.range(position..).next().map_or(i64::MAX, |(offset, _)| *offset)
    }

    /// Decides one customer's history. Between two of its events time passes at once as far as others moved it, which
    /// changes only the log position at which a deadline is reported; that is determined here.
    pub(super) fn judge(&self, customer: &str, rules: &str, edits: &[Edit]) -> Judged {
        let offsets: &[i64] = self.by_customer.get(customer).map_or(&[], Vec::as_slice);
        let (mut events, mut advances) = (Vec::new(), Vec::new());
        let idle = LogEvent { at: Instant(NEVER), customer: String::new(), ..avro::event("", "", NEVER, None) };
        let mut places: Vec<i64> = Vec::new();
        let mut put = |before: Instant, event: Option<LogEvent>| {
            // A position of its own, to distinguish what happened before the event from what it caused.
            if before > Instant::MIN {
                advances.push(Advance { position: events.len(), stream_time: before });
            }
            events.push(idle.clone());
            events.extend(event);
        };
        let mut edits = edits.iter().peekable();
        for offset in offsets.iter().copied().chain([i64::MAX]) {
            while let Some(edit) = edits.next_if(|edit| edit.position <= offset) {
                // An event of which no rule says anything does the same to the customer's clock.
                let event = avro::event(customer, "other", edit.at.0, Some(format!("edit-{}", edit.position)));
                put(self.before(edit.position), Some(event));
                places.push(edit.position);
            }
            put(self.before(offset), self.events.get(&offset).cloned());
            places.push(offset);
        }
        let case = Case {
            rules: rules.to_owned(),
            config: self.config,
            events,
            advances,
            thresholds: Vec::new(),
            parameters: Vec::new(),
            until: None,
        };
        let mut outcome = judge(&case).unwrap();
        let is_too_late = |(number, _): &(usize, &i64)| outcome.handled.get(2 * number + 1) == Some(&Handling::TooLate);
        let too_late = places.iter().enumerate().filter(is_too_late).map(|(_, offset)| *offset).collect();
        outcome.changes.sort_by_key(|change| change.sequence);
        Judged { outcome, too_late, places }
    }

    /// Stream time just before the first event at or after an offset.
    fn before(&self, offset: i64) -> Instant {
        self.times.before.range(offset..).next().map_or(self.times.end, |(_, before)| *before)
    }

    /// The offset of the event at which a change was decided, of those that `judge` found.
    pub(super) fn decided_at(&self, judged: &Judged, position: usize, occurred_at: Instant) -> i64 {
        match position % 2 {
            0 => self.passed(occurred_at),
            _ => judged.offset(position),
        }
    }
}

impl Judged {
    /// The offset of the event that a position in the outcome stands for.
    pub(super) fn offset(&self, position: usize) -> i64 {
        self.places[position / 2]
    }
}
