//! A disk that is full, read-only or forbidden, and too few file handles: nothing is thrown away, and work goes on by
//! itself when it can. Where the test may not mount file systems, it says so and is skipped.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::daemon::Daemon;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{avro, eventually, judge};

/// Longer than the session of the tests' processes: a process that still has its partitions has kept polling.
const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(8);
const SHORT_SESSION: [&str; 2] = ["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"];

/// A small file system in memory; gone with the value.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf, mib: u32) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"], &at).then_some(Self(at))
    }

    fn remount(&self, option: &str) {
        assert!(run("mount", &["-o", &format!("remount,{option}")], &self.0));
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        let block = vec![1; 1 << 16];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    fn state(&self) -> String {
        format!("state.dir={}", self.0.join("state").display())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

/// Makes a folder immutable, for the superuser too; undone when dropped.
struct Forbidden<'a>(&'a Path);

impl<'a> Forbidden<'a> {
    fn new(folder: &'a Path) -> Option<Self> {
        run("chattr", &["+i"], folder).then_some(Self(folder))
    }
}

impl Drop for Forbidden<'_> {
    fn drop(&mut self) {
        run("chattr", &["-i"], self.0);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    match Command::new(program).args(arguments).arg(path).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!("skipped where {program} fails: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            println!("skipped where there is no {program}: {error}");
            false
        }
    }
}

/// Waits until the process says that it waits for the disk.
pub(super) fn waits_for_disk(daemon: &mut Daemon) -> String {
    eventually("it says that it waits for the disk", || {
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("disk")).then_some(text)
    })
}

pub(super) fn applied(daemon: &mut Daemon) -> f64 {
    daemon.metric("cohortd_events_applied_total")
}

/// Nothing was thrown away.
pub(super) fn kept(daemon: &mut Daemon) {
    assert_eq!(daemon.metrics()["cohortd_copies_set_aside_total"], 0.0);
    assert!(!daemon.says("discarded and restored"), "{}", daemon.log());
}

/// Has a database written a table out?
fn has_table(folder: &Path) -> bool {
    let Ok(files) = fs::read_dir(folder) else { return false };
    files.flatten().any(|file| file.path().extension().is_some_and(|extension| extension == "sst"))
}

/// Many customers, each with one event that no deadline follows, and a kilobyte of state: their ids are long.
pub(super) fn many_customers(lab: &Lab, from: i64, to: i64) {
    let writer = lab.writer();
    for number in from..to {
        let customer = format!("{}{number:0>800}", judge::IDLE);
        let event = avro::event(&customer, "other", cohortd::clock::wall_clock().0, Some(format!("many-{number}")));
        writer.send(&customer, &avro::encode(&event));
    }
    writer.flush();
}

