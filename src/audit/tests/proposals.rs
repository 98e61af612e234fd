//! What is proposed is accepted, and maps the records that it was derived from.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{NINE, Source, at, audited};
use crate::audit::{Language, Proposal};
use crate::sources::{self, Mapping, Outcome, Payload};

fn propose(sources: &[Source], rules: Option<&str>) -> Proposal {
    audited(sources, rules).propose(Language::English)
}

/// The mapping of the only source in force.
fn mapping(proposal: &Proposal) -> Mapping {
    assert_eq!(proposal.sources, 1, "{}", proposal.text);
    let mut document = accepted(&proposal.text);
    Mapping::new(document.sources.remove(0))
}

fn accepted(text: &str) -> sources::Document {
    sources::read("sources.toml", text, &[]).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", shown.join("\n"))
    })
}

/// The event that a record becomes: customer, name, time, and its properties.
fn event(mapping: &Mapping, record: &Json) -> Result<(String, String, i64, usize), String> {
    let text = record.to_string();
    let payload = Payload::Json(text.as_bytes());
    match mapping.map(&payload.alone()) {
        Outcome::Mapped(events) => {
            let event = &events[0];
            Ok((event.customer.to_string(), event.name.to_string(), event.at.0, event.properties.len()))
        }
        other => Err(format!("{other:?}: {text}")),
    }
}

#[test]
fn every_record_of_a_healthy_source_becomes_the_event_that_it_is() {
    let source = Source::healthy("shop");
    let proposal = propose(std::slice::from_ref(&source), None);
    let mapping = mapping(&proposal);
    for (number, record) in source.records.iter().enumerate() {
        let customer = record["customer_id"].as_str().unwrap().to_owned();
        let name = record["event"].as_str().unwrap().to_owned();
        assert_eq!(event(&mapping, record), Ok((customer, name, at(number).0, 1)), "{}", proposal.text);
    }
    for reason in
        ["its name says so", "no two records have the same", "it has few different values", "In 100 % of the records"]
    {
        assert!(proposal.text.contains(reason), "{reason}: {}", proposal.text);
    }
}

#[test]
fn names_that_mean_what_the_rules_call_otherwise_are_mapped_to_it_and_twins_are_not() {
    let names = ["Order Completed", "order_completed", "Order Paid", "visit"];
    let source = Source::healthy("shop").with(|number, record| record["event"] = json!(names[number % 4]));
    let proposal =
        propose(std::slice::from_ref(&source), Some("[cohorts.b]\nwho = 'did purchase in the last 7 days'\n"));
    let mapping = mapping(&proposal);
    let name = |number: usize| event(&mapping, &source.records[number]).unwrap().1;
    // An order that is paid is probably the same as one that is completed: one of them is no purchase.
    assert_eq!([0, 1, 2, 3].map(name), ["purchase", "purchase", "Order Paid", "visit"], "{}", proposal.text);
    let unchanged = propose(&[source], Some("[cohorts.b]\nwho = 'did anything in the last 7 days'\n"));
    assert!(unchanged.text.contains("event = { field = \"event\", names"), "spellings are joined: {}", unchanged.text);
}

#[test]
fn of_properties_those_that_rules_use_are_in_force() {
    let source = Source::healthy("shop").with(|number, record| record["colour"] = json!(["red", "blue"][number % 2]));
    let rules = "[cohorts.b]\nwho = 'did purchase where amount > 5 in the last 7 days'\n";
    let text = propose(&[source], Some(rules)).text;
    assert!(text.contains("\namount = \"amount\"") && text.contains("\n# colour = \"colour\""), "{text}");
}

