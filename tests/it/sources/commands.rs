//! `cohortd sources` and `check --sources` as a user meets them.

use std::fs;

use apache_avro::types::Value as Avro;
use apache_avro::{Codec, Schema, Writer};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::cli::{Ended, run};

const SOURCES: &str = r#"
[sources.orders]
topic      = "shop.orders"
customer   = "buyer"
time       = "at"
event      = "purchase"
where      = "total > 0"
properties = { amount = "total", channel = "chanel" }

[sources.clicks]
topic  = "clicks"
preset = "segment"
"#;

const SCHEMA: &str = r#"{"type":"record","name":"shop.Order","fields":[
    {"name":"buyer","type":["null","string"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"channel","type":"string"},
    {"name":"total","type":"long"}]}"#;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new(sources: &str) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write("sources.toml", sources.as_bytes());
        files.write("rules.toml", b"[cohorts.buyers]\nwho = 'did purchase in the last 7 days'\n");
        files
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// With the sources file of the folder.
    fn run(&self, arguments: &[&str]) -> Ended {
        let sources = self.path("sources.toml");
        let all: Vec<&str> = arguments.iter().copied().chain(["--sources", &sources]).collect();
        let mut ended = run(&all);
        let folder = format!("{}/", self.folder.path().display());
        (ended.out, ended.err) = (ended.out.replace(&folder, ""), ended.err.replace(&folder, ""));
        ended
    }
}

fn container(orders: &[(Option<&str>, i64, i64)]) -> Vec<u8> {
    let schema = Schema::parse_str(SCHEMA).unwrap();
    let mut writer = Writer::with_codec(&schema, Vec::new(), Codec::Null).unwrap();
    for (buyer, at, total) in orders {
        let buyer = match buyer {
            Some(buyer) => Avro::Union(1, Box::new(Avro::String((*buyer).to_owned()))),
            None => Avro::Union(0, Box::new(Avro::Null)),
        };
        let order = Avro::Record(vec![
            ("buyer".to_owned(), buyer),
            ("at".to_owned(), Avro::TimestampMillis(*at)),
            ("channel".to_owned(), Avro::String("web".to_owned())),
            ("total".to_owned(), Avro::Long(*total)),
        ]);
        writer.append_value(order).unwrap();
    }
    writer.into_inner().unwrap()
}

const NINE: i64 = 1_767_603_600_000;

#[test]
fn trying_a_source_shows_where_each_field_comes_from_and_what_became_of_every_record() {
    let files = Files::new(SOURCES);
    let orders = [(Some("b-1"), NINE, 59), (None, NINE, 1), (Some("b-2"), NINE, 0), (Some("b-3"), i64::MAX, 1)];
    files.write("orders.avro", &container(&orders));
    let orders = files.path("orders.avro");
    let tried = files.run(&["sources", "try", "orders", &orders]);
    assert_eq!((tried.code, tried.err.as_str()), (0, ""));
    let (first, rest) = tried.out.split_once("\n\n").unwrap();
    let lines: Vec<String> = first.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines[..4],
        [
            "record 1 of orders.avro",
            "customer b-1 buyer",
            "event purchase as written",
            "time 2026-01-05T09:00:00.000Z at"
        ]
    );
    assert!(lines[4].ends_with(" a hash of the record"), "{}", lines[4]);
    assert_eq!(lines[5..], ["source orders dedupe", "amount 59 total"]);
    let expected = "\
4  read with the source orders
1  mapped to 1 event, 1 of them with a hash for an id
2  skipped
1    where
1    no_customer: nothing at buyer
1  refused
1    bad_time: `at` is beyond the years 1 to 9999; write `unit` if it is not in milliseconds (record 4 of orders.avro)

Events with each property
1  amount from total
0  channel from chanel

Paths that the schema does not have
  chanel: did you mean `channel`?
";
    assert_eq!(rest, expected);
}

