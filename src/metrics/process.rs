//! The process metrics of every Prometheus client library, under the usual names. Read from `/proc` at each scrape;
//! without it, nothing is shown.

use std::fs;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

use super::resident_bytes;

#[derive(Debug)]
pub(super) struct Process {
    /// `process_cpu_seconds_total`: user and system time of all threads. Worry when its rate stays at the number of
    /// cores: add processes.
    cpu: Counter,
    /// `process_start_time_seconds`: when the process began. Worry when it changes by itself.
    start_time: Gauge,
    /// `process_resident_memory_bytes`: memory as the kernel counts it. Worry above nine tenths of `cohortd_memory_limit_bytes`:
    /// reading pauses before it is reached.
    resident: Gauge,
    /// `process_virtual_memory_bytes`: address space. No worry by itself.
    virtual_memory: Gauge,
    /// `process_open_fds`: open file descriptors: files, sockets and others. Worry above nine tenths of
    /// `process_max_fds`.
    open_files: Gauge,
    /// `process_max_fds`: the maximum number of open file descriptors. No worry by itself.
    max_files: Gauge,
    /// `process_threads`: threads of the operating system. No worry by itself.
    threads: Gauge,
    /// Two concurrent scrapes would count the same time twice.
    reading: Mutex<()>,
}

impl Process {
    pub(super) fn new() -> Self {
        let gauge = |name: &str, help: &str| Gauge::new(name, help).expect("the name is well formed");
        let cpu = Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
        Self {
            cpu: cpu.expect("the name is well formed"),
            start_time: gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
            resident: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            virtual_memory: gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
            open_files: gauge("process_open_fds", "Number of open file descriptors."),
            max_files: gauge("process_max_fds", "Maximum number of open file descriptors."),
            threads: gauge("process_threads", "Number of OS threads in the process."),
            reading: Mutex::default(),
        }
    }

    /// By name.
    fn each(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.max_files,
            &self.open_files,
            &self.resident,
            &self.start_time,
            &self.threads,
            &self.virtual_memory,
        ]
    }

    /// `None` where the kernel does not say.
    fn read(&self) -> Option<()> {
        let stat = Stat::read()?;
        self.cpu.inc_by((stat.cpu_seconds - self.cpu.get()).max(0.0));
        // It never changes, and reading it costs the most.
        if self.start_time.get() == 0.0 {
            self.start_time.set(boot_time()? + stat.since_boot);
        }
        self.resident.set(resident_bytes()? as f64);
        self.virtual_memory.set(stat.virtual_bytes);
        self.threads.set(stat.threads);
        // One of them is the directory being read.
        self.open_files.set(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64);
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
        self.max_files.set(soft.parse().unwrap_or(f64::INFINITY));
        Some(())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.each().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read() {
            Some(()) => self.each().into_iter().flat_map(Collector::collect).collect(),
            None => Vec::new(),
        }
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// What `/proc/self/stat` says.
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// When it was started, in seconds since the machine was.
    since_boot: f64,
    virtual_bytes: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name, in brackets, may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // Numbered from 1 in proc(5), and the third is the first after the name.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            threads: field(20)?,
            since_boot: field(22)? / ticks,
            virtual_bytes: field(23)?,
        })
    }
}
