//! Counts in bounded memory: each is exact while there is little, and says how far off it may be afterwards.

mod distinct;
mod frequent;
mod hours;
mod sample;

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

pub(in crate::audit) use distinct::Distinct;
pub(in crate::audit) use frequent::{Frequent, Kept};
pub(in crate::audit) use hours::Hours;
pub(in crate::audit) use sample::{Common, HashSample};

/// A hash that depends on the bytes alone, so that sketches of different topics can be compared.
#[must_use]
pub(in crate::audit) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x636f_686f_7274_6420, 0x6175_6469_7420_2020);
    hasher.write(bytes);
    hasher.finish()
}
