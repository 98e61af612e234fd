//! What each type of Avro comes out as, by bytes written by hand; keys in Avro; and what a schema lacks.

use cohortd::sources::{Payload, Record};

use super::{mapping, shown};

/// The event of one value of a type, in the property `v`.
fn of(schema: &str, bytes: &[u8]) -> String {
    let mapping = mapping(
        "[sources.s]\ntopic = 't'\ncustomer = 'c'\ntime = { field = 't', unit = 'seconds' }\nevent = 'e'\n\
         properties = { v = 'v' }\n",
    );
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"c","type":"string"}},
            {{"name":"skipped","type":{{"type":"map","values":"bytes"}}}},{{"name":"v","type":{schema}}},{{"name":"t","type":"int"}}]}}"#
    );
    let reader = mapping.reader(&schema).unwrap();
    // A customer, a map of one entry in a block of a known size, the value, and a second after 1970.
    let record = [&[2, b'c', 1, 8, 2, b'k', 2, 9, 0][..], bytes, &[2]].concat();
    let found = shown(&mapping.map(&Payload::Avro(&reader, &record).alone()));
    let start = "c e 1970-01-01T00:00:01.000Z hash s [";
    found[0].strip_prefix(start).and_then(|rest| rest.strip_suffix(']')).unwrap_or(&found[0]).to_owned()
}

