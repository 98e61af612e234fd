//! The ids of changes.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::event::Instant;

/// The id of a change, 128 bits in hex: the same after a restart, after a rebuild and from another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChangeId([u8; Self::LENGTH]);

impl ChangeId {
    pub(super) const LENGTH: usize = 32;

    /// A customer changes a cohort at most once per instant, so the sequence number in the hash is 0.
    pub(super) fn of(customer: &str, cohort: &str, change: &str, at: Instant) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hasher = SipHasher13::new();
        for part in [customer, cohort, change] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        hasher.write(&at.0.to_le_bytes());
        hasher.write(&0_u32.to_le_bytes());
        let mut hex = [0; Self::LENGTH];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hasher.finish128().as_u128().to_be_bytes()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Self(hex)
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::ChangeId;
    use crate::event::Instant;

    #[test]
    fn the_id_of_a_change_is_the_same_for_ever() {
        let of = |customer, at| ChangeId::of(customer, "vip", "ENTERED", Instant(at)).as_str().to_owned();
        assert_eq!(of("c1", 1_700_000_000_000), "23c6dadcb30f61fe19d9252f0a237807");
        assert_ne!(of("c1", 1_700_000_000_001), of("c1", 1_700_000_000_000));
        assert_ne!(of("c2", 1_700_000_000_000), of("c1", 1_700_000_000_000));
    }
}
