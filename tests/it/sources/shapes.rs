//! Real shapes: each file in `tests/sources/shapes` is a source, records as they come, and the events that they are.

use std::fs;
use std::path::Path;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use cohortd::codec::Framing;
use cohortd::event::Instant;
use cohortd::sources::{AvroReader, Mapping, Payload, Place, Record};
use serde::Deserialize;

use super::{mapping, shown};

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    sources: String,
    /// The writer's schema of the values, which are written as JSON here.
    schema: Option<String>,
    /// What precedes a value: "confluent" or "single-object".
    framing: Option<String>,
    records: Vec<One>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    /// None: a null value.
    value: Option<String>,
    key: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    timestamp: Option<i64>,
    becomes: Vec<String>,
}

#[test]
fn records_of_well_known_shapes_become_their_events() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources/shapes");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 30, "{}", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let shape: Shape = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let mapping = mapping(&shape.sources);
        let reader = shape.schema.as_ref().map(|schema| mapping.reader(schema).unwrap());
        for (number, one) in shape.records.iter().enumerate() {
            let found = one.mapped(&shape, &mapping, reader.as_ref());
            if found != one.becomes {
                let name = file.file_name().unwrap().display();
                wrong.push(format!("{name}, record {}: {found:#?}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl One {
    fn mapped(&self, shape: &Shape, mapping: &Mapping, reader: Option<&AvroReader>) -> Vec<String> {
        let bytes = self.value.as_ref().map(|value| framed(shape, written(shape, value)));
        let value = match (&bytes, reader) {
            (None, _) => Payload::Null,
            (Some(bytes), None) => Payload::Json(bytes),
            (Some(bytes), Some(reader)) => match shape.framing {
                Some(_) => Payload::Avro(reader, Framing::Tagged.split(bytes).unwrap().1),
                None => Payload::Avro(reader, bytes),
            },
        };
        let headers: Vec<(&str, Option<&[u8]>)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_bytes()))).collect();
        let place = Place { topic: "the-topic", partition: 3, offset: 17, timestamp: self.timestamp.map(Instant) };
        let key = Payload::of_key(self.key.as_ref().map(String::as_bytes));
        shown(&mapping.map(&Record { value, key, headers: &headers, place: Some(place) }))
    }
}

fn written(shape: &Shape, value: &str) -> Vec<u8> {
    let Some(schema) = &shape.schema else { return value.as_bytes().to_vec() };
    let schema = Schema::parse_str(schema).unwrap();
    let json: serde_json::Value = serde_json::from_str(value).unwrap();
    let value = avro(json).resolve(&schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// A value of JSON, for `apache_avro` to fit into a schema.
fn avro(json: serde_json::Value) -> Avro {
    match json {
        serde_json::Value::Null => Avro::Null,
        serde_json::Value::Bool(value) => Avro::Boolean(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            // An int fits where a long is wanted, and not the other way round.
            Some(value) => i32::try_from(value).map_or(Avro::Long(value), Avro::Int),
            None => Avro::Double(number.as_f64().unwrap()),
        },
        serde_json::Value::String(text) => Avro::String(text),
        serde_json::Value::Array(items) => Avro::Array(items.into_iter().map(avro).collect()),
        serde_json::Value::Object(members) => {
            Avro::Map(members.into_iter().map(|(name, value)| (name, avro(value))).collect())
        }
    }
}

fn framed(shape: &Shape, bytes: Vec<u8>) -> Vec<u8> {
    let tag: &[u8] = match shape.framing.as_deref() {
        Some("confluent") => &[0, 0, 0, 1, 2],
        Some("single-object") => &[0xc3, 0x01, 1, 2, 3, 4, 5, 6, 7, 8],
        None => &[],
        Some(other) => panic!("{other}"),
    };
    [tag, &bytes].concat()
}
