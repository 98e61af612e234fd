//! Removes obsolete files in `state.dir` in the background, so that no lane waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Failure;
use crate::clock::wall_clock;
use crate::lane::LaneError;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::store::{StoreError, remove_moved, trim_set_aside};

/// The interval, also before the first run: by then the group has settled its assignment.
const EVERY: Duration = Duration::from_secs(3_600);
/// How often it is checked whether the process stops.
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct Cleanup {
    folder: PathBuf,
    topic: String,
    metrics: Arc<Metrics>,
}

/// Removes once an hour the copies of partitions that moved away, and old damaged copies.
pub(super) fn start(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) -> Result<JoinHandle<Result<(), LaneError>>, Failure> {
    let keeping = Cleanup {
        folder: settings.state.dir.join(&settings.kafka.group_id),
        topic: settings.topics.input.clone(),
        metrics: Arc::clone(metrics),
    };
    let stop = shutdown.flag();
    let work = move || {
        let mut last = Instant::now();
        while !stop.load(Ordering::Acquire) {
            std::thread::sleep(LOOK_EVERY);
            if last.elapsed() >= EVERY {
                last = Instant::now();
                if let Err(error) = keeping.round() {
                    tracing::warn!(%error, "Removing obsolete files in state.dir failed.");
                }
            }
        }
        Ok(())
    };
    std::thread::Builder::new().name("cleanup".into()).spawn(work).map_err(Failure::running)
}

impl Cleanup {
    fn round(&self) -> Result<(), StoreError> {
        let now = wall_clock();
        let partitions = remove_moved(&self.folder, &self.topic, now)?;
        self.metrics.copies_removed.inc_by(partitions.len() as u64);
        if !partitions.is_empty() {
            tracing::info!(
                ?partitions,
                "Removed local copies of partitions that moved to other processes over a day ago."
            );
        }
        let copies = trim_set_aside(&self.folder, now)?;
        if copies > 0 {
            tracing::info!(copies, "Removed damaged copies that were set aside long ago.");
        }
        Ok(())
    }
}
