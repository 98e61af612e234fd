//! Writers older, newer and other than our schema.

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};

use super::{summary, vocabulary, written};
use crate::codec::{Incompatible, Reader, Undecodable, recycle};
use crate::event::{DeadLetterReason, NameId, Number, Properties, Value};

/// A record of the three fields that have no default, and more.
pub(super) fn writer(more: &[Json]) -> String {
    let mut fields = vec![
        json!({"name": "customer_id", "type": "string"}),
        json!({"name": "event", "type": "string"}),
        json!({"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}),
    ];
    for field in more {
        fields.retain(|known| known["name"] != field["name"]);
        fields.push(field.clone());
    }
    json!({"type": "record", "name": "Event", "namespace": "shop", "fields": fields}).to_string()
}

/// A record for [`writer`]: the three fields as they are there, unless given.
pub(super) fn record(more: &[(&str, Avro)]) -> Avro {
    let mut fields: Vec<(String, Avro)> = vec![
        ("customer_id".into(), Avro::String("c1".into())),
        ("event".into(), Avro::String("purchase".into())),
        ("occurred_at".into(), Avro::TimestampMillis(5)),
    ];
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).into(), value.clone()));
    }
    Avro::Record(fields)
}

pub(super) fn read(field: &Json, value: Avro, names: &[&str]) -> Result<String, Undecodable> {
    let schema = writer(std::slice::from_ref(field));
    let name = field["name"].as_str().unwrap().to_owned();
    summary(&Reader::compile(&schema).unwrap(), &written(&schema, record(&[(&name, value)])), names)
}

fn refused(field: Json) -> String {
    Reader::compile(&writer(&[field])).unwrap_err().to_string()
}

pub(super) fn union(index: u32, value: Avro) -> Avro {
    Avro::Union(index, Box::new(value))
}

#[test]
fn our_own_schema_reads_these_bytes() {
    let datum = b"\x02\x04e1\x04c1\x10purchase\x80\xa0\xab\xfe\xf9\x62\x02\x08shop\
        \x06\x0camount\x06\x00\x00\x00\x00\x00\x00\x29\x40\x02n\x04\x0d\x04ok\x02\x01\x00";
    // The union's branches: 0 null, 1 boolean, 2 long, 3 double, 4 string.
    let reader = Reader::built_in();
    assert_eq!(
        summary(&reader, datum, &["ok", "amount", "n"]).unwrap(),
        "c1 purchase 1700000000000 e1 shop given 0 [amount=12.5 n=-7 ok=true]"
    );
    assert_eq!(
        summary(&reader, datum, &["n"]).unwrap(),
        "c1 purchase 1700000000000 e1 shop given 0 [n=-7]",
        "what no rule uses is passed over"
    );
    // Blocks may carry their size, and there may be several.
    let blocks = b"\x00\x04c1\x02x\x0a\x00\x01\x06\x02n\x04\x02\x02\x02m\x04\x04\x00";
    assert_eq!(summary(&reader, blocks, &["m", "n"]).unwrap(), "c1 x 5 - - hashed 0 [m=2 n=1]");
}

#[test]
fn the_hash_of_a_record_without_an_id_stays_what_it_is() {
    let datum = b"\x00\x04c1\x02x\x0a\x00\x00";
    let reader = Reader::built_in();
    let mut properties = Vec::new();
    let event = reader.decode(datum, &vocabulary(&[]), &mut properties).unwrap();
    assert_eq!(event.record_hash, 0xd1da_cb08_1021_4c46, "states hold it: it may never change");
    assert_eq!(event.name_id, NameId::OTHER);
    let empty_id = b"\x02\x00\x04c1\x02x\x0a\x00\x00";
    assert_eq!(summary(&reader, empty_id, &[]).unwrap(), "c1 x 5 - - hashed 0 []");
}

#[test]
fn a_writer_without_our_optional_fields_is_read_with_their_defaults() {
    let schema = writer(&[]);
    let datum = written(&schema, record(&[]));
    let reader = Reader::compile(&schema).unwrap();
    assert_eq!(summary(&reader, &datum, &["amount"]).unwrap(), "c1 purchase 5 - - hashed 0 []");
}

