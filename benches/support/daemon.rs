//! A daemon as a process of its own, and what it says of itself.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cohortd::settings::{self, Kafka};

/// Nothing here takes as long.
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// Ticks a second in /proc: the same on every Linux.
const TICKS: f64 = 100.0;

/// The settings of clients that look at the broker from outside.
pub(crate) fn kafka(bootstrap: &str) -> Kafka {
    Kafka {
        on_stop: settings::OnStop::Stay,
        bootstrap_servers: bootstrap.to_owned(),
        group_id: "bench".to_owned(),
        instance_id: "bench".to_owned(),
        start: settings::Start::Earliest,
        options: BTreeMap::new(),
    }
}

/// CPU seconds that a process has used.
pub(crate) fn cpu(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

/// A daemon as a process of its own, killed with this value.
pub(crate) struct Daemon {
    child: Child,
    address: String,
    pub(crate) admin: String,
    pub(crate) started: Instant,
}

/// What `/metrics` says: each series by its whole name.
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// The sum of a metric over its labels, as far as they contain `part`.
    pub(crate) fn sum(&self, name: &str, part: &str) -> f64 {
        let fits = |series: &str| {
            let rest = series.strip_prefix("cohortd_").and_then(|series| series.strip_prefix(name));
            rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with('{')) && rest.contains(part))
        };
        self.0.iter().filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.sum("records_consumed_total", "") as u64
    }

    pub(crate) fn stage(&self, stage: &str) -> f64 {
        self.sum("batch_duration_seconds_sum", &format!("\"{stage}\""))
    }
}

impl Daemon {
    /// Runs with these settings, and with addresses of its own.
    pub(crate) fn start(mut set: Vec<String>) -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (address, admin) = (free(), free());
        set.extend([
            format!("metrics.listen={address}"),
            format!("admin.listen={admin}"),
            "log.filter=warn".to_owned(),
        ]);
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_cohortd"))
            .arg("run")
            .args(set.into_iter().flat_map(|pair| ["--set".to_owned(), pair]))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, admin, started }
    }

    pub(crate) fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    pub(crate) fn get(&self, path: &str) -> Option<String> {
        ureq::get(format!("http://{}{path}", self.address)).call().ok()?.body_mut().read_to_string().ok()
    }

    pub(crate) fn figures(&self) -> Option<Figures> {
        let text = self.get("/metrics")?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Some(Figures(series.collect()))
    }

    /// Looks until `done`; the last figures.
    pub(crate) fn until(&mut self, pause: Duration, mut done: impl FnMut(&Figures) -> bool) -> Figures {
        let limit = Instant::now() + LONG;
        loop {
            assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended by itself");
            assert!(Instant::now() < limit, "the daemon does not get there");
            if let Some(figures) = self.figures()
                && done(&figures)
            {
                return figures;
            }
            thread::sleep(pause);
        }
    }

    /// Seconds from the start until `/health/ready` says so.
    pub(crate) fn ready(&self) -> f64 {
        let limit = Instant::now() + LONG;
        while self.get("/health/ready").is_none() {
            assert!(Instant::now() < limit, "the daemon is never ready");
            thread::sleep(Duration::from_millis(10));
        }
        self.started.elapsed().as_secs_f64()
    }

    pub(crate) fn stop(mut self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
