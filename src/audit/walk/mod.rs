//! From the bytes of a record to its values, each with the field that it is of.

mod avro;
mod json;

use super::paths::FieldId;
use super::value::{Kind, Value};

pub(super) use avro::Avro;
pub use avro::Schema;
pub(super) use json::json;

/// The most values of one record that are looked at.
const VALUES_MAX: usize = 10_000;
/// The most elements of one list that are looked at.
const ELEMENTS_MAX: usize = 100;
/// The nesting limit, that of the sources.
const DEPTH_MAX: u32 = 64;

/// A value with its field and its kind.
pub(super) type Found<'a> = (FieldId, Value<'a>, Kind);

fn keep<'a>(found: &mut Vec<Found<'a>>, field: FieldId, value: Value<'a>) {
    if found.len() < VALUES_MAX {
        let kind = value.kind();
        found.push((field, value, kind));
    }
}
