//! Customers who come and go by the second, stamped with the wall clock: some late, some twice, some without an id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::event::Number;

use super::avro;
use super::lab::Lab;
pub(super) use super::random::Random;
use crate::naive::{Config, LogEvent, OwnedValue};

/// Rules whose deadlines come up while the test runs.
pub(super) const RULES: &str = r#"
activity = ["visit", "purchase", "cart"]

[cohorts.abandoned]
who     = "cart then no purchase within 2 seconds"
at_most = "3 seconds"

[cohorts.hot]
who      = "did purchase at least 2 times in the last 3 seconds"
at_least = "1 second"

[cohorts.looking]
who      = "did visit at least 2 times in the last 4 seconds and did not purchase in the last 4 seconds even if new and not in hot"
cooldown = "1 second"

[cohorts.quiet]
who = "did any of (visit, purchase) ever and silent for 2 seconds"

[cohorts.spender]
who   = "sum(purchase.amount in the last 5 seconds) >= 100"
until = "did refund since last purchase"

[cohorts.unsettled]
who = "entered quiet at least 2 times in the last 20 seconds or left hot in the last 2 seconds"
"#;

/// The longest window and stay of `RULES`, and some: after so long without an event everything short has been decided.
pub(super) const SETTLED_AFTER: i64 = 8_000;

pub(super) const SETS: [&str; 2] = ["time.arrives_within=1 s", "time.max_lateness=10 s"];

pub(super) fn config() -> Config {
    Config {
        arrives_within: cohortd::event::Span(1_000),
        max_lateness: cohortd::event::Span(10_000),
        ..Config::default()
    }
}

/// A thread that writes events until stopped.
pub(super) struct Open {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<i64>,
}

/// Opens the shop: about `rate` events a second by `customers` customers.
pub(super) fn open(lab: &Lab, seed: u64, customers: i64, rate: u64) -> Open {
    let writer = lab.writer();
    let send = move |sent: &Sent| writer.send(&sent.event.customer, &avro::encode(&sent.event));
    open_to(seed, customers, rate, send)
}

/// An event as the shop sends it.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) number: i64,
    pub(super) event: LogEvent,
}

/// As `open`, wherever `send` sends the events to.
pub(super) fn open_to(seed: u64, customers: i64, rate: u64, send: impl Fn(&Sent) + Send + 'static) -> Open {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        let mut random = Random::new(seed);
        let mut sent: Vec<Sent> = Vec::new();
        let (mut number, mut last) = (0, 0);
        while !stopping.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_micros(1_000_000 / rate));
            if random.percent(3) && !sent.is_empty() {
                let recent = i64::try_from(sent.len().min(200)).unwrap();
                send(&sent[sent.len() - 1 - usize::try_from(random.below(recent)).unwrap()]);
                continue;
            }
            number += 1;
            let customer = format!("c{}", random.below(customers));
            let late = match random.below(100) {
                0 => 15_000,
                1..8 => random.below(5_000),
                _ => random.below(300),
            };
            let at = wall_clock().0 - late;
            let name = ["visit", "visit", "visit", "cart", "purchase", "purchase", "refund", "other"]
                [usize::try_from(random.below(8)).unwrap()];
            let mut event = avro::event(&customer, name, at, random.percent(90).then(|| format!("e{number}")));
            if name == "purchase" {
                let amount = Number::from_integer(random.below(90));
                event.properties.push(("amount".into(), OwnedValue::Number(amount)));
            }
            if event.id.is_none() {
                // Without an id the record is its own identity; no two customers' actions are the same to the byte.
                event.properties.push(("n".into(), OwnedValue::Number(Number::from_integer(number))));
            }
            last = last.max(at);
            sent.push(Sent { number, event });
            send(&sent[sent.len() - 1]);
        }
        last
    });
    Open { stop, thread }
}

impl Open {
    /// Writes no more; the time of the latest event.
    pub(super) fn close(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
