//! A real Apache Kafka for tests: one broker in a Java process of its own, on free ports, gone with the test.
//!
//! `KAFKA_BOOTSTRAP` names a broker to use instead. The jars are fetched once by Maven into
//! `${COHORTD_CACHE:-$HOME/.cache/cohortd}/kafka-4.1.0/libs`.
#![allow(clippy::print_stderr, reason = "what a person at the terminal should know about the broker")]

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const VERSION: &str = "4.1.0";

/// A cold Java on a busy machine is slow; a broker that is not there by then will not come.
const START_LIMIT: Duration = Duration::from_secs(240);

/// For the broker of all tests that need none of their own.
const LASTING: [&str; 2] = ["-Xms256m", "-Xmx512m"];

/// Compiled fast rather than well: what lives for seconds is there a third sooner.
const QUICK: &str = "-XX:TieredStopAtLevel=1";
const BRIEF: [&str; 3] = ["-Xms256m", "-Xmx512m", QUICK];

/// How long a clean stop may take before the process is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The shell starts Java, tells its process id, and kills it when its own standard input ends: so the broker goes with
/// the test process, however that ends, also when it lives in a `static`. Its folder goes too, unless a line was said.
const KEEPER: &str = r#""$@" </dev/null & pid=$!; echo $pid >"$FOLDER/pid.part" && mv "$FOLDER/pid.part" "$FOLDER/pid"
read -r keep; kill -9 $pid 2>/dev/null; wait $pid; test -n "$keep" || rm -rf "$FOLDER""#;

/// A broker that this process started, or one that `KAFKA_BOOTSTRAP` names.
pub(crate) struct Broker {
    bootstrap: String,
    own: Option<Own>,
}

/// One process: a broker by itself, or one of a cluster.
pub(super) struct Own {
    folder: PathBuf,
    libs: PathBuf,
    port: u16,
    /// Java's own, beside the class path.
    options: &'static [&'static str],
    keeper: Option<Child>,
}

