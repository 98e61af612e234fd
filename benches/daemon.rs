//! The whole daemon on a real Kafka, beside a bare librdkafka consumer that counts the same topic in the same run, and a
//! program for Kafka Streams that decides the same cohorts; then how it comes back after kill -9, and without its disk;
//! what it answers meanwhile; then how long it takes to say something at half of that load. Then two topics on which more
//! changes for each event: the same customers over more than a year, and ten times as many.
//!
//!     cargo bench --bench daemon                            # COHORTD_BENCH_EVENTS=300000 for a quick look
//!
//! COHORTD_BENCH_STREAMS=0 leaves Kafka Streams out, which needs Maven and a Java compiler.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]

mod support;

#[path = "../tests/support/broker.rs"]
#[expect(dead_code, reason = "tests also stop, kill and freeze it")]
mod broker;

#[path = "support/streams.rs"]
mod streams;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cohortd::codec::Output;
use cohortd::kafka::{Admin, Brokers, Created, TopicPlan, Watermarks, partition_of};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use broker::Broker;
use streams::{Log, Program};
use support::daemon::{Daemon, LONG, cpu, kafka};
use support::knob;
use support::shop::{DAYS, SCHEMA_ID, Shop, Traffic};
use support::table::{Table, Target};

const PARTITIONS: u32 = 4;
/// Of the topic on which changes are frequent: as many events over more than a year.
const YEAR: u64 = 400;
/// How often the daemon is looked at. Each look costs it about a millisecond.
const LOOK: Duration = Duration::from_millis(100);

const STAGES: [&str; 6] = ["poll", "apply", "write", "send", "deliver", "commit"];

struct Room {
    bootstrap: String,
    folder: tempfile::TempDir,
    events: u64,
    shop: Topic,
}

/// The events of one topic.
#[derive(Debug, Clone, Copy)]
struct Topic {
    name: &'static str,
    customers: u64,
    /// Over how many days they are spread.
    days: u64,
}

/// Milliseconds since 1970.
fn now() -> u64 {
    cohortd::clock::wall_clock().0.unsigned_abs()
}

/// What one pass over the topic took.
struct Pass {
    per_second: f64,
    per_cpu_second: f64,
    /// Of batch time: handing records to the client, waiting until they are acknowledged, and ending the transaction.
    transaction: f64,
    deliver: f64,
    commit: f64,
    changelog_per_event: f64,
    changes_per_event: f64,
    /// Bytes to and from the brokers, as compressed as they are on the wire.
    sent_per_event: f64,
    received_per_event: f64,
}

