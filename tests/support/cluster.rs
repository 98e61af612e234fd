//! Three brokers of a real Apache Kafka, each also a controller, with three copies of everything of which two must be
//! written. Clients that find them by `bootstrap` talk to them through a proxy each, which can do what networks do;
//! `direct` goes around the proxies.
#![allow(clippy::print_stderr, reason = "what a person at the terminal should know about the brokers")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::broker::{Own, free_ports, missing_tool};
use super::proxy::Proxy;

pub(crate) const BROKERS: usize = 3;

/// Enough for a few hundred records a second; the quick compiler alone, since the brokers do not live long.
const JAVA: [&str; 3] = ["-Xms128m", "-Xmx320m", "-XX:TieredStopAtLevel=1"];

pub(crate) struct Cluster {
    nodes: Vec<Own>,
    proxies: Vec<Proxy>,
    direct: Vec<u16>,
}

#[derive(Clone, Copy)]
struct Ports {
    direct: u16,
    proxied: u16,
    controller: u16,
}

impl Cluster {
    /// `None`, with the reason on stderr, where there is no Java or no Maven. Under CI that is a failure.
    pub(crate) fn start() -> Option<Self> {
        if let Some(tool) = missing_tool() {
            assert!(std::env::var_os("CI").is_none(), "the tests need {tool}");
            eprintln!("skipped: {tool} is not at hand");
            return None;
        }
        let free: [u16; 3 * BROKERS] = free_ports();
        let (chunks, _) = free.as_chunks::<3>();
        let ports: Vec<Ports> = chunks
            .iter()
            .map(|[direct, proxied, controller]| Ports { direct: *direct, proxied: *proxied, controller: *controller })
            .collect();
        let proxies: Vec<Proxy> = ports.iter().map(|ports| Proxy::start(ports.proxied)).collect();
        let mut nodes: Vec<Own> = (0..BROKERS)
            .map(|number| {
                let advertised = proxies[number].port();
                Own::new(ports[number].direct, &JAVA, |folder| properties(folder, number, &ports, advertised))
            })
            .collect();
        let id = format!("cohortd{:05}AAAAAAAAAw", ports[0].direct);
        nodes[0].format(&id);
        for number in 1..BROKERS {
            format_as(&nodes[0], &nodes[number], number + 1);
        }
        nodes.iter_mut().for_each(Own::spawn);
        nodes.iter().for_each(Own::accepting);
        Some(Self { nodes, proxies, direct: ports.iter().map(|ports| ports.direct).collect() })
    }

    /// `host:port` of every broker's proxy.
    pub(crate) fn bootstrap(&self) -> String {
        list(self.proxies.iter().map(Proxy::port))
    }

    /// `host:port` of every broker itself.
    pub(crate) fn direct(&self) -> String {
        list(self.direct.iter().copied())
    }

    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// Ends one at once, as a crash would; what was acknowledged is in the page cache and survives.
    pub(crate) fn kill9(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.signal("-KILL");
        node.reap();
    }

    /// Starts one again on the same ports and data, and does not wait for it.
    pub(crate) fn restart(&mut self, number: usize) {
        self.nodes[number].spawn();
    }

    /// Stops one in its tracks (SIGSTOP): connections stay open, nothing answers.
    pub(crate) fn freeze(&mut self, number: usize) {
        self.nodes[number].signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn thaw(&mut self, number: usize) {
        self.nodes[number].signal("-CONT");
    }

    /// Does every broker take connections?
    pub(crate) fn is_whole(&self) -> bool {
        self.nodes.iter().all(Own::accepts)
    }

    /// The number of the broker that is the active controller, by the last of their logs to say so.
    pub(crate) fn controller(&self) -> Option<usize> {
        let became = |number: usize| {
            let log = fs::read_to_string(self.nodes[number].log()).ok()?;
            let line = log.lines().rfind(|line| line.contains("Becoming the active controller"))?.to_owned();
            // Lines begin with the time of day.
            Some((line, number))
        };
        (0..BROKERS).filter_map(became).max().map(|(_, number)| number)
    }
}

/// Formats a broker as another of its cluster, under a number of its own. Saves a start of Java.
fn format_as(formatted: &Own, other: &Own, number: usize) {
    let data = |own: &Own| own.log().with_file_name("data");
    let (from, to) = (data(formatted), data(other));
    fs::create_dir_all(&to).expect("a folder for its data");
    for file in fs::read_dir(&from).expect("formatted data").flatten() {
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
    let meta = to.join("meta.properties");
    let lines = fs::read_to_string(&meta).expect("meta.properties");
    let own = |line: &str| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={number}\n"),
        Some(("directory.id", id)) => format!("directory.id={}{}\n", letter(id, number), &id[1..]),
        _ => format!("{line}\n"),
    };
    fs::write(&meta, lines.lines().map(own).collect::<String>()).expect("meta.properties");
}

/// Another letter for each number than the one that the id begins with: the controller refuses a broker whose folder has
/// the id of another's.
fn letter(id: &str, number: usize) -> char {
    ('a'..='z').filter(|letter| !id.starts_with(*letter)).nth(number).expect("fewer brokers than letters")
}

fn list(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}

/// Small and quick to notice that a broker is gone; otherwise as in a production cluster.
fn properties(folder: &Path, number: usize, ports: &[Ports], advertised: u16) -> String {
    let Ports { direct, proxied, controller } = ports[number];
    let voters = ports.iter().enumerate().fold(String::new(), |mut voters, (other, ports)| {
        let comma = if other == 0 { "" } else { "," };
        write!(voters, "{comma}{}@127.0.0.1:{}", other + 1, ports.controller).expect("a string takes it");
        voters
    });
    format!(
        "process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=DIRECT://127.0.0.1:{direct},PROXIED://127.0.0.1:{proxied},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=DIRECT://127.0.0.1:{direct},PROXIED://127.0.0.1:{advertised}
listener.security.protocol.map=DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
initial.broker.registration.timeout.ms=200000
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=2000
controller.quorum.election.backoff.max.ms=1000
replica.lag.time.max.ms=3000
controlled.shutdown.enable=true
leader.imbalance.check.interval.seconds=5
leader.imbalance.per.broker.percentage=0
log.retention.ms=-1
log.initial.task.delay.ms=500
log.cleaner.threads=1
log.cleaner.backoff.ms=2000
log.cleaner.min.cleanable.ratio=0.2
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
",
        node = number + 1,
        data = folder.join("data").display()
    )
}
