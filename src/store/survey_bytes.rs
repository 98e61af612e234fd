//! Surveys as bytes: in the summaries topic, in blocks of cohorts, since hundreds of cohorts may not fit in one record.
//!
//! ```text
//! block     format │ fingerprint of the rules │ instant │ customers │ number of the first cohort │ n, n × one cohort
//! a cohort  0, if all of it is; or 1 and
//!           members │ n, n × members on a level │ histogram │ value │ entered │ left │ entered new │ left new
//!           retention: by week, how many counts are not zero, so many counts
//!           came from: n, n × (cohort, customers) │ days: 7 × one day
//! a day     exits if silent │ entries if silent │ exits │ entries │ value at stake
//! ```

use super::counter_bytes::{is_of, put_histogram, read_histogram};
use super::layout::{FORMAT, RESULT, SURVEY_BLOCK, SURVEY_DAYS, WHOLE};
use crate::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_number, put_text, put_u64};
use crate::event::Instant;
use crate::rules::ast::Unit;
use crate::rules::{CohortIx, RuleSet};
use crate::summary::{CohortSurvey, Expected, Survey, SurveyBlock};

/// Size at which a block is complete. One more cohort takes at most about 200 KB, and a broker accepts a million by
/// default.
pub const BLOCK_BYTES: usize = 256 << 10;

const NOBODY: u8 = 0;
const SOMEBODY: u8 = 1;

/// Key and value of a record.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A block of one partition's survey, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedBlock {
    pub partition: u32,
    /// Counts the blocks of a survey from 0.
    pub number: u16,
    pub block: SurveyBlock,
}

impl PublishedBlock {
    /// Is this the key of a block of a partition's survey?
    #[must_use]
    pub fn has_key(key: &[u8]) -> bool {
        matches!(key, [_, _, _, _, SURVEY_BLOCK, _, _, _])
    }

    /// Key and value of its record.
    #[must_use]
    pub fn encode(&self, rules: &RuleSet) -> KeyValue {
        let Self { partition, number, block } = self;
        let mut cohorts = Vec::new();
        block.cohorts.iter().for_each(|cohort| put_cohort(&mut cohorts, cohort));
        let day = rules.calendar().period(block.at, Unit::Day);
        let value = value(rules, block.at, block.customers, block.first, block.cohorts.len(), &cohorts);
        (block_key(*partition, day, *number), value)
    }

    /// Reads a record. `None`: it is of other rules.
    ///
    /// # Errors
    /// What `encode` and `encode_survey` did not write.
    pub fn decode(key: &[u8], value: &[u8], rules: &RuleSet) -> Result<Option<Self>, Corrupt> {
        let [a, b, c, d, SURVEY_BLOCK, _, high, low] = *key else { return Err(Corrupt("key of a survey")) };
        let (partition, number) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low]));
        let Some(block) = read_block(value, rules)? else { return Ok(None) };
        if key != block_key(partition, rules.calendar().period(block.at, Unit::Day), number) {
            return Err(Corrupt("day of a survey"));
        }
        Ok(Some(Self { partition, number, block }))
    }
}

/// Keys and values of a partition's survey, in reading order. Its keys replace those of the survey a few days before.
#[must_use]
pub fn encode_survey(partition: u32, survey: &Survey, rules: &RuleSet) -> Vec<KeyValue> {
    let day = survey.frame.day;
    (0..).zip(blocks(survey, rules)).map(|(number, value)| (block_key(partition, day, number), value)).collect()
}

/// Keys and values of the newest survey of all partitions, in reading order. They replace those of the previous one.
#[must_use]
pub fn encode_whole(survey: &Survey, rules: &RuleSet) -> Vec<KeyValue> {
    (0..).zip(blocks(survey, rules)).map(|(number, value)| (whole_key(number), value)).collect()
}

/// Reads the value of such a record. `None`: it is of other rules.
///
/// # Errors
/// What `encode_whole` did not write.
pub fn decode_whole(value: &[u8], rules: &RuleSet) -> Result<Option<SurveyBlock>, Corrupt> {
    read_block(value, rules)
}

fn block_key(partition: u32, day: i64, number: u16) -> Vec<u8> {
    let place = u8::try_from(day.rem_euclid(SURVEY_DAYS)).unwrap_or_default();
    [&partition.to_be_bytes()[..], &[SURVEY_BLOCK, place], &number.to_be_bytes()].concat()
}