#[test]
fn numbers_texts_and_unions_are_promoted() {
    let values = |schema: Json, value: Avro| {
        let field = json!({"name": "properties", "type": {"type": "map", "values": schema}});
        read(&field, Avro::Map([("a".to_owned(), value)].into()), &["a"])
            .map(|text| text.split_once(" hashed ").unwrap().1.to_owned())
    };
    assert_eq!(values(json!("int"), Avro::Int(-3)).unwrap(), "0 [a=-3]");
    assert_eq!(values(json!("long"), Avro::Long(i64::MIN)).unwrap(), "0 [a=-9223372036854775808]");
    assert_eq!(values(json!("float"), Avro::Float(0.1)).unwrap(), "0 [a=0.1]");
    assert_eq!(values(json!("double"), Avro::Double(f64::NAN)).unwrap(), "1 []");
    assert_eq!(values(json!("double"), Avro::Double(1e19)).unwrap(), "1 []");
    assert_eq!(values(json!("null"), Avro::Null).unwrap(), "0 []");
    assert_eq!(values(json!("bytes"), Avro::Bytes(vec![255])).unwrap(), "1 []");
    assert_eq!(values(json!(["null", "float"]), union(1, Avro::Float(f32::INFINITY))).unwrap(), "1 []");
    let list = |items: Json, values_: Vec<Avro>| {
        values(json!({"type": "array", "items": items}), Avro::Array(values_)).unwrap()
    };
    assert_eq!(list(json!("long"), vec![Avro::Long(1), Avro::Long(2)]), "0 [a[]=1 a[]=2]");
    let mixed = vec![union(0, Avro::Null), union(1, Avro::String("x".into()))];
    assert_eq!(list(json!(["null", "string"]), mixed), "0 [a[]='x']");
    assert_eq!(list(json!("double"), vec![Avro::Double(f64::NAN), Avro::Double(0.5)]), "1 [a[]=0.5]");
    assert_eq!(
        list(json!("long"), vec![Avro::Long(7); 66]).split(' ').next(),
        Some("2"),
        "of so many as are looked at"
    );
    let in_turn = json!({"type": "array", "items": "long"});
    assert_eq!(list(in_turn, vec![Avro::Array(vec![Avro::Long(1)])]), "1 []");
    let either = json!(["string", {"type": "array", "items": "string"}]);
    let of_either = Avro::Array(vec![Avro::String("y".into()), Avro::String("z".into())]);
    assert_eq!(values(either.clone(), union(1, of_either)).unwrap(), "0 [a[]='y' a[]='z']");
    assert_eq!(values(either, union(0, Avro::String("y".into()))).unwrap(), "0 [a='y']");
    let symbols = json!(["null", {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}]);
    assert_eq!(values(symbols, union(1, Avro::Enum(1, "BLUE".into()))).unwrap(), "0 [a='BLUE']");
    let time = json!({"type": "long", "logicalType": "timestamp-micros"});
    assert_eq!(values(time, Avro::TimestampMicros(1_500)).unwrap(), "0 [a=1500]");
    let nested = json!({"type": "record", "name": "N", "fields": [{"name": "x", "type": ["int", "string"]}]});
    let value = Avro::Record(vec![("x".into(), union(1, Avro::String("y".into())))]);
    assert_eq!(values(nested, value).unwrap(), "1 []");
}

