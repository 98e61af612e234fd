//! A customer's risk level: the part of churn that is stored.

/// A customer's risk level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Risk {
    /// Index of the level; 0 is the lowest.
    pub level: u8,
    /// Changes of level emitted so far.
    pub sequence: u64,
    /// Version of the churn parameters under which the customer was last decided; 0: none.
    pub parameters_version: u32,
}