#[test]
fn the_commonest_reasons_and_the_properties_with_values_of_no_use_are_shown() {
    let files = Files::new(
        "[sources.carts]\ntopic = \"carts\"\nformat = \"json\"\ncustomer = \"c\"\ntime = \"at\"\nid = \"c\"\nevent = \"purchase\"\n\
         [sources.carts.properties]\ntags = \"t\"\nchannel = \"ch\"\namount = { field = \"a\", as = \"number\" }\n",
    );
    let mut lines = Vec::new();
    for (records, at) in [(1, "\"soon\""), (3, "\"2026-01-05 10:00\""), (1, "\"\""), (2, "1767603600")] {
        lines.extend(vec![format!("{{\"c\": \"x\", \"at\": {at}}}"); records]);
    }
    for (tags, amount) in [("[\"a\"]", "\"many\""), ("{}", "1")] {
        lines.push(format!(
            "{{\"c\": \"x\", \"at\": \"2026-01-05T10:00:00Z\", \"t\": {tags}, \"a\": {amount}, \"ch\": \"web\"}}"
        ));
    }
    files.write("carts.jsonl", lines.join("\n").as_bytes());
    let carts = files.path("carts.jsonl");
    let tried = files.run(&["sources", "try", "carts", "--events", "0", &carts]);
    let expected = "\
9  read with the source carts
2  mapped to 2 events
0  skipped
7  refused
7    bad_time
3      `at` has no time zone; set `time_zone`, or send an offset (first in record 2 of carts.jsonl)
2      `at` is within three years of 1970 as milliseconds; if it is in seconds, write unit = \"seconds\" (first in record 6 of carts.jsonl)
1      `at` is neither a number, a timestamp nor ISO-8601 (first in record 1 of carts.jsonl)
1      with other details

Events with each property
0  tags from t
2  channel from ch
1  amount from a

Values of no use: a record, a list, bytes, or a text that is no number
2  tags from t
1  amount from a
";
    assert_eq!((tried.code, tried.out.as_str()), (0, expected), "{}", tried.err);

    let tried = files.run(&["sources", "try", "carts", "--json", &carts]);
    let said: Json = serde_json::from_str(&tried.out).unwrap();
    let refused = &said["refused"]["bad_time"];
    let details = refused["details"].as_array().unwrap();
    assert_eq!((&refused["records"], details.len(), &refused["others"]), (&7.into(), 3, &1.into()));
    assert_eq!((&details[0]["records"], &details[0]["first"]), (&3.into(), &"record 2 of carts.jsonl".into()));
    assert_eq!(said["unusable"], serde_json::json!({"tags": 2, "amount": 1}));
    assert_eq!(said["unusable_values"], 3);
}

#[test]
fn trying_a_source_as_json_says_the_same() {
    let files = Files::new(SOURCES);
    files.write("orders.avro", &container(&[(Some("b-1"), NINE, 59), (None, NINE, 1)]));
    let tried = files.run(&["sources", "try", "orders", "--json", &files.path("orders.avro")]);
    assert_eq!((tried.code, tried.err.as_str()), (0, ""));
    let mut said: Json = serde_json::from_str(&tried.out).unwrap();
    let event = said["first_events"][0].take();
    assert_eq!(
        (&event["customer_id"], &event["time"], &event["properties"]["amount"]),
        (&"b-1".into(), &NINE.into(), &59.into())
    );
    assert_eq!(event["origins"]["customer"], "buyer");
    let counts = (&said["read"], &said["mapped"], &said["events"], &said["skipped"]["no_customer"]);
    assert_eq!(counts, (&2.into(), &1.into(), &1.into(), &1.into()));
    assert_eq!(said["absent_paths"]["chanel"], "did you mean `channel`?");
}

