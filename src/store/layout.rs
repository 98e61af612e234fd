//! Every key's bytes, in one place.
//!
//! ```text
//! RocksDB, one database a partition, three column families
//!
//!   customers   key    customer id, UTF-8
//!               value  indexed at, 8 bytes (see below) │ state (`engine/customer/state_bytes`)
//!   timers      key    due, 8 bytes │ customer id      value  nothing
//!   meta        key    `meta`                          value  meta (`meta_bytes`)
//!               key    `changelog_next`                value  8 bytes: the changelog offset after the last record that
//!                                                             this copy holds
//!               key    `timers_from`                   value  an instant, 8 bytes: no entry of `timers` before it counts;
//!                                                             without it all do. Of this copy alone: a changelog read
//!                                                             to its end may stand further on than the index
//!               key    `counters`                      value  counters of the customers as they stand here
//!                                                             (`counter_bytes`); made anew where missing
//!               key    'I' │ kind, 1 byte │ position, 8 │ [..]       value  recorded input (`recorded`)
//!               key    'P' │ part, 1 │ [block, 2]      value  a part of meta (`meta_parts`)
//!
//! changelog topic, one partition per input partition
//!
//!   key  'C' │ customer id                  value  state
//!   key  'I' │ kind, 1 byte │ position, 8 │ [..]       value  recorded input (`recorded`)
//!   key  'M'                                value  meta
//!   key  'P' │ part, 1 │ [block, 2]         value  a part of meta (`meta_parts`), in the transaction of a meta
//!
//! summaries topic, one partition per input partition
//!
//!   key  partition, 4 │ 'N' │ ranking, 2    value  one partition's counters of one ranking (`counter_bytes`)
//!   key  partition, 4 │ 'B' │ day, 1 │ block, 2
//!                                           value  some cohorts of one partition's survey of one day (`survey_bytes`); the
//!                                                  day is counted from 1970 in the rules' time zone, and from 0 again every
//!                                                  4 days: a survey is of use until those of all partitions are added up
//!   key  partition, 4 │ 'W' │ week, 2       value  one partition's sample of one week (`sample_bytes`); weeks are counted
//!                                                  from Monday 1970-01-05, and from 0 again every 128
//!
//!   what follows from these, in partition 0, by whoever owns that partition of the input
//!
//!   key  'R' │ 'T'                          value  where ranks begin (`result_bytes`)
//!   key  'R' │ 'P'                          value  the parameters of the model of churn (`result_bytes`)
//!   key  'R' │ 'O' │ block, 2               value  some cohorts of the newest survey of all partitions (`survey_bytes`)
//!   key  'R' │ 'D' │ day, 1 │ block, 2      value  of some cohorts what later forecasts need of that survey
//!                                                  (`result_bytes`); from 0 again every 32 days, so that three weeks can
//!                                                  be looked back on
//!
//!   The kinds of keys differ in length, or in their first byte where they are shorter than 6. A reader passes over kinds
//!   that it does not know.
//! ```
//!
//! Instants and positions are 8 bytes, big-endian, the sign bit flipped, so that bytes sort as numbers do.
//! `indexed at` is where the customer's entry in `timers` stands: never after the next deadline in the state, `MAX` when
//! there is none. Retired keys stay reserved, both in the summaries:
//!
//! ```text
//!   key  partition, 4 │ 'S' │ day, 2
//!   key  partition, 4 │ ranking, 2
//! ```

use crate::event::{Instant, text};

pub use crate::bytes::FORMAT;

/// The first byte of a changelog key.
pub mod changelog {
    pub const CUSTOMER: u8 = b'C';
    pub const INPUT: u8 = b'I';
    pub const META: u8 = b'M';
    pub const PART: u8 = b'P';
}

/// In the key of a part of META.
pub(super) const COUNTS: u8 = b'C';
pub(super) const OBSERVED: u8 = b'O';
pub(super) const PART_THRESHOLDS: u8 = b'T';

/// The version of META alone: its parts have records of their own since 2.
pub(super) const META_FORMAT: u8 = 2;

/// In the key of counters, after the partition.
pub(super) const COUNTERS: u8 = b'N';

/// In the key of a part of a survey, after the partition.
pub(super) const SURVEY_BLOCK: u8 = b'B';

/// A survey replaces the one this many days before; more than the days that are added up at once.
pub(super) const SURVEY_DAYS: i64 = 4;
const _: () = assert!(SURVEY_DAYS > crate::summary::OPEN_DAYS_MAX as i64, "a day is overwritten while it is open");

/// Replaces the partition in the keys of results computed from all partitions; and what follows it.
pub(super) const RESULT: u8 = b'R';
pub(super) const THRESHOLDS: u8 = b'T';
pub(super) const PARAMETERS: u8 = b'P';
pub(super) const WHOLE: u8 = b'O';
pub(super) const DIGEST: u8 = b'D';

/// A digest replaces the one this many days before.
pub(super) const DIGEST_DAYS: i64 = 32;

/// In the key of a sample, after the partition.
pub(super) const SAMPLE: u8 = b'W';

/// A sample replaces the one this many weeks before.
pub(super) const SAMPLE_WEEKS: i64 = crate::engine::SAMPLES_MAX;

pub(super) const META_KEY: &[u8] = b"meta";
pub(super) const CHANGELOG_NEXT_KEY: &[u8] = b"changelog_next";
pub(super) const COUNTERS_KEY: &[u8] = b"counters";
pub(super) const TIMERS_FROM_KEY: &[u8] = b"timers_from";

/// A number as eight bytes that sort as it does.
#[must_use]
pub fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The number in eight bytes written by `ordered`.
#[must_use]
pub fn from_ordered(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

/// A key of `timers`.
#[must_use]
pub fn timer_key(due: Instant, customer: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + customer.len());
    key.extend_from_slice(&ordered(due.0));
    key.extend_from_slice(customer.as_bytes());
    key
}

/// The parts of a key of `timers`; `None` for bytes that are no such key.
#[must_use]
pub fn split_timer_key(key: &[u8]) -> Option<(Instant, &str)> {
    let (due, customer) = key.split_first_chunk::<8>()?;
    Some((Instant(from_ordered(*due)), text(customer)?))
}

/// The parts of the changelog key of a customer.
#[must_use]
pub fn customer_key(customer: &str) -> [&[u8]; 2] {
    [&[changelog::CUSTOMER], customer.as_bytes()]
}

/// The changelog key of a recorded input; those of one kind at one position overwrite each other.
#[must_use]
pub fn input_key(kind: u8, position: i64) -> Vec<u8> {
    let mut key = vec![changelog::INPUT, kind];
    key.extend_from_slice(&ordered(position));
    key
}

#[cfg(test)]
mod tests {
    use super::{Instant, from_ordered, ordered, split_timer_key, timer_key};

    #[test]
    fn timer_keys_sort_by_due_time_then_customer() {
        let times = [i64::MIN, -5, -1, 0, 1, 1_700_000_000_000, i64::MAX];
        let mut keys = Vec::new();
        for time in times {
            assert_eq!(from_ordered(ordered(time)), time);
            for customer in ["", "a", "ab", "b"] {
                keys.push(timer_key(Instant(time), customer));
                assert_eq!(split_timer_key(&keys[keys.len() - 1]), Some((Instant(time), customer)));
            }
        }
        assert!(keys.is_sorted());
    }
}
