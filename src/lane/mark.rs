//! The text beside a committed offset: which transaction put it there.

/// Number and writer of the transaction that committed an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetMark {
    pub(crate) sequence: u64,
    /// Drawn by each lane when it starts. Two lanes may both have tried the same number: a lane that slept through its
    /// session must not take the other's transaction for its own.
    pub(crate) writer: u64,
}

impl OffsetMark {
    /// `cohortd 1 SEQUENCE WRITER`, the writer in hex.
    pub(crate) fn text(self) -> String {
        format!("cohortd 1 {} {:016x}", self.sequence, self.writer)
    }

    /// A rebuild has emptied the partition: reading begins where `kafka.start` says.
    pub(crate) fn begins_anew(self) -> bool {
        self.sequence == 0
    }

    /// The text while a rebuild empties the partition: no process takes the offset for its own.
    pub(crate) const REBUILD: &str = "cohortd rebuild";

    pub(crate) fn is_rebuild(bytes: &[u8]) -> bool {
        bytes == Self::REBUILD.as_bytes()
    }

    /// `None` for what another program wrote.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (sequence, writer) = text.strip_prefix("cohortd 1 ")?.split_once(' ')?;
        Some(Self { sequence: sequence.parse().ok()?, writer: u64::from_str_radix(writer, 16).ok()? })
    }

    /// A number that no other lane has.
    pub(crate) fn draw_writer() -> u64 {
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
