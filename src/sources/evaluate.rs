//! From one record to its events.
//!
//! The paths are read once; then each element of `each`, or the record itself, is asked in this order: `where`, `events`,
//! the event's name, the customer, the time, the id, the properties. One bad element refuses the whole record, so that a
//! record is never applied by half.

use std::borrow::Cow;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::document::{EventName, NoCustomer};
use super::event::{MappedEvent, Origin, Outcome, Refusal, RefusalReason, Skip};
use super::field::{Field, Property};
use super::filter::Filter;
use super::json;
use super::mapping::{Change, Mapping, Name};
use super::path::Root;
use super::record::{Payload, Record};
use super::slots::{List, Slots};
use super::time::{Clock, Moment, Unit};
use super::tree::{NodeId, Slot};
use crate::codec::NotJson;
use crate::event::{CUSTOMER_BYTES_MAX, Instant, NAME_BYTES_MAX};

/// Why there is no event.
enum Not {
    /// With its time, if that was read.
    Skipped(Skip, Option<Instant>),
    Refused(Refusal),
}

fn skipped<T>(skip: Skip) -> Result<T, Not> {
    Err(Not::Skipped(skip, None))
}

impl From<Refusal> for Not {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn refused<T>(reason: RefusalReason, detail: impl Into<String>) -> Result<T, Not> {
    Err(Not::Refused(Refusal::new(reason, detail)))
}

impl Mapping {
    /// Maps one record.
    #[must_use]
    pub fn map<'a>(&'a self, record: &Record<'a>) -> Outcome<'a> {
        match self.events(record) {
            Ok(events) => Outcome::Mapped(events),
            Err(Not::Skipped(skip, at)) => Outcome::Skipped(skip, at),
            Err(Not::Refused(refusal)) => Outcome::Refused(refusal),
        }
    }

    fn events<'a>(&'a self, record: &Record<'a>) -> Result<Vec<MappedEvent<'a>>, Not> {
        let mut slots = Slots::new(&self.tree);
        if let Payload::Avro(reader, _) = record.value
            && let Some(refusal) = &reader.blocked
        {
            return Err(refusal.clone().into());
        }
        let (bytes, name) = match record.value {
            Payload::Null => return skipped(Skip::Tombstone),
            value => self.read(value, self.tree.value, &mut slots)?,
        };
        if !matches!(record.key, Payload::Null) {
            self.read(record.key, self.tree.key, &mut slots).map_err(|not| match not {
                Not::Refused(refusal) => {
                    Not::Refused(Refusal { detail: format!("the key: {}", refusal.detail), ..refusal })
                }
                skipped @ Not::Skipped(..) => skipped,
            })?;
        }
        self.others(record, &mut slots);
        let found = Found { mapping: self, slots: &slots, bytes, record: name };
        let events = match slots.list() {
            _ if self.source.each.is_none() => found.event(None).map(|event| vec![event]),
            List::Elements => found.elements(),
            List::Missing => skipped(Skip::NoElements),
            List::SomethingElse => refused(RefusalReason::BadList, format!("`{}` is no list", self.each())),
            List::TooMany => {
                let most = super::path::ELEMENTS_MAX;
                refused(RefusalReason::BadList, format!("`{}` has more than {most} elements", self.each()))
            }
        };
        let has_row = self.source.each.is_none() || slots.count() > 0;
        events.map_err(|not| match not {
            Not::Skipped(skip, _) if has_row => Not::Skipped(skip, found.time(0).ok().map(|(_, at)| at)),
            other => other,
        })
    }

    fn each(&self) -> &str {
        self.source.each.as_ref().map_or("", |each| &each.text)
    }

    /// Reads a value or key by the paths below a node. Returns its bytes, and the full name of its record.
    fn read<'a>(
        &'a self,
        payload: Payload<'a>,
        node: NodeId,
        slots: &mut Slots<'a>,
    ) -> Result<(&'a [u8], &'a str), Not> {
        match payload {
            Payload::Null => Ok((&[], "")),
            Payload::Avro(reader, datum) => {
                let name = reader.program.read(&self.tree, datum, slots);
                let name = name.map_err(|problem| Refusal::new(RefusalReason::Undecodable, problem.to_string()))?;
                Ok((datum, reader.program.names.get(name).map_or("", String::as_str)))
            }
            Payload::Json(bytes) => {
                json::read(&self.tree, node, bytes, slots).map_err(|NotJson(column)| Refusal {
                    column: Some(column),
                    ..Refusal::new(RefusalReason::Undecodable, "not JSON, or nested too deeply")
                })?;
                Ok((json::without_prefix(bytes), ""))
            }
            Payload::Text(bytes) => {
                if let Some(slot) = self.tree.get(node).slot {
                    slots.set(slot, Field::of_text(bytes));
                }
                Ok((bytes, ""))
            }
        }
    }

