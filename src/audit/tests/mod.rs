//! Audits of made-up topics: each finding provoked, and not provoked; what is proposed; and what damage does.

mod findings;
mod proposals;
mod reports;

use serde_json::{Value as Json, json};

use super::{Audit, Audited, Limits, Payload, Record, RulesUse, Scope};
use crate::event::{Instant, Span};
use crate::rules::load_as_written;

/// 5 January 2026, 09:00.
const NINE: i64 = 1_767_603_600_000;
const FIVE: [&str; 5] = ["signup", "purchase", "cart_abandoned", "onboarding_completed", "unsubscribed"];

fn scope() -> Scope {
    let limits = Limits {
        now: Instant(NINE + 365 * Span::DAY.0),
        future_skew: Span(5 * Span::MINUTE.0),
        arrives_within: Span::MINUTE,
        lateness: Span(4 * Span::DAY.0),
    };
    Scope { limits, from: None, until: None, sample: 1.0, shows_values: false }
}

/// A topic or file of JSON.
#[derive(Debug, Clone)]
struct Source {
    name: &'static str,
    /// 0: a file.
    partitions: u32,
    records: Vec<Json>,
}

impl Source {
    /// A file with nothing wrong in it.
    fn healthy(name: &'static str) -> Self {
        Self { name, partitions: 0, records: (0..400).map(|number| event(name, number)).collect() }
    }

    fn topic(self) -> Self {
        Self { partitions: 4, ..self }
    }

    /// With each record changed.
    fn with(mut self, mut change: impl FnMut(usize, &mut Json)) -> Self {
        self.records.iter_mut().enumerate().for_each(|(number, record)| change(number, record));
        self
    }
}

fn at(number: usize) -> Instant {
    Instant(NINE + number as i64 * 613_000)
}

fn event(source: &str, number: usize) -> Json {
    json!({
        "event_id": format!("{source}-{number}"),
        "customer_id": format!("c-{}", number % 40),
        "event": FIVE[number % 5],
        "occurred_at": at(number).to_string(),
        "amount": number,
    })
}

/// As `rules` has them.
fn rules_use(rules: Option<&str>) -> Option<RulesUse> {
    rules.map(|rules| {
        let (document, rules) = load_as_written("rules.toml", rules).unwrap();
        RulesUse::of(&document, &rules)
    })
}

fn audited(sources: &[Source], rules: Option<&str>) -> Audited {
    audited_within(scope(), sources, rules)
}

fn audited_within(scope: Scope, sources: &[Source], rules: Option<&str>) -> Audited {
    let mut audit = Audit::new(scope);
    for source in sources {
        let topic = audit.topic(source.name, source.partitions).unwrap();
        for (number, record) in source.records.iter().enumerate() {
            let text = match record {
                Json::String(raw) => raw.clone(),
                other => other.to_string(),
            };
            let customer = record["customer_id"].as_str().unwrap_or_default().to_owned();
            let is_of_topic = source.partitions > 0;
            audit.add(
                topic,
                &Record {
                    value: Payload::Json(text.as_bytes()),
                    key: if is_of_topic { Payload::Text(customer.as_bytes()) } else { Payload::Null },
                    headers: &[],
                    place: 0,
                    written: is_of_topic.then(|| at(number) + Span(3_000)),
                    at_home: is_of_topic.then_some(record["elsewhere"].is_null()),
                    bytes: text.len() as u64,
                },
            );
        }
    }
    audit.finish(rules_use(rules))
}
