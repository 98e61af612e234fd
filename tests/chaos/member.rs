//! One process of the daemon: started as a supervisor would, with a disk and a clock of its own.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::clock;
use crate::disk::Disk;
use crate::http;
use crate::watch::Watched;

/// From the request to stop to the end, on a busy machine; the daemon promises ten seconds.
pub(super) const STOPS_WITHIN: Duration = Duration::from_secs(12);
/// A supervisor waits this long before it starts a process that ended by itself; twice as long each time after.
const RESTART_AFTER: Duration = Duration::from_secs(1);
const RESTART_AFTER_MAX: Duration = Duration::from_secs(8);
const ASK: Duration = Duration::from_secs(2);

pub(super) struct Member {
    pub(super) name: String,
    pub(super) lanes: u32,
    pub(super) disk: Disk,
    /// Where in the disk the state is. Another one takes over where a twin with a disk of its own won.
    pub(super) state: PathBuf,
    /// Settings, in the form that `--set` takes them.
    settings: Vec<String>,
    folder: PathBuf,
    child: Option<Child>,
    started: Instant,
    starts: u32,
    log: PathBuf,
    read_to: u64,
    /// Should it run, as far as its supervisor is concerned?
    pub(super) wanted: bool,
    /// A fault has it in hand.
    pub(super) busy: bool,
    /// Its local copy was damaged or taken away, so it may set it aside or restore it when it next reads there.
    pub(super) may_lose_copy: bool,
    restart_at: Option<Instant>,
    failures: u32,
    pub(super) watched: Watched,
}

impl Member {
    pub(super) fn new(name: &str, lanes: u32, disk: Disk, folder: &Path, settings: Vec<String>) -> Self {
        clock::set(&folder.join(format!("{name}.clock")), 0);
        Self {
            name: name.to_owned(),
            lanes,
            state: disk.path().join("state"),
            disk,
            settings,
            folder: folder.to_owned(),
            child: None,
            started: Instant::now(),
            starts: 0,
            log: PathBuf::new(),
            read_to: 0,
            wanted: true,
            busy: false,
            may_lose_copy: false,
            restart_at: None,
            failures: 0,
            watched: Watched::default(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How long it has been running, if it is.
    pub(super) fn runs_for(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it. Settings and flags are the same each time.
    pub(super) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.name);
        self.starts += 1;
        self.started = Instant::now();
        self.log = self.folder.join(format!("{}-{}.log", self.name, self.starts));
        self.read_to = 0;
        self.restart_at = None;
        let child = self.spawn(&self.state, &self.log);
        self.watched.started(child.id(), &self.log);
        self.child = Some(child);
    }

    /// A process with this name, a state folder and a log of its own.
    pub(super) fn spawn(&self, state: &Path, log: &Path) -> Child {
        let mut command = mortal(env!("CARGO_BIN_EXE_cohortd"));
        command
            .args(["run", "--accept-rules"])
            .args(self.settings.iter().flat_map(|set| ["--set", set]))
            .args(["--set", &format!("state.dir={}", state.display())])
            .args(["--set", &format!("kafka.instance_id={}", self.name)])
            .args(["--set", &format!("lanes={}", self.lanes)])
            .env_clear()
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap());
        if let Some(library) = clock::library(&self.folder) {
            command.env("LD_PRELOAD", library).env("COHORTD_TEST_CLOCK", self.clock());
        }
        command.spawn().unwrap()
    }

    fn clock(&self) -> PathBuf {
        self.folder.join(format!("{}.clock", self.name))
    }

    /// Moves its wall clock by so many seconds. False where that cannot be done.
    pub(super) fn set_clock(&self, seconds: i64) -> bool {
        clock::set(&self.clock(), seconds);
        clock::library(&self.folder).is_some()
    }

    /// A file for the log of a twin.
    pub(super) fn twin_log(&self) -> PathBuf {
        self.folder.join(format!("{}-{}-twin.log", self.name, self.starts))
    }

    /// As a crash would. It may have ended before.
    pub(super) fn kill9(&mut self) {
        self.watched.stopped();
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().unwrap();
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        if let Some(pid) = self.pid() {
            Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
        }
    }

    /// Waits until it ends, which was asked of it before; `None` if it does not within the limit, and it is killed.
    pub(super) fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.child.as_mut()?.try_wait().unwrap();
            if status.is_some() {
                self.child = None;
                self.watched.stopped();
                return status;
            }
            if Instant::now() > deadline {
                self.kill9();
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The status with which it ended by itself since it was last looked at.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        self.watched.stopped();
        let wait = (RESTART_AFTER * 2_u32.pow(self.failures.min(3))).min(RESTART_AFTER_MAX);
        self.failures += 1;
        self.restart_at = Some(Instant::now() + wait);
        Some(status)
    }

    /// Is it time for its supervisor to start it?
    pub(super) fn is_due(&self) -> bool {
        let rested = self.restart_at.is_none_or(|at| Instant::now() >= at);
        self.wanted && !self.busy && self.child.is_none() && rested
    }

    /// It went on well for a while: the next restart is quick again.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
    }

    /// Replaces the process by another of the same name that has outlived it.
    pub(super) fn attach(&mut self, child: Child, log: PathBuf) {
        self.child = Some(child);
        self.log = log;
        self.read_to = 0;
        self.watched.started(self.child.as_ref().unwrap().id(), &self.log);
    }

    pub(super) fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// Lines written to the log since the last call.
    pub(super) fn new_lines(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.log) else { return Vec::new() };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read_to)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        // The last line may still be in the making.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.read_to += whole as u64;
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }

    /// Where the log ends now.
    pub(super) fn log_end(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// Does the log say this behind a place?
    pub(super) fn says_after(&self, place: u64, text: &str) -> bool {
        let Ok(mut file) = File::open(&self.log) else { return false };
        let mut logged = Vec::new();
        file.seek(SeekFrom::Start(place)).unwrap();
        file.read_to_end(&mut logged).unwrap();
        logged.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Not even that it begins.
    pub(super) fn is_silent(&self) -> bool {
        self.log.metadata().is_ok_and(|log| log.len() == 0)
    }

    /// Status and body of an answer of the metrics address; `None` while the process does not answer.
    pub(super) fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(&self.watched.metrics_address()?, path, ASK)
    }

    /// The sum of a metric over its labels.
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        let (status, body) = self.get("/metrics")?;
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        (status == 200)
            .then(|| body.lines().filter(of_name).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }
}

/// A program that ends with this process, however that ends, where util-linux is installed.
fn mortal(program: &str) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", program]);
    command
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill9();
    }
}