#[test]
fn decimals_are_numbers_of_six_places() {
    let value = |unscaled: &[u8], scale: u32| {
        let schema = writer(&[json!({"name": "properties", "type": {"type": "map", "values":
            {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": scale}}})]);
        let plain = schema.replace(r#""logicalType":"decimal","#, "");
        let map = Avro::Map([("a".to_owned(), Avro::Bytes(unscaled.into()))].into());
        let datum = written(&plain, record(&[("properties", map)]));
        let text = summary(&Reader::compile(&schema).unwrap(), &datum, &["a"]).unwrap();
        text.split_once(" hashed ").unwrap().1.to_owned()
    };
    assert_eq!(value(&[0x04, 0xd2], 2), "0 [a=12.34]");
    assert_eq!(value(&[0xfb, 0x2e], 2), "0 [a=-12.34]");
    assert_eq!(value(&[0xff, 0xff, 0xff, 0xfb, 0x2e], 0), "0 [a=-1234]");
    assert_eq!(value(&[], 2), "0 [a=0]");
    assert_eq!(value(&[25], 7), "0 [a=0.000002]");
    assert_eq!(value(&[35], 7), "0 [a=0.000004]");
    assert_eq!(value(&[(-25_i8).cast_unsigned()], 7), "0 [a=-0.000002]");
    assert_eq!(value(&[0x7f; 15], 60), "0 [a=0]");
    assert_eq!(value(&[0x80; 15], 60), "0 [a=0]");
    assert_eq!(value(&[0x7f; 15], 0), "1 []");
    assert_eq!(value(&[0x7f; 40], 2), "1 []");
}

#[test]
fn time_is_taken_from_every_type_that_is_a_point_in_time() {
    let at = |schema: Json, value: Avro| {
        read(&json!({"name": "occurred_at", "type": schema}), value, &[])
            .map(|text| text.split(' ').nth(2).unwrap().parse::<i64>().unwrap())
    };
    let logical = |name: &str| json!({"type": "long", "logicalType": name});
    assert_eq!(at(json!("int"), Avro::Int(7)), Ok(7));
    assert_eq!(at(json!("long"), Avro::Long(7)), Ok(7));
    assert_eq!(at(logical("timestamp-micros"), Avro::TimestampMicros(1_999)), Ok(1));
    assert_eq!(at(logical("timestamp-micros"), Avro::TimestampMicros(-1)), Ok(-1));
    assert_eq!(at(logical("timestamp-nanos"), Avro::TimestampNanos(-1_000_001)), Ok(-2));
    assert_eq!(at(json!(["null", "long"]), union(1, Avro::Long(9))), Ok(9));
    assert_eq!(at(json!(["null", "long"]), union(0, Avro::Null)), Err(Undecodable::BadTime));
    assert_eq!(
        at(json!(["string", "long"]), union(0, Avro::String("x".into()))),
        Err(Undecodable::Mismatch("occurred_at"))
    );
    assert_eq!(at(json!("long"), Avro::Long(i64::MAX)), Err(Undecodable::BadTime));
    assert_eq!(Undecodable::BadTime.reason(), DeadLetterReason::BadTime);
    for (schema, found) in [
        (logical("local-timestamp-millis"), "of type local-timestamp-millis"),
        (json!({"type": "int", "logicalType": "date"}), "of type date"),
        (json!("double"), "of type double"),
        (json!(["null", "string"]), "a union of null, string"),
    ] {
        let expected = format!("`occurred_at` is {found}, which cannot be read as a point in time");
        assert_eq!(refused(json!({"name": "occurred_at", "type": schema})), expected);
    }
}

#[test]
fn texts_are_read_from_strings_bytes_and_enums_and_from_unions_of_them() {
    let customer = |schema: Json, value: Avro| {
        read(&json!({"name": "customer_id", "type": schema}), value, &[])
            .map(|text| text.split(' ').next().unwrap().to_owned())
    };
    assert_eq!(customer(json!("bytes"), Avro::Bytes(b"c2".into())).as_deref(), Ok("c2"));
    assert_eq!(customer(json!("bytes"), Avro::Bytes(vec![0xff])), Err(Undecodable::NotUtf8("customer_id")));
    let name = json!({"type": "enum", "name": "Who", "symbols": ["A", "B"]});
    assert_eq!(customer(name, Avro::Enum(1, "B".into())).as_deref(), Ok("B"));
    assert_eq!(customer(json!(["null", "string"]), union(1, Avro::String("c3".into()))).as_deref(), Ok("c3"));
    assert_eq!(customer(json!(["null", "string"]), union(0, Avro::Null)), Err(Undecodable::NoCustomer));
    assert_eq!(customer(json!("string"), Avro::String(String::new())), Err(Undecodable::NoCustomer));
    assert_eq!(customer(json!(["int", "string"]), union(0, Avro::Int(1))), Err(Undecodable::Mismatch("customer_id")));
    assert_eq!(
        refused(json!({"name": "customer_id", "type": "long"})),
        "`customer_id` is of type long, which cannot be read as text"
    );
    assert_eq!(
        refused(json!({"name": "customer_id", "type": "null"})),
        "`customer_id` is of type null, which cannot be read as text"
    );
    let source = |value| read(&json!({"name": "source", "type": ["string", "null"]}), value, &[]);
    assert!(source(union(1, Avro::Null)).unwrap().contains(" - - "));
    assert!(source(union(0, Avro::String("shop".into()))).unwrap().contains(" - shop "));
    assert!(read(&json!({"name": "event_id", "type": "null"}), Avro::Null, &[]).is_ok());
}

#[test]
fn properties_may_be_null_and_must_be_a_map() {
    let field = json!({"name": "properties", "type": ["null", {"type": "map", "values": "long"}]});
    assert!(read(&field, union(0, Avro::Null), &["a"]).unwrap().ends_with("0 []"));
    let map = Avro::Map([("a".to_owned(), Avro::Long(4))].into());
    assert!(read(&field, union(1, map), &["a"]).unwrap().ends_with("0 [a=4]"));
    let refusal = refused(json!({"name": "properties", "type": {"type": "array", "items": "long"}}));
    assert_eq!(refusal, "`properties` is of type array, which cannot be read as a map");
}

#[test]
fn a_repeated_key_counts_once_and_the_last_wins() {
    let reader = Reader::built_in();
    let of = |properties: &[u8]| {
        let datum = [b"\x00\x04c1\x02x\x0a\x00".as_slice(), properties].concat();
        summary(&reader, &datum, &["a", "b"]).unwrap()
    };
    assert!(of(b"\x06\x02a\x04\x02\x02b\x04\x04\x02a\x04\x06\x00").ends_with("0 [a=3 b=2]"));
    assert!(of(b"\x04\x02a\x04\x02\x02a\x00\x00").ends_with("0 []"));
    assert!(of(b"\x04\x02a\x04\x02\x02a\x06\x00\x00\x00\x00\x00\x00\xf8\x7f\x00").ends_with("1 []"));
}

#[test]
fn a_schema_that_is_no_event_says_which_field_it_lacks() {
    let compile = |schema: &Json| Reader::compile(&schema.to_string()).unwrap_err();
    let lacking = json!({"type": "record", "name": "E", "fields": [{"name": "customer_id", "type": "string"}]});
    assert_eq!(compile(&lacking), Incompatible::Missing("event".into()));
    assert_eq!(compile(&json!("string")), Incompatible::NotARecord("string"));
    assert!(matches!(Reader::compile("{"), Err(Incompatible::Schema(_))));
    let other = json!({"type": "record", "name": "E", "fields": [{"name": "x", "type": "Other"}]});
    assert_eq!(compile(&other), Incompatible::Undefined("Other".into()));
    let nested = json!({"type": "record", "name": "E", "fields": [{"name": "x", "type": [["null"], "int"]}]});
    assert!(compile(&nested).to_string().contains("a union directly contains a union"));
}

#[test]
fn what_takes_no_part_in_reading_refuses_no_schema() {
    let plain = writer(&[json!({"name": "x", "type": "string"})]);
    let datum = written(&plain, record(&[("x", Avro::String("y".into()))]));
    let schema: Json = serde_json::from_str(&plain).unwrap();
    let with = |change: &dyn Fn(&mut Json)| {
        let mut schema = schema.clone();
        change(&mut schema);
        schema.to_string()
    };
    for odd in [
        with(&|schema| schema["fields"][3]["default"] = Json::Null),
        with(&|schema| schema["fields"][3]["default"] = json!({"not": "a text"})),
        with(&|schema| schema["namespace"] = json!("my-shop.$events.2024")),
        with(&|schema| schema["name"] = json!("Order-Paid$")),
        with(&|schema| schema["fields"][3]["name"] = json!("first name")),
        with(&|schema| schema["fields"][3]["type"] = json!({"type": "string", "logicalType": "iso-8601"})),
        with(&|schema| {
            schema["fields"][3]["type"] = json!({"type": "bytes", "logicalType": "decimal", "precision": "x"})
        }),
        with(&|schema| schema["fields"][2]["logicalType"] = json!(7)),
        with(&|schema| schema["doc"] = json!(7)),
        plain.replacen('{', r#"{"doc": "cut \ud83c", "weight": 1e999, "#, 1),
    ] {
        let reader = Reader::compile(&odd).unwrap_or_else(|error| panic!("{odd}: {error}"));
        assert_eq!(summary(&reader, &datum, &[]).unwrap(), "c1 purchase 5 - - hashed 0 []", "{odd}");
    }
}

#[test]
fn symbols_and_types_written_out_twice_are_read() {
    let kind = json!({"type": "enum", "name": "Kind", "symbols": ["in-store", "on line", "2nd"]});
    let schema = writer(&[
        json!({"name": "event", "type": kind}),
        json!({"name": "before", "type": kind}),
        json!({"name": "after", "type": "Kind"}),
    ]);
    let reader = Reader::compile(&schema).unwrap();
    assert_eq!(summary(&reader, b"\x04c1\x0a\x06\x00\x04", &[]), Err(Undecodable::Branch));
    assert_eq!(summary(&reader, b"\x04c1\x0a\x04\x00\x7e", &[]).unwrap(), "c1 2nd 5 - - hashed 0 []");
}

#[test]
fn a_value_that_nobody_reads_costs_nothing_and_one_that_is_read_only_itself() {
    let field = |name: &str, schema: Json| json!({"name": name, "type": schema});
    let extra = writer(&[field("text", json!("string")), field("flag", json!("boolean"))]);
    // The text is not UTF-8, and the boolean neither true nor false.
    let datum = [&written(&writer(&[]), record(&[]))[..], b"\x04\xed\xa0\x07"].concat();
    assert!(summary(&Reader::compile(&extra).unwrap(), &datum, &[]).is_ok());

    let head = b"\x00\x04c1\x02x\x0a\x00".as_slice();
    let properties = b"\x06\x02a\x08\x06\xed\xa0\xbc\x02\xff\x08\x02y\x02b\x04\x0e\x00".as_slice();
    let datum = [head, properties].concat();
    let built_in = Reader::built_in();
    assert_eq!(summary(&built_in, &datum, &["b"]).unwrap(), "c1 x 5 - - hashed 0 [b=7]");
    assert_eq!(summary(&built_in, &datum, &["a", "b"]).unwrap(), "c1 x 5 - - hashed 1 [b=7]");
}

#[test]
fn fields_beside_ours_are_named_once() {
    let schema = writer(&[
        json!({"name": "amount", "type": "double"}),
        json!({"name": "properties", "type": {"type": "map", "values": "string"}}),
        json!({"name": "nothing", "type": "null"}),
    ]);
    let reader = Reader::compile(&schema).unwrap();
    assert_eq!(reader.unread().to_string(), "amount, nothing");
    assert!(reader.unread_once().is_some() && reader.unread_once().is_none());
    assert!(Reader::built_in().unread_once().is_none());
}

#[test]
fn a_topic_of_several_record_types_gives_events_where_they_are_events() {
    let event: Json = serde_json::from_str(&writer(&[])).unwrap();
    let schema = json!([
        "null",
        {"type": "record", "name": "Order", "fields": [{"name": "x", "type": "int"}]},
        event
    ])
    .to_string();
    let reader = Reader::compile(&schema).unwrap();
    let datum = written(&schema, union(2, record(&[])));
    assert!(summary(&reader, &datum, &[]).is_ok());
    let order = written(&schema, union(1, Avro::Record(vec![("x".into(), Avro::Int(1))])));
    assert_eq!(summary(&reader, &order, &[]), Err(Undecodable::Mismatch("the record")));
    assert_eq!(summary(&reader, &[0], &[]), Err(Undecodable::Mismatch("the record")));
    assert!(reader.unread().is_empty(), "what is no event has no fields that are lost");
}

#[test]
fn named_types_are_found_again_by_name_alias_and_in_themselves() {
    let schema = writer(&[
        json!({"name": "first", "type": {"type": "enum", "name": "Kind", "aliases": ["Sort"], "symbols": ["A", "B"]}}),
        json!({"name": "event", "type": "Kind"}),
        json!({"name": "tree", "type": {"type": "record", "name": "Node", "fields": [
            {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 2}},
            {"name": "children", "type": {"type": "array", "items": "Node"}},
            {"name": "same", "type": ["null", "Digest"]}]}}),
        json!({"name": "again", "type": "shop.Node"}),
    ]);
    let leaf = Avro::Record(vec![
        ("digest".into(), Avro::Fixed(2, vec![1, 2])),
        ("children".into(), Avro::Array(vec![])),
        ("same".into(), union(1, Avro::Fixed(2, vec![3, 4]))),
    ]);
    let tree = Avro::Record(vec![
        ("digest".into(), Avro::Fixed(2, vec![1, 2])),
        ("children".into(), Avro::Array(vec![leaf.clone(), leaf.clone()])),
        ("same".into(), union(0, Avro::Null)),
    ]);
    let datum = written(
        &schema,
        record(&[
            ("first", Avro::Enum(0, "A".into())),
            ("event", Avro::Enum(1, "B".into())),
            ("tree", tree),
            ("again", leaf),
        ]),
    );
    assert_eq!(summary(&Reader::compile(&schema).unwrap(), &datum, &[]).unwrap(), "c1 B 5 - - hashed 0 []");
}

#[test]
fn a_recycled_buffer_keeps_its_memory() {
    let reader = Reader::built_in();
    let datum = b"\x00\x04c1\x02x\x0a\x00\x04\x02a\x04\x02\x02b\x04\x04\x00".to_vec();
    let vocabulary = vocabulary(&["a", "b"]);
    let mut buffer: Properties<'static> = Vec::with_capacity(2);
    let memory = (buffer.as_ptr().addr(), buffer.capacity());
    for _ in 0..3 {
        let datum = datum.clone();
        let mut properties = recycle(buffer);
        let event = reader.decode(&datum, &vocabulary, &mut properties).unwrap();
        let b = vocabulary.property("b").unwrap();
        assert_eq!(event.property(b), Some(Value::Number(Number::from_integer(2))));
        buffer = recycle(properties);
        assert_eq!((buffer.as_ptr().addr(), buffer.capacity()), memory);
    }
}
