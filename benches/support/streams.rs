//! The programs for Kafka Streams in `benches/streams`, and how much of a topic a program has read.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cohortd::kafka::Watermarks;

use crate::broker::{cache_root, jars};
use crate::support::daemon::{LONG, cpu};

const LOOK: Duration = Duration::from_millis(50);

/// A program, killed with this value.
pub(crate) struct Program(Child);

impl Program {
    /// Is there what it takes? Says so if not.
    pub(crate) fn is_possible() -> bool {
        let missing = ["javac", "mvn"].into_iter().find(|tool| Command::new(tool).arg("-version").output().is_err());
        if let Some(tool) = missing {
            println!("without Kafka Streams, which needs {tool}");
        }
        missing.is_none()
    }

    /// Compiles and starts one, which finds a folder for its state in `folder`.
    pub(crate) fn start(name: &str, bootstrap: &str, folder: &tempfile::TempDir, arguments: &[String]) -> Self {
        let (libs, classes) = (libs(), folder.path().join("classes"));
        let class_path = format!("{}/*:{}", libs.display(), classes.display());
        let sources = ["Events", name].map(|name| source().join(format!("{name}.java")));
        let compiled = Command::new("javac").args(["-cp", &class_path, "-d"]).arg(&classes).args(sources).status();
        assert!(compiled.expect("javac, which comes with a JDK").success(), "{name}.java");
        let child = Command::new("java")
            .args(["-Xms256m", "-Xmx1g", "-cp", &class_path, name, bootstrap])
            .arg(folder.path().join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("java"))
    }

    /// CPU seconds that it has used.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(self.0.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/streams")
}

/// The jars, fetched once into the folder of the broker's.
fn libs() -> PathBuf {
    jars("Kafka Streams", "benches/streams/pom.xml", cache_root().join("kafka-streams-4.4.0/libs"))
}

/// Topics with their partitions, and the records in all of them.
pub(crate) struct Log<'a> {
    pub(crate) watermarks: &'a Watermarks,
    pub(crate) topics: &'a [(&'a str, i32)],
    pub(crate) records: u64,
}

/// What a program took for all records.
pub(crate) struct Pass {
    pub(crate) per_second: f64,
    pub(crate) per_cpu_second: f64,
    /// In the second half, when it is warm.
    pub(crate) warm_per_cpu_second: f64,
}

impl Log<'_> {
    /// How many records a group has read, as committed.
    fn read(&self, group: &str) -> u64 {
        let read = self.topics.iter().map(|(topic, partitions)| {
            let partitions: Vec<i32> = (0..*partitions).collect();
            let committed = self.watermarks.committed(group, topic, &partitions, Duration::from_secs(5));
            committed.unwrap_or_default().into_iter().filter_map(|found| found.offset).sum::<i64>()
        });
        read.sum::<i64>().unsigned_abs()
    }

    /// Waits until a group has read all records; `used`: the CPU seconds of its program.
    pub(crate) fn pass(&self, group: &str, used: impl Fn() -> f64) -> Pass {
        let started = Instant::now();
        let (mut first, mut half) = (None, None);
        loop {
            let read = self.read(group);
            let now = (read as f64, used());
            if read > 0 && first.is_none() {
                first = Some((now.0, Instant::now()));
            }
            if read > self.records / 2 && half.is_none() {
                half = Some(now);
            }
            if let (true, Some(first), Some(half)) = (read == self.records, first, half) {
                return Pass {
                    per_second: (now.0 - first.0) / first.1.elapsed().as_secs_f64(),
                    per_cpu_second: now.0 / now.1,
                    warm_per_cpu_second: (now.0 - half.0) / (now.1 - half.1),
                };
            }
            assert!(started.elapsed() < 2 * LONG, "{group} has read {read} of {} records", self.records);
            thread::sleep(LOOK);
        }
    }
}
