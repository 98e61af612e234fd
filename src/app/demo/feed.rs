//! The shop without the daemon: its events go to the input topic of a daemon that runs elsewhere.

use std::thread;
use std::time::{Duration, Instant as Moment};

use super::sender::{TWICE_IN, encode};
use super::{LIVES, shop};
use crate::app::pause::{self, pause};
use crate::app::{Ending, Failure, runtime};
use crate::clock::wall_clock;
use crate::codec::EventEncoder;
use crate::event::{Instant, Span};
use crate::kafka::{self, Admin, Brokers, Headers, Outgoing, Publisher, Report, TopicPlan, Watermarks, partition_of};
use crate::settings::Loaded;
use crate::shutdown::Shutdown;
use crate::telemetry;

/// How long the shop continues beyond today, at most.
const LIVES_ON: Span = Span(90 * Span::DAY.0);
/// Partitions of an input topic that is created here.
const PARTITIONS: i32 = 4;
/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
const QUEUE_BYTES: usize = 8 << 20;
/// How often the clock is checked.
const TICK: Duration = Duration::from_millis(50);
/// How long flushing records may take.
const FLUSH_FOR: Duration = Duration::from_secs(60);
/// How often it is checked whether records arrive.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Options.
#[derive(Debug, Clone, Copy)]
pub struct FeedOptions {
    /// How long sending the shop's history should take.
    pub pace: Duration,
    pub customers: u32,
    pub seed: u64,
}

/// Sends the shop's history at the pace of the demo, and then events in real time, until stopped. If the topic already
/// has records, only the latter: a second history would be too late.
///
/// # Errors
/// An input topic that cannot be had, or a record that the brokers do not take.
pub fn feed(loaded: &Loaded, feeding: FeedOptions) -> Result<(), Failure> {
    telemetry::start(&loaded.settings.log)
        .map_err(|error| Failure::Configuration(loaded.refusal("log.filter", error.to_string()).to_string()))?;
    let runtime = runtime()?;
    let shutdown = Shutdown::on_signals(runtime.handle()).map_err(Failure::running)?;
    let brokers = Brokers::default();
    let Some(topic) = input(loaded, &brokers, &shutdown)? else { return Ok(()) };
    let now = wall_clock();
    let opening = now - LIVES;
    let begins = if topic.is_empty { opening } else { now };
    let shown = &loaded.settings.topics.input;
    let FeedOptions { customers, seed, pace } = feeding;
    tracing::info!(topic = shown, customers, from = %begins, "The shop opens; SIGTERM or SIGINT closes it.");
    let acts = shop::acts(customers, seed, (opening, now + LIVES_ON));
    let publisher = Publisher::new(&loaded.settings.kafka, QUEUE_BYTES, &brokers)?;
    let (encoder, started) = (EventEncoder::new(), Moment::now());
    let clock = || {
        let part = started.elapsed().as_secs_f64() / pace.as_secs_f64().max(0.001);
        Instant(begins.0 + (wall_clock().since(begins).0 as f64 * part.min(1.0)) as i64)
    };
    let (mut record, mut sent, mut flushed, mut is_past) = (Vec::new(), 0_u64, Moment::now(), true);
    for (number, act) in (1_u64..).zip(&acts).filter(|(_, act)| act.at >= begins) {
        if is_past && act.at >= now {
            is_past = false;
            tracing::info!(events = sent, "The history is sent; from now on events follow in real time.");
        }
        while act.at > clock() {
            if shutdown.is_requested() {
                publisher.flush(FLUSH_FOR)?;
                return Ok(());
            }
            thread::sleep(TICK);
        }
        if flushed.elapsed() >= FLUSH_EVERY {
            publisher.flush(FLUSH_FOR)?;
            flushed = Moment::now();
        }
        record.clear();
        // Another start simulates other customers, with ids of its own.
        encode(&encoder, &format!("{:x}-{number}", opening.0), number, act, &mut record);
        let key = shop::name(act.customer);
        for _ in 0..1 + u64::from(number % TWICE_IN == 0) {
            publisher.send(&Outgoing {
                topic: shown,
                partition: partition_of(key.as_bytes(), topic.partitions),
                key: Some(key.as_bytes()),
                payload: Some(&record),
                headers: Headers::default(),
                timestamp: None,
                report: Report::Failure,
            })?;
            sent += 1;
        }
    }
    publisher.flush(FLUSH_FOR)?;
    Ok(())
}

struct Input {
    partitions: u32,
    is_empty: bool,
}

/// The input topic, created if it is missing and that is allowed. Waits for brokers. `None`: stopped.
fn input(loaded: &Loaded, brokers: &Brokers, shutdown: &Shutdown) -> Result<Option<Input>, Failure> {
    let admin = Admin::new(&loaded.settings.kafka, brokers)?;
    let watermarks = Watermarks::new(&loaded.settings.kafka, brokers)?;
    let mut backoff = pause::backoff();
    loop {
        match inspect(loaded, &admin, &watermarks) {
            Ok(Some(input)) => return Ok(Some(input)),
            Ok(None) if !loaded.settings.topics.create => {
                let text = "does not exist, and topics.create is false; create it";
                return Err(Failure::Ended(Ending::Topics, loaded.refusal("topics.input", text).to_string()));
            }
            // It was just created.
            Ok(None) => {}
            Err(kafka::Failure::Retry(cause)) => {
                tracing::warn!(reason = cause.text, "Kafka is not ready; retrying.")
            }
            Err(failure) => return Err(failure.into()),
        }
        if !pause(&mut backoff, shutdown) {
            return Ok(None);
        }
    }
}

fn inspect(loaded: &Loaded, admin: &Admin, watermarks: &Watermarks) -> Result<Option<Input>, kafka::Failure> {
    let topics = &loaded.settings.topics;
    let Some(found) = admin.topic(&topics.input, ASK)? else {
        if topics.create {
            let replicas = topics.replication.and_then(|replicas| u16::try_from(replicas).ok());
            let plan = TopicPlan { name: &topics.input, partitions: PARTITIONS, replicas, settings: &[] };
            admin.create(&plan, ASK)?;
        }
        return Ok(None);
    };
    let mut is_empty = true;
    for partition in 0..found.partitions {
        is_empty &= watermarks.range(&topics.input, partition, ASK)?.end == 0;
    }
    Ok(Some(Input { partitions: u32::try_from(found.partitions).unwrap_or(1), is_empty }))
}
