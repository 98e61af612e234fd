//! Does a topic hold what it is read for? It does not if every one of its first records is refused.

use std::collections::BTreeMap;

/// Records of something new that are checked before its topic is taken for one of something else.
pub(crate) const FRESH_RECORDS: u32 = 100;

/// The first records of something new, as long as every one of them is refused. `R`: for which reason, `D`: what in
/// particular is wrong.
#[derive(Debug)]
pub(crate) struct Fresh<R, D>(Option<Counts<R, D>>);

#[derive(Debug)]
struct Counts<R, D> {
    records: u32,
    /// By reason, each with its first detail.
    refused: BTreeMap<R, (u32, D)>,
}

impl<R: Ord, D: Clone> Fresh<R, D> {
    /// Of something of which nothing was read yet.
    pub(crate) fn new() -> Self {
        Self(Some(Counts { records: 0, refused: BTreeMap::new() }))
    }

    /// Of something that is known to hold what it is read for: nothing is counted.
    pub(crate) fn proven() -> Self {
        Self(None)
    }

    /// Counts a record; `None`: it was not refused, and the topic is proven. With the record number [`FRESH_RECORDS`],
    /// if all were refused: the most frequent reason and its first detail. After that nothing is counted.
    #[inline]
    pub(crate) fn count(&mut self, refused: Option<(R, &D)>) -> Option<(R, D)> {
        let counts = self.0.as_mut()?;
        let Some((reason, detail)) = refused else {
            self.0 = None;
            return None;
        };
        counts.records += 1;
        counts.refused.entry(reason).or_insert_with(|| (0, detail.clone())).0 += 1;
        if counts.records < FRESH_RECORDS {
            return None;
        }
        let refused = self.0.take()?.refused;
        let (reason, (_, detail)) = refused.into_iter().max_by_key(|(_, (count, _))| *count)?;
        Some((reason, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::{FRESH_RECORDS, Fresh};

    #[test]
    fn of_a_hundred_records_all_refused_the_most_frequent_reason_is_named_once() {
        let mut fresh = Fresh::new();
        for _ in 0..40 {
            assert_eq!(fresh.count(Some(("wrong key", &"of the first"))), None);
        }
        assert_eq!(fresh.count(Some(("unknown schema", &"7"))), None);
        for _ in 42..FRESH_RECORDS {
            assert_eq!(fresh.count(Some(("unknown schema", &"8"))), None);
        }
        assert_eq!(fresh.count(Some(("unknown schema", &"9"))), Some(("unknown schema", "7")));
        assert!((0..2 * FRESH_RECORDS).all(|_| fresh.count(Some(("unknown schema", &"9"))).is_none()));
    }

    #[test]
    fn one_record_that_is_not_refused_proves_the_topic() {
        let mut fresh = Fresh::new();
        for _ in 1..FRESH_RECORDS {
            assert_eq!(fresh.count(Some((1, &"x"))), None);
        }
        assert_eq!(fresh.count(None), None);
        assert!((0..2 * FRESH_RECORDS).all(|_| fresh.count(Some((1, &"x"))).is_none()));
        let mut proven = Fresh::proven();
        assert!((0..2 * FRESH_RECORDS).all(|_| proven.count(Some((1, &"x"))).is_none()));
    }
}
