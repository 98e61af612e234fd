//! A gauge that is the sum of several parts.

use prometheus::IntGauge;

/// One part of a gauge that sums over partitions; subtracted on drop.
#[derive(Debug)]
pub struct Share {
    gauge: IntGauge,
    part: i64,
}

impl Share {
    pub(super) fn of(gauge: &IntGauge) -> Self {
        Self { gauge: gauge.clone(), part: 0 }
    }

    /// Replaces this part of the sum.
    pub fn set(&mut self, part: u64) {
        let part = i64::try_from(part).unwrap_or(i64::MAX);
        self.gauge.add(part - self.part);
        self.part = part;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.sub(self.part);
    }
}
