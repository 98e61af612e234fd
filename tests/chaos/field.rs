//! Everything that faults are injected into: brokers, processes, their disks and clocks, the registry, the rules file.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::clock;
use crate::disk::Disk;
use crate::findings::Findings;
use crate::front::Front;
use crate::group::Group;
use crate::input::CONFIG_SETS;
use crate::load::{Load, Target};
use crate::member::Member;
use crate::random::Random;
use crate::registry::Registry;
use crate::rules::Version;
use crate::sources;
use crate::support::cluster::Cluster;
use crate::watch::Watcher;

pub(super) const PARTITIONS: i32 = 4;
/// Bytes; as memory.limit.
const MEMORY_LIMIT: u64 = 384 << 20;
/// The session timeout. Short, so that a run has many rebalances.
pub(super) const SESSION: Duration = Duration::from_secs(4);

pub(super) struct Field {
    // Dropped in this order: readers and writers first, then the processes, then the brokers.
    _watcher: Watcher,
    pub(super) load: Load,
    pub(super) members: Vec<Member>,
    pub(super) cluster: Cluster,
    pub(super) registry: Front,
    /// Of the lanes, and what they read.
    pub(super) group: Group,
    /// Of those that gather, and their sources; `None`: the load writes what the lanes read.
    pub(super) gathering: Option<Group>,
    pub(super) findings: Findings,
    pub(super) version: Version,
    /// A fault has a broker in hand, or the network.
    pub(super) brokers_busy: bool,
    pub(super) registry_busy: bool,
    pub(super) folder: PathBuf,
    pub(super) name: String,
}

/// How far everything is to be read, by the groups' partitions.
pub(super) struct Ends {
    sources: Option<Vec<i64>>,
    /// Of a log that is gathered known only when the sources are read.
    input: Option<Vec<i64>>,
}

impl Ends {
    /// Of the input, once all is read.
    pub(super) fn input(&self) -> &[i64] {
        self.input.as_deref().unwrap_or_default()
    }
}

