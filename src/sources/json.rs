//! Reads JSON by the paths of a mapping.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::field::{Field, Kind};
use super::path::ELEMENTS_MAX;
use super::slots::Slots;
use super::tree::{Keyed, Node, NodeId, Seen, Tree};
use crate::codec::{Array, Document, Json, NotJson, Object};

/// The nesting limit of objects and arrays.
const DEPTH_MAX: u32 = 64;

/// The value of a record: without the prefix of Confluent's JSON Schema, and without the schema that Kafka Connect sends
/// with each.
///
/// # Errors
/// Not JSON, or nested too deeply.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json<'_>, NotJson> {
    let json = Json::parse_within(without_prefix(bytes), DEPTH_MAX)?;
    Ok(match json {
        Json::Object(object) => payload(object).unwrap_or(json),
        other => other,
    })
}

/// Without `00` and a schema's id: no JSON begins so.
pub(super) fn without_prefix(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0, _, _, _, _, rest @ ..] => rest,
        whole => whole,
    }
}

/// The payload of an object that has nothing but it and its schema.
fn payload(object: Object<'_>) -> Option<Json<'_>> {
    let mut payload = None;
    let mut has_schema = false;
    for (name, value) in object.members() {
        if name.is("payload") {
            payload = Some(value);
        } else if name.is("schema") && matches!(value, Json::Object(_) | Json::Null) {
            has_schema = true;
        } else {
            return None;
        }
    }
    payload.filter(|_| has_schema)
}

/// Reads the value of a record by the paths below a node, in one pass.
///
/// # Errors
/// As [`parse`]; then what was read so far is of no use.
pub(super) fn read<'a>(tree: &Tree, node: NodeId, bytes: &'a [u8], slots: &mut Slots<'a>) -> Result<(), NotJson> {
    let mut document = Document::new(without_prefix(bytes), DEPTH_MAX);
    if document.first_name().is_some_and(|name| name.is("payload") || name.is("schema")) {
        read_value(tree, node, parse(bytes)?, slots);
        return Ok(());
    }
    read_next(tree, node, &mut document, slots)?;
    document.end()
}

/// Reads the next value of a document.
fn read_next<'a>(tree: &Tree, node: NodeId, document: &mut Document<'a>, slots: &mut Slots<'a>) -> Result<(), NotJson> {
    let at = tree.get(node);
    if at.names.is_empty() || !document.is_object() {
        read_value(tree, node, document.value()?, slots);
        return Ok(());
    }
    if at.is_each {
        slots.no_list();
    }
    members(tree, at, document, slots)?;
    if let Some(slot) = at.slot {
        slots.set(slot, Field::Other(Kind::Record));
    }
    Ok(())
}

/// Reads a value by the paths below a node.
fn read_value<'a>(tree: &Tree, node: NodeId, json: Json<'a>, slots: &mut Slots<'a>) {
    let at = tree.get(node);
    if at.is_each && !matches!(json, Json::Array(_) | Json::Null) {
        slots.no_list();
    }
    let field = match json {
        Json::Object(object) => {
            if !at.names.is_empty() {
                members(tree, at, &mut object.document(), slots).expect("it was scanned before");
            }
            Field::Other(Kind::Record)
        }
        Json::Array(array) => {
            if at.has_elements() {
                elements(tree, at, array, slots);
            }
            if at.is_list_wanted {
                Field::List(array.items().take(ELEMENTS_MAX).map(single).collect())
            } else {
                Field::Other(Kind::List)
            }
        }
        other => single(other),
    };
    if let Some(slot) = at.slot {
        slots.set(slot, field);
    }
}

/// Reads the members of the object that a document is at, by the paths below a node.
fn members<'a>(tree: &Tree, at: &Node, document: &mut Document<'a>, slots: &mut Slots<'a>) -> Result<(), NotJson> {
    let mut seen = Seen::default();
    document.members(|name, document| {
        let Some(found) = at.names.iter().position(|(known, _)| name.is(known)) else {
            return document.value().map(drop);
        };
        let child = at.names[found].1;
        // Of several members of one name the last counts.
        if !seen.first(found) {
            slots.forget(tree, child);
        }
        read_next(tree, child, document, slots)
    })
}

fn elements<'a>(tree: &Tree, at: &Node, array: Array<'a>, slots: &mut Slots<'a>) {
    if at.is_each {
        slots.begin_list();
    }
    let mut seen = Seen::default();
    for (place, item) in array.items().enumerate() {
        if at.is_each && slots.next_element() {
            read_value(tree, tree.element, item, slots);
        }
        for (_, child) in at.places.iter().filter(|(wanted, _)| *wanted == place as u64) {
            read_value(tree, *child, item, slots);
        }
        let mut before = 0;
        for group in &at.keyed {
            keyed(tree, group, before, item, &mut seen, slots);
            before += group.choices.len();
        }
    }
}

/// Reads what an element has the key of, the first time that there is one.
fn keyed<'a>(tree: &Tree, group: &Keyed, before: usize, item: Json<'a>, seen: &mut Seen, slots: &mut Slots<'a>) {
    slots.set(group.slot, Field::Missing);
    read_value(tree, group.by, item, slots);
    let key = std::mem::take(slots.now(group.slot));
    let Ok(Some(key)) = key.id() else { return };
    let choice = group.choices.iter().position(|(is, _)| **is == *key);
    if let Some(choice) = choice
        && seen.first(before + choice)
    {
        read_value(tree, group.choices[choice].1, item, slots);
    }
}

/// A single value; what is none is there all the same.
fn single(json: Json<'_>) -> Field<'_> {
    match json {
        Json::Null => Field::Missing,
        Json::Bool(value) => Field::Bool(value),
        Json::Number(digits) => Decimal::parse(digits.written()).map_or(Field::Other(Kind::Number), Field::Number),
        Json::Text(text) => match text.exact() {
            Some(text) => Field::Text(text),
            None => Field::Damaged(Cow::Owned(text.lossy().into_owned())),
        },
        Json::Object(_) => Field::Other(Kind::Record),
        Json::Array(_) => Field::Other(Kind::List),
    }
}
