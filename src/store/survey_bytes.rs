//! Surveys as bytes: in the summaries topic.
//!
//! ```text
//! survey    format │ fingerprint of the rules │ instant │ customers │ cohorts: n, n × one cohort
//! a cohort  members │ n, n × members on a level │ histogram │ value │ entered │ left │ entered new │ left new
//!           retention: by week, how many counts are not zero, so many counts
//!           came from: n, n × (cohort, customers) │ days: 7 × one day
//! a day     exits if silent │ entries if silent │ exits │ entries │ value at stake
//! ```

use super::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_number, put_text, put_u64};
use super::counter_bytes::{is_of, put_histogram, read_histogram};
use super::layout::{FORMAT, SURVEY, SURVEY_DAYS};
use crate::event::Instant;
use crate::rules::{CohortIx, RuleSet};
use crate::summary::{CohortSurvey, Expected, Survey};

/// One partition's survey, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSurvey {
    pub partition: u32,
    pub survey: Survey,
}

impl PublishedSurvey {
    /// Is this the key of a survey, and not of counters?
    #[must_use]
    pub fn has_key(key: &[u8]) -> bool {
        matches!(key, [_, _, _, _, SURVEY, _, _])
    }

    /// Key and value of its record. The key is that of the survey so many days before, which goes.
    #[must_use]
    pub fn encode(&self, rules: &RuleSet) -> (Vec<u8>, Vec<u8>) {
        let mut value = vec![FORMAT];
        put_text(&mut value, &rules.fingerprint);
        put_i64(&mut value, self.survey.frame.at().0);
        put_u64(&mut value, self.survey.customers);
        put_len(&mut value, self.survey.cohorts.len());
        self.survey.cohorts.iter().for_each(|cohort| put_cohort(&mut value, cohort));
        (key(self.partition, self.survey.frame.day), value)
    }

    /// Reads a record. `None`: it is of other rules.
    ///
    /// # Errors
    /// What `encode` did not write.
    pub fn decode(key: &[u8], value: &[u8], rules: &RuleSet) -> Result<Option<Self>, Corrupt> {
        let [a, b, c, d, SURVEY, _, _] = *key else { return Err(Corrupt("key of a survey")) };
        let partition = u32::from_be_bytes([a, b, c, d]);
        let mut reader = Reader::new(value);
        if !is_of(&mut reader, rules)? {
            return Ok(None);
        }
        let mut survey = Survey::new(rules, Instant(reader.i64("instant")?));
        if key != self::key(partition, survey.frame.day) {
            return Err(Corrupt("day of a survey"));
        }
        survey.customers = reader.count("customers")?;
        if reader.len("cohorts")? != survey.cohorts.len() {
            return Err(Corrupt("number of cohorts"));
        }
        for cohort in &mut survey.cohorts {
            read_cohort(&mut reader, cohort, rules)?;
        }
        if reader.is_empty() { Ok(Some(Self { partition, survey })) } else { Err(Corrupt("end of a survey")) }
    }
}

fn key(partition: u32, day: i64) -> Vec<u8> {
    let place = day.rem_euclid(SURVEY_DAYS).to_be_bytes();
    [&partition.to_be_bytes()[..], &[SURVEY], &place[6..]].concat()
}

fn put_cohort(out: &mut Vec<u8>, cohort: &CohortSurvey) {
    put_u64(out, cohort.members);
    put_len(out, cohort.levels.len());
    cohort.levels.iter().for_each(|members| put_u64(out, *members));
    put_histogram(out, &cohort.values);
    put_number(out, cohort.value);
    for count in [cohort.entered, cohort.left, cohort.entered_new, cohort.left_new] {
        put_u64(out, count);
    }
    for week in &cohort.retention {
        // Who was in after so many weeks was in before.
        let some = week.iter().take_while(|stayed| **stayed > 0).count();
        put_len(out, some);
        week[..some].iter().for_each(|stayed| put_u64(out, *stayed));
    }
    put_len(out, cohort.came_from.len());
    for (from, customers) in &cohort.came_from {
        put_u64(out, u64::from(from.0));
        put_u64(out, *customers);
    }
    for day in &cohort.days {
        put_u64(out, day.exits_if_silent);
        put_u64(out, day.entries_if_silent);
        for number in [day.exits, day.entries, day.value_at_stake] {
            put_number(out, number);
        }
    }
}