impl Field {
    /// `None` where no brokers are to be had. `gathers`: the input is gathered from sources.
    pub(super) fn open(seed: u64, gathers: bool) -> Option<Self> {
        let cluster = Cluster::start()?;
        let mut random = Random::new(seed);
        let folder = std::env::temp_dir().join(format!("cohortd-chaos-{seed}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let name = format!("chaos-{seed}");
        clock::build(&folder);
        let version = Version(0);
        fs::write(folder.join("rules.toml"), version.text()).unwrap();
        // The daemon makes the log that it gathers.
        let input = vec![(format!("{name}-in"), PARTITIONS)];
        let written = if gathers { sources::topics(&name) } else { input.clone() };
        written.iter().for_each(|(topic, partitions)| create(&cluster.direct(), topic, *partitions));
        fs::write(folder.join("sources.toml"), sources::file(&name)).unwrap();
        let registry = Registry::start();
        let schema = registry.register("events-value", include_str!("../../schemas/customer-event.avsc"));
        let registry = Front::of(&registry);
        let findings = Findings::default();
        let mut settings = if gathers { of_sources(&name, &folder) } else { vec![format!("topics.input={name}-in")] };
        settings.extend(of_all(&name, &cluster.bootstrap(), &registry.address, &folder, &mut random));
        let count = 2 + random.below(2);
        let names = ["one", "two", "three"].into_iter().take(usize::try_from(count).unwrap()).chain(["joiner"]);
        let members: Vec<Member> = names
            .map(|name| {
                let lanes = 1 + u32::try_from(random.below(2)).unwrap();
                Member::new(name, lanes, Disk::new(folder.join(format!("disk-{name}"))), &folder, settings.clone())
            })
            .collect();
        let lanes: Vec<String> = members.iter().map(|member| format!("{} {}", member.name, member.lanes)).collect();
        let way = if gathers { "gathered from sources" } else { "read directly" };
        println!(
            "chaos: {way}; lanes of each process: {}; {}",
            lanes.join(", "),
            settings[settings.len() - 2..].join(", ")
        );
        let watched = members.iter().map(|member| (member.name.clone(), member.watched.clone())).collect();
        let target =
            Target { bootstrap: cluster.direct(), name: name.clone(), to_sources: gathers, topics: written, schema };
        let mut field = Self {
            _watcher: Watcher::start(watched, MEMORY_LIMIT, findings.clone()),
            load: Load::start(target, seed.wrapping_add(1)),
            group: Group::new(&cluster.direct(), &name, input),
            gathering: gathers
                .then(|| Group::new(&cluster.direct(), &format!("{name}.gather"), sources::topics(&name))),
            members,
            cluster,
            registry,
            findings,
            version,
            brokers_busy: false,
            registry_busy: false,
            folder,
            name,
        };
        for member in &mut field.members {
            // Joins later.
            member.wanted = member.name != "joiner";
            if member.wanted {
                member.start();
            }
        }
        Some(field)
    }

    pub(super) fn topic(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    pub(super) fn rules_file(&self) -> PathBuf {
        self.folder.join("rules.toml")
    }

    /// One of the processes that run and that no fault has in hand.
    pub(super) fn pick(&self, random: &mut Random) -> Option<usize> {
        self.pick_but(None, random)
    }

    pub(super) fn pick_but(&self, other: Option<usize>, random: &mut Random) -> Option<usize> {
        let is_free = |number: &usize| {
            let member = &self.members[*number];
            member.is_running() && !member.busy && Some(*number) != other
        };
        let free: Vec<usize> = (0..self.members.len()).filter(is_free).collect();
        let count = i64::try_from(free.len()).unwrap();
        (count > 0).then(|| free[usize::try_from(random.below(count)).unwrap()])
    }

    /// What a supervisor does, and looking at what the processes say. Call it often.
    pub(super) fn tend(&mut self) {
        for member in &mut self.members {
            let lines = member.new_lines();
            if let Some(status) = member.ended() {
                let rest: Vec<String> = lines.iter().cloned().chain(member.new_lines()).collect();
                look_through(member, &rest, &self.findings);
                // A password that is refused where no schema is known is for a person to put right; the fault's end is that.
                if status.code() == Some(78) && rest.iter().any(|line| line.contains("HTTP 401")) {
                    continue;
                }
                let last: Vec<&str> = rest.iter().rev().take(3).rev().map(String::as_str).collect();
                let code = status.code().map_or_else(|| status.to_string(), |code| code.to_string());
                self.findings.add(&format!(
                    "{} ended by itself with {code}:\n    {}",
                    member.name,
                    last.join("\n    ")
                ));
                continue;
            }
            look_through(member, &lines, &self.findings);
            if member.is_due() {
                member.start();
            }
        }
    }

    /// Waits, tending.
    pub(super) fn pause(&mut self, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until {
            self.tend();
            thread::sleep(Duration::from_millis(30).min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Which partitions have no owner, by the groups' coordinators.
    pub(super) fn not_owned(&self) -> Result<Vec<String>, String> {
        let groups = self.gathering.iter().chain([&self.group]);
        Ok(groups.map(Group::not_owned).collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Where everything that is written ends now. `None` while no broker answers.
    pub(super) fn ends(&self) -> Option<Ends> {
        Some(match &self.gathering {
            Some(gathering) => Ends { sources: Some(gathering.ends()?), input: None },
            None => Ends { sources: None, input: Some(self.group.ends()?) },
        })
    }

    /// What is missing until all is as before a fault: every partition owned, every process ready, and everything
    /// gathered, applied and committed up to these offsets. The word is short, the rest for people.
    pub(super) fn missing(&self, ends: &mut Ends) -> Option<(&'static str, String)> {
        match self.not_owned() {
            Err(reason) => return Some(("owners", reason)),
            Ok(none) if !none.is_empty() => return Some(("owners", format!("nobody owns {none:?}"))),
            Ok(_) => {}
        }
        for member in self.members.iter().filter(|member| member.wanted) {
            match member.get("/health/ready") {
                Some((200, _)) => {}
                Some((_, body)) => return Some(("ready", format!("{} is not ready: {}", member.name, body.trim()))),
                None => return Some(("ready", format!("{} does not answer", member.name))),
            }
        }
        if let Some((gathering, sources)) = self.gathering.as_ref().zip(ends.sources.as_ref())
            && let Some(behind) = behind(gathering, sources)
        {
            return Some(("lag", format!("of the sources {behind}")));
        }
        if ends.input.is_none() {
            ends.input = self.group.ends_of_records();
        }
        let Some(input) = &ends.input else { return Some(("lag", "the log's end is not to be had".into())) };
        behind(&self.group, input).map(|behind| ("lag", behind))
    }

    /// Whoever had trouble starts quickly again.
    pub(super) fn forgive(&mut self) {
        self.members.iter_mut().for_each(Member::forgive);
    }

    /// The most that each process had in memory, in MiB.
    pub(super) fn resident(&self) -> String {
        let of = |member: &Member| format!("{} {}", member.name, member.watched.resident_max() >> 20);
        self.members.iter().map(of).collect::<Vec<_>>().join(", ")
    }
}

/// What a group has not committed yet, for people.
fn behind(group: &Group, ends: &[i64]) -> Option<String> {
    let Some(committed) = group.committed() else { return Some("the group's coordinator does not answer".into()) };
    let is_behind = |(committed, end): (&i64, &i64)| committed < end;
    committed.iter().zip(ends).any(is_behind).then(|| format!("committed {committed:?} of {ends:?}"))
}

/// Finds what must not be in a log.
fn look_through(member: &Member, lines: &[String], findings: &Findings) {
    for line in lines {
        let shown: String = line.chars().take(600).collect();
        if line.contains("panicked") {
            findings.add(&format!("{} panicked: {shown}", member.name));
        }
        let gives_up_copy =
            ["discarded and restored from the changelog", "copy cannot be opened", "set aside", "wiped"];
        if !member.may_lose_copy && gives_up_copy.iter().any(|text| line.contains(text)) && is_about_copy(line) {
            findings.add(&format!("{} gives up a copy that nothing was done to: {shown}", member.name));
        }
    }
}

/// Records are set aside too.
fn is_about_copy(line: &str) -> bool {
    line.contains("copy")
}

/// Settings of processes that gather what they read.
fn of_sources(name: &str, folder: &Path) -> Vec<String> {
    vec![
        format!("topics.events={name}-in"),
        format!("topics.events_partitions={PARTITIONS}"),
        format!("topics.marks={name}-marks"),
        format!("gather.sources={}", folder.join("sources.toml").display()),
    ]
}

fn of_all(name: &str, bootstrap: &str, registry: &str, folder: &Path, random: &mut Random) -> Vec<String> {
    let kinds = [("changes", "changes"), ("members", "members"), ("letters", "dead_letters")];
    let more = [("log", "changelog"), ("summaries", "summaries"), ("rules", "rules"), ("risks", "risks")];
    let topics = kinds.into_iter().chain(more).chain([("forecasts", "forecasts")]);
    let mut settings: Vec<String> = topics.map(|(kind, key)| format!("topics.{key}={name}-{kind}")).collect();
    settings.extend(CONFIG_SETS.map(str::to_owned));
    settings.extend([
        format!("kafka.bootstrap_servers={bootstrap}"),
        format!("kafka.group_id={name}"),
        format!("kafka.options.session.timeout.ms={}", SESSION.as_millis()),
        "kafka.options.heartbeat.interval.ms=500".into(),
        "kafka.options.max.poll.interval.ms=20000".into(),
        "kafka.options.transaction.timeout.ms=6000".into(),
        format!("rules.file={}", folder.join("rules.toml").display()),
        format!("schemas.registry={registry}"),
        "schemas.retry_for=1 s".into(),
        "metrics.listen=127.0.0.1:0".into(),
        "admin.listen=127.0.0.1:0".into(),
        format!("memory.limit={} MiB", MEMORY_LIMIT >> 20),
        "batch.max_wait=20 ms".into(),
        "batch.max_record_bytes=512 KiB".into(),
        "log.format=json".into(),
    ]);
    let events = [0, 300, 3_000][usize::try_from(random.below(3)).unwrap()];
    settings.extend([format!("state.flush_after_events={events}"), "state.flush_after=2 s".into()]);
    settings
}

fn create(bootstrap: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
    let deadline = Instant::now() + Duration::from_secs(60);
    // The third broker may still be registering.
    loop {
        let made = runtime.block_on(admin.create_topics([&new], &AdminOptions::new()));
        match made.as_deref() {
            Ok([Ok(_)]) => return,
            other => assert!(Instant::now() < deadline, "{topic} cannot be made: {other:?}"),
        }
        thread::sleep(Duration::from_millis(200));
    }
}
