//! Monitors every process: is it alive, and how much memory does it use?

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::findings::Findings;
use crate::http;

const LOOKS_EVERY: Duration = Duration::from_millis(300);
const ASK: Duration = Duration::from_secs(2);
/// Nobody answers for so long, on a machine that may be busy, and nothing was done to the process: that is a finding.
const SILENT_MAX: Duration = Duration::from_secs(8);
/// Kubernetes' default, three failures ten seconds apart, forgives more than this.
const GRACE: Duration = Duration::from_secs(2);

/// What a watcher has to know of a process. Shared.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Mutex<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    pid: Option<u32>,
    log: PathBuf,
    metrics_address: Option<String>,
    /// It is suspended, so it cannot answer.
    asleep: bool,
    /// Changes with everything that is done to it.
    epoch: u64,
    since: Option<Instant>,
    resident_max: u64,
    /// In this epoch it was found not to be alive: once is enough.
    dead: u64,
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.epoch += 1;
        state.since = Some(Instant::now());
    }

    pub(super) fn started(&self, pid: u32, log: &Path) {
        self.change(|state| {
            state.pid = Some(pid);
            log.clone_into(&mut state.log);
            state.metrics_address = None;
            state.asleep = false;
        });
    }

    pub(super) fn stopped(&self) {
        self.change(|state| state.pid = None);
    }

    pub(super) fn asleep(&self) {
        self.change(|state| state.asleep = true);
    }

    pub(super) fn awake(&self) {
        self.change(|state| state.asleep = false);
    }

    /// Where the metrics are, once it listens.
    pub(super) fn metrics_address(&self) -> Option<String> {
        let mut state = self.state();
        state.pid?;
        if state.metrics_address.is_none() {
            let log = fs::read_to_string(&state.log).ok()?;
            let line = log.lines().find(|line| line.contains("\"Listening.\""))?;
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let metrics_address = line.get("metrics").or_else(|| line["fields"].get("metrics"))?;
            state.metrics_address = Some(metrics_address.as_str()?.to_owned());
        }
        state.metrics_address.clone()
    }

    /// The most that any process of this name had.
    pub(super) fn resident_max(&self) -> u64 {
        self.state().resident_max
    }
}

/// The watcher's thread; ends when dropped.
pub(super) struct Watcher {
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(super) fn start(members: Vec<(String, Watched)>, memory_limit: u64, findings: Findings) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stops);
        let thread = thread::spawn(move || {
            let mut answered: Vec<(u64, Instant)> = members.iter().map(|_| (0, Instant::now())).collect();
            while !stopping.load(Ordering::Relaxed) {
                for ((name, watched), answered) in members.iter().zip(&mut answered) {
                    look(name, watched, answered, memory_limit, &findings);
                }
                thread::sleep(LOOKS_EVERY);
            }
        });
        Self { stops, thread: Some(thread) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Looks once. `answered` is when it last answered, in which epoch.
fn look(name: &str, watched: &Watched, answered: &mut (u64, Instant), memory_limit: u64, findings: &Findings) {
    let metrics_address = watched.metrics_address();
    let state = watched.state().clone();
    let (Some(pid), false) = (state.pid, state.asleep) else { return };
    if let Some(resident) = resident(pid) {
        let mut now = watched.state();
        if resident > memory_limit && now.resident_max <= memory_limit {
            findings.add(&format!("{name} has {resident} bytes resident, over memory.limit = {memory_limit}"));
        }
        now.resident_max = now.resident_max.max(resident);
    }
    let Some(metrics_address) = metrics_address else { return };
    let answer = http::get(&metrics_address, "/health/live", ASK);
    if watched.state().epoch != state.epoch || state.since.is_none_or(|since| since.elapsed() < GRACE) {
        return;
    }
    if answered.0 != state.epoch {
        *answered = (state.epoch, Instant::now());
    }
    match answer {
        Some((200, _)) => answered.1 = Instant::now(),
        Some((status, body)) => {
            answered.1 = Instant::now();
            let mut now = watched.state();
            if now.dead != state.epoch {
                now.dead = state.epoch;
                findings.add(&format!("{name} says of itself that it is not alive: {status} {}", body.trim()));
            }
        }
        None if answered.1.elapsed() > SILENT_MAX => {
            findings.add(&format!("{name} has not answered /health/live for {:?}", answered.1.elapsed()));
            answered.1 = Instant::now();
        }
        None => {}
    }
}

/// Bytes; `None` where the process is gone or there is no /proc.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
