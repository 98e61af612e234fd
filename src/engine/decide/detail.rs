//! How much is said of each change.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Effects carry evidence, and when the next change is.
    Full,
    /// Effects carry neither.
    None,
}