fn whole_key(number: u16) -> Vec<u8> {
    [&[RESULT, WHOLE][..], &number.to_be_bytes()].concat()
}

/// The values of a survey's blocks.
fn blocks(survey: &Survey, rules: &RuleSet) -> Vec<Vec<u8>> {
    let (at, customers, last) = (survey.frame.at(), survey.customers, survey.cohorts.len());
    let (mut values, mut bytes, mut first) = (Vec::new(), Vec::new(), 0);
    for (number, cohort) in (1..).zip(&survey.cohorts) {
        put_cohort(&mut bytes, cohort);
        if bytes.len() >= BLOCK_BYTES || number == last {
            values.push(value(rules, at, customers, first, number - first, &bytes));
            bytes.clear();
            first = number;
        }
    }
    values
}

fn value(rules: &RuleSet, at: Instant, customers: u64, first: usize, count: usize, cohorts: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(64 + cohorts.len());
    value.push(FORMAT);
    put_text(&mut value, &rules.fingerprint);
    put_i64(&mut value, at.0);
    put_u64(&mut value, customers);
    put_len(&mut value, first);
    put_len(&mut value, count);
    value.extend_from_slice(cohorts);
    value
}

fn read_block(value: &[u8], rules: &RuleSet) -> Read<Option<SurveyBlock>> {
    let mut reader = Reader::new(value);
    if !is_of(&mut reader, rules)? {
        return Ok(None);
    }
    let at = Instant(reader.i64("instant")?);
    let customers = reader.count("customers")?;
    let first = usize::try_from(reader.u64("cohort")?).map_err(|_| Corrupt("cohort"))?;
    let count = reader.len("cohorts")?;
    if first.checked_add(count).is_none_or(|end| end > rules.cohorts.len()) {
        return Err(Corrupt("number of cohorts"));
    }
    let mut cohorts = vec![CohortSurvey::of_nobody(rules); count];
    for cohort in &mut cohorts {
        match reader.u8("cohort")? {
            NOBODY => {}
            SOMEBODY => read_cohort(&mut reader, cohort, rules)?,
            _ => return Err(Corrupt("cohort")),
        }
    }
    if reader.is_empty() {
        Ok(Some(SurveyBlock { at, customers, first, cohorts }))
    } else {
        Err(Corrupt("end of a survey"))
    }
}

fn put_cohort(out: &mut Vec<u8>, cohort: &CohortSurvey) {
    if is_of_nobody(cohort) {
        out.push(NOBODY);
        return;
    }
    out.push(SOMEBODY);
    put_u64(out, cohort.members);
    put_len(out, cohort.levels.len());
    cohort.levels.iter().for_each(|members| put_u64(out, *members));
    put_histogram(out, &cohort.values);
    put_number(out, cohort.value);
    for count in [cohort.entered, cohort.left, cohort.entered_new, cohort.left_new] {
        put_u64(out, count);
    }
    for week in &cohort.retention {
        // Customers retained after some weeks were retained before.
        let some = week.iter().take_while(|stayed| **stayed > 0).count();
        put_len(out, some);
        week[..some].iter().for_each(|stayed| put_u64(out, *stayed));
    }
    put_len(out, cohort.came_from.len());
    for (from, customers) in &cohort.came_from {
        put_u64(out, u64::from(from.0));
        put_u64(out, *customers);
    }
    cohort.days.iter().for_each(|day| put_expected(out, day));
}

fn is_of_nobody(cohort: &CohortSurvey) -> bool {
    let CohortSurvey { members, levels, values, value, entered, left, entered_new, left_new, .. } = cohort;
    let counts = [*members, *entered, *left, *entered_new, *left_new];
    counts.iter().chain(levels).chain(cohort.retention.iter().flatten()).all(|count| *count == 0)
        && (values.total(), value.0, cohort.came_from.len()) == (0, 0, 0)
        && cohort.days.iter().all(|day| *day == Expected::default())
}

pub(super) fn put_expected(out: &mut Vec<u8>, expected: &Expected) {
    put_u64(out, expected.exits_if_silent);
    put_u64(out, expected.entries_if_silent);
    for number in [expected.exits, expected.entries, expected.value_at_stake] {
        put_number(out, number);
    }
}