    /// Headers, and where the record lies.
    fn others<'a>(&'a self, record: &Record<'a>, slots: &mut Slots<'a>) {
        let number = |value: i64| Field::Number(super::decimal::Decimal::integer(value));
        for (root, slot) in &self.tree.others {
            let field = match root {
                // Of several headers of one name the last counts, as Kafka's clients have it.
                Root::Header(name) => {
                    let header = record.headers.iter().rev().find(|(known, _)| known == name);
                    header.and_then(|(_, value)| *value).map_or(Field::Missing, Field::of_text)
                }
                Root::Topic => record.place.map_or(Field::Missing, |place| Field::Text(place.topic.into())),
                Root::Partition => record.place.map_or(Field::Missing, |place| number(place.partition.into())),
                Root::Offset => record.place.map_or(Field::Missing, |place| number(place.offset)),
                Root::Timestamp => {
                    let at = record.place.and_then(|place| place.timestamp);
                    at.map_or(Field::Missing, |Instant(value)| {
                        Field::Moment(Moment { value, unit: Unit::Millis, clock: Clock::Utc })
                    })
                }
                Root::Value | Root::Each | Root::Key => Field::Missing,
            };
            slots.set(*slot, field);
        }
    }
}

/// What was found in one record.
struct Found<'r, 'a> {
    mapping: &'a Mapping,
    slots: &'r Slots<'a>,
    /// The value's bytes.
    bytes: &'a [u8],
    /// The full name of its record in Avro.
    record: &'a str,
}

