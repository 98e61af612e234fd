//! Results computed from the counters of all partitions, as bytes in the summaries topic.
//!
//! ```text
//! thresholds  format │ fingerprint of the rules │ tick │ n, n × (customers in the ranking │ threshold)
//! parameters  format │ fingerprint of the rules │ parameters (`parameters_bytes`)
//! digest      format │ fingerprint of the rules │ day │ number of the first cohort │ n, n × one cohort
//! a cohort    0, if all of it is; or 1 │ entered │ left │ entered new │ left new │ seven days together (`survey_bytes`)
//! ```

use super::counter_bytes::is_of;
use super::layout::{DIGEST, DIGEST_DAYS, FORMAT, PARAMETERS, RESULT, THRESHOLDS};
use super::meta_bytes::{put_threshold, read_threshold};
use super::parameters_bytes::{put_parameters, read_parameters};
use super::survey_bytes::{KeyValue, put_expected, read_expected};
use crate::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_text, put_u64};
use crate::engine::Parameters;
use crate::rules::RuleSet;
use crate::summary::{CohortDigest, Digest, RankThreshold};

/// Cohorts of a digest in one record: some 60 bytes each.
const DIGEST_COHORTS: usize = 4_096;

/// The thresholds of all ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedThresholds {
    /// The period of `ranks.refresh` in which it was computed, counted from 1970.
    pub tick: i64,
    /// By the rule set's numbers of ranks.
    pub found: Vec<RankThreshold>,
}

impl PublishedThresholds {
    /// Key and value of its record.
    #[must_use]
    pub fn encode(&self, rules: &RuleSet) -> KeyValue {
        let mut value = begin(rules);
        put_i64(&mut value, self.tick);
        put_len(&mut value, self.found.len());
        for RankThreshold { population, threshold } in &self.found {
            put_u64(&mut value, *population);
            put_threshold(&mut value, *threshold);
        }
        (vec![RESULT, THRESHOLDS], value)
    }

    /// Reads a record's value. `None`: it is of other rules.
    ///
    /// # Errors
    /// What `encode` did not write.
    pub fn decode(value: &[u8], rules: &RuleSet) -> Result<Option<Self>, Corrupt> {
        let mut reader = Reader::new(value);
        if !is_of(&mut reader, rules)? {
            return Ok(None);
        }
        let tick = reader.i64("tick")?;
        if reader.len("thresholds")? != rules.ranks.len() {
            return Err(Corrupt("number of ranks"));
        }
        let mut found = Vec::with_capacity(rules.ranks.len());
        for _ in 0..rules.ranks.len() {
            found.push(RankThreshold {
                population: reader.count("customers")?,
                threshold: read_threshold(&mut reader)?,
            });
        }
        if reader.is_empty() { Ok(Some(Self { tick, found })) } else { Err(Corrupt("end of thresholds")) }
    }
}

/// Key and value of the record with the churn parameters.
#[must_use]
pub fn encode_parameters(parameters: &Parameters, rules: &RuleSet) -> KeyValue {
    let mut value = begin(rules);
    put_parameters(&mut value, parameters);
    (vec![RESULT, PARAMETERS], value)
}

/// Reads the value of that record. `None`: it is of other rules.
///
/// # Errors
/// What `encode_parameters` did not write.
pub fn decode_parameters(value: &[u8], rules: &RuleSet) -> Result<Option<Parameters>, Corrupt> {
    let mut reader = Reader::new(value);
    if !is_of(&mut reader, rules)? {
        return Ok(None);
    }
    let parameters = read_parameters(&mut reader)?;
    if reader.is_empty() { Ok(Some(parameters)) } else { Err(Corrupt("end of parameters")) }
}

/// Keys and values of a digest, in reading order. They replace those of the digest `DIGEST_DAYS` before.
#[must_use]
pub fn encode_digest(digest: &Digest, rules: &RuleSet) -> Vec<KeyValue> {
    let place = u8::try_from(digest.day.rem_euclid(DIGEST_DAYS)).unwrap_or_default();
    let block = |(number, cohorts): (u16, &[CohortDigest])| {
        let key = [&[RESULT, DIGEST, place][..], &number.to_be_bytes()].concat();
        let mut value = begin(rules);
        put_i64(&mut value, digest.day);
        put_len(&mut value, usize::from(number) * DIGEST_COHORTS);
        put_len(&mut value, cohorts.len());
        cohorts.iter().for_each(|cohort| put_cohort(&mut value, cohort));
        (key, value)
    };
    (0..).zip(digest.cohorts.chunks(DIGEST_COHORTS)).map(block).collect()
}

