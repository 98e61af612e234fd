//! Numbers that look drawn at random, the same in every run.

/// A linear congruential generator.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    /// From 0 to 1, neither of which comes.
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Exponentially distributed.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -mean * self.next().ln()
    }
}
