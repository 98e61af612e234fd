//! The memory limit of commands that hold all events in memory: they end with an error there instead of being killed.

use crate::app::Failure;
use crate::cli::format::counted;
use crate::metrics::{available_bytes, resident_bytes};
use crate::settings::Memory;

/// The share of available memory, if nothing else sets a limit.
const PERCENT_OF_FREE: u64 = 80;

/// Bytes that the process may have resident.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Budget {
    limit: u64,
    /// Is it `memory.limit`, or the available memory?
    is_set: bool,
}

impl Budget {
    /// `memory.limit`, if it or a container limit is set; otherwise the available memory.
    pub(in crate::cli) fn of(memory: Memory) -> Self {
        if !memory.is_default {
            return Self { limit: memory.limit, is_set: true };
        }
        let free = available_bytes().map(|free| resident_bytes().unwrap_or(0) + free / 100 * PERCENT_OF_FREE);
        Self { limit: free.unwrap_or(u64::MAX), is_set: false }
    }

    /// Checks that `coming` bytes may be added. `held`: the size of the events, if the system does not report that of
    /// the process.
    ///
    /// # Errors
    /// They may not, with what to do.
    pub(super) fn allows(self, coming: usize, held: usize, events: usize) -> Result<(), Failure> {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let resident = resident_bytes().unwrap_or(bytes(held));
        if resident.saturating_add(bytes(coming)) <= self.limit {
            return Ok(());
        }
        let (limit, events) = (format!("{} MiB", self.limit >> 20), counted(bytes(events), "event", "events"));
        let limit =
            if self.is_set { format!("memory.limit is {limit}") } else { format!("the machine had {limit} free") };
        Err(Failure::Running(format!(
            "the events do not fit in memory: {limit}, which {events} and the results exceed. Raise memory.limit \
             (--set memory.limit=\"8 GiB\"), or use fewer events. `replay --as-is` keeps none in memory, if the files are in the order \
             of time"
        )))
    }
}
