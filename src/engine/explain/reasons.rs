//! The clauses of a sentence that gives the reason for a change.

/// Clauses in one language.
pub(super) enum Reasons {
    /// Conditions that hold.
    Hold(Vec<String>),
    /// Conditions that no longer hold.
    NoLongerHold(Vec<String>),
}
