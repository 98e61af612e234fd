//! Samples as bytes: in the summaries topic.
//!
//! ```text
//! format │ what is sampled, in words │ week │ customers │ rows: n, n × one row
//! a row  hash 8 │ time, from the row before │ first day │ last day │ purchases or use
//! ```

use super::layout::{FORMAT, SAMPLE, SAMPLE_WEEKS};
use crate::bytes::{Corrupt, Read, Reader, put_i64, put_instant, put_len, put_number, put_text, put_u64};
use crate::churn::{Purchases, Usage};
use crate::engine::{ActivityHistory, Sample, SampleRow, week_begins, week_of};
use crate::event::{Instant, Number};
use crate::fact::{put_days, read_days, read_sums};
use crate::rules::{ChurnModel, RuleSet};

/// One partition's sample, as published.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedSample {
    pub partition: u32,
    pub sample: Sample,
}

impl PublishedSample {
    /// Is this the key of a sample?
    #[must_use]
    pub fn has_key(key: &[u8]) -> bool {
        matches!(key, [_, _, _, _, SAMPLE, _, _])
    }

    /// Key and value of its record; `None` without `[churn]`. It replaces the sample `SAMPLE_WEEKS` before.
    #[must_use]
    pub fn encode(&self, rules: &RuleSet) -> Option<(Vec<u8>, Vec<u8>)> {
        let sampled = rules.sampled_from()?;
        let mut value = vec![FORMAT];
        put_text(&mut value, &sampled);
        put_i64(&mut value, self.sample.week);
        put_u64(&mut value, self.sample.customers);
        put_len(&mut value, self.sample.rows.len());
        let mut last = Instant(0);
        for SampleRow { hash, at, activity } in &self.sample.rows {
            value.extend_from_slice(&hash.to_le_bytes());
            put_instant(&mut value, *at, last);
            last = *at;
            put_days(&mut value, activity.first_day(), activity.last_day());
            match activity {
                ActivityHistory::Purchases(Purchases { repeats, first_amount, amount, .. }) => {
                    put_u64(&mut value, u64::from(*repeats));
                    put_number(&mut value, Number(*first_amount));
                    put_number(&mut value, Number(*amount));
                }
                ActivityHistory::Usage(usage) => {
                    usage.activity.iter().for_each(|sum| value.extend_from_slice(&sum.to_bits().to_le_bytes()));
                }
            }
        }
        Some((key(self.partition, self.sample.week), value))
    }

    /// Reads a record. `None`: these rules take other samples.
    ///
    /// # Errors
    /// What `encode` did not write.
    pub fn decode(key: &[u8], value: &[u8], rules: &RuleSet) -> Result<Option<Self>, Corrupt> {
        let [a, b, c, d, SAMPLE, _, _] = *key else { return Err(Corrupt("key of a sample")) };
        let partition = u32::from_be_bytes([a, b, c, d]);
        let mut reader = Reader::new(value);
        if reader.u8("format")? != FORMAT {
            return Err(Corrupt("format of a sample"));
        }
        let sampled = reader.text("rules")?;
        let Some(churn) = rules.churn.as_ref().filter(|_| rules.sampled_from().as_deref() == Some(sampled)) else {
            return Ok(None);
        };
        let week = reader.i64("week")?;
        if key != self::key(partition, week) || week_of(week_begins(week)) != week {
            return Err(Corrupt("week of a sample"));
        }
        let customers = reader.u64("customers")?;
        let (mut rows, mut last, mut after) = (Vec::new(), Instant(0), None);
        for _ in 0..reader.len("sample")? {
            let hash = u64::from_le_bytes(reader.array("sample")?);
            if after.replace(hash).is_some_and(|before| before >= hash) {
                return Err(Corrupt("order of a sample"));
            }
            last = reader.instant(last, "sample")?;
            rows.push(SampleRow { hash, at: last, activity: read_activity(&mut reader, churn.model)? });
        }
        if !reader.is_empty() {
            return Err(Corrupt("end of a sample"));
        }
        Ok(Some(Self { partition, sample: Sample { week, customers, rows } }))
    }
}

fn read_activity(reader: &mut Reader<'_>, model: ChurnModel) -> Read<ActivityHistory> {
    let (first_day, last_day) = read_days(reader)?;
    if last_day < first_day {
        return Err(Corrupt("days of a sample"));
    }
    Ok(match model {
        ChurnModel::Purchases => {
            let repeats = reader.u32("purchases")?;
            let (first_amount, amount) = (reader.sum("purchases")?.0, reader.sum("purchases")?.0);
            ActivityHistory::Purchases(Purchases { first_day, last_day, repeats, first_amount, amount })
        }
        ChurnModel::Usage => {
            let mut usage = Usage { first_day, last_day, ..Usage::first(first_day) };
            read_sums(reader, &mut usage)?;
            ActivityHistory::Usage(usage)
        }
    })
}

fn key(partition: u32, week: i64) -> Vec<u8> {
    let week = u16::try_from(week.rem_euclid(SAMPLE_WEEKS)).unwrap_or_default();
    [&partition.to_be_bytes()[..], &[SAMPLE], &week.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::{ActivityHistory, PublishedSample, Sample, SampleRow};
    use crate::churn::{Memories, Purchases, Usage};
    use crate::event::Instant;
    use crate::rules::load;

    fn sample(activity: [ActivityHistory; 2]) -> PublishedSample {
        let rows = [(3, 1_767_000_000_000, activity[0]), (u64::MAX, 1_767_000_000_100, activity[1])];
        let rows = rows.map(|(hash, at, activity)| SampleRow { hash, at: Instant(at), activity }).to_vec();
        PublishedSample { partition: 7, sample: Sample { week: 2_912, customers: 300, rows } }
    }

    #[test]
    fn samples_are_read_as_they_were_written_by_rules_that_learn_from_the_same() {
        let rules = |churn: &str| load("r.toml", &format!("{churn}\n[cohorts.c]\nwho = 'did buy'")).unwrap();
        let bought = rules("[churn]\non = 'buy'\namount = 'buy.amount'");
        let other_levels = rules("[churn]\non = 'buy'\namount = 'buy.amount'\nlevels = { gone = 0.7 }");
        let used = rules("[churn]\non = 'visit'\nmodel = 'usage'");
        let purchases = Purchases::of([(20_000, 5_000_000), (20_030, -1)]).unwrap();
        let usage = Usage::of([20_000, 20_001, 20_040], &Memories::default()).unwrap();
        let written = [
            (
                &bought,
                sample([
                    ActivityHistory::Purchases(purchases),
                    ActivityHistory::Purchases(Purchases::first(20_001, 0)),
                ]),
            ),
            (&used, sample([ActivityHistory::Usage(usage), ActivityHistory::Usage(Usage::first(20_002))])),
        ];
        for (rules, published) in &written {
            let (key, value) = published.encode(rules).unwrap();
            assert!(PublishedSample::has_key(&key));
            assert_eq!(PublishedSample::decode(&key, &value, rules).unwrap().as_ref(), Some(published));
            for cut in 0..value.len() {
                assert!(PublishedSample::decode(&key, &value[..cut], rules).is_err(), "{cut}");
            }
        }
        let (key, value) = written[0].1.encode(&bought).unwrap();
        assert_eq!(PublishedSample::decode(&key, &value, &other_levels).unwrap().as_ref(), Some(&written[0].1));
        assert_eq!(PublishedSample::decode(&key, &value, &used), Ok(None));
        assert_eq!(written[0].1.encode(&rules("")), None);
    }
}
