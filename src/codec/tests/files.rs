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

/// A container's header for blocks of that compression, and what comes after each block.
fn header(codec: &str, schema: &str) -> (Vec<u8>, [u8; 16]) {
    let sized = |bytes: &[u8]| [&zigzag(bytes.len() as i64)[..], bytes].concat();
    let marker = *b"between blocks..";
    let entries = [sized(b"avro.schema"), sized(schema.as_bytes()), sized(b"avro.codec"), sized(codec.as_bytes())];
    ([&b"Obj\x01\x04"[..], &entries.concat(), &[0], &marker].concat(), marker)
}

fn zigzag(value: i64) -> Vec<u8> {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while bits >= 0x80 {
        bytes.push((bits & 0x7f) as u8 | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
    bytes
}

/// A container of blocks, each of so many records.
fn blocks(codec: &str, schema: &str, blocks: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, marker) = header(codec, schema);
    for (records, stored) in blocks {
        bytes.extend([&zigzag(*records)[..], &zigzag(stored.len() as i64), stored, &marker].concat());
    }
    bytes
}

/// One record without id, source and properties.
fn datum(customer: &str, at: i64) -> Vec<u8> {
    [&[0][..], &zigzag(customer.len() as i64), customer.as_bytes(), b"\x02x", &zigzag(at), &[0, 0]].concat()
}

/// The customers of the events, or the errors in their place.
fn customers(events: &[Result<OwnedEvent, String>]) -> Vec<&str> {
    let customers = events.iter().map(|event| match event {
        Ok(event) => event.customer.as_str(),
        Err(error) => error.as_str(),
    });
    customers.collect()
}

#[test]
fn a_bad_record_in_a_container_costs_no_more_than_itself() {
    let records = [datum("a", 1), datum("", 2), datum("b", i64::MAX), datum(&"c".repeat(2_000), 4), datum("d", 5)];
    let file = blocks("null", CUSTOMER_EVENT, &[(5, records.concat()), (1, datum("e", 6))]);
    let expected = [
        "a",
        "f: record 2: `customer_id` is null or empty",
        "f: record 3: `occurred_at` is null, local, or beyond the years 1 to 9999",
        "f: record 4: `customer_id` is longer than 1,024 bytes",
        "d",
        "e",
    ];
    assert_eq!(customers(&read(file)), expected);
}

#[test]
fn where_the_next_record_begins_is_known_again_with_the_next_block() {
    let spoilt = [datum("a", 1), b"\x00\x04bb\x7e".to_vec(), vec![0xff; 9]].concat();
    let file = blocks("null", CUSTOMER_EVENT, &[(4, spoilt), (2, [datum("y", 5), datum("z", 6)].concat())]);
    let found = read(file);
    let lost = "f: records 2 to 4: the record ends too early for its schema; the start of the next record is unknown";
    assert_eq!(customers(&found), ["a", lost, "y", "z"]);
    let file = blocks("deflate", CUSTOMER_EVENT, &[(3, vec![0xff; 20]), (0, Vec::new())]);
    let found = read(file);
    assert_eq!(found.len(), 1);
    assert!(customers(&found)[0].starts_with("f: records 1 to 3: decompression failed"), "{found:?}");
}

#[test]
fn containers_of_other_codecs_are_read_and_their_checksum_is_looked_at() {
    let block = [datum("a", 1), datum("b", 2)].concat();
    let snappy = |block: &[u8], change: u8| {
        let mut checksum = flate2::Crc::new();
        checksum.update(block);
        let compressed = snap::raw::Encoder::new().compress_vec(block).unwrap();
        let mut sum = checksum.sum().to_be_bytes();
        sum[0] ^= change;
        [compressed, sum.to_vec()].concat()
    };
    let file =
        blocks("snappy", CUSTOMER_EVENT, &[(2, snappy(&block, 0)), (2, snappy(&block, 1)), (2, snappy(&block, 0))]);
    assert_eq!(customers(&read(file)), ["a", "b", "f: records 3 to 4: the checksum does not match", "a", "b"]);
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&block).unwrap();
    assert_eq!(customers(&read(blocks("bzip2", CUSTOMER_EVENT, &[(2, bzip2.finish().unwrap())]))), ["a", "b"]);
    assert_eq!(customers(&read(blocks("xz", CUSTOMER_EVENT, &[(2, xz(&block))]))), ["a", "b"]);
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_are_read_as_other_tools_write_them() {
    let line = |customer: &str| format!("{{\"customer_id\":\"{customer}\",\"event\":\"e\",\"time\":7}}\n").into_bytes();
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bzip2 = |bytes: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    // A frame to be skipped says in it what the next one is: so several compressors work at once.
    let skipped = |kind: u8| [&[kind, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"pzst"].concat();
    let (a, b) = (line("a"), line("b"));
    for file in [
        [skipped(0x50), zstd(&a), skipped(0x5f), zstd(&b)].concat(),
        [zstd(&a), skipped(0x51), zstd(&b), skipped(0x50)].concat(),
        [gzip(&a), gzip(&b), gzip(b"")].concat(),
        [gzip(&a), vec![0; 700], gzip(&b), vec![0; 20_000]].concat(),
        [bzip2(&a), bzip2(&b)].concat(),
        [xz(&a), xz(&b)].concat(),
    ] {
        assert_eq!(customers(&read(file)), ["a", "b"]);
    }
    let followed = read([gzip(&a), b"more".to_vec()].concat());
    assert_eq!(customers(&followed), ["f: trailing bytes after the compressed data"]);
}

#[test]
fn what_is_plainly_something_else_is_named_in_one_line() {
    let files: [(&[u8], &str); 10] = [
        (b"customer_id,event,time\nc1,purchase,2026-01-05\n", "this is CSV"),
        (b"\xef\xbb\xbfid;amount\r\n\r\n1;2,5\r\n", "this is CSV"),
        (b"id\tamount\n1\t2\n", "this is CSV"),
        (b"[\n{\"customer_id\":\"c\"},\n{}]\n", "`jq -c '.[]'`"),
        (b" [{\"customer_id\":\"c\"}]", "`jq -c '.[]'`"),
        (b"{\n  \"customer_id\": \"c\"\n}\n", "`jq -c .`"),
        (b"PAR1\x15\x04", "this is Parquet"),
        (b"PK\x03\x04\x14\x00\x00\x00", "a spreadsheet"),
        (b"\x1f\x9d\x90", "compressed by compress"),
        (b"\xff\xfe{\x00", "UTF-16"),
    ];
    for (bytes, named) in files {
        let found = read(bytes);
        assert!(found.len() == 1 && found[0].as_ref().unwrap_err().contains(named), "{named}: {found:?}");
    }
    // One spoilt line is that line's own matter.
    let spoilt = read(format!("[INFO] begun, at last\n{LINES}"));
    assert_eq!((spoilt.len(), spoilt.iter().filter(|event| event.is_ok()).count()), (3, 2));
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
fn lines_and_containers_are_distinguished_and_read_through_compression() {
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
    let expected = "f: its compression `unknown` is not supported; null, deflate, snappy, zstandard, bzip2 and xz are";
    assert_eq!(read(bytes)[0].as_ref().unwrap_err(), expected);
}
