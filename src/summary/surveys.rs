//! The surveys of all partitions, by day.

use std::collections::BTreeMap;

use super::overview::Overview;
use super::survey::Survey;
use crate::rules::RuleSet;

/// Days that are kept: a forecast is judged a week later, and rests on how the one before was judged.
const DAYS_KEPT: i64 = 24;

/// Surveys of one rule set, the latest of each partition and day.
#[derive(Debug, Clone, Default)]
pub struct Surveys {
    by_day: BTreeMap<i64, BTreeMap<u32, Survey>>,
}

impl Surveys {
    /// Takes in what a partition has found. Another survey of that partition and day goes, and so does all that is older
    /// than the newest by what is kept.
    pub fn take(&mut self, partition: u32, survey: Survey) {
        self.by_day.entry(survey.frame.day).or_default().insert(partition, survey);
        let newest = self.by_day.last_key_value().map_or(0, |(day, _)| *day);
        self.by_day.retain(|day, _| *day > newest - DAYS_KEPT);
    }

    /// Forgets all: the rules are others.
    pub fn clear(&mut self) {
        self.by_day.clear();
    }

    /// The survey of all of so many partitions, numbered from 0, on a day. `None`: one is missing.
    #[must_use]
    pub fn whole(&self, day: i64, partitions: u32) -> Option<Survey> {
        let parts = self.by_day.get(&day)?;
        let mut parts = (0..partitions).map(|partition| parts.get(&partition));
        let mut whole = parts.next()??.clone();
        for part in parts {
            whole.merge(part?);
        }
        Some(whole)
    }

    /// The newest day of which all partitions have a survey.
    #[must_use]
    pub fn newest(&self, partitions: u32) -> Option<i64> {
        let is_whole = |parts: &BTreeMap<u32, Survey>| (0..partitions).all(|partition| parts.contains_key(&partition));
        self.by_day.iter().rev().find(|(_, parts)| partitions > 0 && is_whole(parts)).map(|(day, _)| *day)
    }

    /// What there is to say on the newest day, beside what was said the week before. `None`: no day is whole.
    #[must_use]
    pub fn overview(&self, rules: &RuleSet, partitions: u32) -> Option<Overview> {
        let day = self.newest(partitions)?;
        let earlier = [1, 2, 3].map(|weeks| self.whole(day - 7 * weeks, partitions));
        Some(Overview::new(rules, &self.whole(day, partitions)?, earlier.each_ref().map(Option::as_ref)))
    }
}