impl Broker {
    /// The broker that all tests of this binary share; `None`, with the reason on stderr, where there is neither an
    /// address nor Java with Maven. Under CI that is a failure.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let missing = match env::var_os("KAFKA_BOOTSTRAP") {
                Some(_) => None,
                None => missing_tool(),
            };
            match missing {
                None => Some(Self::start()),
                Some(tool) => {
                    assert!(env::var_os("CI").is_none(), "the tests need {tool}, or KAFKA_BOOTSTRAP");
                    eprintln!("skipped: neither {tool} nor KAFKA_BOOTSTRAP is at hand");
                    None
                }
            }
        });
        shared.as_ref()
    }

    /// The broker of `KAFKA_BOOTSTRAP`, or a new one.
    pub(crate) fn start() -> Self {
        match env::var_os("KAFKA_BOOTSTRAP") {
            Some(address) => Self { bootstrap: address.into_string().expect("KAFKA_BOOTSTRAP is UTF-8"), own: None },
            // On a busy machine it may be silent for seconds; it is not to be fenced for that.
            None => Self::start_prepared(&LASTING, &|_, _| "broker.session.timeout.ms=30000\n".into(), |_| {}),
        }
    }

    /// A new broker, for a test that kills it.
    pub(crate) fn start_own() -> Self {
        Self::start_with(&|_, _| String::new())
    }

    /// A new broker with settings of its own, which win over the others: made from its port and its controller's.
    pub(crate) fn start_with(settings: &dyn Fn(u16, u16) -> String) -> Self {
        Self::start_prepared(&BRIEF, settings, |_| {})
    }

    /// The same, with a class of its own that a setting may name. `None`, with the reason on stderr: there is no compiler.
    pub(crate) fn start_with_class(name: &str, source: &str, settings: &dyn Fn(u16, u16) -> String) -> Option<Self> {
        if Command::new("javac").arg("-version").output().is_err() {
            eprintln!("skipped: no javac to compile {name} with");
            return None;
        }
        let compiled = |own: &Own| {
            let file = own.folder.join(format!("{name}.java"));
            fs::write(&file, source).expect("the class's source");
            let libs = format!("{}/*", own.libs.display());
            let output = Command::new("javac").args(["-cp", &libs, "-d"]).arg(own.classes()).arg(&file).output();
            let output = output.expect("javac");
            assert!(output.status.success(), "{name}.java:\n{}", String::from_utf8_lossy(&output.stderr));
        };
        Some(Self::start_prepared(&BRIEF, settings, compiled))
    }

    fn start_prepared(
        options: &'static [&'static str],
        settings: &dyn Fn(u16, u16) -> String,
        prepare: impl FnOnce(&Own),
    ) -> Self {
        let [port, controller] = free_ports();
        let text = |folder: &Path| properties(folder, port, controller) + &settings(port, controller);
        let mut own = Own::new(port, options, text);
        prepare(&own);
        own.format(&format!("cohortd{port:05}AAAAAAAAAw"));
        own.launch();
        Self { bootstrap: format!("127.0.0.1:{port}"), own: Some(own) }
    }

    /// `host:port`; the same after a restart.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Runs one of Kafka's own commands, by the class it is in, to its end.
    pub(crate) fn command(&self, class: &str, words: &[&str]) {
        let java = self.own.as_ref().expect("a broker of the test's own").java();
        let output = Command::new(&java[0]).args(&java[1..]).arg(QUICK).arg(class).args(words).output().expect("java");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} {words:?} failed:\n{text}");
    }

    /// Ends the process at once, as a crash would; what was acknowledged is in the page cache and survives.
    pub(crate) fn kill9(&mut self) {
        let own = self.own();
        own.signal("-KILL");
        own.reap();
    }

    /// Ends the process cleanly.
    pub(crate) fn stop(&mut self) {
        let own = self.own();
        own.signal("-TERM");
        let deadline = Instant::now() + STOP_LIMIT;
        while own.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        own.reap();
    }

    /// Starts the process again, on the same ports and data.
    pub(crate) fn restart(&mut self) {
        let own = self.own();
        own.reap();
        own.launch();
    }

    /// Stops the process in its tracks (SIGSTOP): connections stay open, nothing answers.
    pub(crate) fn freeze(&mut self) {
        self.own().signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn thaw(&mut self) {
        self.own().signal("-CONT");
    }

    fn own(&mut self) -> &mut Own {
        self.own.as_mut().expect("a fault test starts a broker of its own: use start_own")
    }
}

