//! The daemon as a process on a real Kafka, compared event by event with the naive evaluator: stopped, killed, moved,
//! left alone, and fed with rubbish.
//!
//! Seeds are printed; `COHORTD_SEED=…` runs one again.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and tell what they did")]

mod asked;
mod avro;
mod bad_input;
mod beginnings;
mod buffers;
mod churn;
mod clocks;
mod credentials;
mod daemon;
mod damage;
mod dashboards;
mod deployed;
mod disk;
mod edits;
mod failing_disk;
mod faults;
mod first_load;
mod growth;
mod hanging;
mod history;
mod idle;
mod in_transactions;
mod injected;
mod judge;
mod lab;
mod midnight;
mod neighbours;
mod outputs;
mod outside;
mod ownership;
mod partitioners;
mod permissions;
mod preflight;
mod processes;
mod random;
mod ranges;
mod ranks;
mod reaching;
mod rebuilds;
mod refusals;
mod registries;
mod registry;
mod restarts;
mod schemas;
mod secured;
mod shop;
mod shown;
mod sizes;
mod slow_broker;
mod soak;
mod stops;
mod summaries;
mod surge;
mod twins;
mod ways_on;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::limit::waiting_for;

/// Far longer than anything takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(180);

/// Tries until there is something.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    waiting_for(what);
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
