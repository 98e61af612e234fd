//! Texts of records: most are short and plain ASCII, for which the check of the standard library goes byte by byte. It
//! took a third of decoding an event.
#![expect(unsafe_code, reason = "bytes that are ASCII are UTF-8")]

/// The text that these bytes are; `None`: they are no UTF-8.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    if is_ascii(bytes) {
        // SAFETY: every byte is ASCII, so each is a character of UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

/// Eight bytes at a time; the last eight may overlap those before.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let mut high = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        high |= u64::from_ne_bytes(*word);
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        high |= u64::from_ne_bytes(*last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        high |= u64::from(u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last));
    } else {
        high |= u64::from(rest.iter().fold(0, |all, byte| all | byte));
    }
    high & 0x8080_8080_8080_8080 == 0
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::text;

    proptest! {
        #[test]
        fn ascii_of_any_length_is_text(bytes in vec(0_u8..0x80, 0..40)) {
            prop_assert_eq!(text(&bytes), std::str::from_utf8(&bytes).ok());
        }

        #[test]
        fn one_byte_that_is_none_of_ascii_is_seen_wherever_it_is(mut bytes in vec(0_u8..0x80, 1..40), at in 0_usize..40, byte in 0x80_u8..) {
            let at = at % bytes.len();
            bytes[at] = byte;
            prop_assert_eq!(text(&bytes), None);
        }

        #[test]
        fn other_text_is_what_the_standard_library_says(written in ".{0,20}", bytes in vec(any::<u8>(), 0..12)) {
            prop_assert_eq!(text(written.as_bytes()), Some(written.as_str()));
            prop_assert_eq!(text(&bytes), std::str::from_utf8(&bytes).ok());
        }
    }
}
