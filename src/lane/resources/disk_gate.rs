//! Pausing while the disk is full: a batch that Kafka has and the local copy cannot store would have to be restored
//! from Kafka. Meanwhile the lane only polls, so that it keeps its membership and its decided batch.

use std::path::PathBuf;
use std::time::{Duration, Instant as Moment};

use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::metrics::{Wait, WaitCause};
use crate::store::{Space, Writing, remove_set_aside};

/// Between two checks of the disk: at 200 MB/s less than the reserve is written in between.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Lane {
    /// Checks the disk from time to time. True: nothing that writes may be started.
    pub(in crate::lane) fn gate_disk(&mut self) -> Result<bool, LaneError> {
        if self.disk.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.disk.looked = Some(Moment::now());
            let full = self.look_at_disk();
            let was_full = std::mem::replace(&mut self.disk.full, full).is_some();
            match (was_full, self.disk.is_full()) {
                (false, true) => self.pause_all()?,
                (true, false) => {
                    self.health().resume(WaitCause::Disk, None);
                    self.check_databases()?;
                }
                (true, true) => {}
                (false, false) => self.check_databases()?,
            }
        }
        if let Some(detail) = self.disk.full.clone() {
            self.health().wait(Wait { cause: WaitCause::Disk, partition: None, detail });
        }
        Ok(self.disk.is_full())
    }

    /// Why nothing more should be written. If the check itself fails, a write will report it.
    fn look_at_disk(&self) -> Option<String> {
        let folder = self.folder();
        let space = Space::of(&folder).ok()?;
        let (_, write_buffers) = self.memory.write_buffers_used();
        let marks = space.marks(u64::try_from(write_buffers).unwrap_or(u64::MAX));
        self.context.metrics.state_free.set(i64::try_from(space.free).unwrap_or(i64::MAX));
        self.context.metrics.state_pause.set(i64::try_from(marks.pause_below).unwrap_or(i64::MAX));
        let writing = if self.disk.is_full() { Writing::Paused } else { Writing::Active };
        let reason = space.refuses(marks, writing)?;
        match remove_set_aside(&folder) {
            Ok(0) | Err(_) => Some(reason),
            Ok(copies) => {
                tracing::warn!(copies, reason, "Damaged copies that were set aside are removed to make room.");
                Space::of(&folder).ok()?.refuses(marks, writing)
            }
        }
    }

    /// Checks for errors of RocksDB's background threads since the last call: it recovers from some by itself; after
    /// others a database accepts no writes until it is reopened.
    fn check_databases(&mut self) -> Result<(), LaneError> {
        let mut failed = Vec::new();
        for partition in self.partitions.values() {
            let database = partition.residents.database();
            let errors = database.background_errors();
            let before = self.disk.errors.insert(partition.number, errors).unwrap_or(0);
            if errors <= before {
                continue;
            }
            self.context.metrics.store_errors.inc_by(errors - before);
            match database.check_writable() {
                Ok(()) => tracing::warn!(
                    partition = partition.number,
                    errors = errors - before,
                    "RocksDB could not write files out or merge them; it tries again."
                ),
                Err(error) => failed.push((partition.number, error)),
            }
        }
        failed.into_iter().try_for_each(|(number, error)| self.contain(number, error.into()))
    }

    /// The folder of this group's databases.
    pub(in crate::lane) fn folder(&self) -> PathBuf {
        self.settings.state.dir.join(&self.settings.kafka.group_id)
    }
}
