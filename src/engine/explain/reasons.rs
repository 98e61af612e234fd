//! Whether the clauses of a sentence give what holds, or what no longer does.

/// What the clauses of a sentence that gives the reason for a change say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasons {
    /// Conditions that hold.
    Hold,
    /// Conditions that no longer hold.
    NoLongerHold,
}
