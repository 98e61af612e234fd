//! The ends of the input's partitions as last told by their leaders, so that no lane waits for a broker to know its lag.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::watermarks::Watermarks;

/// An end asked for at most this long ago decides whether a partition is caught up.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// An end asked for longer ago says nothing about the lag any more.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Between two questions while no lane asks for fresh ends.
const REST: Duration = Duration::from_secs(1);
/// Between two questions however many lanes ask.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the leaders have to answer.
const ASK: Duration = Duration::from_secs(2);

/// Shared by the lanes of a process. One thread asks ([`follow`](Self::follow)); everything else only looks.
pub struct Ends {
    watermarks: Arc<Watermarks>,
    topic: String,
    partitions: Vec<i32>,
    known: Mutex<Known>,
    asked_for: Condvar,
}

#[derive(Default)]
struct Known {
    ends: BTreeMap<i32, End>,
    wanted: bool,
}

#[derive(Clone, Copy)]
struct End {
    offset: i64,
    /// Before the question was sent: the end was there then, or came later.
    asked: Instant,
}

impl Ends {
    /// Of partitions 0 to `partitions` (not included) of a topic.
    #[must_use]
    pub fn new(watermarks: Arc<Watermarks>, topic: &str, partitions: u32) -> Self {
        Self {
            watermarks,
            topic: topic.to_owned(),
            partitions: (0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect(),
            known: Mutex::default(),
            asked_for: Condvar::new(),
        }
    }

    /// The offset that the next record gets, open transactions included, told within the last 10 s; `None` if it was not.
    /// Never waits.
    #[must_use]
    pub fn known(&self, partition: i32) -> Option<i64> {
        self.newest(&self.lock(), partition, KNOWN_FOR)
    }

    /// The same, told within the last second. If it was not, it is asked for, and a call some milliseconds later finds it.
    /// Never waits.
    #[must_use]
    pub fn fresh(&self, partition: i32) -> Option<i64> {
        let mut known = self.lock();
        let found = self.newest(&known, partition, FRESH_FOR);
        if found.is_none() {
            known.wanted = true;
            self.asked_for.notify_all();
        }
        found
    }

    /// Asks for the ends of all partitions, once a second and when a fresh one is wanted, until told to stop.
    pub fn follow(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let asked = Instant::now();
            match self.ask(asked) {
                Ok(()) => {}
                // What is known grows old, and shows.
                Err(failure) => tracing::debug!(target: "kafka", "{failure}"),
            }
            self.wait(stop);
        }
    }

    fn ask(&self, asked: Instant) -> Result<(), Failure> {
        let told = self.watermarks.ends(&self.topic, &self.partitions, ASK)?;
        let mut known = self.lock();
        known.ends.extend(told.into_iter().map(|(partition, offset)| (partition, End { offset, asked })));
        Ok(())
    }

    fn wait(&self, stop: &AtomicBool) {
        std::thread::sleep(PAUSE);
        let until = Instant::now() + REST;
        let mut known = self.lock();
        while !known.wanted && !stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Short enough to see the request to stop.
            let waited = self.asked_for.wait_timeout(known, left.min(PAUSE));
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        known.wanted = false;
    }

    fn newest(&self, known: &Known, partition: i32, within: Duration) -> Option<i64> {
        known.ends.get(&partition).filter(|end| end.asked.elapsed() <= within).map(|end| end.offset)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
