//! The ids of changes.

use std::hash::Hasher;

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

use crate::event::Instant;

/// Bytes that are hashed at once; few ids have more.
const BUFFER: usize = 256;

/// Each byte in hex.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
    while byte < 256 {
        pairs[byte] = [DIGITS[byte / 16], DIGITS[byte % 16]];
        byte += 1;
    }
    pairs
};

/// What an id is the hash of.
fn each_piece(parts: [&str; 3], at: Instant, number: u32, mut piece: impl FnMut(&[u8])) {
    for part in parts {
        piece(&(part.len() as u64).to_le_bytes());
        piece(part.as_bytes());
    }
    piece(&at.0.to_le_bytes());
    piece(&number.to_le_bytes());
}

fn hash_in_pieces(parts: [&str; 3], at: Instant, number: u32) -> Hash128 {
    let mut hasher = SipHasher13::new();
    each_piece(parts, at, number, |piece| hasher.write(piece));
    hasher.finish128()
}

/// The same hash, for half the price. `None`: the parts are too long.
fn hash_at_once(parts: [&str; 3], at: Instant, number: u32) -> Option<Hash128> {
    const FIXED: usize = 3 * size_of::<u64>() + size_of::<i64>() + size_of::<u32>();
    if FIXED + parts.map(str::len).iter().sum::<usize>() > BUFFER {
        return None;
    }
    let (mut buffer, mut length) = ([0; BUFFER], 0);
    each_piece(parts, at, number, |piece| {
        buffer[length..length + piece.len()].copy_from_slice(piece);
        length += piece.len();
    });
    Some(SipHasher13::new().hash(&buffer[..length]))
}

/// The id of a change, 128 bits in hex: the same after a restart, after a rebuild and from another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChangeId([u8; Self::LENGTH]);

impl ChangeId {
    pub(super) const LENGTH: usize = 32;

    /// `number` tells equal changes at one instant apart: a customer changes a cohort at most once per instant, so theirs
    /// is 0; a level of risk may be reached again at the same instant, by other parameters.
    pub(super) fn of(customer: &str, cohort: &str, change: &str, at: Instant, number: u32) -> Self {
        let parts = [customer, cohort, change];
        let hash = hash_at_once(parts, at, number).unwrap_or_else(|| hash_in_pieces(parts, at, number));
        let mut hex = [0; Self::LENGTH];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.as_u128().to_be_bytes()) {
            pair.copy_from_slice(&HEX[usize::from(byte)]);
        }
        Self(hex)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::{BUFFER, ChangeId, hash_at_once, hash_in_pieces};
    use crate::event::Instant;

    #[test]
    fn the_id_of_a_change_is_the_same_for_ever() {
        let of = |customer, at| ChangeId::of(customer, "vip", "ENTERED", Instant(at), 0).as_str().to_owned();
        assert_eq!(of("c1", 1_700_000_000_000), "23c6dadcb30f61fe19d9252f0a237807");
        assert_ne!(of("c1", 1_700_000_000_001), of("c1", 1_700_000_000_000));
        assert_ne!(of("c2", 1_700_000_000_000), of("c1", 1_700_000_000_000));
        let level = |number| ChangeId::of("c1", "churn risk", "high", Instant(0), number);
        assert_ne!(level(2), level(4), "the same level, reached again at the same instant");
    }

    #[test]
    fn an_id_is_the_same_however_it_is_hashed() {
        let at = Instant(-5);
        for length in 0..BUFFER {
            let customer = "é".repeat(length) + "c";
            let parts = [customer.as_str(), "vip", "EXITED"];
            let at_once = hash_at_once(parts, at, 7);
            assert_eq!(at_once.is_some(), length <= 105, "{length}");
            let in_pieces = hash_in_pieces(parts, at, 7).as_u128();
            assert_eq!(at_once.map_or(in_pieces, |hash| hash.as_u128()), in_pieces, "{length}");
        }
    }
}
