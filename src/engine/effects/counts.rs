//! What a decision counts beside its effects.

/// What taking one event in did besides its effects: counts for the caller to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Deadlines decided.
    pub deadlines: u64,
    /// Ids pushed out of the remembered ones before their time.
    pub ids_pushed_out: u64,
    /// Events folded into day buckets or dropped over a fact's exact capacity.
    pub approximated: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.deadlines += other.deadlines;
        self.ids_pushed_out += other.ids_pushed_out;
        self.approximated += other.approximated;
    }
}
