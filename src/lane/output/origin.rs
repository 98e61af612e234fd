//! Where a change was decided, as its record says.

use std::sync::Arc;

use crate::engine::EventCause;
use crate::event::{Cause, Instant};
use crate::kafka::Record;

/// Where an event lay before it was gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lane) struct SourceRecord {
    /// Of the event in the log.
    position: i64,
    topic: Arc<str>,
    partition: i32,
    offset: i64,
}

impl SourceRecord {
    /// By the headers of a gathered record. `before`: of another one, whose topic is probably the same.
    pub(in crate::lane) fn of(record: &Record<'_>, before: Option<&Arc<str>>) -> Option<Self> {
        let (mut topic, mut partition, mut offset) = (None, None, None);
        for (name, value) in record.headers() {
            let value = || std::str::from_utf8(value?).ok();
            match name {
                b"cohortd_source_topic" => topic = value(),
                b"cohortd_source_partition" => partition = value().and_then(|text| text.parse().ok()),
                b"cohortd_source_offset" => offset = value().and_then(|text| text.parse().ok()),
                _ => {}
            }
        }
        let topic = topic?;
        let topic = before.filter(|before| ***before == *topic).map_or_else(|| topic.into(), Arc::clone);
        Some(Self { position: record.offset(), topic, partition: partition?, offset: offset? })
    }

    pub(in crate::lane) fn topic(&self) -> &Arc<str> {
        &self.topic
    }
}

/// Where a change was decided.
pub(in crate::lane) struct Origin<'a> {
    pub(in crate::lane) input: &'a str,
    pub(in crate::lane) partition: i32,
    /// The input offset at which the change was caused or its deadline became due.
    pub(in crate::lane) position: i64,
    pub(in crate::lane) stream_time: Instant,
    /// Where the event that is applied comes from, if the input was gathered.
    pub(in crate::lane) source: Option<SourceRecord>,
}

impl Origin<'_> {
    /// A change that an earlier event caused, and that had to wait, names that event's place in the input: the record of
    /// the source is not at hand any more, and whether it were would depend on when the change is decided.
    pub(super) fn cause<'c>(&'c self, cause: &'c EventCause) -> Cause<'c> {
        if let Some(source) = self.source.as_ref().filter(|source| source.position == cause.position) {
            let SourceRecord { topic, partition, offset, .. } = source;
            let (event, event_id) = (&cause.event, cause.event_id.as_deref());
            return Cause { event, event_id, topic, partition: *partition, offset: *offset };
        }
        Cause {
            event: &cause.event,
            event_id: cause.event_id.as_deref(),
            topic: self.input,
            partition: self.partition,
            offset: cause.position,
        }
    }
}
