//! `make torture`: the random cases for as long as somebody cares to wait, on every core.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant as Stopwatch};

use crate::damaged;
use crate::dates;
use crate::evidence;
use crate::forecast;
use crate::generate::{self, number};
use crate::metamorphic;

/// Seeds that a thread takes at once, for each property in turn.
const TAKEN: u64 = 200;
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// From seed `COHORTD_SEED` on, `COHORTD_CASES` seeds or, without, for `COHORTD_MINUTES`. Each seed makes one case of every
/// property. The first failure ends it, once the others have tried what they had taken.
#[test]
#[ignore = "runs for COHORTD_MINUTES"]
fn all_properties_hold_of_every_seed_of_a_long_range() {
    let known = generate::PROPERTIES.iter().chain(&metamorphic::PROPERTIES).chain(&dates::PROPERTIES).chain([
        &damaged::PROPERTY,
        &evidence::PROPERTY,
        &forecast::PROPERTY,
    ]);
    let properties: Vec<_> = known.collect();
    let first = number("COHORTD_SEED").unwrap_or(0);
    let end = number("COHORTD_CASES").map_or(u64::MAX, |cases| first.saturating_add(cases));
    let minutes = number("COHORTD_MINUTES").unwrap_or(if end == u64::MAX { 60 } else { u64::MAX / 60 });
    let limit = Duration::from_secs(minutes * 60);
    let watch = Stopwatch::now();
    let (next, done, failed) = (AtomicU64::new(first), AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        while !failed.load(Ordering::Relaxed) && watch.elapsed() < limit {
            let from = next.fetch_add(TAKEN, Ordering::Relaxed);
            for seed in from..end.min(from.saturating_add(TAKEN)) {
                for property in &properties {
                    if let Err(failure) = property.try_one(seed) {
                        failed.store(true, Ordering::Relaxed);
                        println!("{failure}");
                        return;
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            if from.saturating_add(TAKEN) >= end {
                return;
            }
        }
    };
    let report = |before: u64, over: Duration| {
        let (tried, upto) = (done.load(Ordering::Relaxed), next.load(Ordering::Relaxed).min(end));
        let rate = (tried - before) as f64 * properties.len() as f64 / over.as_secs_f64();
        println!("seeds {first} to {upto}: {tried} tried for {} properties, {rate:.0} cases/s", properties.len());
        tried
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let (mut tried, mut reported) = (0, watch.elapsed());
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
            let since = watch.elapsed() - reported;
            if since >= TOLD_EVERY {
                (tried, reported) = (report(tried, since), watch.elapsed());
            }
        }
    });
    report(0, watch.elapsed());
    assert!(!failed.load(Ordering::Relaxed), "a property fails; see above");
}
