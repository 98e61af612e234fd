//! What reports say of topics, and what they do not say.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{NINE, Source, at, audited, audited_within, scope};
use crate::audit::{Audit, Payload, Record, Schema, SchemaId, Scope, TOPICS_MAX};
use crate::event::{Instant, Span};

#[test]
fn a_topic_is_described_by_what_its_records_are() {
    let report = audited(&[Source::healthy("shop.orders").topic()], None).report();
    let topic = &report.topics[0];
    assert_eq!((report.records, topic.records, topic.partitions), (400, 400, 4));
    let path = |chosen: &Option<crate::audit::ChosenReport>| chosen.as_ref().unwrap().path.clone();
    assert_eq!(
        [&topic.customer, &topic.time, &topic.event, &topic.id].map(path),
        ["customer_id", "occurred_at", "event", "event_id"]
    );
    assert_eq!(topic.customer.as_ref().unwrap().why, ["name", "key"]);
    assert_eq!((topic.customers, topic.keys.text, topic.keys.distinct), (40, 400, 40));
    assert_eq!(topic.keys.partitioned, Some("murmur2"));
    assert_eq!(topic.hours.by.as_deref(), Some("@timestamp"));
    assert_eq!(topic.hours.hours.iter().map(|(_, records, _)| records).sum::<u64>(), 400);
    let bytes: u64 = topic.hours.hours.iter().map(|(_, _, bytes)| bytes).sum();
    assert_eq!(bytes, topic.bytes);
    let time = &topic.times[0];
    assert_eq!((time.first, time.last), (Some(NINE), Some(at(399).0)));
    assert_eq!((time.forms["text with a time zone"], time.unclear, time.lag_median_ms), (400, 0, Some(4_095)));
    let amount = topic.fields.iter().find(|field| field.path == "amount").unwrap();
    assert_eq!((amount.main_type, amount.share, amount.distinct), ("integer", 1.0, amount.distinct));
    assert!((385..=415).contains(&amount.distinct) && !amount.distinct_is_exact);
    assert_eq!(topic.events.len(), 5);
    assert!(topic.events.iter().all(|event| event.records == 80 && event.used.is_none()));
    assert_eq!(topic.duplicates.by_content, 0.0);
}

#[test]
fn two_topics_have_the_customers_in_common_that_they_have() {
    let half = |name: &'static str, from: usize| {
        Source::healthy(name)
            .with(move |number, record| record["customer_id"] = json!(format!("c-{}", from + number % 100)))
    };
    let report = audited(&[half("shop", 0), half("clicks", 75), half("crm", 1_000)], None).report();
    let shares: Vec<[f64; 2]> = report.customers_in_common.iter().map(|common| common.shares).collect();
    assert_eq!(shares, [[0.25, 0.25], [0.0, 0.0], [0.0, 0.0]]);
}

/// What stands in values is personal; what fields and events are called is not.
#[test]
fn no_value_is_in_a_report_unless_it_is_asked_for() {
    let secret = |number: usize, record: &mut Json| {
        record["customer_id"] = json!(format!("secret-{}", number % 40));
        record["email"] = json!(format!("secret{}@example.com", number % 40));
        record["name"] = json!(format!("Secret {}", number % 40));
        record["by_email"] = json!({ format!("secret{number}@example.com"): 1 });
        record["amount"] = json!("secret");
    };
    let source = Source::healthy("shop").topic().with(secret);
    let hidden = serde_json::to_string(&audited(std::slice::from_ref(&source), None).report()).unwrap();
    assert!(!hidden.to_lowercase().contains("secret"), "{hidden}");
    let shown = Scope { shows_values: true, ..scope() };
    let shown = serde_json::to_string(&audited_within(shown, std::slice::from_ref(&source), None).report()).unwrap();
    assert!(shown.contains("[\"secret\",400]") && shown.contains("@example.com\",null]"), "{shown}");
    let proposed = audited(&[source], None).propose(crate::audit::Language::English).text;
    assert!(!proposed.to_lowercase().contains("secret"), "{proposed}");
}

