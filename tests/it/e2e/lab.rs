//! Topics, a group, rules and folders of one test's own; writing to them and reading what became visible.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cohortd::kafka::{Admin, Brokers, Created, TopicPlan};
use cohortd::settings::{self, Kafka};
use cohortd::store::{Meta, Recorded, decode_meta};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use super::daemon::Daemon;
use super::{LONG, eventually};
use crate::support::broker::Broker;
use crate::support::ends;
use crate::support::limit::Limit;

pub(super) struct Lab {
    pub(super) bootstrap: String,
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) rules: String,
    /// The input is gathered from sources.
    gathers: bool,
    folder: TempDir,
    _limit: Limit,
    started: AtomicU32,
}

/// A record as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    pub(super) written: i64,
    pub(super) key: Vec<u8>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) headers: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {self:?}"))
    }

    pub(super) fn key(&self) -> &str {
        std::str::from_utf8(&self.key).unwrap()
    }
}

impl Lab {
    /// `None` where no broker is to be had. The input topic is there; the daemon makes the others.
    pub(super) fn new(name: &str, partitions: i32, rules: &str) -> Option<Self> {
        let lab = Self::at(Broker::shared()?.bootstrap(), name, partitions, rules);
        lab.create("in", partitions, &[]);
        Some(lab)
    }

    /// The same, with topics that are made as given; the daemon makes the others.
    pub(super) fn made(name: &str, partitions: i32, rules: &str, topics: &[(&str, &[(&str, &str)])]) -> Option<Self> {
        let lab = Self::at(Broker::shared()?.bootstrap(), name, partitions, rules);
        topics.iter().for_each(|(kind, settings)| lab.create(kind, partitions, settings));
        Some(lab)
    }

    /// Sources with topics of so many partitions each; the daemon makes the input of them by `sources`, in which `{name}`
    /// stands for what the topics' names begin with.
    pub(super) fn gathering(
        name: &str,
        partitions: i32,
        rules: &str,
        topics: &[(&str, i32)],
        sources: &str,
    ) -> Option<Self> {
        let lab = Self { gathers: true, ..Self::at(Broker::shared()?.bootstrap(), name, partitions, rules) };
        topics.iter().for_each(|(kind, partitions)| lab.create(kind, *partitions, &[]));
        lab.write_sources(sources);
        Some(lab)
    }

    /// Writes the sources file.
    pub(super) fn write_sources(&self, text: &str) {
        fs::write(self.path("sources.toml"), text.replace("{name}", &self.name)).unwrap();
    }

    pub(super) fn at(bootstrap: &str, name: &str, partitions: i32, rules: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = TempDir::new().unwrap();
        let lab = Self {
            bootstrap: bootstrap.to_owned(),
            name: format!("e2e-{name}-{}-{number}", std::process::id()),
            partitions,
            rules: rules.to_owned(),
            gathers: false,
            folder,
            _limit: Limit::start(),
            started: AtomicU32::new(0),
        };
        fs::write(lab.path("rules.toml"), rules).unwrap();
        lab
    }

    /// The same, to read topics that have been given more partitions.
    pub(super) fn with_partitions(&self, partitions: i32) -> Self {
        Self {
            bootstrap: self.bootstrap.clone(),
            name: self.name.clone(),
            rules: self.rules.clone(),
            gathers: self.gathers,
            partitions,
            folder: TempDir::new().unwrap(),
            _limit: Limit::start(),
            started: AtomicU32::new(0),
        }
    }

