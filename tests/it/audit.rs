//! `audit` of files as a user meets it: what it prints, in two languages and as JSON, and what it proposes.

use std::fmt::Write as _;
use std::fs;

use apache_avro::types::Value as Avro;
use apache_avro::{Codec, Schema, Writer};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::cli::{Ended, run};
use crate::commands::Sandbox;

const NINE: i64 = 1_767_603_600_000;
const SCHEMA: &str = r#"{"type":"record","name":"shop.OrderPaid","fields":[
    {"name":"order_id","type":"long"},
    {"name":"buyer","type":{"type":"record","name":"Buyer","fields":[{"name":"id","type":["null","string"]}]}},
    {"name":"paid_at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"}]}}}]}"#;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Orders in Avro, and clicks as JSON, of some of the same customers.
    fn shop(&self) -> [String; 2] {
        let clicks = (0..200_i64).fold(String::new(), |mut text, number| {
            let user = format!("b-{}", number % 25);
            let at = (NINE + number * 3_600_000) / 1_000;
            let name = ["visit", "Visit", "sign up"][usize::try_from(number % 3).unwrap()];
            let click = json!({"user_id": user, "type": name, "ts": at});
            writeln!(text, "{click}").unwrap();
            text
        });
        [self.write("orders-2026-01.avro", &orders(Codec::Null)), self.write("clicks.jsonl", clicks.as_bytes())]
    }
}

fn orders(codec: Codec) -> Vec<u8> {
    let schema = Schema::parse_str(SCHEMA).unwrap();
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec).unwrap();
    for number in 0..100_i64 {
        let id = match number % 10 {
            0 => Avro::Union(0, Box::new(Avro::Null)),
            _ => Avro::Union(1, Box::new(Avro::String(format!("b-{}", 15 + number % 20)))),
        };
        let line = Avro::Record(vec![("sku".to_owned(), Avro::String(format!("A-{number}")))]);
        let order = Avro::Record(vec![
            ("order_id".to_owned(), Avro::Long(number)),
            ("buyer".to_owned(), Avro::Record(vec![("id".to_owned(), id)])),
            ("paid_at".to_owned(), Avro::TimestampMicros((NINE + number * 7_200_000) * 1_000)),
            ("total".to_owned(), Avro::Decimal(apache_avro::Decimal::from(number.to_be_bytes()))),
            ("lines".to_owned(), Avro::Array(vec![line; 2])),
        ]);
        writer.append_value(order).unwrap();
    }
    writer.into_inner().unwrap()
}

fn audit(arguments: &[&str]) -> Ended {
    run(&["audit"].iter().chain(arguments).copied().collect::<Vec<_>>())
}

fn reported(arguments: &[&str]) -> Json {
    let ended = audit(&[arguments, &["--json"]].concat());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    serde_json::from_str(&ended.out).unwrap()
}

