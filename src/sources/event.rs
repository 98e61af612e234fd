//! What a record becomes: events, or the reason why there are none.

use std::borrow::Cow;

use crate::event::{Instant, Number, Value, named};

/// An event that a record was mapped to; borrows from the record and the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedEvent<'a> {
    pub customer: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub at: Instant,
    pub id: Cow<'a, str>,
    /// Sources of one such name share ids: `dedupe`.
    pub source: &'a str,
    /// Those that are there, in the order of the mapping.
    pub properties: Vec<(&'a str, PropertyValue<'a>)>,
    /// Properties that are there and of no use: records, lists, bytes, numbers out of range, no numbers `as = "number"`.
    pub unusable: Vec<&'a str>,
    pub origin: Origin,
}

/// Where in the mapping an event's fields come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The place of the path in the list of `customer`.
    pub customer: usize,
    /// The place of the path in the list of `time`.
    pub time: usize,
    /// The place of the path in the list of `id`; `None`: it is a hash.
    pub id: Option<usize>,
    /// The place in the list of `events`, if there is one.
    pub kind: Option<usize>,
    /// The place in the list of `each`, from 0.
    pub element: Option<usize>,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue<'a> {
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
}

impl<'a> PropertyValue<'a> {
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(*value),
            Self::Text(value) => Value::Text(value),
        }
    }

    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Bool(value) => if value { "true" } else { "false" }.into(),
            Self::Number(value) => value.to_string().into(),
            Self::Text(value) => value,
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// At least one event.
    Mapped(Vec<MappedEvent<'a>>),
    /// The mapping does not want it. With its time, if that can be read: the source was read so far.
    Skipped(Skip, Option<Instant>),
    /// It is wrong: it goes to the dead letters.
    Refused(Refusal),
}

named! {
    /// Why a record is skipped.
    Skip {
        /// A null value.
        Tombstone = "tombstone",
        /// `where` does not hold.
        Where = "where",
        /// The event's name is not among `names`, or none of `events` matches.
        OtherEvent = "other_event",
        /// It has no customer, and `no_customer` is "skip".
        NoCustomer = "no_customer",
        /// The list of `each` is missing or empty.
        NoElements = "no_elements",
    }
}

named! {
    /// Why a record is refused.
    RefusalReason {
        Undecodable = "undecodable",
        /// The schema has no field for the customer, the time or the event's name.
        NoSuchField = "no_such_field",
        NoCustomer = "no_customer",
        BadCustomer = "bad_customer",
        NoEvent = "no_event",
        BadTime = "bad_time",
        BadId = "bad_id",
        Oversized = "oversized",
        /// What `each` names is no list, or has too many elements.
        BadList = "bad_list",
        /// An update without the row before it, which `became` needs.
        NoBefore = "no_before",
    }
}

/// Why a record is refused, with what in particular is wrong. Holds no value of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RefusalReason,
    /// The same for all records that are wrong in this way.
    pub detail: String,
    /// Where in a JSON text it is, in bytes from 1.
    pub column: Option<usize>,
    /// The place in the list of `each`, from 0, if one element is wrong.
    pub element: Option<usize>,
}

impl Refusal {
    #[must_use]
    pub fn new(reason: RefusalReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), column: None, element: None }
    }

    /// The detail, with the column that it is about.
    #[must_use]
    pub fn located(&self) -> String {
        match self.column {
            Some(column) => format!("{} (column {column})", self.detail),
            None => self.detail.clone(),
        }
    }

    /// The detail, with the element and the column that it is about.
    #[must_use]
    pub fn described(&self) -> String {
        match self.element {
            Some(element) => format!("element {}: {}", element + 1, self.located()),
            None => self.located(),
        }
    }
}
