//! The text beside a committed offset: which transaction put it there.

/// Number and writer of the transaction that committed an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetMark {
    pub(super) sequence: u64,
    /// Drawn by each lane when it starts. Two lanes may both have tried the same number: a lane that slept through its
    /// session must not take the other's transaction for its own.
    pub(super) writer: u64,
}

impl OffsetMark {
    /// `cohortd 1 SEQUENCE WRITER`, the writer in hex.
    pub(super) fn text(self) -> String {
        format!("cohortd 1 {} {:016x}", self.sequence, self.writer)
    }

    /// `None` for what another program wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (sequence, writer) = text.strip_prefix("cohortd 1 ")?.split_once(' ')?;
        Some(Self { sequence: sequence.parse().ok()?, writer: u64::from_str_radix(writer, 16).ok()? })
    }

    /// A number that no other lane has.
    pub(super) fn draw_writer() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(std::process::id())
    }
}

#[cfg(test)]
mod tests {
    use super::OffsetMark;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = OffsetMark { sequence: 17, writer: 0xfedc_ba98_7654_3210 };
        assert_eq!(mark.text(), "cohortd 1 17 fedcba9876543210");
        assert_eq!(OffsetMark::read(mark.text().as_bytes()), Some(mark));
        assert_eq!(OffsetMark::read(b"cohortd 1 17"), None);
        assert_eq!(OffsetMark::read(b""), None);
    }
}
