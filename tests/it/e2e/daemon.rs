//! The daemon as a process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::eventually;

/// What supervisors commonly grant. It takes 10 s at most by itself, on a machine that lets it run.
pub(super) const STOPS_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

/// How a process ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stderr: String,
}

impl Daemon {
    pub(super) fn start(settings: &[String], flags: &[&str], log: &Path) -> Self {
        Self::start_with(&[], settings, flags, log)
    }

    /// With variables in its environment.
    pub(super) fn start_with(
        environment: &[(String, String)],
        settings: &[String],
        flags: &[&str],
        log: &Path,
    ) -> Self {
        // Another release may be measured by the same test.
        let program = std::env::var_os("COHORTD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_cohortd").into());
        let child = Command::new(program)
            .arg("run")
            .args(flags)
            .args(settings.iter().flat_map(|set| ["--set", set]))
            // The environment's settings must have no effect.
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log: log.to_owned() }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn says(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    /// The lines of the log, as their fields.
    pub(super) fn lines(&self) -> Vec<serde_json::Value> {
        let log = self.log();
        // The last one may be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Those of them with this message.
    pub(super) fn lines_of(&self, message: &str) -> Vec<serde_json::Value> {
        self.lines().into_iter().filter(|line| line["message"] == message).collect()
    }

    /// The partitions for which it has logged this, each as often as it has.
    pub(super) fn partitions_of(&self, message: &str) -> Vec<i64> {
        let mut partitions: Vec<i64> =
            self.lines_of(message).iter().map(|line| line["partition"].as_i64().unwrap()).collect();
        partitions.sort_unstable();
        partitions
    }

    /// The lag of each partition for which one is shown.
    pub(super) fn lags(&mut self) -> BTreeMap<i32, i64> {
        let (_, body) = self.get("/metrics").unwrap();
        let series = body.lines().filter_map(|line| line.strip_prefix("cohortd_consumer_lag_records{partition=\""));
        let lag = |rest: &str| {
            let (partition, value) = (rest.split_once('"').unwrap().0, rest.rsplit_once(' ').unwrap().1);
            (partition.parse().unwrap(), value.parse().unwrap())
        };
        series.map(lag).collect()
    }

    /// As a crash would.
    pub(super) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.is_sound();
    }

    /// Asks it to stop, and expects that it does so in time and in good order.
    pub(super) fn stop(mut self) {
        self.assert_running();
        self.signal("-TERM");
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(asked.elapsed() < STOPS_WITHIN, "still running {STOPS_WITHIN:?} after SIGTERM:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.is_sound();
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Are its doors open?
    pub(super) fn is_listening(&self) -> bool {
        self.says("\"Listening.\"")
    }

    pub(super) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        if signal == "-STOP" {
            // On a busy machine its threads run on for a moment, each for itself. Without /proc this is not known.
            while !self.stands_still() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Has a signal stopped all of its threads?
    fn stands_still(&self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return true };
        // One that has ended meanwhile runs no more.
        threads
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
            .all(|status| status.lines().any(|line| line.starts_with("State:\tT")))
    }

    /// How many files, sockets and so on it has open.
    pub(super) fn files_open(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// From now on it may have so many open, unless it asks for more.
    pub(super) fn allow_files(&self, files: usize) {
        let (pid, limit) = (self.child.id().to_string(), format!("--nofile={files}:"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    }

    /// Waits until it ends by itself.
    pub(super) fn ended(mut self) -> Ended {
        let status = eventually("the process ends by itself", || self.child.try_wait().unwrap());
        Ended { code: status.code(), stderr: self.log() }
    }

    pub(super) fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "ended by itself ({ended:?}):\n{}", self.log());
    }

    /// No invariant failed on the way.
    fn is_sound(&self) {
        let log = self.log();
        assert!(!log.contains("panicked") && !log.contains("A lane stops"), "{log}");
    }

    /// Where a door is, once it listens: `metrics` or `admin`.
    pub(super) fn address(&mut self, door: &str) -> String {
        eventually("it listens", || {
            self.assert_running();
            let log = self.log();
            let line = log.lines().find(|line| line.contains("\"Listening.\""))?.to_owned();
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let found = line.get(door).or_else(|| line["fields"].get(door));
            Some(found.unwrap().as_str().unwrap().to_owned())
        })
    }

    /// Status and body of an answer of the metrics address; `None` while the process does not answer.
    pub(super) fn get(&mut self, path: &str) -> Option<(u16, String)> {
        self.ask("metrics", path)
    }

    /// As `get`, of this door.
    pub(super) fn ask(&mut self, door: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address(door)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until it is ready.
    pub(super) fn ready(&mut self) {
        eventually("the process is ready", || {
            self.assert_running();
            (self.get("/health/ready")?.0 == 200).then_some(())
        });
    }

    /// The sum of each metric over its labels.
    pub(super) fn metrics(&mut self) -> BTreeMap<String, f64> {
        let (status, body) = self.get("/metrics").unwrap();
        assert_eq!(status, 200);
        let mut sums = BTreeMap::new();
        for line in body.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            *sums.entry(name.to_owned()).or_insert(0.0) += value.parse::<f64>().unwrap();
        }
        sums
    }

    /// The sum of one over its labels; 0 while it has none.
    pub(super) fn metric(&mut self, name: &str) -> f64 {
        self.metrics().get(name).copied().unwrap_or(0.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("the process said last:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