impl Own {
    /// A process that does not run yet; `properties` are the settings of a broker that lives in a folder.
    pub(super) fn new(port: u16, options: &'static [&'static str], properties: impl FnOnce(&Path) -> String) -> Self {
        let folder = env::temp_dir().join(format!("cohortd-broker-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the broker");
        fs::write(folder.join("server.properties"), properties(&folder)).expect("its settings");
        Self { folder, libs: libs(), port, options, keeper: None }
    }

    fn java(&self) -> Vec<String> {
        let logging = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kafka/log4j2.xml");
        let class_path = format!("{}/*:{}", self.libs.display(), self.classes().display());
        let logging = format!("-Dlog4j2.configurationFile={}", logging.display());
        let command = ["java", "-XX:+UseSerialGC", "-cp", &class_path, &logging];
        command.iter().chain(self.options).map(|word| (*word).to_owned()).collect()
    }

    /// Classes of a test's own.
    fn classes(&self) -> PathBuf {
        self.folder.join("classes")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// KRaft wants a formatted folder with a cluster id: 16 bytes in base64. There is one user, for tests with
    /// authentication.
    pub(super) fn format(&self, id: &str) {
        let java = self.java();
        let output = Command::new(&java[0])
            .args(&java[1..])
            .arg(QUICK)
            .args(["kafka.tools.StorageTool", "format", "-t", id, "-c"])
            .arg(self.folder.join("server.properties"))
            .args(["--add-scram", "SCRAM-SHA-256=[name=shop,password=right]"])
            .output()
            .expect("java");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "formatting the broker's storage failed:\n{text}");
    }

    fn launch(&mut self) {
        self.spawn();
        self.accepting();
    }

    /// Starts the process and does not wait for it.
    pub(super) fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("the broker's log");
        let pid_file = self.folder.join("pid");
        match fs::remove_file(&pid_file) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{}: {error}", pid_file.display()),
            _ => {}
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args(self.java())
            .arg("kafka.Kafka")
            .arg(self.folder.join("server.properties"))
            .env("FOLDER", &self.folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the broker's log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("sh");
        self.keeper = Some(keeper);
    }

    /// Waits until it takes connections.
    pub(super) fn accepting(&self) {
        let deadline = Instant::now() + START_LIMIT;
        while !self.accepts() {
            assert!(Instant::now() < deadline && self.is_running(), "the broker does not start; its log ends:\n{}", {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                lines[lines.len().saturating_sub(40)..].join("\n")
            });
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn accepts(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    fn pid(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("pid")).ok().map(|pid| pid.trim().to_owned())
    }

    /// True also in the moment before the process id is known, and for want of knowing better where there is no /proc.
    fn is_running(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            // Behind the name in brackets stands the state; the keeper waits for an ended process only at its own end.
            Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'),
            Err(_) => !Path::new("/proc/self").exists(),
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        let pid = self.pid().expect("the broker runs");
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(status.success(), "kill {signal} {pid}: {status}");
    }

    /// Closes the keeper's standard input, which ends the broker if it still runs, and waits for both. The folder stays.
    pub(super) fn reap(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            let mut stdin = keeper.stdin.take().expect("a pipe");
            // It may have been killed.
            writeln!(stdin, "keep").ok();
            drop(stdin);
            keeper.wait().expect("the broker's keeper");
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.reap();
        if thread::panicking() {
            eprintln!("the broker's log is kept in {}", self.log().display());
        } else if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

/// Small, quick to change, and generous with old records; everything else is as in a real cluster.
fn properties(folder: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# An open transaction of a dead producer ends about a second after its timeout.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
# After a crash the broker waits for its own old session to end.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
# Events of years ago are data here.
log.retention.ms=-1
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
log.cleaner.threads=1
log.cleaner.backoff.ms=500
log.cleaner.min.cleanable.ratio=0.01
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
",
        data = folder.join("data").display()
    )
}

pub(super) fn missing_tool() -> Option<&'static str> {
    let is_missing = |tool: &&str| Command::new(tool).arg("-version").output().is_err();
    let needs_maven = !cache().join("libs").exists();
    ["java"].into_iter().chain(needs_maven.then_some("mvn")).find(is_missing)
}

/// Where tests and benches keep what they fetch.
pub(crate) fn cache_root() -> PathBuf {
    env::var_os("COHORTD_CACHE").map_or_else(
        || PathBuf::from(env::var_os("HOME").expect("HOME or COHORTD_CACHE")).join(".cache/cohortd"),
        PathBuf::from,
    )
}

fn cache() -> PathBuf {
    cache_root().join(format!("kafka-{VERSION}"))
}

fn libs() -> PathBuf {
    jars(&format!("Kafka {VERSION}"), "tests/support/kafka/pom.xml", cache().join("libs"))
}

/// The folder of the jars that a project of Maven names, fetched if they are not there. Two test runs may do so at once:
/// the folder appears whole.
pub(crate) fn jars(what: &str, project: &str, libs: PathBuf) -> PathBuf {
    if libs.exists() {
        return libs;
    }
    eprintln!("fetching {what} into {}: about 60 MB, once", libs.display());
    let part = libs.with_extension(std::process::id().to_string());
    let output = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(project))
        .arg(format!("-DoutputDirectory={}", part.display()))
        .output()
        .expect("mvn");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "fetching {what} failed:\n{text}");
    if fs::rename(&part, &libs).is_err() {
        assert!(libs.exists(), "{} cannot be made", libs.display());
        fs::remove_dir_all(&part).expect("removing a second copy");
    }
    libs
}

/// Ports that are free now, and that no connection is given by the system: those of outgoing connections begin at 32,768,
/// and a client that tries a port of these until somebody listens on it may end up connected to itself.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Every process begins elsewhere.
    let begin = std::process::id().wrapping_mul(7_919);
    [(); N].map(|()| {
        loop {
            let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let port = u16::try_from(FIRST + next % COUNT).expect("below the system's own");
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}
