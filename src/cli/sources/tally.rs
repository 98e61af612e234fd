//! What became of the records that were tried.

use std::collections::BTreeMap;

use crate::sources::{MappedEvent, Refusal, RefusalReason, Skip};

/// Counts of records and events.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) read: u64,
    pub(super) mapped: u64,
    pub(super) events: u64,
    pub(super) skipped: BTreeMap<Skip, u64>,
    pub(super) refused: BTreeMap<RefusalReason, Refused>,
    /// Events with each property, by its name.
    pub(super) properties: BTreeMap<String, u64>,
    /// Properties that were there and of no use.
    pub(super) unusable: u64,
    /// Events whose id is a hash.
    pub(super) hashed: u64,
    /// Paths that the schema of a file does not have, with what there is instead.
    pub(super) absent: BTreeMap<String, String>,
}

/// Records that were refused for one reason.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) records: u64,
    /// Of the first of them: what is wrong, and where it stands.
    pub(super) detail: String,
    pub(super) place: String,
}

impl Tally {
    pub(super) fn event(&mut self, event: &MappedEvent<'_>) {
        self.events += 1;
        self.unusable += u64::from(event.unusable);
        self.hashed += u64::from(event.origin.id.is_none());
        for (name, _) in &event.properties {
            // No allocation for those that are known, since there may be millions.
            match self.properties.get_mut(*name) {
                Some(count) => *count += 1,
                None => _ = self.properties.insert((*name).to_owned(), 1),
            }
        }
    }

    pub(super) fn skip(&mut self, reason: Skip) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, records: u64, place: impl FnOnce() -> String) {
        let Refusal { reason, detail } = refusal;
        let first = || Refused { records: 0, detail, place: place() };
        self.refused.entry(reason).or_insert_with(first).records += records;
    }

    pub(super) fn skipped_records(&self) -> u64 {
        self.skipped.values().sum()
    }

    pub(super) fn refused_records(&self) -> u64 {
        self.refused.values().map(|refused| refused.records).sum()
    }
}
