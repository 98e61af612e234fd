//! Random evolutions of our schema, compared with `apache_avro`.

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::resolution::{union, writer};
use super::{summary, written};
use crate::codec::Reader;
use crate::event::Number;

/// A type with a value of it, for fields that we do not read.
fn anything() -> impl Strategy<Value = (Json, Avro)> {
    let leaf = prop_oneof![
        Just((json!("null"), Avro::Null)),
        any::<bool>().prop_map(|value| (json!("boolean"), Avro::Boolean(value))),
        any::<i32>().prop_map(|value| (json!("int"), Avro::Int(value))),
        any::<i64>().prop_map(|value| (json!("long"), Avro::Long(value))),
        any::<f32>().prop_map(|value| (json!("float"), Avro::Float(value))),
        any::<f64>().prop_map(|value| (json!("double"), Avro::Double(value))),
        "\\PC{0,9}".prop_map(|value| (json!("string"), Avro::String(value))),
        any::<Vec<u8>>().prop_map(|value| (json!("bytes"), Avro::Bytes(value))),
        (0_usize..5, any::<u64>()).prop_map(|(size, name)| {
            (json!({"type": "fixed", "name": format!("F{name:x}"), "size": size}), Avro::Fixed(size, vec![7; size]))
        }),
        (0_u32..3, any::<u64>()).prop_map(|(index, name)| {
            let symbols = ["A", "B", "C"];
            let symbol = symbols[index as usize].to_owned();
            (json!({"type": "enum", "name": format!("E{name:x}"), "symbols": symbols}), Avro::Enum(index, symbol))
        }),
        any::<i64>().prop_map(|value| {
            (json!({"type": "long", "logicalType": "local-timestamp-micros"}), Avro::LocalTimestampMicros(value))
        }),
        any::<u128>().prop_map(|value| {
            (json!({"type": "string", "logicalType": "uuid"}), Avro::Uuid(apache_avro::Uuid::from_u128(value)))
        }),
    ];
    leaf.prop_recursive(3, 20, 3, |inner| {
        prop_oneof![
            (inner.clone(), 0_usize..4).prop_map(|((schema, value), count)| {
                (json!({"type": "array", "items": schema}), Avro::Array(vec![value; count]))
            }),
            (inner.clone(), 0_usize..4).prop_map(|((schema, value), count)| {
                let entries = (0..count).map(|key| (format!("k{key}"), value.clone())).collect();
                (json!({"type": "map", "values": schema}), Avro::Map(entries))
            }),
            (inner.clone(), any::<bool>()).prop_map(|((schema, value), null)| match schema {
                Json::Array(_) => (schema, value),
                Json::String(ref name) if name == "null" => (schema, value),
                _ if null => (json!(["null", schema]), union(0, Avro::Null)),
                _ => (json!(["null", schema]), union(1, value)),
            }),
            (proptest::collection::vec(inner, 0..4), any::<u64>()).prop_map(|(fields, name)| {
                let (schemas, values): (Vec<_>, Vec<_>) = (fields.into_iter().enumerate())
                    .map(|(at, (schema, value))| {
                        (json!({"name": format!("f{at}"), "type": schema}), (format!("f{at}"), value))
                    })
                    .unzip();
                (json!({"type": "record", "name": format!("R{name:x}"), "fields": schemas}), Avro::Record(values))
            }),
        ]
    })
}

/// A text in one of the types it may have.
fn some_text() -> impl Strategy<Value = (Json, Avro)> {
    ("\\PC{1,9}", 0..3).prop_map(|(text, kind)| match kind {
        0 => (json!("string"), Avro::String(text)),
        1 => (json!(["null", "string"]), union(1, Avro::String(text))),
        _ => (json!(["int", "string", "boolean"]), union(1, Avro::String(text))),
    })
}

fn some_optional_text() -> impl Strategy<Value = (Json, Avro)> {
    prop_oneof![some_text(), Just((json!(["string", "null"]), union(1, Avro::Null)))]
}

fn some_properties() -> impl Strategy<Value = (Json, Avro)> {
    let branches = ["null", "boolean", "int", "long", "float", "double", "string"];
    let value = (0..branches.len(), any::<i32>(), "\\PC{0,5}").prop_map(|(kind, number, text)| {
        (
            kind,
            match kind {
                0 => Avro::Null,
                1 => Avro::Boolean(number > 0),
                2 => Avro::Int(number),
                3 => Avro::Long(i64::from(number) << 20),
                4 => Avro::Float(number as f32 / 8.0),
                5 => Avro::Double(f64::from(number) / 64.0),
                _ => Avro::String(text),
            },
        )
    });
    let order = Just(branches).prop_shuffle();
    (order, proptest::collection::btree_map("[a-f]", value, 0..5), any::<bool>()).prop_map(
        move |(order, map, plain)| {
            let position = |kind: usize| order.iter().position(|branch| *branch == branches[kind]).unwrap();
            if plain && let Some((_, (kind, _))) = map.iter().next() {
                let kind = *kind;
                let same = map.into_iter().filter(|(_, (other, _))| *other == kind);
                let same = same.map(|(key, (_, value))| (key, value)).collect();
                return (json!({"type": "map", "values": branches[kind]}), Avro::Map(same));
            }
            let map =
                map.into_iter().map(|(key, (kind, value))| (key, union(u32::try_from(position(kind)).unwrap(), value)));
            (json!({"type": "map", "values": order}), Avro::Map(map.collect()))
        },
    )
}

