//! How many members each cohort has in the partitions held here: one series a cohort, whatever the number of partitions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGaugeVec;

use super::Adder;
use super::partition::Share;

/// The series, each with the number of partitions that have a part in it. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct MembersSeries {
    family: IntGaugeVec,
    holders: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
}

impl MembersSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let help = "Customers in each cohort, of the partitions held here; over all processes, the cohort's size.";
        Self { family: add.gauges("cohort_members", help, &["cohort"]), holders: Arc::default() }
    }

    fn holders(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, usize>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `cohort_members{cohort}`: members of each cohort in the partitions held here; over all processes, the cohort's size. A series
/// is there while a partition is held that has the cohort. Worry when a cohort's size leaps. This is one partition's part.
#[derive(Debug)]
pub struct Members {
    series: MembersSeries,
    parts: Vec<(Arc<str>, Share)>,
}

impl Members {
    /// In the order of the cohorts given.
    pub(super) fn of<'a>(series: &MembersSeries, cohorts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut holders = series.holders();
        let mut part = |cohort: &str| {
            let name = holders.get_key_value(cohort).map_or_else(|| Arc::from(cohort), |(name, _)| Arc::clone(name));
            *holders.entry(Arc::clone(&name)).or_default() += 1;
            (name, Share::of(&series.family.with_label_values(&[cohort])))
        };
        let parts = cohorts.into_iter().map(&mut part).collect();
        drop(holders);
        Self { series: series.clone(), parts }
    }

    /// Members by cohort, in the same order.
    pub fn set(&mut self, members: &[u64]) {
        self.parts.iter_mut().zip(members).for_each(|((_, part), members)| part.set(*members));
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        let mut holders = self.series.holders();
        for (name, part) in self.parts.drain(..) {
            drop(part);
            let Some(count) = holders.get_mut(&name) else { continue };
            *count -= 1;
            if *count == 0 {
                holders.remove(&name);
                self.series.family.remove_label_values(&[&*name]).ok();
            }
        }
    }
}