    /// For a test that is known to take longer.
    pub(super) fn limited_to(self, limit: Duration) -> Self {
        Self { _limit: Limit::of(limit), ..self }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a whole rules file in the place of the one before, as editors do.
    pub(super) fn write_rules(&self, text: &str) {
        let beside = self.path("rules.toml.new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path("rules.toml")).unwrap();
    }

    /// `in`, `changes`, `members`, `dead_letters`, `log`, `summaries`, `rules`.
    pub(super) fn topic(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    pub(super) fn create(&self, kind: &str, partitions: i32, settings: &[(&str, &str)]) {
        let kafka = Kafka {
            on_stop: settings::OnStop::Stay,
            bootstrap_servers: self.bootstrap.clone(),
            group_id: self.name.clone(),
            instance_id: "admin".into(),
            start: settings::Start::Earliest,
            options: BTreeMap::new(),
        };
        let admin = Admin::new(&kafka, &Brokers::default()).unwrap();
        let plan = TopicPlan { name: &self.topic(kind), partitions, replicas: None, settings };
        assert_eq!(admin.create(&plan, LONG), Ok(Created::New));
        // The broker answers before other brokers and its partitions have followed.
        self.answers(&self.config("read_uncommitted").create().unwrap(), kind, partitions);
    }

    /// Waits until every partition of a topic answers.
    fn answers(&self, observer: &BaseConsumer, kind: &str, partitions: i32) {
        eventually("its partitions answer", || {
            let answers = |partition| ends::range(observer, &self.topic(kind), partition, LONG).is_ok();
            (0..partitions).all(answers).then_some(())
        });
    }

    pub(super) fn delete(&self, kind: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config("read_committed").create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let deleted = runtime.block_on(admin.delete_topics(&[&self.topic(kind)], &AdminOptions::new())).unwrap();
        assert!(deleted[0].is_ok(), "{deleted:?}");
    }

    /// The settings of one process, by its instance id.
    pub(super) fn settings(&self, instance: &str) -> Vec<String> {
        let quoted = |path: PathBuf| path.display().to_string();
        let input = if self.gathers { "events" } else { "input" };
        let mut settings: Vec<String> = [("in", input), ("changes", "changes"), ("members", "members")]
            .into_iter()
            .chain([("letters", "dead_letters"), ("log", "changelog"), ("summaries", "summaries"), ("rules", "rules")])
            .chain([("risks", "risks"), ("forecasts", "forecasts"), ("marks", "marks")])
            .map(|(kind, key)| format!("topics.{key}={}", self.topic(kind)))
            .collect();
        settings.extend([
            format!("kafka.bootstrap_servers={}", self.bootstrap),
            format!("kafka.group_id={}", self.name),
            format!("kafka.instance_id={instance}"),
            format!("rules.file={}", quoted(self.path("rules.toml"))),
            format!("state.dir={}", quoted(self.state(instance))),
            format!("topics.events_partitions={}", self.partitions),
            "metrics.listen=127.0.0.1:0".into(),
            "admin.listen=127.0.0.1:0".into(),
            "memory.limit=512 MiB".into(),
            "lanes=1".into(),
            "batch.max_wait=50 ms".into(),
            "log.format=json".into(),
            // A test may live in another time, whose outputs would be old at once.
            "topics.retention=0".into(),
            "topics.dead_letter_retention=0".into(),
        ]);
        if self.gathers {
            settings.push(format!("gather.sources={}", quoted(self.path("sources.toml"))));
        }
        settings
    }

    pub(super) fn state(&self, instance: &str) -> PathBuf {
        self.path(&format!("state-{instance}"))
    }

    /// Runs `cohortd reset` with the settings of a process: its exit code, and what it wrote to stdout and stderr.
    pub(super) fn reset(&self, instance: &str, sets: &[&str], arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command_reset(instance, sets, arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        println!("reset {}: {:?}\n{stdout}{stderr}", arguments.join(" "), output.status.code());
        (output.status.code(), stdout, stderr)
    }

    /// Runs `cohortd check --connect` with the settings of a process: its exit code, and all that it wrote.
    pub(super) fn check_connect(&self, instance: &str, sets: &[&str]) -> (Option<i32>, String) {
        let mut settings = self.settings(instance);
        settings.extend(sets.iter().map(|set| (*set).to_owned()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cohortd"));
        command.args(["check", "--connect"]).args(settings.iter().flat_map(|set| ["--set", set])).env_clear();
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    }

    /// Runs a command with the settings of a process: its exit code, and all that it wrote.
    pub(super) fn command(&self, instance: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let settings = self.settings(instance);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cohortd"));
        command.args(arguments).args(settings.iter().flat_map(|set| ["--set", set])).env_clear();
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    }

    /// The command `cohortd reset` with the settings of a process.
    pub(super) fn command_reset(&self, instance: &str, sets: &[&str], arguments: &[&str]) -> Command {
        let mut settings = self.settings(instance);
        settings.extend(sets.iter().map(|set| (*set).to_owned()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cohortd"));
        command.arg("reset").args(arguments).args(settings.iter().flat_map(|set| ["--set", set])).env_clear();
        command
    }

    /// Deletes a topic, and makes it again at once.
    pub(super) fn make_anew(&self, kind: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config("read_committed").create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let topic = self.topic(kind);
        let deleted = runtime.block_on(admin.delete_topics(&[&topic], &AdminOptions::new())).unwrap();
        deleted[0].as_ref().unwrap();
        // The broker takes both steps one after the other, and between them knows no such topic.
        let observer: BaseConsumer = self.config("read_uncommitted").create().unwrap();
        eventually("the topic is gone", || {
            let found = observer.fetch_metadata(Some(&topic), LONG).ok()?;
            found.topics()[0].partitions().is_empty().then_some(())
        });
        let topic = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        eventually("the topic is made again", || {
            let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
            made[0].is_ok().then_some(())
        });
        self.answers(&observer, kind, partitions);
    }

    /// Gives a topic more partitions.
    pub(super) fn enlarge(&self, kind: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.config("read_committed").create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let topic = self.topic(kind);
        let wanted = NewPartitions::new(&topic, partitions);
        let done = runtime.block_on(admin.create_partitions([&wanted], &AdminOptions::new())).unwrap();
        done[0].as_ref().unwrap();
    }

    /// Sets an offset of a group, with metadata, once no process is a member of it any more.
    pub(super) fn set_offset_in(&self, group: &str, kind: &str, partition: i32, offset: i64, metadata: &str) {
        let consumer: BaseConsumer = self.config("read_committed").set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(kind), partition, Offset::Offset(offset)).unwrap();
        list.find_partition(&self.topic(kind), partition).unwrap().set_metadata(metadata);
        eventually("its members have left", || consumer.commit(&list, CommitMode::Sync).ok());
    }

    /// Sets the group's offsets, as another program would, once no process is a member of it any more.
    pub(super) fn set_offsets(&self, offsets: &[(i32, i64)]) {
        let mut config = self.config("read_committed");
        let consumer: BaseConsumer = config.set("group.id", &self.name).create().unwrap();
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic("in"), *partition, Offset::Offset(*offset)).unwrap();
        }
        eventually("the group takes offsets", || consumer.commit(&list, CommitMode::Sync).ok());
    }

    /// Joins the group under the name of another member, which is shut out by that, and is gone without leaving.
    pub(super) fn take_place(&self, instance: &str) {
        self.take_place_in(&self.name, "in", instance);
    }

    /// The same in another group, which reads a topic.
    pub(super) fn take_place_in(&self, group: &str, kind: &str, instance: &str) {
        let mut config = self.config("read_committed");
        config.set("group.id", group).set("group.instance.id", instance).set("session.timeout.ms", "6000");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        let member: BaseConsumer = config.create().unwrap();
        member.subscribe(&[&self.topic(kind)]).unwrap();
        eventually("it is a member", || {
            member.poll(Duration::from_millis(20));
            member.assignment().is_ok_and(|held| held.count() > 0).then_some(())
        });
    }

    /// Joins the group as a member that is none of its processes.
    pub(super) fn member(&self) -> Member {
        let mut config = self.config("read_committed");
        config.set("group.id", &self.name).set("heartbeat.interval.ms", "200");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        let member: BaseConsumer = config.create().unwrap();
        member.subscribe(&[&self.topic("in")]).unwrap();
        Member(member)
    }

    /// Deletes the group, with its offsets, once no process is a member of it any more.
    pub(super) fn delete_group(&self) {
        let admin: AdminClient<DefaultClientContext> = self.config("read_committed").create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        eventually("the group is empty, and deleted", || {
            let deleted = runtime.block_on(admin.delete_groups(&[&self.name], &AdminOptions::new())).unwrap();
            deleted[0].is_ok().then_some(())
        });
    }

    /// The end of a partition, open transactions included.
    pub(super) fn end(&self, kind: &str, partition: i32) -> i64 {
        let all: BaseConsumer = self.config("read_uncommitted").create().unwrap();
        range(&all, &self.topic(kind), partition).1
    }

    /// Opens a transaction in a partition of a topic, as a program of somebody else's that then forgets about it.
    pub(super) fn open_transaction(&self, kind: &str, partition: i32) -> Stranger {
        let client: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("transactional.id", format!("{}-stranger", self.name))
            .set("transaction.timeout.ms", "600000")
            .create()
            .unwrap();
        client.init_transactions(LONG).unwrap();
        client.begin_transaction().unwrap();
        let topic = self.topic(kind);
        client.send(BaseRecord::to(&topic).partition(partition).key("?").payload("?")).map_err(|(e, _)| e).unwrap();
        client.flush(LONG).unwrap();
        Stranger(client)
    }

    /// A producer that writes to the input in transactions, as one does that has each of its records exactly once.
    pub(super) fn transactions(&self) -> Transactions {
        self.transactions_in("in")
    }

    /// The same to another topic.
    pub(super) fn transactions_in(&self, kind: &str) -> Transactions {
        let client: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("transactional.id", format!("{}-source", self.name))
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap();
        client.init_transactions(LONG).unwrap();
        Transactions { client, topic: self.topic(kind) }
    }

    /// Starts a process; `sets` come after, and so win over, the lab's own.
    pub(super) fn start(&self, instance: &str, sets: &[&str]) -> Daemon {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut settings = self.settings(instance);
        settings.extend(sets.iter().map(|set| (*set).to_owned()));
        Daemon::start(&settings, &[], &self.path(&format!("{instance}-{number}.log")))
    }

    /// The same, with variables in its environment.
    pub(super) fn start_with(&self, environment: &[(String, String)], instance: &str, sets: &[&str]) -> Daemon {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut settings = self.settings(instance);
        settings.extend(sets.iter().map(|set| (*set).to_owned()));
        Daemon::start_with(environment, &settings, &[], &self.path(&format!("{instance}-{number}.log")))
    }

    /// The same, with `--accept-rules`.
    pub(super) fn start_accepting(&self, instance: &str, sets: &[&str]) -> Daemon {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut settings = self.settings(instance);
        settings.extend(sets.iter().map(|set| (*set).to_owned()));
        Daemon::start(&settings, &["--accept-rules"], &self.path(&format!("{instance}-{number}.log")))
    }

    pub(super) fn writer(&self) -> Writer {
        self.writer_to("in")
    }

    /// To another topic than the input.
    pub(super) fn writer_to(&self, kind: &str) -> Writer {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", "8000000")
            .set("linger.ms", "2")
            .create()
            .unwrap();
        Writer { client, topic: self.topic(kind) }
    }

    /// Everything committed in a topic now, each partition in its order. Waits until no transaction is open.
    pub(super) fn read(&self, kind: &str) -> Vec<Vec<Seen>> {
        let topic = self.topic(kind);
        let consumer = self.consumer(&topic, "read_committed");
        let all: BaseConsumer = self.config("read_uncommitted").create().unwrap();
        let mut left = self.partitions;
        let mut seen = vec![Vec::new(); usize::try_from(self.partitions).unwrap()];
        let mut ends = Vec::new();
        for partition in 0..self.partitions {
            ends.push(eventually("no transaction is open", || {
                let end = range(&all, &topic, partition).1;
                (range(&consumer, &topic, partition).1 == end).then_some(end)
            }));
            left -= i32::from(ends[ends.len() - 1] == 0);
        }
        let deadline = Instant::now() + LONG;
        while left > 0 {
            assert!(Instant::now() < deadline, "{topic} has no end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => seen[usize::try_from(message.partition()).unwrap()].push(taken(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    left -= i32::from(ends[usize::try_from(partition).unwrap()] > 0);
                }
                Some(Err(error)) => println!("{topic}: {error}"),
                None => {}
            }
        }
        seen
    }

    /// Follows a topic from its beginning.
    pub(super) fn follow(&self, kind: &str) -> Follower {
        Follower { consumer: self.consumer(&self.topic(kind), "read_committed") }
    }

    fn config(&self, isolation: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("isolation.level", isolation);
        config
    }

    fn consumer(&self, topic: &str, isolation: &str) -> BaseConsumer {
        // Who names a group waits for it when it ends; who only asks for ends names none.
        let consumer: BaseConsumer = self.config(isolation).set("group.id", "nobody").create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        consumer
    }

    /// Waits until every partition that holds events has been decided up to an instant, by any process.
    pub(super) fn decided_until(&self, until: i64) {
        let follower = self.follow("log");
        let ends: BTreeMap<i32, i64> = (0..self.partitions)
            .filter_map(|partition| {
                let (low, high) = range(&follower.consumer, &self.topic("in"), partition);
                // A gathered log ends with the marker of a transaction, which nobody reads.
                let end = if self.gathers { high - 1 } else { high };
                (high > low).then_some((partition, end))
            })
            .collect();
        let mut reached: BTreeMap<i32, Meta> = BTreeMap::new();
        eventually(&format!("stream time reaches {until} in all partitions"), || {
            while let Some(seen) = follower.next(Duration::from_millis(50)) {
                if seen.key != [b'M'] {
                    continue;
                }
                match seen.payload {
                    Some(meta) => reached.insert(seen.partition, decode_meta(&meta).unwrap()),
                    // Everything is decided again.
                    None => reached.remove(&seen.partition),
                };
            }
            let is_there = |(partition, end): (&i32, &i64)| {
                reached.get(partition).is_some_and(|meta| meta.stream_time.0 >= until && meta.next_offset >= *end)
            };
            ends.iter().all(is_there).then_some(())
        });
    }

    /// Waits until partition 0 was read and committed to an offset.
    pub(super) fn read_to(&self, offset: i64) {
        let follower = self.follow("log");
        eventually(&format!("partition 0 is read to {offset}"), || {
            let seen = follower.next(Duration::from_millis(50))?;
            let is_meta = seen.partition == 0 && seen.key == [b'M'];
            (is_meta && decode_meta(&seen.payload?).unwrap().next_offset >= offset).then_some(())
        });
    }

    /// Drops the records of partition 0 of the input before an offset, as retention would.
    pub(super) fn forget_before(&self, offset: i64) {
        self.drop_before("in", 0, offset);
    }

    /// Drops everything that a topic holds now, as retention would.
    pub(super) fn forget_all(&self, kind: &str) {
        (0..self.partitions).for_each(|partition| self.drop_before(kind, partition, self.end(kind, partition)));
    }

    fn drop_before(&self, kind: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.config("read_committed").create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(kind), partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dropped = runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
        assert_eq!(dropped.elements()[0].offset(), Offset::Offset(offset));
    }

    /// Gives a topic these settings; all others go back to their defaults.
    pub(super) fn alter(&self, kind: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config("read_committed").create().unwrap();
        let topic = self.topic(kind);
        let unchanged = AlterConfig::new(ResourceSpecifier::Topic(&topic));
        let changed = settings.iter().fold(unchanged, |config, (key, value)| config.set(key, value));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let done = runtime.block_on(admin.alter_configs([&changed], &AdminOptions::new())).unwrap();
        assert!(done[0].is_ok(), "{done:?}");
    }

    /// Waits until everything in the input was read and committed, by any process.
    pub(super) fn read_through(&self) {
        self.decided_until(i64::MIN);
    }

    /// What was recorded of the wall clock's part, by partition: `(position, stream time)`.
    pub(super) fn advances(&self) -> Vec<Vec<(i64, i64)>> {
        let advance = |seen: &Seen| match Recorded::read(&seen.key, seen.payload.as_ref()?).unwrap() {
            (position, Recorded::Advance(to)) => Some((position, to.0)),
            _ => None,
        };
        let of = |partition: Vec<Seen>| {
            since_rebuilt(&partition)
                .iter()
                .filter(|seen| seen.key.first() == Some(&b'I'))
                .filter_map(advance)
                .collect()
        };
        self.read("log").into_iter().map(of).collect()
    }

    /// What was recorded of thresholds and of parameters of the model of churn, by partition, each with its position.
    pub(super) fn thresholds_applied(&self) -> Vec<Vec<(i64, Recorded)>> {
        let of = |partition: Vec<Seen>| {
            let inputs = since_rebuilt(&partition).iter().filter(|seen| seen.key.first() == Some(&b'I'));
            let recorded = inputs.filter_map(|seen| Some(Recorded::read(&seen.key, seen.payload.as_ref()?).unwrap()));
            let is_taken_up =
                |recorded: &Recorded| matches!(recorded, Recorded::Threshold { .. } | Recorded::Parameters { .. });
            recorded.filter(|(_, recorded)| is_taken_up(recorded)).collect()
        };
        self.read("log").into_iter().map(of).collect()
    }
}

/// What a partition of the changelog holds since it was last emptied to decide everything again.
fn since_rebuilt(partition: &[Seen]) -> &[Seen] {
    let emptied = |seen: &Seen| seen.key == [b'M'] && seen.payload.is_none();
    &partition[partition.iter().rposition(emptied).unwrap_or(0)..]
}

fn taken(message: &rdkafka::message::BorrowedMessage<'_>) -> Seen {
    let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
        headers
            .iter()
            .map(|header| {
                (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
            })
            .collect()
    });
    Seen {
        partition: message.partition(),
        offset: message.offset(),
        written: message.timestamp().to_millis().unwrap(),
        key: message.key().unwrap_or_default().to_vec(),
        payload: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// Has a transaction open.
pub(super) struct Stranger(ThreadedProducer<DefaultProducerContext>);

impl Stranger {
    pub(super) fn abort(self) {
        self.0.abort_transaction(LONG).unwrap();
    }
}

/// Is in the group, and lets go of what is taken from it only when asked to take part.
pub(super) struct Member(BaseConsumer);

impl Member {
    /// Answers what the group has to say, if anything. How many partitions it has then.
    pub(super) fn takes_part(&self) -> i32 {
        self.0.poll(Duration::from_millis(20));
        self.0.assignment().map_or(0, |held| i32::try_from(held.count()).unwrap())
    }
}

/// Writes to a topic in transactions.
pub(super) struct Transactions {
    client: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Transactions {
    /// Key and payload of each record.
    pub(super) fn commit(&self, records: &[(&str, Vec<u8>)]) {
        self.write(records);
        self.client.commit_transaction(LONG).unwrap();
    }

    /// What does not count.
    pub(super) fn abort(&self, records: &[(&str, Vec<u8>)]) {
        self.write(records);
        self.client.abort_transaction(LONG).unwrap();
    }

    fn write(&self, records: &[(&str, Vec<u8>)]) {
        self.client.begin_transaction().unwrap();
        for (key, payload) in records {
            self.client.send(BaseRecord::to(&self.topic).key(*key).payload(payload)).map_err(|(e, _)| e).unwrap();
        }
        // Or else aborted records might never reach the topic.
        self.client.flush(LONG).unwrap();
    }
}

/// Reads on as records become visible.
pub(super) struct Follower {
    consumer: BaseConsumer,
}

impl Follower {
    pub(super) fn next(&self, timeout: Duration) -> Option<Seen> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => return Some(taken(&message)),
                // The end of a partition, or a topic that is not there yet.
                Some(Err(_)) => {}
                None => return None,
            }
        }
    }
}

/// Writes to a topic, in order.
pub(super) struct Writer {
    client: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What is queued would be dropped with it.
        self.client.flush(LONG).ok();
    }
}

impl Writer {
    /// To the partition of the key, as Java's default partitioner has it.
    pub(super) fn send(&self, key: &str, payload: &[u8]) {
        self.put(BaseRecord::to(&self.topic).key(key.as_bytes()).payload(payload));
    }

    pub(super) fn send_with_header(&self, key: &str, payload: &[u8], (name, value): (&str, &str)) {
        let headers = OwnedHeaders::new().insert(Header { key: name, value: Some(value) });
        self.put(BaseRecord::to(&self.topic).key(key.as_bytes()).payload(payload).headers(headers));
    }

    pub(super) fn send_to(&self, partition: i32, key: Option<&str>, payload: Option<&[u8]>) {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).partition(partition);
        record.key = key.map(str::as_bytes);
        record.payload = payload;
        self.put(record);
    }

    pub(super) fn put_bytes(&self, partition: i32, key: &[u8], payload: &[u8]) {
        self.put(BaseRecord::to(&self.topic).partition(partition).key(key).payload(payload));
    }

    fn put(&self, record: BaseRecord<'_, [u8], [u8]>) {
        if let Err((error, _)) = self.client.send(record) {
            panic!("writing to {}: {error}", self.topic);
        }
    }

    pub(super) fn flush(&self) {
        self.client.flush(LONG).unwrap();
    }
}

/// First offset and end of a partition, as this client may see them.
fn range(client: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    eventually(&format!("the end of {topic}/{partition} is known"), || ends::range(client, topic, partition, LONG).ok())
}