#[test]
fn what_cannot_be_mapped_is_a_comment_with_what_it_lacks() {
    let nobody = Source::healthy("nobody").with(|_, record| _ = record.as_object_mut().unwrap().remove("customer_id"));
    let proposal = propose(std::slice::from_ref(&nobody), None);
    assert_eq!(proposal.sources, 0);
    assert!(proposal.text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{}", proposal.text);
    assert!(proposal.text.contains("Nothing says which customer"), "{}", proposal.text);
    let both = propose(&[nobody, Source::healthy("shop")], None);
    assert_eq!((both.sources, accepted(&both.text).sources.len()), (1, 1));
}

#[test]
fn a_topic_without_a_customer_in_its_values_is_mapped_by_its_keys_and_times_of_writing() {
    let source = Source::healthy("shop.orders").topic().with(|_, record| {
        *record = json!({"total": record["amount"], "customer_id": record["customer_id"]});
    });
    let text = propose(&[source], None).text;
    assert!(text.contains("customer = \"customer_id\"") && text.contains("time = \"@timestamp\""), "{text}");
    assert!(text.contains("event = \"purchase\""), "{text}");
    accepted(&text);
}

#[test]
fn presets_are_proposed_for_their_shapes_and_work() {
    let segment = |number: usize| {
        json!({"type": "track", "event": "Order Completed", "messageId": format!("m{number}"), "userId": format!("u{number}"),
               "timestamp": at(number).to_string(), "properties": {"total": 5, "gift": true}})
    };
    let records: Vec<Json> = (0..50).map(segment).collect();
    let proposal = propose(&[Source { name: "clicks", partitions: 0, records: records.clone() }], None);
    assert!(proposal.text.contains("preset = \"segment\""), "{}", proposal.text);
    let found = event(&mapping(&proposal), &records[7]).unwrap();
    assert_eq!(found, ("u7".into(), "Order Completed".into(), at(7).0, 2), "{}", proposal.text);
    let debezium = json!({"op": "u", "ts_ms": NINE, "before": {"customer_id": 7, "plan": "a"}, "after": {"customer_id": 7, "plan": "b"}, "source": {"ts_ms": NINE}});
    let proposal = propose(&[Source { name: "crm", partitions: 0, records: vec![debezium.clone(); 3] }], None);
    assert!(proposal.text.contains("customer = [\"after.customer_id\", \"before.customer_id\"]"), "{}", proposal.text);
    assert_eq!(event(&mapping(&proposal), &debezium), Ok(("7".into(), "updated".into(), NINE, 1)), "{}", proposal.text);
}

/// How the records of a source are made.
#[derive(Debug, Clone)]
struct Shape {
    customer: &'static str,
    within: Option<&'static str>,
    time: &'static str,
    unit: u8,
    event: Option<&'static str>,
    id: Option<&'static str>,
    others: Vec<(String, Json)>,
}

impl Shape {
    fn record(&self, number: usize) -> Json {
        let mut root: Map<String, Json> = self.others.iter().cloned().collect();
        let customer = json!(format!("c{}", number % 7));
        match self.within {
            Some(within) => _ = root.insert(within.to_owned(), json!({ self.customer: customer })),
            None => _ = root.insert(self.customer.to_owned(), customer),
        }
        let at = at(number).0;
        let time = match self.unit {
            0 => json!(at / 1_000),
            1 => json!(at),
            2 => json!(at * 1_000),
            3 => json!(super::at(number).to_string()),
            4 => json!(super::at(number).to_string().trim_end_matches('Z').replace('T', " ")),
            _ => json!(super::at(number).to_string().replace("Z", "+02:00")),
        };
        root.insert(self.time.to_owned(), time);
        if let Some(event) = self.event {
            root.insert(event.to_owned(), json!(["Order Completed", "visit", "sign up"][number % 3]));
        }
        if let Some(id) = self.id {
            root.insert(id.to_owned(), json!(format!("id-{number}")));
        }
        Json::Object(root)
    }
}

fn any_value() -> impl Strategy<Value = Json> {
    let single = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
        Just(json!("2026-01-05")),
        Just(json!("59.99")),
    ];
    single.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec(("\\PC{0,6}", inner), 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let others = prop::collection::vec(("(\\PC{0,6}|each|key|header|lines|x\\.y|a\"b|total)", any_value()), 0..6);
    (
        prop::sample::select(vec!["customer_id", "customerId", "idClient", "user_id", "email"]),
        prop::option::of(prop::sample::select(vec!["buyer", "odd name", "key", "each"])),
        prop::sample::select(vec!["occurred_at", "ts", "timestamp", "created_at"]),
        0_u8..6,
        prop::option::of(prop::sample::select(vec!["event", "type", "eventName"])),
        prop::option::of(prop::sample::select(vec!["event_id", "id", "order_id"])),
        others,
    )
        .prop_map(|(customer, within, time, unit, event, id, others)| Shape {
            customer,
            within,
            time,
            unit,
            event,
            id,
            others,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever else is in the records: what is proposed is accepted, and every record becomes an event.
    #[test]
    fn what_is_proposed_is_accepted_and_maps_the_records(shape in any_shape()) {
        let records: Vec<Json> = (0..60).map(|number| shape.record(number)).collect();
        let proposal = propose(&[Source { name: "shop.things", partitions: 0, records: records.clone() }], None);
        let mapping = mapping(&proposal);
        for (number, record) in records.iter().enumerate() {
            let found = event(&mapping, record);
            prop_assert!(found.is_ok(), "{found:?}\n{}", proposal.text);
            let (customer, _, time, _) = found.unwrap();
            prop_assert_eq!(customer, format!("c{}", number % 7), "{}", proposal.text);
            // A local time is taken for UTC.
            let offset = if shape.unit == 5 { 2 * 3_600_000 } else { 0 };
            let expected = if shape.unit == 0 { at(number).0 / 1_000 * 1_000 } else { at(number).0 - offset };
            prop_assert_eq!(time, expected, "{}", proposal.text);
        }
    }

    /// Records of any shape at all: either nothing is in force, or what is is accepted.
    #[test]
    fn what_is_proposed_for_any_records_is_right(records in prop::collection::vec(any_value(), 1..12), topic: bool) {
        let source = Source { name: "été.2026", partitions: if topic { 3 } else { 0 }, records };
        let proposal = propose(&[source], None);
        if proposal.sources > 0 {
            accepted(&proposal.text);
        }
        let has_control = proposal.text.lines().any(|line| line.contains(char::is_control));
        prop_assert!(!has_control, "{}", proposal.text);
    }
}
