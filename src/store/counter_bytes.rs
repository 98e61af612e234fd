//! Counters as bytes: beside the states they count, and in the summaries topic.
//!
//! ```text
//! one ranking    histogram: n, n × (bucket, count) │ highest │ lowest
//! a list         0, or 1 │ flag │ [edge] │ n, n × standing
//! beside states  format │ fingerprint of the rules │ rankings: n, n × one ranking
//! in the topic   format │ fingerprint of the rules │ tick │ stage, 1 │ one ranking
//! ```

use super::layout::{COUNTERS, FORMAT};
use super::meta_bytes::{put_threshold, read_threshold};
use crate::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_number, put_text, put_u64};
use crate::engine::Standing;
use crate::event::Number;
use crate::rules::RuleSet;
use crate::summary::{Bucket, Counters, Histogram, Leaders, RankingCounters};

/// How complete a partition's counters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The input has not been read to its end yet: the counters are incomplete.
    Loading,
    /// The input was read to its end, and the counters currently change a lot.
    Changing,
    Settled,
}

/// One partition's counters of one ranking, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub partition: u32,
    pub ranking: usize,
    /// The period of `ranks.refresh` in which it was published, counted from 1970.
    pub tick: i64,
    pub stage: Stage,
    pub counters: RankingCounters,
}

/// Appends the counters of a partition's customers.
pub fn encode_counters(counters: &Counters, rules: &RuleSet, out: &mut Vec<u8>) {
    out.push(FORMAT);
    put_text(out, &rules.fingerprint);
    put_len(out, counters.rankings.len());
    counters.rankings.iter().for_each(|ranking| put_ranking(out, ranking));
}

/// Reads what `encode_counters` wrote. `None`: the counters belong to other rules.
///
/// # Errors
/// Bytes that `encode_counters` did not write.
pub fn decode_counters(bytes: &[u8], rules: &RuleSet) -> Result<Option<Counters>, Corrupt> {
    let mut reader = Reader::new(bytes);
    if !is_of(&mut reader, rules)? {
        return Ok(None);
    }
    let mut counters = Counters::new(rules);
    if reader.len("rankings")? != counters.rankings.len() {
        return Err(Corrupt("number of rankings"));
    }
    for ranking in &mut counters.rankings {
        read_ranking(&mut reader, ranking)?;
    }
    if reader.is_empty() { Ok(Some(counters)) } else { Err(Corrupt("end of counters")) }
}

impl Published {
    /// Key and value of its record.
    #[must_use]
    pub fn encode(&self, rules: &RuleSet) -> (Vec<u8>, Vec<u8>) {
        let mut value = vec![FORMAT];
        put_text(&mut value, &rules.fingerprint);
        put_i64(&mut value, self.tick);
        value.push(self.stage as u8);
        put_ranking(&mut value, &self.counters);
        (Self::key(self.partition, self.ranking), value)
    }

    /// The key of one partition's counters of one ranking.
    #[must_use]
    pub fn key(partition: u32, ranking: usize) -> Vec<u8> {
        let ranking = u16::try_from(ranking).unwrap_or(u16::MAX);
        [&partition.to_be_bytes()[..], &[COUNTERS], &ranking.to_be_bytes()].concat()
    }

    /// Reads a record. `None`: the counters belong to other rules.
    ///
    /// # Errors
    /// What `encode` did not write.
    pub fn decode(key: &[u8], value: &[u8], rules: &RuleSet) -> Result<Option<Self>, Corrupt> {
        let [a, b, c, d, COUNTERS, high, low] = *key else { return Err(Corrupt("key of counters")) };
        let mut reader = Reader::new(value);
        if !is_of(&mut reader, rules)? {
            return Ok(None);
        }
        let tick = reader.i64("tick")?;
        let stage = match reader.u8("stage")? {
            0 => Stage::Loading,
            1 => Stage::Changing,
            2 => Stage::Settled,
            _ => return Err(Corrupt("stage of counters")),
        };
        let ranking = usize::from(u16::from_be_bytes([high, low]));
        let mut empty = Counters::new(rules).rankings;
        if ranking >= empty.len() {
            return Err(Corrupt("number of a ranking"));
        }
        let mut counters = empty.swap_remove(ranking);
        read_ranking(&mut reader, &mut counters)?;
        if !reader.is_empty() {
            return Err(Corrupt("end of counters"));
        }
        Ok(Some(Self { partition: u32::from_be_bytes([a, b, c, d]), ranking, tick, stage, counters }))
    }
}