impl Room {
    fn state(&self, group: &str) -> PathBuf {
        self.folder.path().join(group)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn create_topic(&self, topic: &str) {
        let admin = Admin::new(&kafka(&self.bootstrap), &Brokers::default()).unwrap();
        let settings = [("retention.ms", "-1")];
        let plan = TopicPlan { name: topic, partitions: PARTITIONS.cast_signed(), replicas: None, settings: &settings };
        assert_eq!(admin.create(&plan, Duration::from_secs(60)), Ok(Created::New), "the topic {topic} must be new");
    }

    /// A daemon with topics of its own.
    fn start(&self, group: &str, lanes: u32, flush_after: Option<u64>) -> Daemon {
        self.start_with(self.shop.name, group, lanes, flush_after, &[])
    }

    fn start_with(&self, topic: &str, group: &str, lanes: u32, flush_after: Option<u64>, more: &[String]) -> Daemon {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut set = vec![
            format!("kafka.bootstrap_servers={}", self.bootstrap),
            format!("kafka.group_id={group}"),
            "kafka.instance_id=bench".to_owned(),
            format!("topics.input={topic}"),
            format!("topics.changes={group}-changes"),
            format!("topics.members={group}-members"),
            format!("topics.dead_letters={group}-dead-letters"),
            format!("topics.changelog={group}-changelog"),
            format!("topics.summaries={group}-summaries"),
            format!("topics.rules={group}-rules"),
            format!("topics.risks={group}-risks"),
            format!("topics.forecasts={group}-forecasts"),
            format!("lanes={lanes}"),
            format!("rules.file={}", manifest.join("config/rules.toml").display()),
            format!("schemas.dir={}", self.folder.path().join("schemas").display()),
            format!("state.dir={}", self.state(group).display()),
        ];
        set.extend(flush_after.map(|events| format!("state.flush_after_events={events}")));
        set.extend_from_slice(more);
        Daemon::start(set)
    }

    /// How long it takes until a reader of the changes has one: from an event, at `rate` events a second, and from a
    /// deadline that is due when no more events come. The first seconds, in which broker and clients warm up, are left out.
    fn latency(&self, rate: u64, table: &mut Table) {
        const LIVE: &str = "live";
        const WAITS: u64 = 10_000;
        const ARRIVES_WITHIN: u64 = 1_000;
        const SECONDS: u64 = 25;
        const WARM_UP: u64 = 5_000;
        self.create_topic(LIVE);
        let rules = self.folder.path().join("live.toml");
        std::fs::write(&rules, "[cohorts.fresh]\nwho = 'did signup in the last 10 seconds'\n").unwrap();
        let more = [
            format!("rules.file={}", rules.display()),
            format!("time.arrives_within={} s", ARRIVES_WITHIN / 1_000),
            "batch.max_wait=50 ms".to_owned(),
        ];
        let daemon = self.start_with(LIVE, "bench-live", 1, None, &more);
        daemon.ready();
        let counted_from = now() + WARM_UP;
        let reader = thread::spawn({
            let (mut config, changes) = (self.client(), "bench-live-changes".to_owned());
            move || {
                config.set("group.id", "latency").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
                let consumer: BaseConsumer = config.create().unwrap();
                let mut list = TopicPartitionList::new();
                for partition in 0..PARTITIONS {
                    list.add_partition_offset(&changes, partition.cast_signed(), Offset::Beginning).unwrap();
                }
                consumer.assign(&list).unwrap();
                let begun = Instant::now();
                let (mut entered, mut left) = (Vec::new(), Vec::new());
                // The last exits come due when the shop has been closed for as long as a deadline waits.
                while let Some(message) = consumer.poll(Duration::from_secs(WAITS.div_ceil(1_000) + 20)) {
                    let (message, now) = (message.unwrap(), now());
                    let change = Output::CohortChange.to_json(message.payload().unwrap()).unwrap();
                    let occurred = change["occurred_at"].as_u64().unwrap();
                    let waited = now - occurred;
                    if change["change"] == "ENTERED" {
                        entered.push((occurred, waited));
                    } else {
                        // Those of the busy time are due while events still move the clock.
                        left.push(waited.saturating_sub(ARRIVES_WITHIN));
                    }
                    if left.len() == entered.len() && begun.elapsed() > Duration::from_secs(SECONDS + 1) {
                        break;
                    }
                }
                (entered, left)
            }
        });
        let mut config = self.client();
        config.set("linger.ms", "1").set("queue.buffering.max.messages", "1000000");
        let producer: BaseProducer = config.create().unwrap();
        let mut shop = Shop::new(self.shop.customers, self.events, Traffic::Visits);
        let (mut key, mut record) = (Vec::new(), Vec::new());
        let started = Instant::now();
        let mut sent = 0;
        while started.elapsed() < Duration::from_secs(SECONDS) {
            while sent < rate * u64::try_from(started.elapsed().as_millis()).unwrap() / 1_000 {
                // One in a hundred signs up: a change.
                shop.live(now(), sent % 100 == 0, &mut key, &mut record);
                let message = BaseRecord::<[u8], [u8]>::to(LIVE)
                    .partition(partition_of(&key, PARTITIONS))
                    .key(key.as_slice())
                    .payload(record.as_slice());
                producer.send(message).map_err(|(error, _)| error).unwrap();
                sent += 1;
            }
            producer.poll(Duration::from_millis(1));
        }
        producer.flush(LONG).unwrap();
        let (entered, mut left) = reader.join().unwrap();
        daemon.stop();
        let warm = entered.into_iter().filter(|(occurred, _)| *occurred >= counted_from);
        let mut entered: Vec<u64> = warm.map(|(_, waited)| waited).collect();
        // Only the deadlines of the last signs-up come due on an idle topic.
        let idle = left.split_off(left.len() / 2 + left.len() / 100);
        let percentile = |times: &mut Vec<u64>, part: usize| {
            times.sort_unstable();
            times[times.len() * part / 100] as f64 / 1_000.0
        };
        println!("latency: {sent} events sent, {} entries, {} exits on the idle topic", entered.len(), idle.len());
        let mut idle = idle;
        table.add(
            format!("event to change, {} K events/s: p50", rate / 1_000),
            Target::None,
            percentile(&mut entered, 50),
            " s",
        );
        table.add("  p99", Target::AtMost(0.15), percentile(&mut entered, 99), " s");
        table.add("deadline due to change, idle topic: p50", Target::None, percentile(&mut idle, 50), " s");
        table.add("  p99", Target::AtMost(1.0), percentile(&mut idle, 99), " s");
    }

    /// Writes the topic; the mean size of a record's value.
    fn produce(&self) -> f64 {
        let mut config = self.client();
        config.set("linger.ms", "5");
        config.set("queue.buffering.max.messages", "1000000");
        let producer: BaseProducer = config.create().unwrap();
        let Topic { name, customers, days } = self.shop;
        let mut shop = Shop::over(days, customers, self.events, Traffic::Visits);
        let (mut key, mut record, mut bytes) = (Vec::new(), Vec::new(), 0);
        while shop.next(&mut key, &mut record) {
            bytes += record.len();
            let mut message = BaseRecord::<[u8], [u8]>::to(name)
                .partition(partition_of(&key, PARTITIONS))
                .key(key.as_slice())
                .payload(record.as_slice());
            while let Err((error, back)) = producer.send(message) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(20));
                message = back;
            }
        }
        producer.flush(LONG).unwrap();
        bytes as f64 / self.events as f64
    }

    /// Events per second and per CPU-second of a consumer that only counts.
    fn bare(&self) -> (f64, f64) {
        let mut config = self.client();
        config.set("group.id", "bare").set("enable.auto.commit", "false").set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(self.shop.name, partition.cast_signed(), Offset::Beginning).unwrap();
        }
        let (started, before) = (Instant::now(), cpu(std::process::id()));
        consumer.assign(&list).unwrap();
        let mut count = 0;
        while count < self.events {
            if let Some(message) = consumer.poll(Duration::from_secs(1)) {
                message.unwrap();
                count += 1;
            }
        }
        let used = cpu(std::process::id()) - before;
        (count as f64 / started.elapsed().as_secs_f64(), count as f64 / used)
    }

    /// Writes the topic, and counts it. Events per CPU-second of a consumer that only counts.
    fn fill(&self, table: &mut Table) -> f64 {
        let Topic { name, customers, days } = self.shop;
        self.create_topic(name);
        let size = self.produce();
        println!(
            "{name}: {} events of {size:.0} bytes, {customers} customers, {days} days, {PARTITIONS} partitions",
            self.events
        );
        // The first reading also warms the broker's page cache.
        self.bare();
        let (per_second, bare) = self.bare();
        let about = format!("{} K customers, {days} days", customers / 1_000);
        table.add(format!("{about}: bare librdkafka consumer: events/s"), Target::None, per_second, "");
        table.add("  events per CPU-second", Target::None, bare, "");
        bare
    }

    /// The six cohorts by a program for Kafka Streams, exactly once, over the same topic: events per CPU-second.
    fn streams(&self, table: &mut Table) -> f64 {
        let (topic, folder) = (self.shop.name, tempfile::tempdir().unwrap());
        ["changes", "members"].iter().for_each(|kind| self.create_topic(&format!("{topic}-streams-{kind}")));
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/customer-event.avsc");
        let arguments = [schema.display().to_string(), topic.to_owned()];
        let program = Program::start("Cohorts", &self.bootstrap, &folder, &arguments);
        let watermarks = Watermarks::new(&kafka(&self.bootstrap), &Brokers::default()).unwrap();
        let log = Log { watermarks: &watermarks, topics: &[(topic, PARTITIONS.cast_signed())], records: self.events };
        let pass = log.pass(&format!("{topic}-streams"), || program.cpu());
        table.add("Kafka Streams, one thread: events/s", Target::None, pass.per_second, "");
        table.add("  events per CPU-second, from the start", Target::None, pass.per_cpu_second, "");
        table.add("  in the second half", Target::None, pass.warm_per_cpu_second, "");
        pass.warm_per_cpu_second
    }

    /// One pass of a daemon without state over the topic, beside that consumer and, if it ran, the program for Kafka
    /// Streams; it is left running.
    fn pass_of(
        &self,
        lanes: u32,
        flush_after: Option<u64>,
        (bare, streams): (f64, Option<f64>),
        table: &mut Table,
    ) -> Daemon {
        let written = flush_after.map_or("lazy".to_owned(), |events| events.to_string());
        let (pass, daemon) = self.pass(&format!("{}-{lanes}-{written}", self.shop.name), lanes, flush_after);
        let flush = flush_after.map_or(String::new(), |events| format!(", flush {events}"));
        let lanes = if lanes == 1 { "1 lane".to_owned() } else { format!("{lanes} lanes") };
        table.add(format!("{lanes}{flush}: events/s"), Target::None, pass.per_second, "");
        table.add("  events per CPU-second", Target::AtLeast(0.2 * bare), pass.per_cpu_second, "");
        if let Some(streams) = streams {
            table.add("  times Kafka Streams", Target::AtLeast(6.0), pass.per_cpu_second / streams, "");
        }
        table.add("  changes per event", Target::None, pass.changes_per_event, "");
        table.add("  transaction's share of batch time", Target::AtMost(0.1), pass.transaction, "%");
        table.add("  of it waiting for acknowledgements", Target::None, pass.deliver, "%");
        table.add("  of it offsets and commit", Target::None, pass.commit, "%");
        table.add("  changelog records per event", Target::None, pass.changelog_per_event, "");
        table.add("  bytes sent per event", Target::None, pass.sent_per_event, "");
        table.add("  bytes received per event", Target::None, pass.received_per_event, "");
        daemon
    }

    /// One pass of a daemon without state over the whole topic; it is left running.
    fn pass(&self, group: &str, lanes: u32, flush_after: Option<u64>) -> (Pass, Daemon) {
        let mut daemon = self.start(group, lanes, flush_after);
        // The start, joining the group above all, is waiting and no work.
        daemon.until(Duration::from_millis(10), |figures| figures.consumed() > 0);
        let begun = daemon.figures().unwrap().consumed();
        let (started, before) = (Instant::now(), daemon.cpu());
        let figures = daemon.until(LOOK, |figures| figures.consumed() == self.events);
        let (wall, used) = (started.elapsed().as_secs_f64(), daemon.cpu() - before);
        let events = (self.events - begun) as f64;
        let applied = figures.sum("events_applied_total", "");
        let all: f64 = STAGES.iter().map(|stage| figures.stage(stage)).sum();
        let pass = Pass {
            per_second: events / wall,
            per_cpu_second: events / used,
            transaction: (figures.stage("send") + figures.stage("deliver") + figures.stage("commit")) / all,
            deliver: figures.stage("deliver") / all,
            commit: figures.stage("commit") / all,
            changelog_per_event: figures.sum("changelog_records_total", "") / applied,
            changes_per_event: figures.sum("membership_changes_total", "") / applied,
            sent_per_event: figures.sum("kafka_sent_bytes_total", "") / applied,
            received_per_event: figures.sum("kafka_received_bytes_total", "") / applied,
        };
        let stages = STAGES.map(|stage| format!("{stage} {:.1} s", figures.stage(stage)));
        println!("{group}: {}; {wall:.1} s, {used:.1} CPU-s, applied {applied}", stages.join(", "));
        (pass, daemon)
    }

    /// How long an operator waits for an answer about one customer while a daemon works at full load.
    fn asked(&self, group: &str, table: &mut Table) {
        const ASKERS: u64 = 4;
        const QUESTIONS: usize = 10_000;
        let mut daemon = self.start(group, 1, None);
        daemon.until(Duration::from_millis(10), |figures| figures.consumed() > 0);
        daemon.ready();
        let (begun, admin) = (Instant::now(), daemon.admin.clone());
        let is_over = AtomicBool::new(false);
        let mut waits: Vec<f64> = Vec::new();
        thread::scope(|scope| {
            let askers: Vec<_> = (0..ASKERS)
                .map(|asker| {
                    let (admin, is_over, customers) = (&admin, &is_over, self.shop.customers);
                    scope.spawn(move || {
                        let config = ureq::config::Config::builder().http_status_as_error(false).build();
                        let (agent, mut waits, mut number) = (ureq::Agent::new_with_config(config), Vec::new(), asker);
                        while waits.len() < QUESTIONS / ASKERS as usize && !is_over.load(Ordering::Relaxed) {
                            number =
                                number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                            let customer = (number >> 33) % customers;
                            let asked = Instant::now();
                            let answer = agent.get(format!("http://{admin}/customers/c{customer:08}")).call();
                            let mut answer = answer.unwrap();
                            answer.body_mut().read_to_string().unwrap();
                            waits.push(asked.elapsed().as_secs_f64());
                            // Not yet seen, or seen.
                            assert!(matches!(answer.status().as_u16(), 200 | 404), "{}", answer.status());
                        }
                        waits
                    })
                })
                .collect();
            daemon.until(LOOK, |figures| figures.consumed() == self.events || askers.iter().all(|a| a.is_finished()));
            is_over.store(true, Ordering::Relaxed);
            waits = askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect();
        });
        let took = begun.elapsed().as_secs_f64();
        let consumed = daemon.figures().unwrap().consumed();
        println!("{group}: {} answers in {took:.1} s, beside {consumed} events", waits.len());
        waits.sort_unstable_by(f64::total_cmp);
        table.add("a customer asked for at full load: p50", Target::None, waits[waits.len() / 2] * 1e3, " ms");
        table.add("  p99", Target::AtMost(50.0), waits[waits.len() * 99 / 100] * 1e3, " ms");
        table.add("  longest", Target::None, waits[waits.len() - 1] * 1e3, " ms");
        daemon.stop();
    }

    /// Kills a daemon in the middle of the topic, and takes the times of its next start; it then works to the end.
    fn killed(&self, group: &str, table: &mut Table) {
        let mut daemon = self.start(group, 1, None);
        let figures = daemon.until(Duration::from_millis(5), |figures| figures.consumed() > self.events * 4 / 10);
        drop(daemon);
        if figures.consumed() == self.events {
            println!("{group}: too few events to be killed among them");
            return;
        }
        let mut daemon = self.start(group, 1, None);
        let ready = daemon.ready();
        let figures = daemon.until(Duration::from_millis(10), |figures| figures.consumed() > 0);
        let first = daemon.started.elapsed().as_secs_f64();
        let again = figures.sum("restore_records_total", "");
        table.add("kill -9 at full load, disk kept: start to first batch", Target::AtMost(5.0), first, " s");
        table.add("  start to ready", Target::None, ready, " s");
        table.add("  records read again", Target::None, again, "");
        daemon.stop();
    }

    /// Restarts a daemon that stopped cleanly, with its disk and without.
    fn rebuilt(&self, group: &str, table: &mut Table) {
        let daemon = self.start(group, 1, None);
        let kept = daemon.ready();
        daemon.stop();
        std::fs::remove_dir_all(self.state(group)).unwrap();
        let mut daemon = self.start(group, 1, None);
        let lost = daemon.ready();
        let figures = daemon.until(LOOK, |_| true);
        let read = figures.sum("restore_records_total", "");
        daemon.stop();
        table.add("clean restart, disk kept: start to ready", Target::AtMost(5.0), kept, " s");
        table.add("rebuild from the changelog: start to ready", Target::None, lost, " s");
        table.add("  changelog records read", Target::None, read, "");
        let customers = self.shop.customers as f64;
        table.add("  customers/s beyond a clean restart", Target::AtLeast(500_000.0), customers / (lost - kept), "");
    }
}

