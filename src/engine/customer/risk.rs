//! What is remembered of the risk that a customer does not come back.

/// What is remembered of a customer's risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Risk {
    /// The place among the levels; 0 is the lowest.
    pub level: u8,
    /// Changes of level emitted so far.
    pub sequence: u64,
    /// The version of the parameters under which the customer was last decided; 0: none.
    pub under: u32,
}
