//! How much detail the effects of a decision carry.

/// How much detail the effects of a decision carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Evidence, and when the next change is.
    Full,
    /// Neither.
    None,
}
