//! Damaged files: the copy of one partition is set aside and restored without effect on others; damage that comes back
//! ends in a wait.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::disk::applied;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{LONG, eventually, judge};

const SETS: [&str; 2] = ["state.flush_after_events=100", "state.flush_after=1 s"];

/// Damages a copy that no process has open.
type Damage = fn(&Path);

/// Where the copies of a process lie.
fn folder(lab: &Lab) -> PathBuf {
    lab.state("one").join(&lab.name)
}

fn copy(lab: &Lab, partition: i32) -> PathBuf {
    folder(lab).join(format!("{}-{partition}", lab.topic("in")))
}

fn files(copy: &Path, is: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(copy).unwrap().map(|entry| entry.unwrap());
    let found: Vec<PathBuf> =
        entries.filter(|entry| is(entry.file_name().to_str().unwrap())).map(|entry| entry.path()).collect();
    assert!(!found.is_empty(), "nothing to damage in {}", copy.display());
    found
}

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}

fn flip(file: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

fn flip_each_table(copy: &Path) {
    // In the first block of data, past its length and type.
    files(copy, is_table).iter().for_each(|table| flip(table, 12));
}

fn flip_manifest(copy: &Path) {
    for manifest in files(copy, |name| name.starts_with("MANIFEST")) {
        let length = fs::metadata(&manifest).unwrap().len();
        flip(&manifest, length / 2);
    }
}

fn garble_current(copy: &Path) {
    fs::write(copy.join("CURRENT"), "MANIFEST-0000x1\n").unwrap();
}

fn lose_manifest(copy: &Path) {
    files(copy, |name| name.starts_with("MANIFEST")).iter().for_each(|manifest| fs::remove_file(manifest).unwrap());
}

fn lose_current(copy: &Path) {
    fs::remove_file(copy.join("CURRENT")).unwrap();
}

fn lose_a_table(copy: &Path) {
    fs::remove_file(&files(copy, is_table)[0]).unwrap();
}

fn cut_a_table(copy: &Path) {
    let table = &files(copy, is_table)[0];
    let length = fs::metadata(table).unwrap().len();
    OpenOptions::new().write(true).open(table).unwrap().set_len(length / 2).unwrap();
}

/// Copies that were set aside, by partition.
fn set_aside(lab: &Lab, partition: i32) -> usize {
    let prefix = format!("{}-{partition}.damaged-", lab.topic("in"));
    let entries = fs::read_dir(folder(lab)).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(&prefix)).count()
}

/// The partition has found it out, and is at work again.
fn healed(daemon: &mut Daemon) {
    eventually("the damage is found", || {
        daemon.assert_running();
        (daemon.metrics()["cohortd_copies_set_aside_total"] > 0.0).then_some(())
    });
    daemon.ready();
}

