//! What became of the records that were tried.

use std::collections::BTreeMap;

use crate::kafka::Record;
use crate::sources::{AbsentPath, MappedEvent, Refusal, RefusalReason, Skip, header_path};

/// Different details of one reason that are counted apart; records with further ones are counted together.
const DETAILS_MAX: usize = 64;

/// The most headers that are counted.
const HEADERS_MAX: usize = 64;

/// Counts of records and events.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) read: u64,
    pub(super) mapped: u64,
    pub(super) events: u64,
    pub(super) skipped: BTreeMap<Skip, u64>,
    /// By reason, in the order of [`RefusalReason`]; those that only a topic has come last.
    pub(super) refused: BTreeMap<(usize, &'static str), Refused>,
    /// Events with each property, by its name.
    pub(super) properties: BTreeMap<String, u64>,
    /// The same of those where it was there and of no use.
    pub(super) unusable: BTreeMap<String, u64>,
    /// Events whose id is a hash.
    pub(super) hashed: u64,
    /// Records with each header, by its path.
    pub(super) headers: BTreeMap<String, u64>,
    /// Paths that the schema of a file does not have, with what there is instead.
    pub(super) absent: BTreeMap<String, String>,
}

/// Records that were refused for one reason.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) records: u64,
    /// In the order of their first records.
    details: Vec<Detail>,
    /// Records with details beyond those.
    others: u64,
}

/// Records of which the same is wrong.
#[derive(Debug, Clone)]
pub(super) struct Detail {
    pub(super) text: String,
    pub(super) records: u64,
    /// Where the first of them is.
    pub(super) place: String,
}

impl Tally {
    pub(super) fn event(&mut self, event: &MappedEvent<'_>) {
        self.events += 1;
        self.hashed += u64::from(event.origin.id.is_none());
        event.properties.iter().for_each(|(name, _)| count(&mut self.properties, name));
        event.unusable.iter().for_each(|name| count(&mut self.unusable, name));
    }

    /// Paths that a schema does not have.
    pub(super) fn miss(&mut self, absent: &[AbsentPath]) {
        self.absent.extend(absent.iter().map(|absent| (absent.path.clone(), absent.instead.clone())));
    }

    /// The headers of a record, whether they are mapped or not.
    pub(super) fn headers(&mut self, record: &Record<'_>) {
        for (name, _) in record.headers() {
            let path = header_path(&String::from_utf8_lossy(name));
            if self.headers.len() < HEADERS_MAX || self.headers.contains_key(&path) {
                *self.headers.entry(path).or_default() += 1;
            }
        }
    }

    pub(super) fn skip(&mut self, reason: Skip) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// `place`: of the record, the first of so many.
    pub(super) fn refuse(&mut self, refusal: Refusal, records: u64, place: impl FnOnce() -> String) {
        let element = refusal.element.map(|element| format!(", element {}", element + 1)).unwrap_or_default();
        self.refuse_for(refusal.reason.as_str(), refusal.located(), records, || place() + &element);
    }

    /// The same for a reason that only gathering has.
    pub(super) fn refuse_for(
        &mut self,
        reason: &'static str,
        detail: String,
        records: u64,
        place: impl FnOnce() -> String,
    ) {
        let order = RefusalReason::ALL.iter().position(|known| known.as_str() == reason).unwrap_or(usize::MAX);
        let refused = self.refused.entry((order, reason)).or_default();
        refused.records += records;
        if let Some(known) = refused.details.iter_mut().find(|known| known.text == detail) {
            known.records += records;
        } else if refused.details.len() < DETAILS_MAX {
            refused.details.push(Detail { text: detail, records, place: place() });
        } else {
            refused.others += records;
        }
    }

    pub(super) fn skipped_records(&self) -> u64 {
        self.skipped.values().sum()
    }

    pub(super) fn refused_records(&self) -> u64 {
        self.refused.values().map(|refused| refused.records).sum()
    }

    pub(super) fn unusable_values(&self) -> u64 {
        self.unusable.values().sum()
    }
}

/// No allocation for names that are known, since there may be millions.
fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => _ = counts.insert(name.to_owned(), 1),
    }
}

impl Refused {
    /// The details that most records have, at most so many, and the number of records with others.
    pub(super) fn commonest(&self, most: usize) -> (Vec<&Detail>, u64) {
        let mut details: Vec<&Detail> = self.details.iter().collect();
        details.sort_by_key(|detail| std::cmp::Reverse(detail.records));
        let further = details.iter().skip(most).map(|detail| detail.records).sum::<u64>();
        details.truncate(most);
        (details, further + self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::{DETAILS_MAX, Refusal, RefusalReason, Tally};

    #[test]
    fn the_commonest_details_of_a_reason_are_shown_and_the_others_counted() {
        let mut tally = Tally::default();
        let mut refuse = |detail: &str, records, number: usize| {
            let refusal = Refusal { element: Some(0), ..Refusal::new(RefusalReason::BadTime, detail) };
            tally.refuse(refusal, records, || format!("record {number}"));
        };
        (0..3 * DETAILS_MAX).for_each(|number| refuse(&format!("column {number}"), 1, number));
        refuse("column 5", 6, 1_000);
        refuse("column 2", 3, 1_001);
        let refused = tally.refused.values().next().unwrap();
        let (shown, others) = refused.commonest(3);
        let shown: Vec<(&str, u64, &str)> =
            shown.iter().map(|detail| (detail.text.as_str(), detail.records, detail.place.as_str())).collect();
        let expected = [
            ("column 5", 7, "record 5, element 1"),
            ("column 2", 4, "record 2, element 1"),
            ("column 0", 1, "record 0, element 1"),
        ];
        assert_eq!(shown, expected);
        assert_eq!((refused.records, others), (3 * DETAILS_MAX as u64 + 9, 3 * DETAILS_MAX as u64 + 9 - 12));
        assert_eq!(refused.details.len(), DETAILS_MAX);
    }
}