/// `cohort`: of nobody.
fn read_cohort(reader: &mut Reader<'_>, cohort: &mut CohortSurvey, rules: &RuleSet) -> Read<()> {
    cohort.members = reader.count("members")?;
    if reader.len("levels")? != cohort.levels.len() {
        return Err(Corrupt("number of levels"));
    }
    for members in &mut cohort.levels {
        *members = reader.count("level")?;
    }
    read_histogram(reader, &mut cohort.values)?;
    cohort.value = reader.sum("value")?;
    for count in [&mut cohort.entered, &mut cohort.left, &mut cohort.entered_new, &mut cohort.left_new] {
        *count = reader.count("moves")?;
    }
    for week in &mut cohort.retention {
        let some = reader.len("retention")?;
        for stayed in week.get_mut(..some).ok_or(Corrupt("retention"))? {
            *stayed = reader.count("retention")?;
            if *stayed == 0 {
                return Err(Corrupt("retention"));
            }
        }
    }
    for _ in 0..reader.len("came from")? {
        let from = u16::try_from(reader.u64("cohort")?).map_err(|_| Corrupt("cohort"))?;
        if usize::from(from) >= rules.cohorts.len() {
            return Err(Corrupt("cohort"));
        }
        cohort.came_from.insert(CohortIx(from), reader.count("came from")?);
    }
    for day in &mut cohort.days {
        *day = Expected {
            exits_if_silent: reader.count("exits")?,
            entries_if_silent: reader.count("entries")?,
            exits: reader.sum("exits")?,
            entries: reader.sum("entries")?,
            value_at_stake: reader.sum("value")?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PublishedSurvey, Survey};
    use crate::event::{Instant, Number};
    use crate::rules::{CohortIx, RuleSet, load};

    const RULES: &str = "
        [churn]
        on = 'buy'
        [cohorts.a]
        who = 'did buy in the last 7 days'
        [cohorts.b]
        who = 'churn_risk >= 80'";

    fn survey(rules: &RuleSet, mut next: impl FnMut() -> u64) -> Survey {
        let mut survey = Survey::new(rules, Instant(1_790_000_000_000 + (next() % 100_000_000_000).cast_signed()));
        survey.customers = next();
        for cohort in &mut survey.cohorts {
            for count in [&mut cohort.members, &mut cohort.entered, &mut cohort.left, &mut cohort.entered_new] {
                *count = next();
            }
            cohort.left_new = next();
            cohort.levels.iter_mut().for_each(|members| *members = next());
            (0..next() % 20).for_each(|_| cohort.values.add(Number(i128::from(next()))));
            cohort.value = Number(i128::from(next()) * i128::from(next()));
            for week in &mut cohort.retention {
                let some = usize::try_from(next()).unwrap() % (week.len() + 1);
                week[..some].iter_mut().for_each(|stayed| *stayed = next().max(1));
            }
            if next().is_multiple_of(2) {
                cohort.came_from.insert(CohortIx(1), next());
            }
            for day in &mut cohort.days {
                (day.exits_if_silent, day.entries_if_silent) = (next(), next());
                (day.exits, day.entries) = (Number(next().into()), Number(next().into()));
                day.value_at_stake = Number(-i128::from(next()));
            }
        }
        survey
    }

    proptest! {
        #[test]
        fn a_survey_is_read_as_it_was_written(seed: u64, partition: u32) {
            let rules = load("r.toml", RULES).unwrap();
            let mut random = seed;
            let survey = survey(&rules, || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 24) >> (random % 40)
            });
            let published = PublishedSurvey { partition, survey };
            let (key, value) = published.encode(&rules);
            prop_assert!(PublishedSurvey::has_key(&key));
            prop_assert_eq!(PublishedSurvey::decode(&key, &value, &rules), Ok(Some(published)));
            let other = load("r.toml", &RULES.replace('7', "8")).unwrap();
            prop_assert_eq!(PublishedSurvey::decode(&key, &value, &other), Ok(None));
            for length in 0..value.len() {
                prop_assert!(PublishedSurvey::decode(&key, &value[..length], &rules).is_err());
            }
        }
    }

    #[test]
    fn a_key_is_taken_again_thirty_two_days_later_and_is_none_of_counters() {
        let rules = load("r.toml", RULES).unwrap();
        let key = |day: i64| {
            let at = Instant(1_790_000_000_000 + day * 86_400_000);
            PublishedSurvey { partition: 7, survey: Survey::new(&rules, at) }.encode(&rules).0
        };
        let keys: std::collections::BTreeSet<_> = (0..64).map(key).collect();
        assert_eq!(keys.len(), 32);
        assert_eq!(key(3), key(35));
        assert!(keys.iter().all(|key| key.len() == 7 && key.starts_with(&[0, 0, 0, 7, b'S'])));
        assert!(!PublishedSurvey::has_key(&[0, 0, 0, 7, b'S', 0]));
    }
}
