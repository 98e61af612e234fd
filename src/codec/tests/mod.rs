//! The module as a whole, with `apache_avro` as the reference for the meaning of bytes.

mod addresses;
mod damage;
mod evolution;
mod files;
mod outputs;
mod references;
mod registry;
mod resolution;
mod stub;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;

use super::{Reader, Undecodable};
use crate::event::{PropertyId, Value, Vocabulary};

/// The bytes of a value in a schema, as `apache_avro` writes them.
fn written(schema: &str, value: impl Into<Avro>) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// A vocabulary in which property `names[i]` has number i.
fn vocabulary(names: &[&str]) -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    for (index, name) in names.iter().enumerate() {
        assert_eq!(usize::from(vocabulary.add_property(name).0), index);
    }
    vocabulary.add_name("purchase");
    vocabulary
}

/// What an event says, in one line: `customer name at id source hash unusable [property=value]`, properties by name.
fn summary(reader: &Reader, datum: &[u8], names: &[&str]) -> Result<String, Undecodable> {
    let mut properties = Vec::new();
    let event = reader.decode(datum, &vocabulary(names), &mut properties)?;
    let mut properties: Vec<_> = event.properties.iter().map(|(id, value)| shown(names, *id, *value)).collect();
    properties.sort();
    Ok(format!(
        "{} {} {} {} {} {} {} [{}]",
        event.customer,
        event.name,
        event.at.0,
        event.id.unwrap_or("-"),
        event.source.unwrap_or("-"),
        if event.record_hash == 0 { "given" } else { "hashed" },
        event.unusable_values,
        properties.join(" ")
    ))
}

fn shown(names: &[&str], id: PropertyId, value: Value<'_>) -> String {
    let name = format!("{}{}", names[usize::from(id.alone().0)], if id.is_in_a_list() { "[]" } else { "" });
    match value {
        Value::Bool(value) => format!("{name}={value}"),
        Value::Number(value) => format!("{name}={value}"),
        Value::Text(value) => format!("{name}='{value}'"),
    }
}