#[test]
fn files_of_avro_and_json_are_audited_together() {
    let files = Files::new();
    let [orders, clicks] = files.shop();
    let report = reported(&[&orders, &clicks]);
    let [one, two] = [0, 1].map(|place| &report["topics"][place]);
    assert_eq!((&one["topic"], &two["topic"], &report["records"]), (&json!("orders"), &json!("clicks"), &json!(300)));
    assert_eq!(one["schemas"], json!([{"schema": "file", "record": "shop.OrderPaid", "records": 100}]));
    assert_eq!((&one["customer"]["path"], &one["customer"]["share"]), (&json!("buyer.id"), &json!(0.9)));
    assert_eq!((&one["time"]["path"], &one["times"][0]["first"]), (&json!("paid_at"), &json!(NINE)));
    assert_eq!((&one["events"][0]["event"], &one["events"][0]["critical"]), (&json!("purchase"), &json!("purchase")));
    assert_eq!((&two["event"]["path"], &two["times"][0]["forms"]), (&json!("type"), &json!({"seconds": 200})));
    let total = one["fields"].as_array().unwrap().iter().find(|field| field["path"] == "total").unwrap();
    assert_eq!((&total["type"], &total["distinct"]), (&json!("number"), &json!(100)));
    let kinds: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    for kind in ["unit", "no_customer", "events_alike", "critical_missing"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}

#[test]
fn files_that_differ_in_a_number_at_their_end_are_one_source_compressed_or_not() {
    let files = Files::new();
    let codecs = [Codec::Null, Codec::Deflate(Default::default())];
    let paths: Vec<String> = (codecs.into_iter().zip(1..))
        .map(|(codec, number)| files.write(&format!("orders-{number}.avro"), &orders(codec)))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let report = reported(&paths);
    assert_eq!((&report["topics"].as_array().unwrap().len(), &report["records"]), (&1, &json!(200)));
    // Both have the same hundred orders.
    assert_eq!(report["topics"][0]["duplicates"]["by_content"], json!(0.5));
}

#[test]
fn the_report_fits_a_hundred_columns_in_both_languages_and_says_no_value() {
    let files = Files::new();
    let [orders, clicks] = files.shop();
    let english = audit(&[&orders, &clicks, "--rules", "config/rules.toml"]);
    let french = audit(&[&orders, &clicks, "--rules", "config/rules.toml", "--lang", "fr"]);
    for (ended, words) in [
        (
            &english,
            [
                "Audit of 2 sources: 300 records",
                "Customers in common",
                "What to do first",
                "The five events",
                "no rule uses",
            ],
        ),
        (
            &french,
            [
                "Audit de 2\u{a0}sources",
                "Clients en commun",
                "Par quoi commencer",
                "Les cinq événements critiques",
                "aucune règle n’utilise",
            ],
        ),
    ] {
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        for words in words {
            assert!(ended.out.contains(words), "{words}: {}", ended.out);
        }
        let long: Vec<&str> = ended.out.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(long.is_empty(), "{long:#?}");
        assert!(!ended.out.contains("b-1") && !ended.out.contains("A-1"), "{}", ended.out);
        assert!(ended.out.lines().filter(|line| line.trim_start().starts_with('→')).count() <= 7);
    }
    let shown = audit(&[&clicks, "--show-values"]);
    assert!(shown.out.contains("Visit (67)") && shown.out.contains("b-1"), "{}", shown.out);
}

#[test]
fn what_is_proposed_is_accepted_by_check_and_run_by_try() {
    let files = Files::new();
    let [orders, clicks] = files.shop();
    for language in ["en", "fr"] {
        let proposed = audit(&[&orders, &clicks, "--propose", "--lang", language]);
        assert_eq!((proposed.code, proposed.err.as_str()), (0, ""));
        let sources = files.write("sources.toml", proposed.out.as_bytes());
        let checked = run(&["check", "--rules", "config/rules.toml", "--sources", &sources]);
        assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{}", proposed.out);
        assert!(
            checked.out.contains("orders: orders (avro)") && checked.out.contains("clicks: clicks (json)"),
            "{}",
            checked.out
        );
        for (name, file, mapped) in
            [("orders", &orders, "90  mapped to 90 events"), ("clicks", &clicks, "200  mapped to 200 events")]
        {
            let tried = run(&["sources", "try", name, file, "--sources", &sources]);
            assert_eq!(tried.code, 0, "{}\n{}", tried.err, proposed.out);
            assert!(tried.out.contains(mapped), "{mapped}: {}", tried.out);
        }
        assert!(proposed.out.contains("unit = \"seconds\""), "{}", proposed.out);
    }
}

#[test]
fn what_cannot_be_audited_is_an_error_that_says_why() {
    let files = Files::new();
    let nothing = files.write("nothing.jsonl", b"{\"a\": 1}\n");
    let csv = files.write("x.txt", b"a,b\n1,2\n");
    for (arguments, code, words) in [
        (vec!["nowhere.jsonl"], 1, "nowhere.jsonl"),
        (vec![csv.as_str()], 1, "this is CSV"),
        (vec![&nothing, "--propose"], 1, "nothing that was read could be mapped"),
        (vec![&nothing, "--sample", "2"], 64, "write a share above 0 and up to 1"),
        (vec![&nothing, "--topic", "t"], 64, "cannot be used with"),
        (vec![&nothing, "--rules", "nowhere.toml"], 78, "nowhere.toml: cannot be read"),
        (vec![], 64, "FILE"),
    ] {
        let ended = audit(&arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    // What could be read is reported all the same.
    let both = audit(&[&nothing, "nowhere.jsonl"]);
    assert!(both.code == 1 && both.out.starts_with("Audit of 2 sources: 1 record"), "{}", both.out);
}

#[test]
fn lines_that_are_no_json_are_counted_and_a_sample_and_a_range_are_of_what_they_say() {
    let files = Files::new();
    let [_, clicks] = files.shop();
    let text = fs::read_to_string(&clicks).unwrap();
    let damaged = files.write("damaged.jsonl", format!("{text}nonsense\n{{\"a\": \n").as_bytes());
    let report = reported(&[&damaged]);
    assert_eq!((&report["topics"][0]["unreadable"], &report["records"]), (&json!({"damaged": 2}), &json!(202)));
    let ranged = reported(&[&clicks, "--from", "2026-01-05T10:00:00Z", "--until", "2026-01-05T12:00:00Z"]);
    assert_eq!((&ranged["records"], &ranged["passed_over"]), (&json!(2), &json!(198)));
    let sampled = reported(&[&clicks, "--sample", "50 %"]);
    let records = sampled["records"].as_u64().unwrap();
    assert!((60..140).contains(&records) && sampled["passed_over"] == 200 - records, "{records}");
}

/// The outputs in docs/audit.md are those of the commands above them; a line `...` stands for any number of lines.
#[test]
fn the_outputs_of_the_page_are_what_the_commands_print() {
    let page = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md")).unwrap();
    let sandbox = Sandbox::new();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    let mut lines = page.lines();
    let mut part = String::new();
    while let Some(line) = lines.next() {
        // What is made of a data set first.
        if let Some(command) = line.strip_prefix("    ").filter(|_| line.starts_with("    awk ") || !part.is_empty()) {
            match command.strip_suffix('\\') {
                Some(begun) => part.push_str(begun),
                None => {
                    part.push_str(command.trim_start());
                    assert_eq!(sandbox.run(&std::mem::take(&mut part)), (Some(0), String::new()));
                }
            }
        }
        let Some(command) = line.strip_prefix("$ ").filter(|command| !command.contains("--topic")) else { continue };
        let shown: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let (code, printed) = sandbox.run(command);
        assert_eq!(code, Some(0), "{command}: {printed}");
        let printed: Vec<&str> = printed.lines().collect();
        if !fits(&shown, &printed) {
            wrong.push(format!("{command} prints\n{}\nand not\n{}", printed.join("\n"), shown.join("\n")));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(compared >= 4, "only {compared} were found");
}

fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..])),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, others)| first == line && fits(rest, others)),
    }
}
