//! Sends the shop's actions as Avro records to one topic, and the tickets of its support desk as JSON to another, at the
//! pace of the demo.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant as Moment};

use super::life::{Act, What};
use super::shop;
use super::tickets::Ticket;
use crate::codec::{EventEncoder, SentEvent};
use crate::event::{DeadLetterReason, Instant, Number, SkipReason, Value};
use crate::kafka::{Failure, Headers, Outgoing, Publisher, Report};
use crate::metrics::{Health, InputMetrics};
use crate::shutdown::Shutdown;

/// The maximum number of records ahead of the lane. The in-process broker drops what is older than 5 MB in a partition,
/// read or not; a record has some 150 bytes.
const AHEAD_MAX: u64 = 10_000;
/// How often the clock is checked.
const TICK: Duration = Duration::from_millis(20);
/// How long flushing the last records may take.
const FLUSH_FOR: Duration = Duration::from_secs(10);
/// One record in this many is sent twice, as by producers that retry.
pub(super) const TWICE_IN: u64 = 200;

/// The progress of the shop, read by other threads.
#[derive(Debug)]
pub(super) struct Progress {
    /// Records sent to both topics.
    pub(super) sent: AtomicU64,
    /// Those of tickets.
    pub(super) tickets: AtomicU64,
    /// The simulated time, in milliseconds.
    pub(super) lived: AtomicI64,
    /// Is the lane ready, and has the shop opened?
    pub(super) opened: AtomicBool,
    /// Since when everything is sent.
    pub(super) closed: OnceLock<Moment>,
}

impl Progress {
    pub(super) fn new(opening: Instant) -> Self {
        Self {
            sent: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            lived: AtomicI64::new(opening.0),
            opened: AtomicBool::new(false),
            closed: OnceLock::new(),
        }
    }
}

/// The sender and its inputs.
pub(super) struct Sender {
    pub(super) publisher: Publisher,
    /// Of the shop's actions, and of tickets; each has one partition.
    pub(super) topics: [String; 2],
    /// From opening to closing.
    pub(super) time: (Instant, Instant),
    /// How long all of it should take.
    pub(super) pace: Duration,
    pub(super) progress: Arc<Progress>,
    pub(super) input: InputMetrics,
    pub(super) health: Arc<Health>,
    pub(super) shutdown: Shutdown,
}

impl Sender {
    /// Waits until the lane reads, then sends each action when its time has come.
    ///
    /// # Errors
    /// A record that the broker does not take.
    pub(super) fn run(self, acts: &[Act], tickets: &[Ticket]) -> Result<(), Failure> {
        while self.health.ready().is_err() {
            if self.shutdown.is_requested() {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        self.progress.opened.store(true, Ordering::Release);
        let encoder = EventEncoder::new();
        let started = Moment::now();
        let (opening, closing) = self.time;
        let mut record = Vec::new();
        let (mut sent, mut tickets) = (0, tickets.iter().peekable());
        for (number, act) in (1..).zip(acts) {
            while let Some(ticket) = tickets.next_if(|ticket| ticket.at <= act.at) {
                if !self.wait_for(ticket.at, started, sent) {
                    return Ok(());
                }
                self.ticket(ticket)?;
                sent += 1;
                self.progress.sent.store(sent, Ordering::Release);
            }
            if !self.wait_for(act.at, started, sent) {
                return Ok(());
            }
            record.clear();
            encode(&encoder, &format!("e{number}"), number, act, &mut record);
            for _ in 0..1 + u64::from(number % TWICE_IN == 0) {
                self.send(&self.topics[0], &shop::name(act.customer), &record)?;
                sent += 1;
            }
            self.progress.sent.store(sent, Ordering::Release);
            self.progress.lived.store(act.at.0, Ordering::Release);
        }
        for ticket in tickets {
            self.ticket(ticket)?;
            sent += 1;
        }
        self.progress.sent.store(sent, Ordering::Release);
        self.publisher.flush(FLUSH_FOR)?;
        self.progress.lived.store(closing.0.max(opening.0), Ordering::Release);
        self.progress.closed.set(Moment::now()).ok();
        Ok(())
    }

    /// Waits until the shop has reached an instant, and not too much is on its way. False: stopped.
    fn wait_for(&self, at: Instant, started: Moment, sent: u64) -> bool {
        while at > self.now(started) || sent >= accounted(&self.input) + AHEAD_MAX {
            if self.shutdown.is_requested() {
                return false;
            }
            thread::sleep(TICK);
        }
        true
    }

    fn ticket(&self, ticket: &Ticket) -> Result<(), Failure> {
        self.send(&self.topics[1], &ticket.key(), ticket.json().as_bytes())?;
        self.progress.tickets.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The simulated time.
    fn now(&self, started: Moment) -> Instant {
        let (opening, closing) = self.time;
        let part = started.elapsed().as_secs_f64() / self.pace.as_secs_f64().max(0.001);
        Instant(opening.0 + (closing.since(opening).0 as f64 * part.min(1.0)) as i64)
    }

    fn send(&self, topic: &str, key: &str, record: &[u8]) -> Result<(), Failure> {
        self.publisher.send(&Outgoing {
            topic,
            partition: 0,
            key: Some(key.as_bytes()),
            payload: Some(record),
            headers: Headers::default(),
            timestamp: None,
            report: Report::Failure,
        })
    }
}

/// Records that the lane has applied, skipped or dead-lettered in committed batches.
pub(super) fn accounted(input: &InputMetrics) -> u64 {
    let (applied, skipped, dead) = handled(input);
    applied + skipped + dead
}

/// Records applied, skipped, and dead-lettered.
pub(super) fn handled(input: &InputMetrics) -> (u64, u64, u64) {
    let skipped = SkipReason::ALL.iter().map(|reason| input.events_skipped(*reason).get()).sum();
    let dead = DeadLetterReason::ALL.iter().map(|reason| input.dead_letters(*reason).get()).sum();
    (input.events_applied.get(), skipped, dead)
}

/// Appends the act to `record`, with the id of its event. `number` chooses the product.
pub(super) fn encode(encoder: &EventEncoder, id: &str, number: u64, act: &Act, record: &mut Vec<u8>) {
    let customer = shop::name(act.customer);
    let whole = |number: u32| Value::Number(Number::from_integer(i64::from(number)));
    let product = Value::Text(["mug", "lamp", "scarf", "notebook"][usize::try_from(number % 4).unwrap_or(0)]);
    let properties: &[(&str, Value<'_>)] = match act.what {
        What::StepCompleted(step) => &[("step", whole(u32::from(step)))],
        What::ProductViewed => &[("product", product)],
        What::Purchase { cents } => {
            &[("amount", Value::Number(Number(i128::from(cents) * (Number::ONE / 100)))), ("product", product)]
        }
        _ => &[],
    };
    let event = SentEvent {
        id: Some(id),
        customer: &customer,
        name: act.what.event(),
        at: act.at,
        source: Some("shop"),
        properties,
    };
    encoder.event(&event, record);
}
