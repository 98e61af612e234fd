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
    use super::text;

    #[test]
    fn texts_are_those_of_the_standard_library() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = [0; 2];
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..0x80)).collect();
            if random.bool() && !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                let letter = random.choice(["é".as_bytes(), b"\xff", b"\xc3", "日".as_bytes()]).unwrap();
                bytes.splice(at..at, letter.iter().copied());
            }
            let found = text(&bytes);
            assert_eq!(found, std::str::from_utf8(&bytes).ok(), "{bytes:?}");
            counts[usize::from(found.is_some())] += 1;
        }
        assert!(counts.iter().all(|count| *count > 1_000), "{counts:?}");
    }
}
