//! Texts put together from pieces, in a buffer that is used again.

use crate::event::Number;

pub(super) fn push_all(out: &mut String, pieces: &[&str]) {
    pieces.iter().for_each(|piece| out.push_str(piece));
}

/// The sign of an increase; numbers bring that of a decrease themselves.
pub(super) fn plus(number: Number) -> &'static str {
    if number > Number::ZERO { "+" } else { "" }
}
