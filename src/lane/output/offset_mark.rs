//! The metadata of a committed offset: which transaction committed it.

/// Number and writer of the transaction that committed an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetMark {
    pub(crate) sequence: u64,
    /// Drawn by each lane at its start. Two lanes may both have tried the same number, and one that slept through its
    /// session must not take the other's transaction for its own.
    pub(crate) writer: u64,
    /// The last mark of a process that stopped and may come back: the group keeps the partition for it meanwhile,
    /// unread.
    pub(crate) stopped: bool,
}

const STOPPED: &str = "stopped";

impl OffsetMark {
    pub(crate) fn new(sequence: u64, writer: u64) -> Self {
        Self { sequence, writer, stopped: false }
    }

    /// `cohortd 1 SEQUENCE WRITER`, the writer in hex; ` stopped` after the last of a process.
    pub(crate) fn text(self) -> String {
        let end = if self.stopped { format!(" {STOPPED}") } else { String::new() };
        format!("cohortd 1 {} {:016x}{end}", self.sequence, self.writer)
    }

    /// Was it written by this transaction?
    pub(crate) fn is_of(self, sequence: u64, writer: u64) -> bool {
        (self.sequence, self.writer) == (sequence, writer)
    }

    /// Has a rebuild emptied the partition? Then reading begins where `kafka.start` says.
    pub(crate) fn begins_anew(self) -> bool {
        self.sequence == 0
    }

    /// The metadata while a rebuild empties the partition: no process takes the offset for its own.
    pub(crate) const REBUILD: &str = "cohortd rebuild";

    pub(crate) fn is_rebuild(bytes: &[u8]) -> bool {
        bytes == Self::REBUILD.as_bytes()
    }

    /// `None` for what another program wrote.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (sequence, rest) = text.strip_prefix("cohortd 1 ")?.split_once(' ')?;
        let (writer, end) = rest.split_once(' ').map_or((rest, None), |(writer, end)| (writer, Some(end)));
        let stopped = match end {
            None => false,
            Some(STOPPED) => true,
            Some(_) => return None,
        };
        Some(Self { sequence: sequence.parse().ok()?, writer: u64::from_str_radix(writer, 16).ok()?, stopped })
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
        let mark = OffsetMark::new(17, 0xfedc_ba98_7654_3210);
        assert_eq!(mark.text(), "cohortd 1 17 fedcba9876543210");
        assert_eq!(OffsetMark::read(mark.text().as_bytes()), Some(mark));
        let last = OffsetMark { stopped: true, ..mark };
        assert_eq!(last.text(), "cohortd 1 17 fedcba9876543210 stopped");
        assert_eq!(OffsetMark::read(last.text().as_bytes()), Some(last));
        assert_eq!(OffsetMark::read(b"cohortd 1 17 fedcba9876543210 asleep"), None);
        assert_eq!(OffsetMark::read(b"cohortd 1 17"), None);
        assert_eq!(OffsetMark::read(b""), None);
    }
}
