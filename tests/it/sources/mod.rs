//! Sources: records of any shape become the right events, mistakes are named, and damage harms nobody.

mod commands;
mod files;
mod later;
mod mistakes;
mod naive;
mod outside;
mod page;
mod random;
mod shapes;
mod types;
mod values;

use cohortd::sources::{Document, Mapping, Outcome, PropertyValue, read};

/// The mapping of the only source of a text.
fn mapping(text: &str) -> Mapping {
    let Document { mut sources, .. } = document(text);
    assert_eq!(sources.len(), 1, "{text}");
    Mapping::new(sources.remove(0))
}

fn document(text: &str) -> Document {
    read("sources.toml", text, &[]).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", shown.join("\n"))
    })
}

/// What became of a record, in one line for each event.
fn shown(outcome: &Outcome<'_>) -> Vec<String> {
    match outcome {
        Outcome::Skipped(reason, _) => vec![format!("skipped: {reason}")],
        Outcome::Refused(refusal) => {
            vec![format!("refused: {}: {}", refusal.reason, refusal.clone().described())]
        }
        Outcome::Mapped(events) => events
            .iter()
            .map(|event| {
                let mut properties: Vec<String> = event
                    .properties
                    .iter()
                    .map(|(name, value)| match value {
                        PropertyValue::Bool(value) => format!("{name}={value}"),
                        PropertyValue::Number(value) => format!("{name}={value}"),
                        PropertyValue::Text(value) => format!("{name}='{value}'"),
                    })
                    .collect();
                if !event.unusable.is_empty() {
                    properties.push(format!("unusable={}", event.unusable.len()));
                }
                let id = match (event.origin.id, event.origin.element) {
                    (None, None) => "hash".to_owned(),
                    (None, Some(element)) => format!("hash#{element}"),
                    (Some(_), _) => event.id.to_string(),
                };
                let (customer, name, at, source) = (&event.customer, &event.name, event.at, event.source);
                format!("{customer} {name} {at} {id} {source} [{}]", properties.join(" "))
            })
            .collect(),
    }
}

/// However little of a source is wanted, it is known how far it was read.
#[test]
fn a_skipped_record_has_its_time_where_that_can_be_read() {
    use cohortd::sources::Payload;

    let mapping = mapping(
        "[sources.clicks]\ntopic = \"t\"\nformat = \"json\"\ncustomer = \"who\"\ntime = \"at\"\nevent = \"visit\"\n\
         where = \"kind = \\\"page\\\"\"\n",
    );
    let at = |json: &str| match mapping.map(&Payload::Json(json.as_bytes()).alone()) {
        Outcome::Skipped(_, at) => at.map(|at| at.to_string()),
        other => panic!("{other:?}"),
    };
    let noon = Some("2026-01-05T12:00:00.000Z".to_owned());
    assert_eq!(at(r#"{"who": "a", "at": "2026-01-05T12:00:00Z", "kind": "ping"}"#), noon);
    assert_eq!(at(r#"{"at": "2026-01-05T12:00:00Z", "kind": "page"}"#), noon, "nobody's");
    assert_eq!(at(r#"{"who": "a", "at": "noon", "kind": "ping"}"#), None);
    assert_eq!(at(r#"{"who": "a", "kind": "ping"}"#), None);
}