#[test]
fn a_full_disk_pauses_the_work_and_costs_nothing_else() {
    let Some(lab) = Lab::new("full", 2, shop::RULES) else { return };
    let Some(disk) = Tmpfs::mount(lab.path("disk"), 48) else { return };
    let mut random = Random::seeded("full");
    let state = disk.state();
    let sets =
        [&shop::SETS[..], &SHORT_SESSION, &["state.flush_after_events=200", "state.flush_after=1 s", &state]].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    for round in 0..2 {
        let before = applied(&mut daemon);
        eventually("events are applied", || (applied(&mut daemon) > before + 200.0).then_some(()));
        disk.fill();
        let text = waits_for_disk(&mut daemon);
        assert!(text.contains("state.dir") && text.contains("MiB free"), "{text}");
        let (stopped, restored) = (applied(&mut daemon), daemon.metrics()["cohortd_restore_records_total"]);
        thread::sleep(LONGER_THAN_A_SESSION);
        assert_eq!(applied(&mut daemon), stopped, "nothing is begun while there is no room");
        assert_eq!(daemon.metrics()["cohortd_rebalances_total"], 1.0, "membership is kept");
        assert!(daemon.metrics()["cohortd_waiting"] > 0.0);
        disk.free();
        eventually("work goes on by itself", || (applied(&mut daemon) > stopped).then_some(()));
        daemon.ready();
        kept(&mut daemon);
        assert_eq!(daemon.metrics()["cohortd_restore_records_total"], restored, "nothing was read again");
        println!("full: round {round} is over");
    }
    // A stop with a full disk is a stop in good order, and loses nothing.
    disk.fill();
    waits_for_disk(&mut daemon);
    daemon.stop();
    disk.free();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    kept(&mut daemon);
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("full: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50, "too little happened: {found:?}");
}

#[test]
fn a_disk_that_is_read_only_at_the_start_is_waited_for_and_the_copy_is_used() {
    let Some(lab) = Lab::new("readonly", 2, shop::RULES) else { return };
    let Some(disk) = Tmpfs::mount(lab.path("disk"), 64) else { return };
    let mut random = Random::seeded("readonly");
    let state = disk.state();
    let sets = [&shop::SETS[..], &["state.flush_after_events=100", "state.flush_after=1 s", &state]].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    many_customers(&lab, 0, 2_000);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    eventually("events are applied", || (applied(&mut daemon) > 2_200.0).then_some(()));
    daemon.stop();
    disk.remount("ro");
    let mut daemon = lab.start("one", &sets);
    let text = waits_for_disk(&mut daemon);
    assert!(text.contains("read-only"), "{text}");
    disk.remount("rw");
    daemon.ready();
    kept(&mut daemon);
    let restored = daemon.metrics()["cohortd_restore_records_total"];
    assert!(restored < 1_500.0, "the changelog was read again from its beginning: {restored} records");
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    assert!(found.changes > 50, "too little happened: {found:?}");
}

#[test]
fn a_write_that_is_refused_after_the_commit_costs_its_partition_the_tail_and_the_other_nothing() {
    let Some(lab) = Lab::new("refused", 2, shop::RULES) else { return };
    let mut random = Random::seeded("refused");
    // Write buffers of 19 MiB are written out after some fifteen thousand customers.
    let sets = [
        &shop::SETS[..],
        &SHORT_SESSION,
        &["state.flush_after_events=0", "memory.limit=128 MiB", "batch.max_records=2000"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let folder = lab.state("one").join(&lab.name).join(format!("{}-0", lab.topic("in")));
    let mut from = 0;
    // A part of its customers is in files.
    while !has_table(&folder) {
        many_customers(&lab, from, from + 5_000);
        from += 5_000;
        eventually("they are applied", || (applied(&mut daemon) > from as f64).then_some(()));
        assert!(from < 100_000, "its database never had to make a file");
    }
    let restored = daemon.metrics()["cohortd_restore_records_total"];
    let Some(forbidden) = Forbidden::new(&folder) else { return };
    let mut waits = false;
    while !waits {
        many_customers(&lab, from, from + 5_000);
        from += 5_000;
        eventually("they are applied, or cannot be", || {
            let metrics = daemon.metrics();
            (metrics["cohortd_events_applied_total"] > from as f64 || metrics["cohortd_waiting"] > 0.0).then_some(())
        });
        assert!(from < 200_000, "its database never had to make another file");
        waits = daemon.metrics()["cohortd_waiting"] > 0.0;
    }
    let text = waits_for_disk(&mut daemon);
    assert!(text.contains("Partition 0") && !text.contains("Partition 1"), "{text}");
    let before = applied(&mut daemon);
    eventually("the other partition goes on", || (applied(&mut daemon) > before + 100.0).then_some(()));
    thread::sleep(LONGER_THAN_A_SESSION);
    assert_eq!(daemon.metrics()["cohortd_rebalances_total"], 1.0, "membership is kept");
    drop(forbidden);
    daemon.ready();
    kept(&mut daemon);
    let restored = daemon.metrics()["cohortd_restore_records_total"] - restored;
    println!("refused: {restored} records were reloaded after {from} customers");
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("refused: {found:?}");
    // Half of all customers are the partition's; what it has to read is less than what it had not written out.
    assert!(restored < from as f64 / 2.0 * 0.9, "{restored} records were reloaded of {from} customers");
    assert!(found.changes > 50, "too little happened: {found:?}");
}

#[test]
fn too_few_file_handles_keep_partitions_waiting_and_no_copy_is_lost() {
    let Some(lab) = Lab::new("handles", 8, shop::RULES) else { return };
    let mut random = Random::seeded("handles");
    let sets = [&shop::SETS[..], &SHORT_SESSION, &["state.flush_after_events=100", "state.flush_after=1 s"]].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    many_customers(&lab, 0, 1_000);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    eventually("events are applied", || (applied(&mut daemon) > 1_200.0).then_some(()));
    let all = daemon.files_open();
    let mut other = lab.start("two", &sets);
    other.ready();
    eventually("half of the partitions are elsewhere", || {
        (daemon.metrics()["cohortd_partitions_assigned"] as i32 <= 4).then_some(())
    });
    // Now they come back, and there is room for few of them.
    let some = daemon.files_open();
    daemon.allow_files(some + 15);
    other.kill9();
    let text = waits_for_disk(&mut daemon);
    assert!(text.contains("Too many open files"), "{text}");
    println!("handles: all take {all} files, half of them {some}");
    kept(&mut daemon);
    daemon.allow_files(all * 2);
    daemon.ready();
    kept(&mut daemon);
    eventually("all partitions are here", || {
        (daemon.metrics()["cohortd_partitions_assigned"] as i32 == 8).then_some(())
    });
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    assert!(found.changes > 50, "too little happened: {found:?}");
}
