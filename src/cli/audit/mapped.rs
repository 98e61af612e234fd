//! Files in the shape of a source: what is audited are the events that it makes of their records.

use std::fs;

use serde_json::{Map, Value, json};

use super::files::{open, record};
use super::too_many;
use crate::audit::{Audit, Payload};
use crate::cli::history::{Files, MappedFile, Unmapped};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{OwnedEvent, OwnedValue};

/// Reads all files. Returns why some could not be read to their end.
///
/// # Errors
/// More sources than an audit has.
pub(super) fn read(files: &Files, audit: &mut Audit) -> Result<Vec<String>, Stopped> {
    let sizes: Option<u64> = files.mapped().map(|(path, ..)| Some(fs::metadata(path).ok()?.len())).sum();
    let progress = Progress::of_reading(sizes);
    let mut unread = Vec::new();
    for (place, (path, mapping, csv)) in (0..).zip(files.mapped()) {
        let topic = audit.topic(&mapping.source().name, 0).ok_or_else(too_many)?;
        let records = match open(path, csv, &progress) {
            Ok(records) => records,
            Err(error) => {
                unread.push(error.to_string());
                continue;
            }
        };
        let mut file = match MappedFile::new(records, mapping) {
            Ok(file) => file,
            Err(problem) => {
                unread.push(problem);
                continue;
            }
        };
        while let Some(event) = file.next() {
            match event {
                Ok(event) => {
                    let line = line(&event);
                    audit.add(topic, &record(Payload::Json(&line), place, &line));
                }
                Err(Unmapped::Refused(_)) => audit.add_lost(topic, 1),
                Err(Unmapped::Unread(error)) => match error.lost() {
                    Some(lost) => audit.add_lost(topic, lost),
                    None => unread.push(error.to_string()),
                },
            }
        }
    }
    progress.finish();
    Ok(unread)
}

/// An event as a line of a file of events.
fn line(event: &OwnedEvent) -> Vec<u8> {
    let value = |value: &OwnedValue| match value {
        OwnedValue::Bool(value) => Some(Value::from(*value)),
        // As written: a double would lose digits.
        OwnedValue::Number(value) => serde_json::from_str(&value.to_string()).ok(),
        OwnedValue::Text(value) => Some(Value::from(value.as_str())),
        OwnedValue::List { .. } | OwnedValue::Unusable => None,
    };
    let properties: Map<String, Value> =
        event.properties.iter().filter_map(|(name, found)| Some((name.clone(), value(found)?))).collect();
    let line = json!({
        "event_id": event.id,
        "customer_id": event.customer,
        "event": event.name,
        "time": event.at.0,
        "source": event.source,
        "properties": properties,
    });
    line.to_string().into_bytes()
}
