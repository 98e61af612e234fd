//! Canonical texts, and their hash.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::rules::source::single_spaced;

/// A name or text in quotes, with escapes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// An expression as one quoted text, with white space normalized.
pub(super) fn expression(text: &str) -> String {
    quoted(&single_spaced(text))
}

pub(super) fn hash128(text: &str) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish128().as_u128()
}
