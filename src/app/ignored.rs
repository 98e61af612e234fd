//! Tells the processes of a group which topics of sources they need not wait for.

use std::time::Duration;

use super::Failure;
use crate::clock::wall_clock;
use crate::kafka::{Admin, Brokers, Headers, Outgoing, Publisher, Report};
use crate::marks::Ignored;
use crate::settings::Loaded;

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
const QUEUE_BYTES: usize = 1 << 20;
/// How long writing may take.
const WRITE_FOR: Duration = Duration::from_secs(10);

/// Ignores topics, or no longer: a record for each in the topic of the marks.
///
/// # Errors
/// Nothing was gathered yet; brokers that do not answer, or do not take the records.
pub fn write(loaded: &Loaded, topics: &[String], undo: bool) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let (brokers, marks) = (Brokers::default(), &settings.topics.marks);
    if Admin::new(&settings.kafka, &brokers)?.topic(marks, ASK)?.is_none() {
        let text = format!("there is no topic {marks}: no process of this group has gathered yet");
        return Err(Failure::Running(text));
    }
    let publisher = Publisher::new(&settings.kafka, QUEUE_BYTES, &brokers)?;
    let value = Ignored { group: settings.kafka.group_id.clone(), since: wall_clock().0 }.bytes();
    for topic in topics {
        publisher.send(&Outgoing {
            topic: marks,
            partition: 0,
            key: Some(Ignored::key(topic).as_bytes()),
            payload: (!undo).then_some(value.as_slice()),
            headers: Headers::default(),
            timestamp: None,
            report: Report::Failure,
        })?;
    }
    Ok(publisher.flush(WRITE_FOR)?)
}
