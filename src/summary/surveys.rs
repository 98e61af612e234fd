//! The surveys of all partitions, by day.

use std::collections::BTreeMap;

use super::overview::Overview;
use super::survey::Survey;
use crate::rules::RuleSet;

/// Days that are kept: a forecast is judged a week later, and rests on how the two before were judged.
const DAYS_KEPT: i64 = 24;

/// Surveys of one rule set. Those of a day are added up as soon as all partitions have told, and kept no longer one by one.
#[derive(Debug, Clone)]
pub struct Surveys {
    partitions: u32,
    /// By day and partition.
    parts: BTreeMap<i64, BTreeMap<u32, Survey>>,
    whole: BTreeMap<i64, Survey>,
}

impl Surveys {
    /// Of so many partitions, numbered from 0.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self { partitions, parts: BTreeMap::new(), whole: BTreeMap::new() }
    }

    /// Takes in what a partition has found. Another survey of that partition and day goes, unless the day is whole, and so does
    /// all that is older than the newest by what is kept.
    pub fn take(&mut self, partition: u32, survey: Survey) {
        let day = survey.frame.day;
        if partition >= self.partitions || self.whole.contains_key(&day) {
            return;
        }
        let parts = self.parts.entry(day).or_default();
        parts.insert(partition, survey);
        if parts.len() == self.partitions as usize {
            let mut parts = self.parts.remove(&day).unwrap_or_default().into_values();
            if let Some(mut whole) = parts.next() {
                parts.for_each(|part| whole.merge(&part));
                self.whole.insert(day, whole);
            }
        }
        let newest =
            [self.parts.last_key_value().map(|(day, _)| *day), self.whole.last_key_value().map(|(day, _)| *day)];
        let oldest = newest.into_iter().flatten().max().unwrap_or(day) - DAYS_KEPT;
        self.parts.retain(|day, _| *day > oldest);
        self.whole.retain(|day, _| *day > oldest);
    }

    /// What there is to say on the newest day that all partitions have looked at, beside what was said the weeks before.
    /// `None`: there is no such day.
    #[must_use]
    pub fn overview(&self, rules: &RuleSet) -> Option<Overview> {
        let (day, newest) = self.whole.last_key_value()?;
        Some(Overview::new(rules, newest, [1, 2, 3].map(|weeks| self.whole.get(&(day - 7 * weeks)))))
    }
}
