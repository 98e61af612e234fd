//! A failing case, printed so that it can be run again by hand.

use std::fmt::{Display, Write};

use cohortd::event::Instant;
use cohortd::fact::Capacities;

use crate::naive::{Case, LogEvent, Outcome, OwnedValue};

/// What to read, and what to run, when a case fails.
pub(crate) fn failure(test: &str, seed: u64, case: &Case, difference: &str) -> String {
    let config = &case.config;
    let again = format!("COHORTD_SEED={seed} cargo test --release --locked --test it {test} -- --exact --nocapture");
    let mut text = format!("seed {seed}; run it again with\n{again}\n\n--- rules.toml\n{}", case.rules);
    text.push_str("\n--- events.jsonl\n");
    for event in &case.events {
        line(&mut text, &json_line(event));
    }
    text.push_str("\n--- command\n");
    line(
        &mut text,
        &format!(
            "cohortd replay --as-is --rules rules.toml{until} --set time.arrives_within='{within} ms' --set \
             time.max_lateness='{lateness} ms' --set dedupe.ids={ids} --set time.earliest={earliest} events.jsonl",
            until = case.until.map(|until| format!(" --until {}", until.0)).unwrap_or_default(),
            within = config.arrives_within.0,
            lateness = config.max_lateness.0,
            ids = config.dedupe_ids,
            earliest = config.earliest.0,
        ),
    );
    if config.observed_from > Instant::MIN {
        line(&mut text, &format!("and nothing before {} was read", config.observed_from.0));
    }
    if config.capacities != Capacities::DEFAULT {
        line(&mut text, &format!("and no more of a customer is kept than {:?}", config.capacities));
    }
    for advance in &case.advances {
        let (to, position) = (advance.stream_time.0, advance.position);
        line(&mut text, &format!("and stream time goes to {to} before the event at position {position}"));
    }
    for thresholds_applied in &case.thresholds {
        line(
            &mut text,
            &format!(
                "and before the event at position {} is taken up {thresholds_applied:?}",
                thresholds_applied.position
            ),
        );
    }
    for parameters_applied in &case.parameters {
        line(
            &mut text,
            &format!(
                "and before the event at position {} are adopted {parameters_applied:?}",
                parameters_applied.position
            ),
        );
    }
    text.push_str("\n--- difference\n");
    text.push_str(difference);
    text
}

/// The two outcomes side by side from where they part.
pub(crate) fn difference(judged: &Outcome, engine: &Outcome) -> String {
    let mut text = String::new();
    for (position, (judged, engine)) in judged.handled.iter().zip(&engine.handled).enumerate() {
        if judged != engine {
            line(&mut text, &format!("event {position}: judged {judged:?}, engine {engine:?}"));
        }
    }
    if judged.handled.len() != engine.handled.len() {
        line(
            &mut text,
            &format!(
                "{} events handled by the naive evaluator, {} by the engine",
                judged.handled.len(),
                engine.handled.len()
            ),
        );
    }
    let same = judged.changes.iter().zip(&engine.changes).take_while(|(one, other)| one == other).count();
    for decided in &judged.changes[..same] {
        line(&mut text, &format!("  both    {decided}"));
    }
    list(&mut text, "- judged ", &judged.changes[same..]);
    list(&mut text, "+ engine ", &engine.changes[same..]);
    let same = judged.risks.iter().zip(&engine.risks).take_while(|(one, other)| one == other).count();
    for rated in &judged.risks[..same] {
        line(&mut text, &format!("  both    {rated}"));
    }
    list(&mut text, "- judged ", &judged.risks[same..]);
    list(&mut text, "+ engine ", &engine.risks[same..]);
    text
}

/// Enough to see what goes wrong.
const SHOWN: usize = 8;

fn list(text: &mut String, mark: &str, changes: &[impl Display]) {
    for decided in changes.iter().take(SHOWN) {
        line(text, &format!("{mark}{decided}"));
    }
    if changes.len() > SHOWN {
        line(text, &format!("{mark}... and {} more", changes.len() - SHOWN));
    }
}

/// One line of a file for `cohortd replay`.
pub(crate) fn json_line(event: &LogEvent) -> String {
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is always JSON");
    let mut line = String::from("{");
    if let Some(id) = &event.id {
        line.push_str(&format!("\"event_id\": {}, ", quoted(id)));
    }
    line.push_str(&format!("\"customer_id\": {}, \"event\": {}, ", quoted(&event.customer), quoted(&event.name)));
    line.push_str(&format!("\"time\": {}, ", event.at.0));
    if let Some(source) = &event.source {
        line.push_str(&format!("\"source\": {}, ", quoted(source)));
    }
    let properties: Vec<String> = event
        .properties
        .iter()
        .map(|(name, value)| {
            let value = json_value(value);
            format!("{}: {value}", quoted(name))
        })
        .collect();
    line.push_str(&format!("\"properties\": {{{}}}}}", properties.join(", ")));
    line
}

fn json_value(value: &OwnedValue) -> String {
    match value {
        OwnedValue::Null => "null".into(),
        OwnedValue::Bool(flag) => flag.to_string(),
        OwnedValue::Number(number) => number.to_string(),
        OwnedValue::Text(text) => serde_json::to_string(text).expect("a text is always JSON"),
        OwnedValue::List(values) => format!("[{}]", values.iter().map(json_value).collect::<Vec<_>>().join(", ")),
    }
}

/// As a file's record is hashed: equal lines are one record. FNV-1a.
pub(crate) fn record_hash(event: &LogEvent) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    json_line(event).bytes().fold(0xCBF2_9CE4_8422_2325, step)
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a text takes every line");
}
