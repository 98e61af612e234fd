//! Members of each cohort in the owned partitions: one series for each cohort, whatever the number of partitions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGaugeVec;

use super::adder::Adder;
use super::share::Share;

/// The series, each with the number of partitions that contribute to it. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct MembersSeries {
    family: IntGaugeVec,
    holders: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
}

impl MembersSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let help =
            "Members of each cohort in the partitions owned by this process; over all processes, the cohort's size.";
        Self { family: add.gauges("cohort_members", help, &["cohort"]), holders: Arc::default() }
    }

    /// Members by cohort, as shown.
    pub(super) fn shown(&self) -> BTreeMap<String, u64> {
        let members = |cohort: &str| u64::try_from(self.family.with_label_values(&[cohort]).get()).unwrap_or(0);
        self.holders().keys().map(|cohort| (cohort.to_string(), members(cohort))).collect()
    }

    fn holders(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, usize>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `cohort_members{cohort}`: members of each cohort in the partitions owned by this process; over all processes, the
/// cohort's size. The series exists while a partition with the cohort is owned. Worry when a cohort's size jumps. This
/// is one partition's part.
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
