//! Customers who come and go by the second: some late, some twice, one with a large share of all, one record in a hundred
//! hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::event::Number;
use cohortd::kafka::partition_of;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::avro;
use crate::hostile::{self, HEADER, Hostile};
use crate::naive::OwnedValue;
use crate::random::Random;
use crate::sources;

/// Events a second.
const RATE: u64 = 120;
/// Customers who come at the same time; after `GENERATION` events they are gone and others come, so that what the naive
/// evaluator has to look through stays small.
const CUSTOMERS: i64 = 24;
const GENERATION: i64 = 1_500;
/// Before so many records nothing hostile is written: a topic that begins with rubbish is another matter.
const HOSTILE_AFTER: i64 = 800;
const FLUSH_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Load {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Control {
    stops: AtomicBool,
    paused: AtomicBool,
    /// Everything that was written is acknowledged, and nothing more comes.
    rests: AtomicBool,
    /// Milliseconds since 1970: the time of the latest event.
    last: AtomicI64,
    written: AtomicU64,
    /// Times that each partition's time is to be moved on by an event, and that it was.
    ticks: AtomicU64,
    ticked: AtomicU64,
}

/// Where and how to write.
pub(super) struct Target {
    pub(super) bootstrap: String,
    /// Of the run.
    pub(super) name: String,
    /// To sources of other shapes, not to the input.
    pub(super) to_sources: bool,
    /// The topics with their numbers of partitions.
    pub(super) topics: Vec<(String, i32)>,
    /// The id of the schema of events in the registry.
    pub(super) schema: u32,
}

impl Load {
    pub(super) fn start(target: Target, seed: u64) -> Self {
        let control = Arc::new(Control::default());
        let shared = Arc::clone(&control);
        let thread = thread::spawn(move || Shop::new(target, seed).run(&shared));
        Self { control, thread: Some(thread) }
    }

    /// Writes no more, and waits until all is acknowledged; the time of the latest event.
    pub(super) fn pause(&self) -> i64 {
        self.control.paused.store(true, Ordering::SeqCst);
        while !self.control.rests.load(Ordering::SeqCst) {
            assert!(!self.thread.as_ref().unwrap().is_finished(), "the load has ended");
            thread::sleep(Duration::from_millis(5));
        }
        self.control.last.load(Ordering::SeqCst)
    }

    /// One event in each partition that decides nothing and moves time on to now. Only while it rests.
    pub(super) fn tick(&self) {
        let round = self.control.ticks.fetch_add(1, Ordering::SeqCst) + 1;
        while self.control.ticked.load(Ordering::SeqCst) < round {
            assert!(!self.thread.as_ref().unwrap().is_finished(), "the load has ended");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn resume(&self) {
        self.control.rests.store(false, Ordering::SeqCst);
        self.control.paused.store(false, Ordering::SeqCst);
    }

    pub(super) fn written(&self) -> u64 {
        self.control.written.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.control.stops.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Shop {
    target: Target,
    client: ThreadedProducer<DefaultProducerContext>,
    random: Random,
    number: i64,
    /// What was sent lately, to send it again.
    sent: Vec<(String, String, Vec<u8>)>,
}

impl Shop {
    fn new(target: Target, seed: u64) -> Self {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &target.bootstrap)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("compression.codec", "zstd")
            .set("message.max.bytes", "8000000")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "2")
            .create()
            .unwrap();
        Self { target, client, random: Random::new(seed), number: 0, sent: Vec::new() }
    }

    fn run(mut self, control: &Control) {
        let mut ticked = 0;
        while !control.stops.load(Ordering::SeqCst) {
            let ticks = control.ticks.load(Ordering::SeqCst);
            if ticks > ticked {
                ticked = ticks;
                self.tick(ticks);
                self.client.flush(FLUSH_WITHIN).expect("the input is written");
                control.ticked.store(ticks, Ordering::SeqCst);
            }
            if control.paused.load(Ordering::SeqCst) {
                self.client.flush(FLUSH_WITHIN).expect("the input is written");
                control.rests.store(true, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            thread::sleep(Duration::from_micros(1_000_000 / RATE));
            self.number += 1;
            control.written.fetch_add(1, Ordering::Relaxed);
            if self.number > HOSTILE_AFTER && self.random.percent(1) {
                self.write_hostile();
            } else if self.random.percent(3) && !self.sent.is_empty() {
                self.write_again();
            } else {
                let at = self.write_event();
                control.last.fetch_max(at, Ordering::SeqCst);
            }
        }
    }

    fn write_hostile(&mut self) {
        let kinds = if self.target.to_sources { &hostile::OF_SOURCES[..] } else { &hostile::OF_INPUT };
        let hostile = Hostile::new(kinds, &mut self.random);
        let headers = OwnedHeaders::new().insert(Header { key: HEADER, value: Some(hostile.kind) });
        let (topic, partitions) = &self.target.topics[0];
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).headers(headers);
        if hostile.key.is_none() {
            record.partition = Some(i32::try_from(self.random.below((*partitions).into())).unwrap());
        }
        record.key = hostile.key.as_deref();
        record.payload = hostile.payload.as_deref();
        self.put(record);
    }

    fn write_again(&mut self) {
        let (topic, key, payload) =
            self.sent[usize::try_from(self.random.below(i64::try_from(self.sent.len()).unwrap())).unwrap()].clone();
        self.write(&topic, &key, &payload);
    }

    fn write_event(&mut self) -> i64 {
        let random = &mut self.random;
        let generation = self.number / GENERATION;
        let customer = match random.percent(40) {
            true => format!("hot{generation}"),
            false => format!("c{generation}-{}", random.below(CUSTOMERS)),
        };
        let late = match random.below(200) {
            0 => 150_000,
            1..16 => random.below(5_000),
            _ => random.below(300),
        };
        let at = wall_clock().0 - late;
        let name = ["visit", "visit", "visit", "cart", "purchase", "purchase", "refund", "other"]
            [usize::try_from(random.below(8)).unwrap()];
        let mut event = avro::event(&customer, name, at, random.percent(90).then(|| format!("e{}", self.number)));
        if name == "purchase" {
            let amount = Number::from_integer(random.below(90));
            event.properties.push(("amount".into(), OwnedValue::Number(amount)));
        }
        if event.id.is_none() {
            // Without an id the record is its own identity; no two customers' actions are the same to the byte.
            event.properties.push(("n".into(), OwnedValue::Number(Number::from_integer(self.number))));
        }
        if random.below(300) == 0 {
            let text = "x".repeat(usize::try_from(random.below(400_000)).unwrap());
            event.properties.push(("text".into(), OwnedValue::Text(text)));
        }
        let payload = if random.percent(50) { avro::encode(&event) } else { avro::framed(self.target.schema, &event) };
        let (topic, key, payload) = if self.target.to_sources {
            sources::record(&self.target.name, &event, self.number, payload)
        } else {
            (self.target.topics[0].0.clone(), customer, payload)
        };
        self.write(&topic, &key, &payload);
        if self.sent.len() >= 200 {
            self.sent.remove(0);
        }
        self.sent.push((topic, key, payload));
        at
    }

    /// By a customer that no rule concerns, one for each partition of each topic.
    fn tick(&mut self, round: u64) {
        for (topic, partitions) in &self.target.topics {
            for partition in 0..*partitions {
                let names = (0..).map(|number| format!("tick{round}-{number}"));
                let is_there = |name: &String| partition_of(name.as_bytes(), partitions.cast_unsigned()) == partition;
                let customer = names.into_iter().find(is_there).unwrap();
                let event = avro::event(&customer, "other", wall_clock().0, Some(format!("t{round}")));
                let payload = if topic.ends_with("-clicks") {
                    sources::record(&self.target.name, &event, 0, Vec::new()).2
                } else {
                    avro::encode(&event)
                };
                self.write(topic, &customer, &payload);
            }
        }
    }

    fn write(&self, topic: &str, key: &str, payload: &[u8]) {
        self.put(BaseRecord::to(topic).key(key.as_bytes()).payload(payload));
    }

    fn put(&self, record: BaseRecord<'_, [u8], [u8]>) {
        if let Err((error, _)) = self.client.send(record) {
            panic!("an event cannot be written: {error}");
        }
    }
}