/// The process applies events, whatever one of its partitions waits for.
fn goes_on(daemon: &mut Daemon) {
    let before = applied(daemon);
    let began = Instant::now();
    while applied(daemon) < before + 100.0 {
        assert!(began.elapsed() < LONG, "the other partition does not go on: {:#?}", daemon.metrics());
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn whatever_file_is_damaged_one_copy_is_set_aside_and_restored() {
    let Some(lab) = Lab::new("damage", 2, shop::RULES) else { return };
    let mut random = Random::seeded("damage");
    let sets = [&shop::SETS[..], &SETS].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut daemon = lab.start("one", &sets);
    let damages: [(&str, Damage); 7] = [
        ("a bit of each table", flip_each_table),
        ("a bit of MANIFEST", flip_manifest),
        ("CURRENT names no file", garble_current),
        ("MANIFEST is gone", lose_manifest),
        ("CURRENT is gone", lose_current),
        ("a table is gone", lose_a_table),
        ("a table is cut short", cut_a_table),
    ];
    for (what, damage) in damages {
        daemon.ready();
        thread::sleep(Duration::from_millis(1_500));
        daemon.stop();
        // Each of them is looked at as the first one.
        fs::remove_file(folder(&lab).join(format!("{}-1.damages", lab.topic("in")))).ok();
        damage(&copy(&lab, 1));
        daemon = lab.start("one", &sets);
        healed(&mut daemon);
        assert_eq!(daemon.metrics()["cohortd_copies_set_aside_total"], 1.0, "{what}: {}", daemon.log());
        assert_eq!((set_aside(&lab, 0), set_aside(&lab, 1)), (0, 1), "{what}");
        assert!(daemon.says("The local copy is damaged"), "{what}");
        assert!(!daemon.says("\"partition\":0,\"error\""), "{what}: {}", daemon.log());
        println!("damage: {what}: healed");
    }
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("damage: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50, "too little happened: {found:?}");
}

#[test]
fn damage_that_comes_back_ends_in_a_wait_of_its_partition_across_restarts() {
    let Some(lab) = Lab::new("again", 2, shop::RULES) else { return };
    let mut random = Random::seeded("again");
    let sets = [&shop::SETS[..], &SETS].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut daemon = lab.start("one", &sets);
    for time in 1..=3 {
        if time == 1 {
            daemon.ready();
        }
        thread::sleep(Duration::from_secs(1));
        daemon.stop();
        flip_each_table(&copy(&lab, 0));
        daemon = lab.start("one", &sets);
        if time < 3 {
            healed(&mut daemon);
        }
    }
    let text = eventually("it says that it waits", || {
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("damage")).then_some(text)
    });
    assert!(text.contains("Partition 0 waits") && text.contains("3 times within an hour"), "{text}");
    goes_on(&mut daemon);
    // Whoever has mended the disk says so by removing the count.
    daemon.stop();
    fs::remove_file(folder(&lab).join(format!("{}-0.damages", lab.topic("in")))).unwrap();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("again: {found:?}");
    assert!(found.changes > 50, "too little happened: {found:?}");
}

#[test]
fn a_record_of_the_changelog_that_cannot_be_read_holds_up_its_partition_alone() {
    let Some(lab) = Lab::new("unreadable", 2, shop::RULES) else { return };
    let mut random = Random::seeded("unreadable");
    let sets = [&shop::SETS[..], &SETS].concat();
    let open = shop::open(&lab, random.next(), 30, 75);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    thread::sleep(Duration::from_secs(1));
    daemon.stop();
    let writer = lab.writer_to("log");
    writer.send_to(1, Some("M"), Some(b"neither META nor anything else"));
    writer.flush();
    let mut daemon = lab.start("one", &sets);
    let text = eventually("it says that it waits", || {
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("damage")).then_some(text)
    });
    assert!(text.contains("Partition 1 waits") && text.contains("cannot be read at offset"), "{text}");
    goes_on(&mut daemon);
    assert_eq!(daemon.metrics()["cohortd_copies_set_aside_total"], 0.0, "the copy is not at fault");
    assert_eq!(set_aside(&lab, 1), 0);
    daemon.stop();
    open.close();
}

#[test]
fn two_processes_on_one_state_directory_end_with_the_code_for_a_wrong_setting() {
    let Some(lab) = Lab::new("shared", 2, shop::RULES) else { return };
    let sets = [&shop::SETS[..], &SETS].concat();
    let mut one = lab.start("one", &sets);
    one.ready();
    // Another group: it owns the same partitions, and its settings name the same folder.
    let group = format!("{}-twin", lab.name);
    let folder = folder(&lab);
    let twin = folder.parent().unwrap().join(&group);
    std::os::unix::fs::symlink(&folder, &twin).unwrap();
    let set = format!("kafka.group_id={group}");
    let state = format!("state.dir={}", lab.state("one").display());
    let log = format!("topics.changelog={}-twin", lab.topic("log"));
    let rules = format!("topics.rules={}-twin", lab.topic("rules"));
    let two = lab.start("two", &[&sets[..], &[&set, &state, &log, &rules]].concat());
    let ended = two.ended();
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("is in use by another process; give each process a state.dir of its own"));
    one.assert_running();
    one.stop();
}
