//! Many partitions on little memory, restored with a lost disk while nothing comes in.

use std::fs;
use std::time::Instant;

use super::lab::Lab;
use super::{avro, eventually};

const PARTITIONS: i32 = 64;
/// Some fifty a partition are enough: what a database takes of the 38 MiB for write buffers goes by its arenas, not by what
/// is in them.
const CUSTOMERS: i64 = 3_200;

const RULES: &str = "
[cohorts.known]
who = 'did visit ever'
";

#[test]
fn many_partitions_are_restored_on_little_memory_while_nothing_comes_in() {
    let Some(lab) = Lab::new("buffers", PARTITIONS, RULES) else { return };
    let writer = lab.writer();
    let at = cohortd::clock::wall_clock().0;
    for number in 0..CUSTOMERS {
        let customer = format!("c{number}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, "visit", at, Some(number.to_string()))));
    }
    writer.flush();
    let sets = ["memory.limit=256 MiB", "state.flush_after_events=0"];
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    eventually("everything is applied", || {
        (daemon.metrics()["cohortd_events_applied_total"] as i64 == CUSTOMERS).then_some(())
    });
    daemon.stop();
    fs::remove_dir_all(lab.state("one")).unwrap();
    let began = Instant::now();
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let metrics = daemon.metrics();
    println!("buffers: {PARTITIONS} partitions restored in {:?}", began.elapsed());
    assert!(metrics["cohortd_restore_records_total"] >= CUSTOMERS as f64);
    assert!(metrics["process_resident_memory_bytes"] < 256.0 * 1_048_576.0);
    daemon.stop();
}