pub(super) fn read_expected(reader: &mut Reader<'_>) -> Read<Expected> {
    Ok(Expected {
        exits_if_silent: reader.count("exits")?,
        entries_if_silent: reader.count("entries")?,
        exits: reader.sum("exits")?,
        entries: reader.sum("entries")?,
        value_at_stake: reader.sum("value")?,
    })
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
        *day = read_expected(reader)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BLOCK_BYTES, PublishedBlock, Survey, decode_whole, encode_survey, encode_whole};
    use crate::event::{Instant, Number};
    use crate::rules::{CohortIx, RuleSet, load};

    const RULES: &str = "
        [churn]
        on = 'buy'
        [cohorts.a]
        who = 'did buy in the last 7 days'
        [cohorts.b]
        who = 'churn_risk >= 80'
        [cohorts.c]
        who = 'did visit'";

    /// Of nobody in the last cohort.
    fn survey(rules: &RuleSet, mut next: impl FnMut() -> u64) -> Survey {
        let mut survey = Survey::new(rules, Instant(1_790_000_000_000 + (next() % 100_000_000_000).cast_signed()));
        survey.customers = next();
        let last = survey.cohorts.len() - 1;
        for cohort in &mut survey.cohorts[..last] {
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

    fn random(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 24) >> (state % 40)
        }
    }

    proptest! {
        #[test]
        fn a_survey_is_read_as_it_was_written(seed: u64, partition: u32) {
            let rules = load("r.toml", RULES).unwrap();
            let survey = survey(&rules, random(seed));
            let records = encode_survey(partition, &survey, &rules);
            prop_assert_eq!(records.len(), 1);
            let (key, value) = &records[0];
            prop_assert!(PublishedBlock::has_key(key));
            let published = PublishedBlock { partition, number: 0, block: survey.block(0..3) };
            prop_assert_eq!(&published.encode(&rules), &records[0]);
            prop_assert_eq!(PublishedBlock::decode(key, value, &rules), Ok(Some(published)));
            let other = load("r.toml", &RULES.replace('7', "8")).unwrap();
            prop_assert_eq!(PublishedBlock::decode(key, value, &other), Ok(None));
            for length in 0..value.len() {
                prop_assert!(PublishedBlock::decode(key, &value[..length], &rules).is_err());
            }
        }
    }

    /// Six hundred cohorts come to more than a broker takes in one record.
    #[test]
    fn a_survey_of_many_cohorts_is_split_into_records_that_every_broker_takes() {
        let cohorts: String = (0..600).map(|n| format!("[cohorts.c{n:03}]\nwho = 'did v{n}'\n")).collect();
        let rules = load("r.toml", &cohorts).unwrap();
        let mut next = random(7);
        let mut survey = survey(&rules, &mut next);
        for cohort in &mut survey.cohorts {
            (0..900).for_each(|n| cohort.values.add(Number(i128::from(next()) << (n % 60))));
        }
        for records in [encode_survey(3, &survey, &rules), encode_whole(&survey, &rules)] {
            let bytes: usize = records.iter().map(|(_, value)| value.len()).sum();
            assert!(bytes > 1_000_000, "it would fit in one: {bytes}");
            assert!(records.len() > 1 && records.len() <= bytes / BLOCK_BYTES + 1);
            assert!(records.iter().all(|(_, value)| value.len() < 900_000));
            assert!(records.is_sorted_by(|(a, _), (b, _)| a < b));
            let blocks: Vec<_> =
                records.iter().map(|(_, value)| decode_whole(value, &rules).unwrap().unwrap()).collect();
            assert_eq!(Survey::of_blocks(&rules, &blocks), Some(survey.clone()));
            assert_eq!(Survey::of_blocks(&rules, &blocks[1..]), None);
            assert_eq!(Survey::of_blocks(&rules, &blocks[..1]), None);
        }
    }

    #[test]
    fn a_key_is_taken_again_four_days_later() {
        let rules = load("r.toml", RULES).unwrap();
        let key = |day: i64| {
            let at = Instant(1_790_000_000_000 + day * 86_400_000);
            encode_survey(7, &Survey::new(&rules, at), &rules).remove(0).0
        };
        let keys: std::collections::BTreeSet<_> = (0..64).map(key).collect();
        assert_eq!(keys.len(), 4);
        assert_eq!(key(3), key(7));
        assert!(keys.iter().all(|key| key.len() == 8 && key.starts_with(&[0, 0, 0, 7, b'B'])));
        assert!(!PublishedBlock::has_key(&[0, 0, 0, 7, b'S', 0, 0]));
    }
}
