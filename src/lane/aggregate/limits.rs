//! How much of the work over all customers one turn takes on.

use std::time::Duration;

/// Partitions that publish counters, or start to apply thresholds or parameters, in one turn.
pub(super) const PARTITIONS_MAX: usize = 8;

/// How long the flushes for that may take in one turn.
pub(super) const FLUSH_FOR: Duration = Duration::from_millis(200);
