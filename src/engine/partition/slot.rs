//! The customers in memory, by number.

/// A customer in memory, by number; valid until removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);
