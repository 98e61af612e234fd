//! A disk that answers I/O errors for a while: what is good is kept, intake pauses, and work goes on by itself. A library
//! that is loaded before the daemon makes its reads and writes fail.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::daemon::Daemon;
use super::disk::{applied, kept, many_customers, waits_for_disk};
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};
use crate::support::preload;

const SESSION: [&str; 2] = ["kafka.options.session.timeout.ms=12000", "kafka.options.heartbeat.interval.ms=500"];
/// Whoever still has their partitions has kept polling.
const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(15);

/// Customers beside those of the shop.
const CUSTOMERS: i64 = 4_000;

/// The disk under a process's `state.dir`.
struct FailingDisk {
    flag: PathBuf,
    environment: Vec<(String, String)>,
}

impl FailingDisk {
    /// `None`, with the reason, where there is no C compiler, or no Linux.
    fn new(lab: &Lab, instance: &str) -> Option<Self> {
        let (library, folder) = (lab.path("disk.so"), lab.state(instance));
        if let Err(reason) = preload::compile("disk.c", &library) {
            println!("skipped: the library that makes a disk fail cannot be compiled here: {reason}");
            return None;
        }
        let environment = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("COHORTD_TEST_DISK".to_owned(), folder.display().to_string()),
        ];
        let disk = Self { flag: folder.with_extension("fails"), environment };
        disk.works();
        Some(disk)
    }

    fn set(&self, to: &str) {
        preload::write(&self.flag, to.as_bytes());
    }

    fn works(&self) {
        self.set("-");
    }

    fn fails_to_write(&self) {
        self.set("w");
    }

    fn fails(&self) {
        self.set("r");
    }
}

/// It waits with the disk's own words, keeps its place in the group, and works again once the disk does.
fn is_survived(daemon: &mut Daemon, disk: &FailingDisk) {
    let text = waits_for_disk(daemon);
    println!("failing: {text}");
    assert!(text.contains("nput/output error"), "{text}");
    thread::sleep(LONGER_THAN_A_SESSION);
    daemon.assert_running();
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    assert_eq!(daemon.metrics()["cohortd_rebalances_total"], 1.0, "membership is kept");
    assert!(daemon.metrics()["cohortd_waiting"] > 0.0);
    disk.works();
    daemon.ready();
    let before = applied(daemon);
    eventually("events are applied again", || (applied(daemon) > before + 100.0).then_some(()));
    kept(daemon);
}

#[test]
fn a_disk_with_io_errors_costs_no_copy_and_processing_resumes_once_it_answers_again() {
    let Some(lab) = Lab::new("failing", 2, shop::RULES) else { return };
    let Some(disk) = FailingDisk::new(&lab, "one") else { return };
    let mut random = Random::seeded("failing");
    let sets = [&shop::SETS[..], &SESSION, &["state.flush_after_events=200", "state.flush_after=1 s"]].concat();
    let open = shop::open(&lab, random.next(), 30, 50);
    let mut daemon = lab.start_with(&disk.environment, "one", &sets);
    daemon.ready();
    many_customers(&lab, 0, CUSTOMERS);
    eventually("they are applied", || (applied(&mut daemon) > CUSTOMERS as f64).then_some(()));
    // What is in memory is written out once a minute at the latest.
    disk.fails_to_write();
    is_survived(&mut daemon, &disk);
    // A start, while nothing can be written or read.
    daemon.stop();
    disk.fails();
    let mut daemon = lab.start_with(&disk.environment, "one", &sets);
    is_survived(&mut daemon, &disk);
    let restored = daemon.metrics()["cohortd_restore_records_total"];
    println!("failing: {restored} records were reloaded of {CUSTOMERS} customers and more");
    assert!(restored < CUSTOMERS as f64, "the changelog was read again from its beginning: {restored} records");
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("failing: {found:?}");
    assert!(found.changes > 50, "too little happened: {found:?}");
}
