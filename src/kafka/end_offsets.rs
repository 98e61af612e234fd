//! The end offsets of the input's partitions as last reported by their leaders, so that no lane waits for a broker to
//! know its lag.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::watermarks::Watermarks;

/// How recent an end offset must be to decide whether a partition is caught up.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How recent an end offset must be to compute the lag.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// The interval of requests while no lane needs fresh offsets.
const INTERVAL: Duration = Duration::from_secs(1);
/// The minimum interval of requests, however many lanes ask.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Shared by the lanes of a process. One thread sends the requests ([`follow`](Self::follow)); everything else only
/// reads.
pub struct EndOffsets {
    watermarks: Arc<Watermarks>,
    topic: String,
    partitions: AtomicU32,
    known: Mutex<Known>,
    wakeup: Condvar,
}

#[derive(Default)]
struct Known {
    end_offsets: BTreeMap<i32, EndOffset>,
    wanted: bool,
}

#[derive(Clone, Copy)]
struct EndOffset {
    offset: i64,
    /// Before the request was sent: the end was there then, or came later.
    requested_at: Instant,
}

impl EndOffsets {
    /// For partitions 0 to `partitions` (exclusive) of a topic.
    #[must_use]
    pub fn new(watermarks: Arc<Watermarks>, topic: &str, partitions: u32) -> Self {
        Self {
            watermarks,
            topic: topic.to_owned(),
            partitions: AtomicU32::new(partitions),
            known: Mutex::default(),
            wakeup: Condvar::new(),
        }
    }

    /// The topic has so many partitions now.
    pub fn set_partitions(&self, partitions: u32) {
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// The offset of the next record, open transactions included, if it was reported within the last 10 s. Never
    /// blocks.
    #[must_use]
    pub fn known(&self, partition: i32) -> Option<i64> {
        self.newest(&self.lock(), partition, KNOWN_FOR)
    }

    /// The same, reported within the last second. If it was not, it is requested, and a call some milliseconds later
    /// finds it. Never blocks.
    #[must_use]
    pub fn fresh(&self, partition: i32) -> Option<i64> {
        let mut known = self.lock();
        let found = self.newest(&known, partition, FRESH_FOR);
        if found.is_none() {
            known.wanted = true;
            self.wakeup.notify_all();
        }
        found
    }

    /// The same, requested after a moment. If there is none yet, it is requested, and a call some milliseconds later finds
    /// it. Never blocks.
    #[must_use]
    pub fn after(&self, partition: i32, moment: Instant) -> Option<i64> {
        let mut known = self.lock();
        let found = known.end_offsets.get(&partition).filter(|end| end.requested_at > moment).map(|end| end.offset);
        if found.is_none() {
            known.wanted = true;
            self.wakeup.notify_all();
        }
        found
    }

    /// Requests the end offsets of all partitions, once a second and when a fresh one is needed, until `stop` is set.
    pub fn follow(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let requested_at = Instant::now();
            match self.request(requested_at) {
                Ok(()) => {}
                // Known offsets expire.
                Err(failure) => tracing::debug!(target: "kafka", "{failure}"),
            }
            self.wait(stop);
        }
    }

    fn request(&self, requested_at: Instant) -> Result<(), Failure> {
        let partitions = i32::try_from(self.partitions.load(Ordering::Relaxed)).unwrap_or(i32::MAX);
        let partitions: Vec<i32> = (0..partitions).collect();
        let answer = self.watermarks.end_offsets(&self.topic, &partitions, TIMEOUT)?;
        let mut known = self.lock();
        known
            .end_offsets
            .extend(answer.into_iter().map(|(partition, offset)| (partition, EndOffset { offset, requested_at })));
        Ok(())
    }

    fn wait(&self, stop: &AtomicBool) {
        std::thread::sleep(INTERVAL_MIN);
        let until = Instant::now() + INTERVAL;
        let mut known = self.lock();
        while !known.wanted && !stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Short enough to notice `stop`.
            let waited = self.wakeup.wait_timeout(known, left.min(INTERVAL_MIN));
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        known.wanted = false;
    }

    fn newest(&self, known: &Known, partition: i32, within: Duration) -> Option<i64> {
        known.end_offsets.get(&partition).filter(|end| end.requested_at.elapsed() <= within).map(|end| end.offset)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
