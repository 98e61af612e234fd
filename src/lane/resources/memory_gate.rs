//! A lane pauses reading while memory is short.

use std::time::{Duration, Instant as Moment};

use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::resources::memory::Action;
use crate::metrics::{Wait, WaitCause, give_back, resident_bytes};

/// Between two reads of the resident memory: one takes 20 us.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two requests to return free pages to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_millis(500);

impl Lane {
    /// Reads the resident memory, and frees memory or pauses reading as needed.
    pub(in crate::lane) fn gate_memory(&mut self) -> Result<(), LaneError> {
        if self.memory_gate.looked.elapsed() < LOOK_EVERY && !self.memory_gate.is_short() {
            return Ok(());
        }
        let Some(mut resident) = resident_bytes() else { return Ok(()) };
        let now = Moment::now();
        self.memory_gate.looked = now;
        let (pause_above, limit) = (self.settings.memory.pause_above(), self.settings.memory.limit);
        if resident > pause_above && now.duration_since(self.memory_gate.released) >= GIVE_BACK_EVERY {
            give_back();
            self.memory_gate.released = now;
            resident = resident_bytes().unwrap_or(resident);
        }
        let action = self.memory_gate.check(resident, pause_above, limit, now);
        if self.memory_gate.is_short() {
            self.health().wait(Wait {
                cause: WaitCause::Memory,
                partition: None,
                detail: format!(
                    "{} MiB of memory.limit, {} MiB, are in use, and reading waits for room; if this lasts, raise \
                     memory.limit or start more processes",
                    resident >> 20,
                    limit >> 20
                ),
            });
        }
        match action {
            Action::Nothing => {}
            Action::Pause => self.pause_all()?,
            Action::WriteMemtables => {
                for partition in self.partitions.values() {
                    if let Err(error) = partition.residents.database().request_flush() {
                        tracing::warn!(partition = partition.number, %error, "Memtables cannot be written now.");
                    }
                }
            }
            Action::ShrinkCache => self.memory.shrink(),
            Action::Resume => {
                self.memory.regrow();
                self.health().resume(WaitCause::Memory, None);
            }
        }
        self.context.metrics.intake_paused.set(i64::from(self.memory_gate.pauses_reading()));
        Ok(())
    }
}
