//! The large parts of META, each in a record of its own: written with META, in the same transaction and batch, when
//! they have changed. META itself stays equally short with hundreds of cohorts.
//!
//! ```text
//! counts      format │ n, n × one cohort: members │ n, n × (hour, from the one before, entries)
//! observed    format │ since when the log was read │ n, n × (fact, since when)
//! thresholds  format │ n, n × threshold
//! ```

use std::collections::BTreeMap;

use super::layout::{COUNTS, FORMAT, OBSERVED, PART_THRESHOLDS, changelog};
use super::meta_bytes::{Meta, put_observed, put_thresholds, read_observed, read_thresholds};
use super::survey_bytes::KeyValue;
use crate::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_u64};

/// Cohorts per block of counts: few changes write few blocks.
const COHORTS: usize = 16;

/// The parts as last written, about 25 bytes a cohort.
#[derive(Debug, Default)]
pub struct MetaParts {
    written: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MetaParts {
    /// As a database has them.
    pub(super) fn of(written: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self { written }
    }

    /// Keys and values of the parts that differ from those last written. They count as written from now on: a caller
    /// that does not write them must read them again.
    #[must_use]
    pub fn changed(&mut self, meta: &Meta) -> Vec<KeyValue> {
        let mut parts = encode_parts(meta);
        parts.retain(|(key, value)| self.written.get(key) != Some(value));
        self.written.extend(parts.iter().cloned());
        parts
    }
}

/// Keys and values of all parts of META.
#[must_use]
pub fn encode_parts(meta: &Meta) -> Vec<KeyValue> {
    let mut parts = Vec::new();
    let mut surges = meta.surges.iter().peekable();
    for (number, members) in (0..).zip(meta.members.chunks(COHORTS)) {
        let mut value = vec![FORMAT];
        put_len(&mut value, members.len());
        for (cohort, members) in (number * COHORTS..).zip(members) {
            put_u64(&mut value, *members);
            let mut hours = Vec::new();
            while let Some((_, hour, entries)) = surges.next_if(|(of, _, _)| *of as usize == cohort) {
                hours.push((*hour, *entries));
            }
            put_len(&mut value, hours.len());
            let mut last = 0;
            for (hour, entries) in hours {
                put_i64(&mut value, hour - last);
                put_u64(&mut value, entries);
                last = hour;
            }
        }
        parts.push((counts_key(number), value));
    }
    let mut value = vec![FORMAT];
    put_observed(&mut value, &meta.observed);
    parts.push((vec![changelog::PART, OBSERVED], value));
    let mut value = vec![FORMAT];
    put_thresholds(&mut value, &meta.thresholds);
    parts.push((vec![changelog::PART, PART_THRESHOLDS], value));
    parts
}

/// Fills in the parts of a META whose record was read. `part`: looks up a part by its key.
pub(super) fn complete<E: From<Corrupt>>(
    meta: &mut Meta,
    mut part: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), E> {
    let mut get = |key: &[u8]| part(key)?.ok_or_else(|| E::from(Corrupt("a part of META that is missing")));
    let cohorts = meta.members.len();
    meta.surges.clear();
    for first in (0..cohorts).step_by(COHORTS) {
        let members = &mut meta.members[first..cohorts.min(first + COHORTS)];
        read_counts(&get(&counts_key(first / COHORTS))?, first, members, &mut meta.surges)?;
    }
    meta.observed = whole(&get(&[changelog::PART, OBSERVED])?, read_observed)?;
    meta.thresholds = whole(&get(&[changelog::PART, PART_THRESHOLDS])?, read_thresholds)?;
    Ok(())
}

fn counts_key(number: usize) -> Vec<u8> {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    [&[changelog::PART, COUNTS][..], &number.to_be_bytes()].concat()
}

fn whole<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Read<T>) -> Read<T> {
    let mut reader = Reader::new(bytes);
    if reader.u8("format")? != FORMAT {
        return Err(Corrupt("format of a part of META"));
    }
    let found = read(&mut reader)?;
    if reader.is_empty() { Ok(found) } else { Err(Corrupt("end of a part of META")) }
}

fn read_counts(bytes: &[u8], first: usize, members: &mut [u64], surges: &mut Vec<(u32, i64, u64)>) -> Read<()> {
    whole(bytes, |reader| {
        if reader.len("members")? != members.len() {
            return Err(Corrupt("number of cohorts"));
        }
        for (cohort, members) in (first..).zip(members) {
            *members = reader.u64("members")?;
            let cohort = u32::try_from(cohort).map_err(|_| Corrupt("cohort"))?;
            let mut last = 0_i64;
            for _ in 0..reader.len("surges")? {
                last = last.checked_add(reader.i64("surge")?).ok_or(Corrupt("surge"))?;
                surges.push((cohort, last, reader.u64("surge")?));
            }
        }
        Ok(())
    })
}
