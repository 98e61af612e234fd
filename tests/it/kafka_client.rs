//! The broker's edge on a real broker, and, where errors must be had to order, on librdkafka's broker in this process.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and tell what they measured")]

mod brokers_away;
mod injected;
mod membership;
mod ownership;
mod reading;
mod topics;
mod transactions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cohortd::kafka::{
    Admin, Brokers, Consumer, Created, Headers, Outcome, Outgoing, Polled, Producer, Publisher, Read, Reader, Report,
    Sizes, TopicPlan, Watermarks,
};
use cohortd::settings::{self, Kafka};

use crate::support::broker::Broker;
use crate::support::limit::{Limit, waited, waiting_for};

const MIB: usize = 1 << 20;

/// Far longer than anything takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

const TICK: Duration = Duration::from_millis(50);

/// A group and a topic of its own for each test, all on one broker.
struct Lab {
    bootstrap: String,
    name: String,
    brokers: Brokers,
    _limit: Limit,
}

impl Lab {
    /// `None` where no broker is to be had.
    fn new(name: &str, partitions: i32) -> Option<Self> {
        let lab = Self::at(Broker::shared()?.bootstrap(), name);
        lab.create(&lab.name, partitions, &[]);
        Some(lab)
    }

    fn at(bootstrap: &str, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        Self { bootstrap: bootstrap.to_owned(), name, brokers: Brokers::default(), _limit: Limit::start() }
    }

    fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let plan = TopicPlan { name: topic, partitions, replicas: None, settings };
        assert_eq!(self.admin().create(&plan, LONG), Ok(Created::New));
        // The broker's answer is ahead of what its partitions do.
        let observer = Watermarks::new(&self.settings("observer", &[]), &self.brokers).unwrap();
        eventually("its partitions answer", || {
            (0..partitions).all(|partition| observer.range(topic, partition, LONG).is_ok())
        });
    }

    fn admin(&self) -> Admin {
        Admin::new(&self.settings("admin", &[]), &self.brokers).unwrap()
    }

    fn settings(&self, instance: &str, options: &[(&str, &str)]) -> Kafka {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Kafka {
            on_stop: settings::OnStop::Stay,
            bootstrap_servers: self.bootstrap.clone(),
            group_id: self.name.clone(),
            instance_id: instance.to_owned(),
            start: settings::Start::Earliest,
            options: options.collect::<BTreeMap<_, _>>(),
        }
    }

    fn consumer(&self, instance: &str) -> Consumer {
        self.consumer_with(instance, &[("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "200")])
    }

    fn consumer_with(&self, instance: &str, options: &[(&str, &str)]) -> Consumer {
        Consumer::subscribe(&self.settings(instance, options), &self.name, 8 * MIB, &self.brokers).unwrap()
    }

    fn producer(&self, instance: &str) -> Producer {
        let mut producer = self.producer_with(instance, &[]);
        producer.init(LONG).unwrap();
        producer
    }

    fn producer_with(&self, instance: &str, options: &[(&str, &str)]) -> Producer {
        Producer::new(&self.settings(instance, options), 8 * MIB, Sizes::of_records(MIB), &self.brokers).unwrap()
    }

    fn record<'a>(&'a self, payload: &'a str) -> Outgoing<'a> {
        Outgoing {
            topic: &self.name,
            partition: 0,
            key: Some(b"key"),
            payload: Some(payload.as_bytes()),
            headers: Headers::default(),
            timestamp: None,
            report: Report::Offset,
        }
    }

    /// Writes records without a transaction.
    fn publish(&self, partition: i32, payloads: &[&str]) {
        let publisher = Publisher::new(&self.settings("publisher", &[]), MIB, &self.brokers).unwrap();
        for payload in payloads {
            publisher.send(&Outgoing { partition, ..self.record(payload) }).unwrap();
        }
        publisher.flush(LONG).unwrap();
    }

    /// Writes one transaction and leaves it open, with all records acknowledged.
    fn open_transaction(&self, producer: &mut Producer, payloads: &[&str]) {
        producer.begin().unwrap();
        for payload in payloads {
            producer.send(&self.record(payload)).unwrap();
        }
        producer.drain().unwrap();
    }

    fn committed_transaction(&self, producer: &mut Producer, payloads: &[&str]) {
        self.open_transaction(producer, payloads);
        assert_eq!(producer.commit(), Outcome::Committed);
    }

    /// The true end of partition 0, open transactions included.
    fn end(&self) -> i64 {
        Watermarks::new(&self.settings("end", &[]), &self.brokers).unwrap().range(&self.name, 0, LONG).unwrap().end
    }

    fn reader(&self, from: i64, to: i64) -> Reader {
        let mut reader = Reader::new(&self.settings("reader", &[]), 8 * MIB, &self.brokers).unwrap();
        reader.start(&self.name, 0, from, to).unwrap();
        reader
    }

    /// What a reader of committed records sees in partition 0 of what is there now, once no transaction is open: a broker
    /// answers a commit before it marks the records.
    fn visible(&self) -> Vec<String> {
        let mut visible = Vec::new();
        eventually("no transaction is open", || {
            let (seen, end) = read(&mut self.reader(0, self.end()));
            visible = seen;
            end == "done"
        });
        visible
    }
}

/// Reads until nothing more is to be expected: the payloads, and how it ended.
fn read(reader: &mut Reader) -> (Vec<String>, String) {
    waiting_for("the end of a partition");
    let mut seen = Vec::new();
    let deadline = Instant::now() + LONG;
    while Instant::now() < deadline {
        match reader.poll(TICK) {
            Read::Nothing => {}
            Read::Record(record) => seen.push(String::from_utf8(record.payload().unwrap().to_vec()).unwrap()),
            Read::Done => return (seen, "done".to_owned()),
            Read::Waiting { at } => return (seen, format!("waiting at {at}")),
            Read::OutOfRange { offset, .. } => return (seen, format!("{offset} is out of range")),
            Read::Failed(failure) => panic!("{failure}"),
        }
    }
    panic!("no end after {seen:?}");
}

/// Polls until `pick` takes something.
fn poll_until<T>(consumer: &Consumer, mut pick: impl FnMut(Polled<'_>) -> Option<T>) -> T {
    waiting_for("something from the group");
    let deadline = Instant::now() + LONG;
    while Instant::now() < deadline {
        if let Some(picked) = pick(consumer.poll(TICK)) {
            return picked;
        }
    }
    panic!("it never came");
}

/// Waits for an assignment, and takes it.
fn join(consumer: &Consumer) -> Vec<i32> {
    let mut partitions = poll_until(consumer, |polled| match polled {
        Polled::Assigned(partitions) => Some(partitions),
        Polled::Failed(failure) => panic!("{failure}"),
        _ => None,
    });
    partitions.sort_unstable();
    consumer.ack_assign().unwrap();
    partitions
}

/// As `join`, and reads everything from the beginning.
fn join_reading(consumer: &Consumer) -> Vec<i32> {
    let partitions = join(consumer);
    consumer.read_from(&partitions.iter().map(|partition| (*partition, 0)).collect::<Vec<_>>(), LONG).unwrap();
    partitions
}

/// The next record's payload.
fn next_record(consumer: &Consumer) -> String {
    poll_until(consumer, |polled| match polled {
        Polled::Record(record) => Some(String::from_utf8(record.payload().unwrap().to_vec()).unwrap()),
        Polled::OutOfRange { reason, .. } => panic!("{reason}"),
        Polled::Failed(failure) => panic!("{failure}"),
        _ => None,
    })
}

/// Tries until it holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    waiting_for(what);
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(TICK);
    }
    waited();
}