impl<'a> Found<'_, 'a> {
    /// The event of each element that has one; the first reason where none has.
    fn elements(&self) -> Result<Vec<MappedEvent<'a>>, Not> {
        let (mut events, mut first) = (Vec::new(), None);
        for element in 0..self.slots.count() {
            match self.event(Some(element)) {
                Ok(event) => events.push(event),
                Err(Not::Skipped(skip, _)) => first = first.or(Some(skip)),
                Err(Not::Refused(refusal)) => {
                    return Err(Not::Refused(Refusal { element: Some(element), ..refusal }));
                }
            }
        }
        if events.is_empty() { skipped(first.unwrap_or(Skip::NoElements)) } else { Ok(events) }
    }

    fn event(&self, element: Option<usize>) -> Result<MappedEvent<'a>, Not> {
        let source = &self.mapping.source;
        let row = element.unwrap_or(0);
        if self.mapping.filter.as_ref().is_some_and(|filter| !self.holds(filter, row)) {
            return skipped(Skip::Where);
        }
        let kind = self.kind(row)?;
        let name = self.name(kind, row)?;
        let (customer_at, customer) = self.customer(row)?;
        let (time_at, at) = self.time(row)?;
        let (id_at, id) = self.id(element)?;
        for (what, length, most) in [
            ("the customer's id", customer.len(), CUSTOMER_BYTES_MAX),
            ("the event's name", name.len(), NAME_BYTES_MAX),
            ("the event's id", id.len(), NAME_BYTES_MAX),
        ] {
            if length > most {
                return refused(RefusalReason::Oversized, format!("{what} is longer than {most} bytes"));
            }
        }
        let mut properties = Vec::with_capacity(source.properties.len());
        let mut unusable = Vec::new();
        for (own, (slot, as_)) in source.properties.iter().zip(&self.mapping.properties) {
            match self.slots.get(*slot, row).clone().property(*as_, source.time.zone.as_ref()) {
                Property::Missing => {}
                Property::Unusable => unusable.push(own.name.as_str()),
                Property::Value(value) => properties.push((own.name.as_str(), value)),
            }
        }
        let origin = Origin { customer: customer_at, time: time_at, id: id_at, kind, element };
        Ok(MappedEvent { customer, name, at, id, source: &source.dedupe, properties, unusable, origin })
    }

    fn holds(&self, filter: &Filter<Slot>, row: usize) -> bool {
        let zone = self.mapping.source.time.zone.as_ref();
        filter.holds(&|slot, test| self.slots.get(*slot, row).passes(test, zone))
    }

    /// The place of the first entry of `events` that matches.
    fn kind(&self, row: usize) -> Result<Option<usize>, Not> {
        if self.mapping.kinds.is_empty() {
            return Ok(None);
        }
        for (place, (own, kind)) in self.mapping.source.kinds.iter().zip(&self.mapping.kinds).enumerate() {
            if own.record.as_ref().is_some_and(|name| name != self.record)
                || kind.filter.as_ref().is_some_and(|filter| !self.holds(filter, row))
            {
                continue;
            }
            let became = match &kind.became {
                Some(change) => self.became(change, row)?,
                None => true,
            };
            if became {
                return Ok(Some(place));
            }
        }
        skipped(Skip::OtherEvent)
    }

    /// Does it hold after the change, and did not before? A row that was not there held nothing.
    fn became(&self, change: &Change, row: usize) -> Result<bool, Not> {
        let is_known = |slot: Slot| !self.slots.get(slot, row).is_missing();
        if !is_known(change.row_after) || !self.holds(&change.after, row) {
            return Ok(false);
        }
        if is_known(change.row_before) {
            return Ok(!self.holds(&change.before, row));
        }
        match self.slots.get(change.op, row) {
            // Every later update of the row would be taken for the one that changed it.
            Field::Text(op) if op == "u" => refused(
                RefusalReason::NoBefore,
                "an update without the row before it, which `became` needs: in Postgres set REPLICA IDENTITY FULL on the table",
            ),
            _ => Ok(true),
        }
    }

    fn name(&self, kind: Option<usize>, row: usize) -> Result<Cow<'a, str>, Not> {
        let source = &self.mapping.source;
        let of_kind =
            kind.and_then(|kind| Some((source.kinds[kind].event.as_ref()?, self.mapping.kinds[kind].event.as_ref()?)));
        let Some((name, slots)) = of_kind.or_else(|| source.event.as_ref().zip(self.mapping.event.as_ref())) else {
            return refused(RefusalReason::NoEvent, "the mapping has no name for this event");
        };
        match (name, slots) {
            (EventName::Constant(name), _) => Ok(name.into()),
            (EventName::Field { names, paths }, Name::Field(slots)) => {
                let value = match self.first(slots, row) {
                    Ok(Some((_, value))) => value,
                    Ok(None) => {
                        return refused(RefusalReason::NoEvent, format!("{} is missing or empty", listed(paths)));
                    }
                    Err((place, what)) => {
                        return refused(RefusalReason::NoEvent, format!("`{}` is {what}", paths[place].text));
                    }
                };
                match names {
                    None => Ok(value),
                    Some(names) => match names.get(&*value) {
                        Some(name) => Ok(name.into()),
                        None => skipped(Skip::OtherEvent),
                    },
                }
            }
            (EventName::Field { .. }, Name::Constant) => unreachable!("slots are made of the same name"),
        }
    }

    fn customer(&self, row: usize) -> Result<(usize, Cow<'a, str>), Not> {
        let source = &self.mapping.source;
        match self.first(&self.mapping.customer, row) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => match source.no_customer {
                NoCustomer::Skip => skipped(Skip::NoCustomer),
                NoCustomer::DeadLetter => {
                    refused(RefusalReason::NoCustomer, format!("{} is missing or empty", listed(&source.customer)))
                }
            },
            Err((place, what)) => {
                refused(RefusalReason::BadCustomer, format!("`{}` is {what}", source.customer[place].text))
            }
        }
    }

    fn time(&self, row: usize) -> Result<(usize, Instant), Not> {
        let times = &self.mapping.source.time;
        let found = self.mapping.time.iter().map(|slot| self.slots.get(*slot, row)).enumerate();
        let is_there = |field: &Field<'_>| match field {
            Field::Missing => false,
            Field::Text(text) => !text.is_empty(),
            _ => true,
        };
        let Some((place, field)) = found.into_iter().find(|(_, field)| is_there(field)) else {
            return refused(RefusalReason::BadTime, format!("{} is missing or empty", listed(&times.paths)));
        };
        match field.instant(times.unit, times.zone.as_ref()) {
            Ok(at) => Ok((place, at)),
            Err(problem) => refused(RefusalReason::BadTime, format!("`{}` {problem}", times.paths[place].text)),
        }
    }

    /// The id that a path gives; else a hash of the value. The number of an element makes it its own.
    fn id(&self, element: Option<usize>) -> Result<(Option<usize>, Cow<'a, str>), Not> {
        let source = &self.mapping.source;
        let numbered = |id: Cow<'a, str>| match element {
            Some(element) => format!("{id}#{element}").into(),
            None => id,
        };
        match self.first(&self.mapping.id, element.unwrap_or(0)) {
            Ok(Some((place, id))) if source.id[place].is_of_an_element() => Ok((Some(place), id)),
            Ok(Some((place, id))) => Ok((Some(place), numbered(id))),
            Ok(None) => Ok((None, numbered(hash(self.bytes).into()))),
            Err((place, what)) => refused(RefusalReason::BadId, format!("`{}` is {what}", source.id[place].text)),
        }
    }

    /// The first text that is there, and the place of its path; or the place of what is none.
    #[allow(clippy::type_complexity, reason = "a name for it would be used once")]
    fn first(&self, slots: &[Slot], row: usize) -> Result<Option<(usize, Cow<'a, str>)>, (usize, &'static str)> {
        for (place, slot) in slots.iter().enumerate() {
            match self.slots.get(*slot, row).id() {
                Ok(Some(text)) => return Ok(Some((place, text))),
                Ok(None) => {}
                Err(what) => return Err((place, what)),
            }
        }
        Ok(None)
    }
}

fn listed(paths: &[super::path::Path]) -> String {
    let texts: Vec<String> = paths.iter().map(|path| format!("`{}`", path.text)).collect();
    texts.join(", ")
}

/// Must never change: it stands for the id of an event in states and outputs.
fn hash(bytes: &[u8]) -> String {
    let mut hasher = SipHasher13::new_with_keys(0x636f_686f_7274_6420, 0x736f_7572_6365_7320);
    hasher.write(bytes);
    format!("{:032x}", hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// These are the ids of events without one, which duplicates are recognized by.
    #[test]
    fn the_hash_of_a_value_is_the_same_in_every_release() {
        assert_eq!(hash(b"").len(), 32);
        assert_ne!(hash(b"a"), hash(b"b"));
    }
}