#[test]
fn records_that_cannot_be_read_are_counted_and_the_others_mapped() {
    let files = Files::new(SOURCES);
    let click =
        |user: &str| format!(r#"{{"type":"track","event":"e","userId":"{user}","timestamp":"2026-01-05T09:00:00Z"}}"#);
    files.write("clicks.jsonl", format!("{}\nnonsense\n\n{}\n", click("u-1"), click("u-2")).as_bytes());
    let tried = files.run(&["sources", "try", "clicks", &files.path("clicks.jsonl"), "--events", "0"]);
    assert_eq!(tried.code, 0, "{}", tried.err);
    assert!(tried.out.starts_with("3  read with the source clicks\n2  mapped to 2 events"), "{}", tried.out);
    assert!(
        tried.out.contains("1    undecodable: not JSON, or nested too deeply (column 1) (record 2 of clicks.jsonl)")
    );
}

#[test]
fn what_cannot_be_tried_is_an_error_that_says_why() {
    let files = Files::new(SOURCES);
    files.write("orders.avro", &container(&[(None, NINE, 59)]));
    files.write("clicks.jsonl", b"{\"type\":\"track\"}\n");
    files.write("empty.jsonl", b"");
    let (orders, clicks, empty) = (files.path("orders.avro"), files.path("clicks.jsonl"), files.path("empty.jsonl"));
    for (source, file, code, words) in [
        ("orders", orders.as_str(), 1, "none of 1 record became an event"),
        ("orders", &clicks, 1, "clicks.jsonl: the source is in Avro; give an Avro object container file"),
        ("clicks", &orders, 1, "orders.avro: the source is in JSON; give JSON Lines"),
        ("clicks", &empty, 1, "there is no record in the files"),
        ("order", &orders, 64, "has no source order; did you mean orders?"),
        ("clicks", "nowhere.jsonl", 1, "nowhere.jsonl"),
    ] {
        let tried = files.run(&["sources", "try", source, file]);
        assert_eq!(tried.code, code, "{source} {file}: {}", tried.err);
        assert!(tried.err.contains(words), "{}", tried.err);
    }
    let missing = run(&["sources", "try", "orders", &orders, "--sources", "nowhere.toml"]);
    assert_eq!(missing.code, 78);
    assert!(missing.err.contains("nowhere.toml: cannot be read"), "{}", missing.err);
}

#[test]
fn presets_and_sources_are_shown() {
    let files = Files::new(SOURCES);
    let all = run(&["sources", "show"]);
    assert_eq!((all.code, all.out.lines().count()), (0, 3), "{}", all.err);
    let preset = run(&["sources", "show", "segment"]);
    assert!(preset.out.contains("customer = \"userId\""), "{}", preset.out);
    let listed = files.run(&["sources", "show"]);
    assert!(listed.out.contains("source  orders        shop.orders (avro)"), "{}", listed.out);
    let unknown = files.run(&["sources", "show", "clickz"]);
    assert_eq!(unknown.code, 64);
    assert!(unknown.err.contains("did you mean clicks?"), "{}", unknown.err);
    // What is shown of a source is the same source.
    for name in ["orders", "clicks"] {
        let shown = files.run(&["sources", "show", name]);
        assert_eq!(shown.code, 0, "{}", shown.err);
        let again = Files::new(&shown.out).run(&["sources", "show", name]);
        assert_eq!(again.out, shown.out, "{}", again.err);
    }
}

#[test]
fn check_describes_sources_and_refuses_their_mistakes() {
    let files = Files::new(SOURCES);
    let rules = files.path("rules.toml");
    for checked in [run(&["check", "--rules", &rules]), files.run(&["check", "--rules", &rules])] {
        assert_eq!((checked.code, checked.err.as_str()), (0, ""));
        for words in [
            "orders: shop.orders (avro)",
            "customer buyer (skipped without one); time at; id a hash of the record",
            "clicks: clicks (json, preset segment)",
            "`run` gathers them once gather.sources names this file",
        ] {
            assert!(checked.out.contains(words), "{words}: {}", checked.out);
        }
    }
    let files = Files::new(&SOURCES.replace("buyer", "buyer..id").replace("\"clicks\"", "\"cohort-changes\""));
    let checked = files.run(&["check", "--rules", &rules]);
    assert_eq!((checked.code, checked.out.as_str()), (78, ""));
    for words in [
        "2 mistakes in sources.toml",
        "sources.toml:4:21: sources.orders.customer: a name is missing between two points",
        "`cohort-changes` is written by cohortd itself",
    ] {
        assert!(checked.err.contains(words), "{words}: {}", checked.err);
    }
}

#[test]
fn a_process_that_would_neither_gather_nor_decide_is_refused() {
    let files = Files::new(SOURCES);
    let sources = format!("gather.sources={}", files.path("sources.toml"));
    for (sets, code) in [
        (vec!["lanes=none"], 78),
        (vec!["lanes=none", &sources, "gather.lanes=0"], 78),
        (vec!["lanes=none", &sources], 0),
        (vec!["lanes=nine", &sources], 78),
    ] {
        let arguments: Vec<&str> =
            ["dump-config"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
        let ended = run(&arguments);
        assert_eq!(ended.code, code, "{sets:?}: {}", ended.err);
    }
}
