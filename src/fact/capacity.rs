//! Limits on how much of a customer's past a fact holds, whatever the rules ask.

/// Capacities up to which facts are exact. Beyond, the oldest entry is dropped or aggregated by day; where that may
/// change a result, it is counted as an approximation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacities {
    /// (time, number) pairs held individually; older ones are aggregated by day.
    pub series: usize,
    /// (time, value) pairs behind `first`, `last` and `most_common` over a window.
    pub values: usize,
    /// Different values behind `distinct`. Tests of a count need fewer, so dropping any of so many is an approximation.
    pub distinct: usize,
    /// (time, key) pairs behind `different` over a band of time.
    pub pairs: usize,
    /// Values of `per key` held at once.
    pub keys: usize,
    /// Unanswered A's of `each A then no B`.
    pub waiting: usize,
    /// Events of a sequence that a late event may still affect; beyond, the oldest are settled early.
    pub links: usize,
    /// B's of `time from A to B` and of `steps from A to B` that may still answer a late A.
    pub answers: usize,
    /// Times behind `change in time since last ...`.
    pub edges: usize,
}

impl Capacities {
    pub const DEFAULT: Self = Self {
        series: 256,
        values: 256,
        distinct: 1_024,
        pairs: 1_024,
        keys: 64,
        waiting: 256,
        links: 256,
        answers: 256,
        edges: 256,
    };
}

/// (time, number) pairs held individually; older ones are aggregated by day.
pub const SERIES_EXACT: usize = Capacities::DEFAULT.series;

/// (time, value) pairs behind `first`, `last` and `most_common` over a window; older ones are dropped.
pub const VALUES_MAX: usize = Capacities::DEFAULT.values;

/// Different values behind `distinct`. Tests of a count need fewer, so dropping any of so many is an approximation.
pub const DISTINCT_MAX: usize = Capacities::DEFAULT.distinct;
