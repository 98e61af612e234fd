//! Gathering beside a program for Kafka Streams that makes the same events of the same topics, exactly once: orders in
//! Avro and clicks in JSON, all there before the start. Needs Maven and a Java compiler.
//!
//!     cargo bench --bench streams                           # COHORTD_BENCH_EVENTS=200000 for a quick look
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]

mod support;

#[path = "../tests/support/broker.rs"]
#[expect(dead_code, reason = "tests also stop, kill and freeze it")]
mod broker;

#[path = "support/streams.rs"]
mod streams;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cohortd::kafka::{Admin, Brokers, TopicPlan, Watermarks};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use broker::Broker;
use streams::{Log, Pass, Program};
use support::daemon::{Daemon, LONG, kafka};
use support::table::{Table, Target};
use support::{knob, orders};

/// The topics of the sources, with their partitions.
const TOPICS: [(&str, i32); 2] = [("orders", 3), ("clicks", 2)];
/// Of the topic of the events.
const PARTITIONS: i32 = 4;
const CUSTOMERS: u64 = 100_000;
/// 2025-01-01.
const START: u64 = 1_735_689_600_000;
const DAYS_30: u64 = 30 * 86_400_000;
const LOOK: Duration = Duration::from_millis(50);

const CLICKS: &str = r#"
[sources.clicks]
topic      = "clicks"
format     = "json"
customer   = "userId"
time       = "timestamp"
id         = "messageId"
event      = { field = "event", names = { "Product Viewed" = "product_viewed", "Page Viewed" = "visit" } }
properties = { sku = "properties.sku" }
"#;

struct Room {
    bootstrap: String,
    folder: tempfile::TempDir,
    events: u64,
    watermarks: Watermarks,
}

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Room {
    fn new(bootstrap: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let schemas = folder.path().join("schemas");
        std::fs::create_dir_all(&schemas).unwrap();
        std::fs::copy(manifest().join(orders::SCHEMA), schemas.join("1.avsc")).unwrap();
        std::fs::write(folder.path().join("sources.toml"), [orders::SOURCE, CLICKS].concat()).unwrap();
        let rules = "[cohorts.regulars]\nwho = 'did purchase at least 3 times in the last 30 days'\n";
        std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
        let admin = Admin::new(&kafka(bootstrap), &Brokers::default()).unwrap();
        for (name, partitions) in TOPICS.into_iter().chain([("rekeyed", PARTITIONS)]) {
            let plan = TopicPlan { name, partitions, replicas: None, settings: &[("retention.ms", "-1")] };
            admin.create(&plan, LONG).unwrap();
        }
        let watermarks = Watermarks::new(&kafka(bootstrap), &Brokers::default()).unwrap();
        let events = knob("COHORTD_BENCH_EVENTS", 2_000_000);
        Self { bootstrap: bootstrap.to_owned(), folder, events, watermarks }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the records of both sources, each under a key that is no customer's.
    fn produce(&self) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("linger.ms", "5").set("compression.type", "lz4");
        config.set("queue.buffering.max.messages", "1000000");
        let producer: BaseProducer = config.create().unwrap();
        let (mut random, mut record) = (42_u64, Vec::new());
        for number in 0..self.events {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (customer, at) = ((random >> 33) % CUSTOMERS, START + number * DAYS_30 / self.events);
            record.clear();
            let topic = if number % 2 == 0 {
                orders::write(&mut record, number, customer, at);
                "orders"
            } else {
                record.extend_from_slice(click(number, customer, at).as_bytes());
                "clicks"
            };
            let key = format!("{number:016x}");
            let mut message = BaseRecord::<str, [u8]>::to(topic).key(&key).payload(&record);
            while let Err((_, back)) = producer.send(message) {
                producer.poll(Duration::from_millis(20));
                message = back;
            }
            if number % 1_000 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(LONG).unwrap();
    }

    fn daemon(&self, group: &str, lanes: &str) -> Daemon {
        Daemon::start(vec![
            format!("kafka.bootstrap_servers={}", self.bootstrap),
            format!("kafka.group_id={group}"),
            "kafka.instance_id=bench".to_owned(),
            format!("topics.prefix={group}."),
            format!("topics.events_partitions={PARTITIONS}"),
            format!("lanes={lanes}"),
            format!("gather.sources={}", self.path("sources.toml").display()),
            format!("rules.file={}", self.path("rules.toml").display()),
            format!("schemas.dir={}", self.path("schemas").display()),
            format!("state.dir={}", self.path(group).display()),
        ])
    }
}

/// A click as trackers send it, with 27 fields.
fn click(number: u64, customer: u64, at: u64) -> String {
    let event = if number % 4 == 1 { "Page Viewed" } else { "Product Viewed" };
    let at = jiff::Timestamp::from_millisecond(at.cast_signed()).unwrap();
    serde_json::json!({
        "anonymousId": format!("a{customer:016x}"),
        "channel": "client",
        "context": {
            "campaign": {"name": "spring", "source": "newsletter", "medium": "email"},
            "ip": "192.0.2.17",
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "locale": "fr-FR",
            "page": {
                "path": "/p/4711", "referrer": "https://www.example.org/", "title": "A good pair of shoes",
                "url": "https://shop.example.org/p/4711?ref=newsletter"
            },
            "screen": {"width": 1440, "height": 900, "density": 2},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
        },
        "event": event,
        "integrations": {"All": true},
        "messageId": format!("ajs-{number:016x}"),
        "originalTimestamp": at.to_string(),
        "properties": {"sku": format!("SKU-{:05}", number % 5_000), "price": 49.5, "currency": "EUR", "position": number % 20},
        "receivedAt": at.to_string(),
        "sentAt": at.to_string(),
        "timestamp": at.to_string(),
        "type": "track",
        "userId": format!("c{customer:08}"),
        "version": 1
    })
    .to_string()
}

fn main() {
    let Some(broker) = Broker::shared().filter(|_| Program::is_possible()) else { return };
    let room = Room::new(broker.bootstrap());
    room.produce();
    let mut table = Table::default();
    let mut add = |what: &str, pass: &Pass, target| {
        table.add(format!("{what}: records/s"), Target::None, pass.per_second, "");
        table.add("  records per CPU-second, from the start", Target::None, pass.per_cpu_second, "");
        table.add("  in the second half", target, pass.warm_per_cpu_second, "");
    };
    let log = Log { watermarks: &room.watermarks, topics: &TOPICS, records: room.events };
    let schemas =
        [orders::SCHEMA, "schemas/customer-event.avsc"].map(|file| manifest().join(file).display().to_string());
    let streams = {
        let program = Program::start("Rekey", &room.bootstrap, &room.folder, &schemas);
        log.pass("rekey", || program.cpu())
    };
    add("Kafka Streams 4.4.0", &streams, Target::None);
    let daemon = room.daemon("alone", "none");
    let alone = log.pass("alone.gather", || daemon.cpu());
    add("cohortd, gathering alone", &alone, Target::AtLeast(4.0 * streams.warm_per_cpu_second));
    daemon.stop();
    let mut daemon = room.daemon("decided", "1");
    daemon.until(LOOK, |figures| figures.consumed() == room.events);
    let per_cpu_second = room.events as f64 / daemon.cpu();
    table.add(
        "with a lane that decides one cohort: records per CPU-second",
        Target::AtLeast(80_000.0),
        per_cpu_second,
        "",
    );
    daemon.stop();
    table.print("gathering");
}
