//! One source, as the file and its preset say together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::event::{Instant, Span};
use crate::rules::ast::Range;
use crate::sources::field::As;
use crate::sources::filter::Filter;
use crate::sources::path::Path;
use crate::sources::preset::Preset;
use crate::sources::time::Unit;

/// One `[sources.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub name: String,
    pub topics: Vec<String>,
    pub format: Format,
    pub preset: Option<Preset>,
    /// The first that is there.
    pub customer: Vec<Path>,
    pub no_customer: NoCustomer,
    pub time: Times,
    /// The first that is there; a hash where there is none.
    pub id: Vec<Path>,
    /// Sources of one such name share ids.
    pub dedupe: String,
    /// Of records for which `kinds` say nothing else.
    pub event: Option<EventName>,
    pub filter: Option<Filter<Path>>,
    /// The list of which each element is an event.
    pub each: Option<Path>,
    /// In the order written; those of a preset come first.
    pub properties: Vec<Property>,
    /// Several kinds of record in one topic: the first that matches. Empty: every record is of one kind.
    pub kinds: Vec<Kind>,
    /// Records written before it are not gathered.
    pub from: Option<Instant>,
    /// Silence of a source that has said nothing for longer does not count.
    pub expect_every: Option<Span>,
    /// The place of its name in the file.
    pub(in crate::sources) range: Range,
}

/// How the values of a topic are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Avro, in Confluent's framing or single-object encoding.
    Avro,
    Json,
    /// Avro without any framing.
    Bare,
}

impl Format {
    pub(in crate::sources) const NAMES: [(&'static str, Self); 3] =
        [("avro", Self::Avro), ("json", Self::Json), ("bare", Self::Bare)];

    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("", |(word, _)| word)
    }
}

/// What becomes of a record without a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCustomer {
    Skip,
    DeadLetter,
}

impl NoCustomer {
    pub(in crate::sources) const NAMES: [(&'static str, Self); 2] =
        [("skip", Self::Skip), ("dead_letter", Self::DeadLetter)];

    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Where the time of an event lies, and what is meant by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// The first that is there.
    pub paths: Vec<Path>,
    /// Of a bare number.
    pub unit: Option<Unit>,
    /// Of a time without one.
    pub zone: Option<TimeZone>,
}

/// An event's name.
#[derive(Debug, Clone, PartialEq)]
pub enum EventName {
    Constant(String),
    Field {
        /// The first that is there.
        paths: Vec<Path>,
        /// The names of ours for the values that are wanted; `None`: each value is a name.
        names: Option<BTreeMap<String, String>>,
    },
}

/// A property of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    pub name: String,
    pub path: Path,
    pub as_: As,
}

/// One `[[sources.NAME.events]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// The full name of a record of Avro.
    pub record: Option<String>,
    pub filter: Option<Filter<Path>>,
    pub became: Option<Became>,
    /// The source's own where there is none.
    pub event: Option<EventName>,
}

/// A condition that holds of a row after a change, and did not hold of it before.
#[derive(Debug, Clone, PartialEq)]
pub struct Became {
    pub after: Filter<Path>,
    /// The same of the row before.
    pub before: Filter<Path>,
    /// The rows themselves, and the kind of the change.
    pub rows: [Path; 2],
    pub op: Path,
}

/// The names that a source's events can have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventNames {
    pub named: BTreeSet<String>,
    /// Any other, too: a value of the record is the name.
    pub others: bool,
}

impl Source {
    /// The names that its events can have.
    #[must_use]
    pub fn event_names(&self) -> EventNames {
        let mut found = EventNames::default();
        for name in self.names() {
            match name {
                EventName::Constant(name) => drop(found.named.insert(name.clone())),
                EventName::Field { names: Some(names), .. } => found.named.extend(names.values().cloned()),
                EventName::Field { names: None, .. } => found.others = true,
            }
        }
        found
    }

    fn names(&self) -> impl Iterator<Item = &EventName> {
        self.event.iter().chain(self.kinds.iter().filter_map(|kind| kind.event.as_ref()))
    }

    /// Every path with what is asked of it, `each` not.
    pub(in crate::sources) fn paths(&self) -> Vec<&Path> {
        let names = self.names();
        let of_names = names.flat_map(|name| match name {
            EventName::Constant(_) => &[][..],
            EventName::Field { paths, .. } => paths.as_slice(),
        });
        let became = self.kinds.iter().filter_map(|kind| kind.became.as_ref());
        let of_rows = became.flat_map(|became| became.rows.iter().chain([&became.op]));
        (self.customer.iter())
            .chain(&self.time.paths)
            .chain(&self.id)
            .chain(self.properties.iter().map(|property| &property.path))
            .chain(of_names)
            .chain(of_rows)
            .collect()
    }

    /// Every condition.
    pub(in crate::sources) fn filters(&self) -> Vec<&Filter<Path>> {
        let of_kinds = self.kinds.iter().flat_map(|kind| {
            let became = kind.became.iter().flat_map(|became| [&became.after, &became.before]);
            kind.filter.iter().chain(became)
        });
        self.filter.iter().chain(of_kinds).collect()
    }
}