#[test]
fn a_field_with_a_vague_name_and_a_person_in_each_record_names_no_events() {
    let source = Source::healthy("shop").with(|number, record| {
        record.as_object_mut().unwrap().remove("event");
        record["name"] = json!(format!("Jean {number}"));
    });
    let report = audited(&[source], None).report();
    assert_eq!(report.topics[0].event, None);
    assert_eq!(report.topics[0].events[0].event, "shop");
}

#[test]
fn a_sample_is_of_about_its_share_and_keeps_copies_together() {
    let mut source = Source::healthy("shop");
    source.records.extend(source.records.clone());
    let sample = Scope { sample: 0.25, ..scope() };
    let report = audited_within(sample, &[source], None).report();
    assert!((140..260).contains(&report.records), "{}", report.records);
    assert_eq!(report.records + report.passed_over, 800);
    assert_eq!(report.topics[0].duplicates.by_content, 0.5);
}

#[test]
fn of_files_only_records_of_the_range_are_looked_at() {
    let range = Scope { from: Some(at(100)), until: Some(at(150)), ..scope() };
    let mut source = Source::healthy("shop");
    source.records.push(json!({"customer_id": "c"}));
    let report = audited_within(range, &[source], None).report();
    assert_eq!((report.records, report.passed_over), (50, 351));
    assert_eq!(report.topics[0].times[0].first, Some(at(100).0));
}

#[test]
fn there_is_an_end_to_the_topics_and_the_parts_of_one_are_one() {
    let mut audit = Audit::new(scope());
    let names: Vec<String> = (0..TOPICS_MAX).map(|number| format!("t{number}")).collect();
    let first = audit.topic(&names[0], 0);
    assert!(names.iter().all(|name| audit.topic(name, 0).is_some()));
    assert_eq!(audit.topic("t0", 0), first);
    assert_eq!(audit.topic("one more", 0), None);
}

#[test]
fn well_known_shapes_are_recognized() {
    let segment = json!({"type": "track", "event": "Order Completed", "messageId": "m", "userId": "u",
                         "timestamp": "2026-01-05T09:00:00Z", "properties": {"total": 5}});
    let debezium =
        json!({"op": "u", "ts_ms": NINE, "before": null, "after": {"customer_id": 7}, "source": {"ts_ms": NINE}});
    let cloud = json!({"specversion": "1.0", "type": "order.paid", "source": "/shop", "id": "1", "time": "2026-01-05T09:00:00Z", "subject": "c"});
    for (record, preset) in [
        (segment, Some("segment")),
        (debezium, Some("debezium")),
        (cloud, Some("cloudevents")),
        (json!({"a": 1}), None),
    ] {
        let source = Source { name: "x", partitions: 0, records: vec![record] };
        assert_eq!(audited(&[source], None).report().topics[0].preset, preset);
    }
}

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[{"name":"customer_id","type":["null","string"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"m","type":{"type":"map","values":"double"}},
    {"name":"l","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"x","type":"bytes"}]}}},
    {"name":"next","type":["null","R"]}]}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever bytes come, each record is counted once, and the report and the proposal are made.
    #[test]
    fn no_bytes_do_harm(
        records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..30),
        texts in prop::collection::vec("\\PC{0,12}[{\\[\"]\\PC{0,30}", 0..10),
    ) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let mut audit = Audit::new(Scope { shows_values: true, ..scope() });
        let topic = audit.topic("t", 3).unwrap();
        let record = |value, bytes: usize| Record {
            value,
            key: Payload::Text(b"\xff\0k"),
            headers: &[("ce_type", Some(b"x")), ("\u{0}", Some(b"\xff")), ("", None)],
            place: 2,
            written: Some(Instant(i64::MIN)),
            at_home: Some(false),
            bytes: bytes as u64,
        };
        for (bytes, is_avro) in &records {
            let value = if *is_avro { Payload::Avro(&schema, SchemaId::Id(1), bytes) } else { Payload::Json(bytes) };
            audit.add(topic, &record(value, bytes.len()));
            prop_assert!(schema.length(bytes).is_ok_and(|length| length <= bytes.len()) || schema.length(bytes).is_err());
        }
        texts.iter().for_each(|text| audit.add(topic, &record(Payload::Json(text.as_bytes()), text.len())));
        let audited = audit.finish(None);
        let report = audited.report();
        prop_assert_eq!(report.records, (records.len() + texts.len()) as u64);
        prop_assert_eq!(report.topics[0].formats.values().sum::<u64>(), report.records);
        prop_assert!(serde_json::to_string(&report).is_ok());
        prop_assert!(audited.propose(crate::audit::Language::French).sources <= 1);
    }

    /// Damage to a record of Avro is found, or makes another record; it never reads beyond.
    #[test]
    fn damaged_avro_does_no_harm(place in 0_usize..40, byte: u8, cut in 0_usize..40) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let mut bytes = vec![2, 4, b'c', b'1', 0x80, 0x88, 0xc1, 0xe4, 0xf1, 0x66];
        bytes.extend([2, 2, b'a', 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 2, 4, 9, 9, 0, 0]);
        let whole = bytes.len();
        prop_assert_eq!(schema.length(&bytes), Ok(whole));
        bytes[place.min(whole - 1)] = byte;
        bytes.truncate(whole - cut.min(whole));
        let mut audit = Audit::new(scope());
        let topic = audit.topic("t", 0).unwrap();
        let value = Payload::Avro(&schema, SchemaId::File, &bytes);
        audit.add(topic, &Record { value, key: Payload::Null, headers: &[], place: 0, written: None, at_home: None, bytes: 1 });
        prop_assert_eq!(audit.finish(None).report().records, 1);
    }
}