/// A part of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestBlock {
    pub first: usize,
    pub digest: Digest,
}

/// Reads the value of such a record. `None`: it is of other rules.
///
/// # Errors
/// What `encode_digest` did not write.
pub fn decode_digest(value: &[u8], rules: &RuleSet) -> Result<Option<DigestBlock>, Corrupt> {
    let mut reader = Reader::new(value);
    if !is_of(&mut reader, rules)? {
        return Ok(None);
    }
    let day = reader.i64("day")?;
    let first = usize::try_from(reader.u64("cohort")?).map_err(|_| Corrupt("cohort"))?;
    let count = reader.len("cohorts")?;
    if first.checked_add(count).is_none_or(|end| end > rules.cohorts.len()) {
        return Err(Corrupt("number of cohorts"));
    }
    let mut cohorts = Vec::with_capacity(count);
    for _ in 0..count {
        cohorts.push(read_cohort(&mut reader)?);
    }
    if reader.is_empty() {
        Ok(Some(DigestBlock { first, digest: Digest { day, cohorts } }))
    } else {
        Err(Corrupt("end of a digest"))
    }
}

fn begin(rules: &RuleSet) -> Vec<u8> {
    let mut value = vec![FORMAT];
    put_text(&mut value, &rules.fingerprint);
    value
}

fn put_cohort(out: &mut Vec<u8>, cohort: &CohortDigest) {
    let is_some = *cohort != CohortDigest::default();
    out.push(u8::from(is_some));
    if is_some {
        for count in [cohort.entered, cohort.left, cohort.entered_new, cohort.left_new] {
            put_u64(out, count);
        }
        put_expected(out, &cohort.week);
    }
}

fn read_cohort(reader: &mut Reader<'_>) -> Read<CohortDigest> {
    if reader.u8("cohort")? == 0 {
        return Ok(CohortDigest::default());
    }
    Ok(CohortDigest {
        entered: reader.count("moves")?,
        left: reader.count("moves")?,
        entered_new: reader.count("moves")?,
        left_new: reader.count("moves")?,
        week: read_expected(reader)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        CohortDigest, Digest, PublishedThresholds, RankThreshold, decode_digest, decode_parameters, encode_digest,
        encode_parameters,
    };
    use crate::churn::Fgp;
    use crate::engine::{Model, Parameters, Standing};
    use crate::event::Number;
    use crate::rules::load;
    use crate::summary::Expected;

    #[test]
    fn results_are_read_as_they_were_written_and_are_of_their_rules_alone() {
        let rules =
            load("r.toml", "[cohorts.c]\nwho = 'in the top 5 % by count(buy)'\n[cohorts.d]\nwho = 'did buy'").unwrap();
        let other = load("r.toml", "[cohorts.c]\nwho = 'in the top 6 % by count(buy)'").unwrap();
        let threshold = Some(Standing { value: Number(-5), hash: 7 });
        let thresholds = PublishedThresholds { tick: 9, found: vec![RankThreshold { population: 300, threshold }] };
        let (_, value) = thresholds.encode(&rules);
        assert_eq!(PublishedThresholds::decode(&value, &rules), Ok(Some(thresholds)));
        assert_eq!(PublishedThresholds::decode(&value, &other), Ok(None));
        assert!(PublishedThresholds::decode(&value[..value.len() - 1], &rules).is_err());

        let model = Model::Usage(Fgp { r: 0.05, alpha_days: 5.0, tau_days: 30.0 });
        let parameters = Parameters { version: 24, model, recalibration: None, provisional: true };
        let (_, value) = encode_parameters(&parameters, &rules);
        assert_eq!(decode_parameters(&value, &rules), Ok(Some(parameters)));
        assert_eq!(decode_parameters(&value, &other), Ok(None));

        let week = Expected { exits_if_silent: 3, exits: Number(-4), ..Expected::default() };
        let cohort = CohortDigest { entered: 1, left_new: 2, week, ..CohortDigest::default() };
        let digest = Digest { day: 20_000, cohorts: vec![CohortDigest::default(), cohort] };
        let records = encode_digest(&digest, &rules);
        let read = decode_digest(&records[0].1, &rules).unwrap().unwrap();
        assert_eq!((records.len(), read.first, read.digest), (1, 0, digest));
    }
}
