//! The daemon as a process on a real Kafka, compared event by event with the naive evaluator: stopped, killed, moved,
//! left alone, and fed with rubbish.
//!
//! Seeds are printed; `COHORTD_SEED=…` runs one again.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and tell what they did")]

mod audits;
mod automation;
mod avro;
mod bad_input;
mod buffers;
mod churn;
mod clocks;
mod containers;
mod credentials;
mod customer_lookups;
mod daemon;
mod damage;
mod dashboards;
mod disk;
mod documented_commands;
mod edits;
mod failing_disk;
mod faults;
mod first_load;
mod gather;
mod growth;
mod hanging;
mod history;
mod idle;
mod in_transactions;
mod injected;
mod judge;
mod kafka_start;
mod lab;
mod midnight;
mod outputs;
mod ownership;
mod partitioners;
mod permissions;
mod preflight;
mod printed_changes;
mod processes;
mod python_client;
mod random;
mod ranges;
mod ranks;
mod rebuilds;
mod refusals;
mod registries;
mod registry;
mod registry_access;
mod resets;
mod restarts;
mod schemas;
mod second_group;
mod secured;
mod shop;
mod sizes;
mod slow_broker;
mod soak;
mod stops;
mod summaries;
mod surge;
mod twins;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::limit::{waited, waiting_for};

/// Far longer than anything takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(180);

/// Tries until there is something.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    waiting_for(what);
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            waited();
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