#[test]
fn headers_are_fields_whose_values_are_shown_only_if_that_is_asked_for() {
    for shows_values in [false, true] {
        let mut audit = Audit::new(Scope { shows_values, ..scope() });
        let topic = audit.topic("t", 3).unwrap();
        for (number, customer) in ["c-1", "c-2", "c-1"].into_iter().enumerate() {
            audit.add(
                topic,
                &Record {
                    value: Payload::Json(b"{}"),
                    key: Payload::Null,
                    headers: &[("ce_subject", Some(customer.as_bytes())), ("a.b", None)][..2 - number % 2],
                    place: 0,
                    written: Some(at(0)),
                    at_home: None,
                    bytes: 2,
                },
            );
        }
        let report = audit.finish(None).report();
        let topic = &report.topics[0];
        assert_eq!((topic.headers["ce_subject"], topic.headers["a.b"]), (3, 2));
        let field = |path: &str| topic.fields.iter().find(|field| field.path == path).unwrap();
        assert_eq!((field(r#"header["a.b"]"#).main_type, field("header.ce_subject").main_type), ("null", "text"));
        assert_eq!((field("header.ce_subject").share, field("header.ce_subject").distinct), (1.0, 2));
        let shown = shows_values.then(|| vec![("c-1".to_owned(), Some(2)), ("c-2".to_owned(), Some(1))]);
        assert_eq!(field("header.ce_subject").values, shown);
    }
}

#[test]
fn late_and_too_late_are_counted_within_each_partition() {
    let mut source = Source::healthy("shop").topic();
    source.records.push(json!({"customer_id": "c-1", "event": "purchase", "occurred_at": (at(399) - Span(2 * Span::HOUR.0)).to_string()}));
    source.records.push(json!({"customer_id": "c-1", "event": "purchase", "occurred_at": (at(399) - Span(9 * Span::DAY.0)).to_string()}));
    let report = audited(&[source], None).report();
    assert_eq!((report.topics[0].times[0].late, report.topics[0].times[0].too_late), (2, 1));
}
