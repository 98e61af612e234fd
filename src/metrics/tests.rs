use std::io::Write;
use std::process::{Command, Stdio};

use super::{CohortCounters, Fired, Metrics, PartitionMetrics, Rebalance, Stage, Transaction};
use crate::event::{Change, DeadLetterReason, Instant, SkipReason, Span};

/// Metrics in which every family has a series.
fn lively() -> (Metrics, PartitionMetrics, Vec<CohortCounters>) {
    let metrics = Metrics::new("0.1.0", "abc");
    let mut partition = metrics.partition("customer-events", 3, ["vip", "new"]);
    partition.records_consumed.inc_by(7);
    partition.set_cohort_members(&[5, 0]);
    partition.set_timers_pending(0);
    partition.set_lag(Some(2));
    partition.set_stream_time(Instant(1_767_225_600_500));
    partition.set_event_time_lag(Span(1_500));
    partition.set_store_size("customers", 4_096);
    let cohorts = metrics.cohorts(["vip", "new"]);
    cohorts[1].of(Change::Entered).inc();
    metrics.events_applied.inc_by(4);
    metrics.events_skipped(SkipReason::Duplicate).inc_by(2);
    metrics.dead_letters(DeadLetterReason::TooLate).inc();
    metrics.batch_duration(Stage::Commit).observe(0.002);
    metrics.transactions(Transaction::Resolved).inc();
    metrics.timers_fired(Fired::Rearmed).inc();
    metrics.timer_lateness.observe(60.0);
    metrics.rebalances(Rebalance::Lost).inc();
    metrics.publish_errors("cohort-changes").inc();
    metrics.set_rules(1, "f00d");
    (metrics, partition, cohorts)
}

#[test]
fn promtool_finds_nothing_to_object_to() {
    let (metrics, _partition, _cohorts) = lively();
    let text = metrics.encode().unwrap();
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("skipped: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn children_are_found_again_by_their_own_label() {
    let (metrics, _partition, _cohorts) = lively();
    let text = metrics.encode().unwrap();
    for line in [
        "cohortd_records_consumed_total{partition=\"3\",topic=\"customer-events\"} 7",
        "cohortd_events_skipped_total{reason=\"duplicate\"} 2",
        "cohortd_events_skipped_total{reason=\"tombstone\"} 0",
        "cohortd_dead_letters_total{reason=\"too_late\"} 1",
        "cohortd_batch_duration_seconds_count{stage=\"commit\"} 1",
        "cohortd_transactions_total{outcome=\"resolved\"} 1",
        "cohortd_timers_fired_total{kind=\"rearmed\"} 1",
        "cohortd_rebalances_total{kind=\"lost\"} 1",
        "cohortd_retries_total{what=\"partition\"} 0",
        "cohortd_membership_changes_total{change=\"entered\",cohort=\"new\"} 1",
        "cohortd_cohort_members{cohort=\"vip\"} 5",
        "cohortd_stream_time_seconds{partition=\"3\"} 1767225600.5",
        "cohortd_partitions_assigned 1",
        "cohortd_build_info{revision=\"abc\",version=\"0.1.0\"} 1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "no line {line}\n{text}");
    }
}

#[test]
fn a_revoked_partition_leaves_its_counter_and_nothing_else() {
    let (metrics, partition, _cohorts) = lively();
    drop(partition);
    let text = metrics.encode().unwrap();
    let left: Vec<&str> = text.lines().filter(|line| line.contains("partition=\"3\"")).collect();
    assert_eq!(left, ["cohortd_records_consumed_total{partition=\"3\",topic=\"customer-events\"} 7"]);
    assert!(text.contains("\ncohortd_partitions_assigned 0\n"));
    assert!(text.contains("\ncohortd_store_size_bytes{family=\"customers\"} 0\n"));
}

#[test]
fn a_cohort_has_one_series_which_is_there_while_a_partition_is_held_that_has_it() {
    let (metrics, mut third, _cohorts) = lively();
    let mut fourth = metrics.partition("customer-events", 4, ["vip", "new"]);
    fourth.set_cohort_members(&[2, 9]);
    let shown = || {
        let text = metrics.encode().unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("cohortd_cohort_members"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(), ["{cohort=\"new\"} 9", "{cohort=\"vip\"} 7"]);
    fourth.set_cohorts(["vip", "old"]);
    fourth.set_cohort_members(&[0, 0]);
    assert_eq!(shown(), ["{cohort=\"new\"} 0", "{cohort=\"old\"} 0", "{cohort=\"vip\"} 5"]);
    drop(third);
    assert_eq!(shown(), ["{cohort=\"old\"} 0", "{cohort=\"vip\"} 0"]);
    drop(fourth);
    assert_eq!(shown(), [""; 0]);
    third = metrics.partition("customer-events", 3, ["vip"]);
    third.set_cohort_members(&[1]);
    assert_eq!(shown(), ["{cohort=\"vip\"} 1"]);
}

#[test]
fn the_rules_in_force_replace_those_before() {
    let (metrics, _partition, _cohorts) = lively();
    metrics.set_rules(2, "beef");
    let text = metrics.encode().unwrap();
    assert!(text.contains("cohortd_rules_info{fingerprint=\"beef\",version=\"2\"} 1") && !text.contains("f00d"));
}