/// Reads the head that all counters share. Do they belong to these rules?
pub(super) fn is_of(reader: &mut Reader<'_>, rules: &RuleSet) -> Read<bool> {
    if reader.u8("format")? != FORMAT {
        return Err(Corrupt("format of counters"));
    }
    Ok(reader.text("rules")? == rules.fingerprint)
}

pub(super) fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    put_len(out, histogram.iter().len());
    let mut last = 0;
    for (bucket, count) in histogram.iter() {
        put_i64(out, i64::from(bucket.0) - last);
        put_u64(out, count);
        last = i64::from(bucket.0);
    }
}

/// `histogram`: empty.
pub(super) fn read_histogram(reader: &mut Reader<'_>, histogram: &mut Histogram) -> Read<()> {
    let mut last = 0_i64;
    for _ in 0..reader.len("histogram")? {
        last = last.checked_add(reader.i64("bucket")?).ok_or(Corrupt("bucket"))?;
        let bucket = Bucket::numbered(last).ok_or(Corrupt("bucket"))?;
        histogram.add_many(bucket, reader.count("count")?);
    }
    Ok(())
}

fn put_ranking(out: &mut Vec<u8>, counters: &RankingCounters) {
    put_histogram(out, &counters.histogram);
    for list in [&counters.highest, &counters.lowest] {
        out.push(u8::from(list.is_some()));
        let Some(list) = list else { continue };
        put_threshold(out, list.edge());
        put_len(out, list.iter().len());
        for Standing { value, hash } in list.iter() {
            put_number(out, value);
            out.extend_from_slice(&hash.to_le_bytes());
        }
    }
}

/// `counters`: empty, with the lists that the rules ask for.
fn read_ranking(reader: &mut Reader<'_>, counters: &mut RankingCounters) -> Read<()> {
    read_histogram(reader, &mut counters.histogram)?;
    for list in [&mut counters.highest, &mut counters.lowest] {
        let is_there = reader.u8("list")? != 0;
        if is_there != list.is_some() {
            return Err(Corrupt("list of a ranking"));
        }
        let Some(empty) = list else { continue };
        let edge = read_threshold(reader)?;
        let mut found = Vec::new();
        for _ in 0..reader.len("list")? {
            let value: Number = reader.number("list")?;
            found.push(Standing { value, hash: u64::from_le_bytes(reader.array("list")?) });
        }
        *empty = Leaders::stored(empty.clone(), found, edge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Counters, Published, Stage, Standing, decode_counters, encode_counters};
    use crate::event::Number;
    use crate::rules::load;

    #[test]
    fn counters_are_read_as_they_were_written() {
        let who = "in the top 5 % by sum(buy.amount) or among the 2 lowest by count(buy)";
        let rules = load("r.toml", &format!("[cohorts.c]\nwho = '{who}'")).unwrap();
        let other = load("r.toml", "[cohorts.c]\nwho = 'in the top 5 % by count(buy)'").unwrap();
        let mut counters = Counters::new(&rules);
        for (value, hash) in [(-7, 1), (0, 2), (1_000_000_000, u64::MAX), (i128::from(u64::MAX), 4), (5, 5), (5, 6)] {
            counters.rankings.iter_mut().for_each(|ranking| ranking.add(Standing { value: Number(value), hash }));
        }
        let mut bytes = Vec::new();
        encode_counters(&counters, &rules, &mut bytes);
        assert_eq!(decode_counters(&bytes, &rules), Ok(Some(counters.clone())));
        assert_eq!(decode_counters(&bytes, &other), Ok(None));
        for stage in [Stage::Loading, Stage::Changing, Stage::Settled] {
            let counters = counters.rankings[1].clone();
            let published = Published { partition: 3, ranking: 1, tick: 9, stage, counters };
            let (key, value) = published.encode(&rules);
            assert_eq!(Published::decode(&key, &value, &rules), Ok(Some(published)));
            assert_eq!(Published::decode(&key, &value, &other), Ok(None));
        }
    }
}
