//! What one transaction writes.

use std::collections::BTreeMap;

use super::merge::Waiting;
use super::reading::{Content, Fate, Target, Written};
use crate::event::Instant;
use crate::marks::{Mark, Place};

/// What one transaction writes, and of which partitions it moves the offsets.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Written>,
    pub(super) bytes: usize,
    pub(super) parts: BTreeMap<i32, Part>,
}

/// Of one partition.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// After the last record; `None`: none was taken.
    pub(super) next_offset: Option<i64>,
    /// The latest time of an event.
    pub(super) latest: Option<Instant>,
    pub(super) fates: Vec<Fate>,
    /// The offset, reason and kind of each dead letter.
    pub(super) letters: Vec<(i64, &'static str, String)>,
    pub(super) events: u64,
}

impl Batch {
    /// Takes a record whose turn it is.
    pub(super) fn take(&mut self, number: i32, record: Waiting<Content>) {
        let Waiting { offset, bytes, content, .. } = record;
        let part = self.parts.entry(number).or_default();
        part.next_offset = Some(offset + 1);
        part.latest = part.latest.max(content.times.map(|(_, last)| last));
        part.fates.push(content.fate);
        if let (Fate::DeadLetter(reason), Some(wrong)) = (content.fate, content.wrong) {
            part.letters.push((offset, reason, wrong.kind));
        }
        part.events += content.records.iter().filter(|record| record.target == Target::Events).count() as u64;
        self.bytes += bytes;
        self.records.extend(content.records);
    }

    /// Writes a partition's mark with it.
    pub(super) fn mark(&mut self, number: i32, place: &Place, mark: Mark) {
        self.records.push(Written {
            target: Target::Marks,
            partition: 0,
            key: Some(place.to_string().into_bytes()),
            payload: Some(mark.bytes()),
            headers: Vec::new(),
        });
        // A mark alone is a reason to write.
        self.parts.entry(number).or_default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}
