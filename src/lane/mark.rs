//! The text beside a committed offset: which transaction put it there.

/// Sequence and stream time of the transaction that committed an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetMark {
    pub(super) sequence: u64,
}

impl OffsetMark {
    /// `cohortd 1 SEQUENCE`.
    pub(super) fn text(self) -> String {
        format!("cohortd 1 {}", self.sequence)
    }

    /// `None` for what another program wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let sequence = text.strip_prefix("cohortd 1 ")?.parse().ok()?;
        Some(Self { sequence })
    }
}
