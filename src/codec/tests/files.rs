//! One file's events, in each of its forms.

use std::io::{Cursor, Write};

use apache_avro::types::Value as Avro;
use apache_avro::{Codec, DeflateSettings, Schema, Writer};

use super::super::program::CUSTOMER_EVENT;
use super::{shown, vocabulary};
use crate::codec::{EventFile, OwnedEvent, Reader};

const LINES: &str = concat!(
    "{\"event_id\": \"e1\", \"customer_id\": \"c1\", \"event\": \"purchase\", \"time\": 5, \"source\": \"shop\", \"properties\": {\"a\": 12.5}}\r\n",
    "\n",
    "{\"customer_id\": \"c2\", \"event\": \"login\", \"time\": \"1970-01-01T00:00:00.006Z\"}",
);

fn read(bytes: impl Into<Vec<u8>>) -> Vec<Result<OwnedEvent, String>> {
    match EventFile::read("f", Cursor::new(bytes.into())) {
        Ok(file) => file.map(|event| event.map_err(|error| error.to_string())).collect(),
        Err(error) => vec![Err(error.to_string())],
    }
}

fn seen(events: &[Result<OwnedEvent, String>]) -> Vec<(String, i64, Option<String>, usize)> {
    let events = events.iter().map(|event| event.as_ref().unwrap());
    events.map(|event| (event.customer.clone(), event.at.0, event.id.clone(), event.properties.len())).collect()
}

/// Two records like those of `LINES`, in a container.
fn container(codec: Codec) -> Vec<u8> {
    let schema = Schema::parse_str(CUSTOMER_EVENT).unwrap();
    // Without one the writer draws it, and a damaged file reads otherwise each time.
    let marker = *b"between blocks..";
    let mut writer = Writer::builder().schema(&schema).writer(Vec::new()).codec(codec).marker(marker).build().unwrap();
    let union = |index, value| Avro::Union(index, Box::new(value));
    let text = |text: &str| Avro::String(text.into());
    let record = |id, customer, at, source, properties| {
        Avro::Record(vec![
            ("event_id".into(), id),
            ("customer_id".into(), text(customer)),
            ("event".into(), text("purchase")),
            ("occurred_at".into(), Avro::TimestampMillis(at)),
            ("source".into(), source),
            ("properties".into(), properties),
        ])
    };
    let properties = Avro::Map([("a".to_owned(), union(3, Avro::Double(12.5)))].into());
    writer.append_value(record(union(1, text("e1")), "c1", 5, union(1, text("shop")), properties)).unwrap();
    writer.flush().unwrap();
    let none = Avro::Map([].into());
    writer.append_value(record(union(0, Avro::Null), "c2", 6, union(0, Avro::Null), none)).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn lines_and_containers_are_told_apart_and_read_through_compression() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let expected = [("c1".to_owned(), 5, Some("e1".to_owned()), 1), ("c2".to_owned(), 6, None, 0)];
    let deflated = container(Codec::Deflate(DeflateSettings::default()));
    for bytes in [LINES.as_bytes(), &container(Codec::Null), &deflated] {
        assert_eq!(seen(&read(bytes)), expected);
        assert_eq!(seen(&read(gzip(bytes))), expected);
        assert_eq!(seen(&read(zstd(bytes))), expected);
    }
    let two_members = [gzip(LINES.as_bytes()), gzip(b"\n{\"customer_id\":\"c3\",\"event\":\"e\",\"time\":7}")].concat();
    assert_eq!(read(two_members).len(), 3);
    let marked = [b"\xef\xbb\xbf".as_slice(), LINES.as_bytes()].concat();
    assert_eq!(seen(&read(marked)), expected);
    assert!(read("").is_empty());
    assert!(read("\n \n").is_empty());
}

#[test]
fn a_file_on_disk_is_opened_by_what_it_holds_not_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    std::fs::write(&path, container(Codec::Null)).unwrap();
    assert_eq!(EventFile::open(&path).unwrap().count(), 2);
    let missing = EventFile::open(&folder.path().join("none")).err().unwrap().to_string();
    assert!(missing.contains("none"), "{missing}");
}

#[test]
fn a_container_says_what_the_topic_would_have_said() {
    let events = read(container(Codec::Null));
    let owned = events[1].as_ref().unwrap();
    let datum = b"\x00\x04c2\x10purchase\x0c\x00\x00";
    let reader = Reader::built_in();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let vocabulary = vocabulary(&["a"]);
    let from_topic = reader.decode(datum, &vocabulary, &mut first).unwrap();
    let from_file = owned.borrowed(&vocabulary, &mut second);
    assert_eq!(format!("{from_topic:?}"), format!("{from_file:?}"));
    let first = events[0].as_ref().unwrap();
    let from_file = first.borrowed(&vocabulary, &mut second);
    assert_eq!((from_file.record_hash, from_file.source), (0, Some("shop")));
    let (id, value) = from_file.properties[0];
    assert_eq!(shown(&["a"], id, value), "a=12.5");
}

#[test]
fn a_bad_line_is_named_and_the_next_one_is_read() {
    let lines = format!("{LINES}\n{{\"customer_id\": \"secret\"}}\nsecret\n{LINES}\n");
    let events = read(lines);
    assert_eq!(events.len(), 6);
    assert_eq!(events[2].as_ref().unwrap_err(), "f, line 4: `event` is missing, null or empty");
    assert_eq!(events[3].as_ref().unwrap_err(), "f, line 5: not a JSON object (column 1)");
    assert!(events[5].is_ok());
    let endless = read(vec![b' '; (16 << 20) + 1]);
    assert_eq!(endless.len(), 1);
    assert_eq!(endless[0].as_ref().unwrap_err(), "f, line 1: longer than 16 MiB");
}

#[test]
fn a_damaged_container_is_refused_wherever_it_is_damaged() {
    let whole = container(Codec::Null);
    for end in 1..whole.len() {
        let events = read(&whole[..end]);
        let ended_between_blocks = events.len() == 1 && events[0].is_ok();
        assert!(ended_between_blocks || events.is_empty() || events.last().unwrap().is_err(), "{end}");
    }
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // Read or refused; what matters is that it ends.
        assert!(read(damaged).len() <= 4, "{bit}");
    }
}

#[test]
fn a_compression_that_is_not_supported_is_named() {
    let mut bytes = container(Codec::Deflate(DeflateSettings::default()));
    let codec = bytes.windows(18).position(|window| window == b"avro.codec\x0edeflate").unwrap() + 11;
    bytes[codec..codec + 7].copy_from_slice(b"unknown");
    let expected = "f: its compression `unknown` is not supported; null, deflate and zstandard are";
    assert_eq!(read(bytes)[0].as_ref().unwrap_err(), expected);
}