#[test]
fn every_type_comes_out_as_it_is_documented() {
    let logical = |base: &str, logical: &str| format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#);
    let connect = |base: &str, name: &str| format!(r#"{{"type":"{base}","connect.name":"{name}"}}"#);
    let fixed = |size: u8, logical: &str| format!(r#"{{"type":"fixed","name":"F","size":{size},{logical}}}"#);
    let decimal = r#""logicalType":"decimal","precision":20,"scale":2"#;
    let uuid: Vec<u8> = (0..16).collect();
    for (schema, bytes, expected) in [
        (r#""null""#.to_owned(), vec![], ""),
        (r#""boolean""#.to_owned(), vec![1], "v=true"),
        (r#""int""#.to_owned(), vec![3], "v=-2"),
        (r#""float""#.to_owned(), 0.1_f32.to_le_bytes().to_vec(), "v=0.1"),
        (r#""double""#.to_owned(), 59.99_f64.to_le_bytes().to_vec(), "v=59.99"),
        (r#""double""#.to_owned(), f64::NAN.to_le_bytes().to_vec(), "unusable=1"),
        (r#""string""#.to_owned(), vec![4, 0xc3, 0xa9], "v='é'"),
        (r#""string""#.to_owned(), vec![2, 0xff], "unusable=1"),
        (r#""bytes""#.to_owned(), vec![2, 1], "unusable=1"),
        (r#"{"type":"array","items":"int"}"#.to_owned(), vec![2, 2, 0], "unusable=1"),
        (r#"{"type":"map","values":"int"}"#.to_owned(), vec![0], "unusable=1"),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.to_owned(), vec![2], "v='B'"),
        (format!(r#"{{"type":"bytes",{decimal}}}"#), vec![4, 0x17, 0x6f], "v=59.99"),
        (fixed(4, decimal), vec![0xff, 0xff, 0xe8, 0x91], "v=-59.99"),
        (logical("bytes", "big-decimal"), vec![8, 4, 0x17, 0x6f, 4], "v=59.99"),
        (fixed(16, r#""logicalType":"uuid""#), uuid, "v='00010203-0405-0607-0809-0a0b0c0d0e0f'"),
        (logical("long", "timestamp-nanos"), vec![0xff, 0x88, 0x7a], "v=-1"),
        (logical("long", "timestamp-millis"), vec![2], "v=1"),
        (logical("long", "local-timestamp-millis"), vec![2], "unusable=1"),
        (logical("int", "date"), vec![1], "v='1969-12-31'"),
        (logical("int", "time-millis"), vec![2], "v='00:00:00.001'"),
        (logical("long", "time-micros"), vec![2], "v='00:00:00.000001'"),
        (connect("long", "io.debezium.time.NanoTimestamp"), vec![1], "v=-1"),
        (connect("int", "io.debezium.time.Date"), vec![2], "v='1970-01-02'"),
        (connect("string", "io.debezium.data.Uuid"), vec![2, b'u'], "v='u'"),
        (fixed(2, r#""logicalType":"none""#), vec![1, 2], "unusable=1"),
        (fixed(12, r#""logicalType":"duration""#), vec![0; 12], "unusable=1"),
    ] {
        assert_eq!(of(&schema, &bytes), expected, "{schema} {bytes:?}");
    }
}

#[test]
fn of_an_entry_that_stands_twice_in_a_map_the_last_counts_with_all_that_it_lacks() {
    let mapping = mapping(
        "[sources.s]\ntopic = 't'\ncustomer = 'm.c'\ntime = '@timestamp'\nevent = 'e'\nno_customer = 'dead_letter'\n",
    );
    let reader = mapping
        .reader(
            r#"{"type":"record","name":"R","fields":[{"name":"m","type":{"type":"map","values":["null","string"]}}]}"#,
        )
        .unwrap();
    let customer = [4, 2, b'c', 2, 2, b'x', 2, b'c', 0, 0];
    let found = shown(&mapping.map(&Payload::Avro(&reader, &customer).alone()));
    assert_eq!(found, ["refused: no_customer: `m.c` is missing or empty"]);
}

#[test]
fn a_key_may_be_avro_of_its_own_schema() {
    let mapping =
        mapping("[sources.s]\ntopic = 't'\nformat = 'json'\ncustomer = ['key.id', 'key']\ntime = 'at'\nevent = 'e'\n");
    let value = Payload::Json(br#"{"at":1767603600000}"#);
    let with = |key: Payload<'_>| shown(&mapping.map(&Record { value, key, headers: &[], place: None }));
    let record = mapping.key_reader(r#"{"type":"record","name":"K","fields":[{"name":"id","type":"long"}]}"#).unwrap();
    assert_eq!(with(Payload::Avro(&record, &[14])), ["7 e 2026-01-05T09:00:00.000Z hash s []"]);
    let text = mapping.key_reader(r#""string""#).unwrap();
    assert_eq!(with(Payload::Avro(&text, &[4, b'u', b'1'])), ["u1 e 2026-01-05T09:00:00.000Z hash s []"]);
    assert_eq!(with(Payload::Null), ["skipped: no_customer"]);
    assert_eq!(
        with(Payload::Avro(&text, &[4])),
        ["refused: undecodable: the key: the record ends too early for its schema"]
    );
}

#[test]
fn a_schema_without_the_customer_refuses_every_record_and_says_what_there_is() {
    let mapping = mapping(
        "[sources.s]\ntopic = 't'\ncustomer = 'buyer.idd'\ntime = 'at.ms'\nevent = 'e'\neach = 'line'\n\
         properties = { a = 'lines.sku', b = 'each.sku', c = 'buyer[0]' }\n",
    );
    let reader = mapping
        .reader(
            r#"{"type":"record","name":"shop.Order","fields":[
                {"name":"buyer","type":["null",{"type":"record","name":"B","fields":[{"name":"id","type":"string"}]}]},
                {"name":"at","type":"long"},
                {"name":"lines","type":{"type":"array","items":"B"}}]}"#,
        )
        .unwrap();
    let said: Vec<String> =
        reader.absent().iter().map(|absent| format!("{}: {}", absent.path, absent.instead)).collect();
    assert_eq!(
        said,
        [
            "buyer.idd: did you mean `id`?",
            "at.ms: nothing lies within a value of type long",
            "lines.sku: this is a list: use `each`, [0] or [key=text]",
            "buyer[0]: this is no list, but of type record",
        ]
    );
    let found = shown(&mapping.map(&Payload::Avro(&reader, &[0, 0, 0]).alone()));
    assert_eq!(found, ["refused: no_such_field: `shop.Order` has no `buyer.idd` for the customer; did you mean `id`?"]);
}
