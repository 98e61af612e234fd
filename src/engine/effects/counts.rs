//! Counts that a decision returns beside its effects.

/// What applying one event did besides its effects, for the caller to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Deadlines decided.
    pub deadlines: u64,
    /// Remembered ids evicted before they expired.
    pub ids_evicted: u64,
    /// Events folded into day buckets, or dropped, beyond a fact's exact capacity.
    pub approximated: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.deadlines += other.deadlines;
        self.ids_evicted += other.ids_evicted;
        self.approximated += other.approximated;
    }
}
