//! Bytes that no honest writer sends: an error each, at once, whatever they claim.

use std::time::{Duration, Instant};

use apache_avro::types::Value as Avro;
use proptest::prelude::*;
use serde_json::json;

use super::{summary, written};
use crate::codec::{Reader, Undecodable};

/// One of everything that is read or passed over.
fn schema() -> String {
    json!({"type": "record", "name": "E", "fields": [
        {"name": "nothing", "type": {"type": "array", "items": "null"}},
        {"name": "list", "type": {"type": "record", "name": "List", "fields": [
            {"name": "n", "type": "long"}, {"name": "next", "type": ["null", "List"]}]}},
        {"name": "customer_id", "type": ["null", "string", "bytes"]},
        {"name": "event", "type": {"type": "enum", "name": "Name", "symbols": ["purchase", "login"]}},
        {"name": "blob", "type": {"type": "map", "values": {"type": "array", "items": ["boolean", "int", "float"]}}},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "event_id", "type": ["string", "null"]},
        {"name": "properties", "type": {"type": "map", "values":
            ["null", "boolean", "int", "double", "string", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]}},
    ]})
    .to_string()
}

fn datum() -> Vec<u8> {
    let union = |index, value| Avro::Union(index, Box::new(value));
    let link = |next| Avro::Record(vec![("n".into(), Avro::Long(300)), ("next".into(), next)]);
    let inner = Avro::Array(vec![union(0, Avro::Boolean(true)), union(1, Avro::Int(5)), union(2, Avro::Float(1.0))]);
    // One entry a map, so that the bytes are the same each time.
    let properties = Avro::Map([("a".to_owned(), union(4, Avro::String("é".into())))].into());
    written(
        &schema(),
        Avro::Record(vec![
            ("nothing".into(), Avro::Array(vec![Avro::Null; 3])),
            ("list".into(), link(union(1, link(union(0, Avro::Null))))),
            ("customer_id".into(), union(1, Avro::String("c1".into()))),
            ("event".into(), Avro::Enum(0, "purchase".into())),
            ("blob".into(), Avro::Map([("k".to_owned(), inner)].into())),
            ("occurred_at".into(), Avro::TimestampMicros(1_700_000_000_000_000)),
            ("event_id".into(), union(0, Avro::String("e1".into()))),
            ("properties".into(), properties),
        ]),
    )
}

#[test]
fn a_record_cut_off_anywhere_is_an_error() {
    let (reader, datum) = (Reader::compile(&schema()).unwrap(), datum());
    assert_eq!(summary(&reader, &datum, &["a"]).unwrap(), "c1 purchase 1700000000000 e1 - given 0 [a='é']");
    for end in 0..datum.len() {
        assert_eq!(summary(&reader, &datum[..end], &["a"]), Err(Undecodable::Truncated), "{end}");
    }
    let longer = [datum.as_slice(), &[0]].concat();
    assert_eq!(summary(&reader, &longer, &["a"]), Err(Undecodable::Trailing));
}

#[test]
fn every_changed_bit_is_read_or_refused() {
    let (reader, datum) = (Reader::compile(&schema()).unwrap(), datum());
    for bit in 0..datum.len() * 8 {
        let mut damaged = datum.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        drop(summary(&reader, &damaged, &["a"]));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), small in any::<bool>()) {
        // Small bytes go deep: they are short lengths and valid branches.
        let bytes: Vec<u8> = bytes.into_iter().map(|byte| if small { byte % 6 } else { byte }).collect();
        for reader in [Reader::compile(&schema()).unwrap(), Reader::built_in()] {
            drop(summary(&reader, &bytes, &["a"]));
        }
    }
}

#[test]
fn a_few_bytes_that_claim_billions_of_items_cost_nothing() {
    let reader = Reader::compile(&schema()).unwrap();
    let started = Instant::now();
    let billions = b"\xfe\xff\xff\xff\x1f".as_slice();
    // Nulls take no bytes, so the claim is believed, and passed over without counting.
    assert!(summary(&reader, &[billions, &datum()[1..]].concat(), &["a"]).is_ok());
    let more = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(summary(&reader, &[more.as_slice(), &datum()[1..]].concat(), &["a"]), Err(Undecodable::Length));
    let least = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00";
    assert_eq!(summary(&reader, &[least.as_slice(), &datum()[1..]].concat(), &["a"]), Err(Undecodable::Length));
    let built_in = Reader::built_in();
    let head = b"\x00\x04c1\x02x\x0a\x00".as_slice();
    assert_eq!(summary(&built_in, &[head, billions].concat(), &["a"]), Err(Undecodable::Truncated));
    assert_eq!(summary(&built_in, &[head, billions, b"\x02a\x00"].concat(), &["a"]), Err(Undecodable::Truncated));
    assert_eq!(summary(&built_in, &[head, b"\x01\x7e".as_slice()].concat(), &["a"]), Err(Undecodable::Truncated));
    assert_eq!(summary(&built_in, &[head, b"\x01\x01".as_slice()].concat(), &["a"]), Err(Undecodable::Length));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_type_that_contains_itself_is_followed_only_so_far() {
    let reader = Reader::compile(&schema()).unwrap();
    // Three nulls, the end of that array, then two links of 300: the second ends the list.
    let datum = datum();
    let (head, tail) = datum.split_at(8);
    assert_eq!(head, [6, 0, 0xd8, 4, 2, 0xd8, 4, 0]);
    let list = |links: usize| [&[0][..], &[0, 2].repeat(links), &[0, 0], tail].concat();
    assert!(summary(&reader, &list(20), &["a"]).is_ok());
    assert_eq!(summary(&reader, &list(40), &["a"]), Err(Undecodable::Depth));
    assert_eq!(summary(&reader, &list(1_000_000), &["a"]), Err(Undecodable::Depth));
    let endless = json!({"type": "record", "name": "E", "fields": [
        {"name": "customer_id", "type": "string"}, {"name": "event", "type": "string"},
        {"name": "occurred_at", "type": "long"},
        {"name": "self", "type": {"type": "record", "name": "S", "fields": [
            {"name": "a", "type": "S"}, {"name": "b", "type": "S"}]}}]});
    let endless = Reader::compile(&endless.to_string()).unwrap();
    assert_eq!(summary(&endless, b"\x04c1\x02x\x0a", &[]), Err(Undecodable::Depth));
}