proptest! {
    #[test]
    fn a_fingerprint_is_the_one_that_apache_avro_computes(fields in proptest::collection::vec(anything(), 0..6)) {
        let fields = fields.into_iter().enumerate().map(|(n, (schema, _))| json!({"name": format!("f{n}"), "type": schema, "doc": "x"}));
        let schema = writer(&fields.collect::<Vec<_>>());
        let theirs = Schema::parse_str(&schema).unwrap();
        // It leaves a primitive that had a logical type as an object, where the specification has the bare name.
        let canonical = ["int", "long", "bytes", "string"].into_iter().fold(theirs.canonical_form(), |text, name| {
            text.replace(&format!("{{\"type\":\"{name}\"}}"), &format!("\"{name}\""))
        });
        let theirs = Schema::parse_str(&canonical).unwrap().fingerprint::<Rabin>().bytes;
        prop_assert_eq!(Reader::compile(&schema).unwrap().fingerprint().to_le_bytes().to_vec(), theirs, "{}", canonical);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Other orders, other types, other fields in between: what `apache_avro` resolves to our schema is what we read.
    #[test]
    fn every_evolution_is_read_as_apache_avro_reads_it(
        customer in some_text(),
        name in some_text(),
        at in (-1_000_000_000_000..4_000_000_000_000_i64, 0..3).prop_map(|(at, kind)| match kind {
            0 => (json!("long"), Avro::Long(at)),
            1 => (json!({"type": "long", "logicalType": "timestamp-millis"}), Avro::TimestampMillis(at)),
            _ => (json!(["null", "long"]), union(1, Avro::Long(at))),
        }),
        id in proptest::option::of(some_optional_text()),
        source in proptest::option::of(some_optional_text()),
        properties in proptest::option::of(some_properties()),
        extras in proptest::collection::vec(anything(), 0..4),
        order in any::<u64>(),
    ) {
        let mut fields = vec![("customer_id".to_owned(), customer), ("event".to_owned(), name), ("occurred_at".to_owned(), at)];
        let optional = [("event_id", id), ("source", source), ("properties", properties)];
        fields.extend(optional.into_iter().filter_map(|(name, field)| Some((name.to_owned(), field?))));
        fields.extend(extras.into_iter().enumerate().map(|(index, field)| (format!("extra{index}"), field)));
        // Any order will do; a hash of position and seed gives one.
        fields.sort_by_key(|(name, _)| super::super::envelope::record_hash(format!("{order}{name}").as_bytes()));
        let schema = json!({"type": "record", "name": "CustomerEvent", "namespace": "cohortd", "fields":
            fields.iter().map(|(name, (schema, _))| json!({"name": name, "type": schema})).collect::<Vec<_>>()});
        let schema = schema.to_string();
        let value = Avro::Record(fields.into_iter().map(|(name, (_, value))| (name, value)).collect());
        let datum = written(&schema, value);

        let (theirs, ours) = (Schema::parse_str(&schema).unwrap(), Schema::parse_str(super::super::program::CUSTOMER_EVENT).unwrap());
        let judge = GenericDatumReader::builder(&theirs).reader_schema(&ours).build().unwrap();
        let judged = judge.read_value(&mut datum.as_slice()).unwrap();
        let names = ["a", "b", "c", "d"];
        prop_assert_eq!(summary(&Reader::compile(&schema).unwrap(), &datum, &names).unwrap(), judged_summary(judged, &names));
    }
}

/// As `summary`, of what `apache_avro` read.
fn judged_summary(judged: Avro, names: &[&str]) -> String {
    let Avro::Record(fields) = judged else { panic!("not a record") };
    let plain = |value: &Avro| match value {
        Avro::Union(_, inner) => inner.as_ref().clone(),
        other => other.clone(),
    };
    let field = |name: &str| plain(&fields.iter().find(|(known, _)| known == name).unwrap().1);
    let text = |name: &str| match field(name) {
        Avro::String(text) => text,
        Avro::Null => "-".into(),
        other => panic!("{name}: {other:?}"),
    };
    let at = match field("occurred_at") {
        Avro::TimestampMillis(at) | Avro::Long(at) => at,
        other => panic!("{other:?}"),
    };
    let Avro::Map(map) = field("properties") else { panic!("not a map") };
    let mut shown: Vec<String> = Vec::new();
    let mut keys: Vec<_> = map.keys().filter(|key| names.contains(&key.as_str())).collect();
    keys.sort();
    for key in keys {
        let value = match plain(&map[key]) {
            Avro::Null => continue,
            Avro::Boolean(value) => value.to_string(),
            Avro::Int(value) => value.to_string(),
            Avro::Long(value) => value.to_string(),
            Avro::Float(value) => Number::from_double(f64::from(value)).unwrap().to_string(),
            Avro::Double(value) => Number::from_double(value).unwrap().to_string(),
            Avro::String(value) => format!("'{value}'"),
            other => panic!("{other:?}"),
        };
        shown.push(format!("{key}={value}"));
    }
    let hashed = if field("event_id") == Avro::Null { "hashed" } else { "given" };
    let (customer, name) = (text("customer_id"), text("event"));
    format!("{customer} {name} {at} {} {} {hashed} 0 [{}]", text("event_id"), text("source"), shown.join(" "))
}