fn main() {
    let Some(broker) = Broker::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    std::fs::create_dir_all(&schemas).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/customer-event.avsc");
    std::fs::copy(schema, schemas.join(format!("{SCHEMA_ID}.avsc"))).unwrap();
    let customers = knob("COHORTD_BENCH_CUSTOMERS", 100_000);
    let few = Topic { name: "shop", customers, days: DAYS };
    let mut room = Room {
        bootstrap: broker.bootstrap().to_owned(),
        folder,
        events: knob("COHORTD_BENCH_EVENTS", 5_000_000),
        shop: few,
    };
    let mut table = Table::default();
    let with_streams = knob("COHORTD_BENCH_STREAMS", 1) == 1 && Program::is_possible();
    let beside = |room: &Room, table: &mut Table| (room.fill(table), with_streams.then(|| room.streams(table)));
    let others = beside(&room, &mut table);
    for (lanes, flush_after) in [(1, None), (2, None), (1, Some(0)), (2, Some(0))] {
        room.pass_of(lanes, flush_after, others, &mut table).stop();
        if (lanes, flush_after) == (1, None) {
            room.rebuilt("shop-1-lazy", &mut table);
        }
    }
    room.killed("bench-killed", &mut table);
    room.asked("bench-asked", &mut table);
    room.latency(knob("COHORTD_BENCH_RATE", 40_000), &mut table);
    // Where much more often something changes.
    for shop in [Topic { name: "year", days: YEAR, ..few }, Topic { name: "million", customers: 10 * customers, ..few }]
    {
        room.shop = shop;
        let others = beside(&room, &mut table);
        for lanes in [1, 2] {
            room.pass_of(lanes, None, others, &mut table).stop();
        }
    }
    table.print("whole daemon");
}
