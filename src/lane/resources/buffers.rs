//! Keeping RocksDB's write buffers within their budget: RocksDB flushes a database only when it is written to, so quiet
//! partitions would keep their buffers for ever, and busy ones would be flushed at every write.

use std::time::{Duration, Instant as Moment};

use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::store::Database;

/// Databases flushed in one turn: the next turn goes on.
const FLUSHES_MAX: usize = 2;
/// Less than this is not worth a file.
const FLUSH_MIN: u64 = 128 << 10;
/// How long a turn waits for flushes under way while all buffers together are above their budget.
const WAIT_MAX: Duration = Duration::from_millis(250);
const WAIT_LOOK: Duration = Duration::from_millis(5);

impl Lane {
    /// Flushes the largest databases of the lane when they hold more than three quarters of its share of the budget,
    /// before RocksDB itself would flush whichever is written next, at seven eighths. Slows the lane down while the
    /// disk is behind, without stopping it.
    pub(in crate::lane) fn relieve_write_buffers(&mut self) -> Result<(), LaneError> {
        let (used, budget) = self.memory.write_buffers_used();
        if used < budget / 2 {
            return Ok(());
        }
        let lanes = u64::try_from(self.settings.lanes).unwrap_or(1).max(1);
        let limit = u64::try_from(budget).unwrap_or(u64::MAX) / lanes / 4 * 3;
        let mut sizes: Vec<(i32, u64)> =
            self.databases().map(|(number, database)| (number, database.memtable_bytes())).collect();
        sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let mut held: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
        let mut failed = None;
        for (number, bytes) in sizes.into_iter().take(FLUSHES_MAX) {
            if held <= limit || bytes < FLUSH_MIN {
                break;
            }
            held -= bytes;
            let database = self.databases().find(|(of, _)| *of == number);
            if let Some(Err(error)) = database.map(|(_, database)| database.request_flush()) {
                failed = Some((number, error));
            }
        }
        if let Some((number, error)) = failed {
            return self.contain(number, error.into());
        }
        let began = Moment::now();
        while self.memory.write_buffers_used().0 > budget
            && began.elapsed() < WAIT_MAX
            && self.databases().any(|(_, database)| database.is_flushing())
        {
            std::thread::sleep(WAIT_LOOK);
        }
        Ok(())
    }

    /// Every database that this lane has open.
    fn databases(&self) -> impl Iterator<Item = (i32, &Database)> {
        let restoring = self.restores.iter().filter_map(|restore| Some((restore.partition, restore.database()?)));
        self.partitions.values().map(|partition| (partition.number, partition.residents.database())).chain(restoring)
    }
}
