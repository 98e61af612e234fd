use std::io::Write;
use std::process::{Command, Stdio};

use super::{
    CohortCounters, CohortFigures, Expected, Fired, Health, Metrics, PartitionMetrics, Rebalance, Stage, Transaction,
    Wait, WaitCause,
};
use crate::event::{Change, DeadLetterReason, Instant, SkipReason};

mod catalogue;

/// Metrics in which every family has a series.
fn lively() -> (Metrics, PartitionMetrics, Vec<CohortCounters>) {
    let metrics = Metrics::new("0.1.0", "abc");
    let health = Health::new(1, 0, &metrics);
    health.wait(Wait { cause: WaitCause::Disk, partition: Some(3), detail: "no room".into() });
    let mut partition = metrics.partition("customer-events", 3, ["vip", "new"]);
    partition.records_consumed.inc_by(7);
    partition.set_cohort_members(&[5, 0]);
    partition.set_timers_pending(0);
    partition.set_lag(Some(2));
    partition.set_stream_time(Instant(1_767_225_600_500));
    partition.set_last_event(Instant(1_767_225_601_000));
    partition.set_store_size("customers", 4_096);
    partition.input.events_applied.inc_by(4);
    partition.input.events_skipped(SkipReason::Duplicate).inc_by(2);
    partition.input.dead_letters(DeadLetterReason::TooLate).inc();
    let cohorts = metrics.cohorts(["vip", "new"]);
    cohorts[1].of(Change::Entered).inc();
    metrics.batch_duration(Stage::Commit).observe(0.002);
    metrics.transactions(Transaction::Resolved).inc();
    metrics.timers_fired(Fired::Rearmed).inc();
    metrics.timer_lateness.observe(60.0);
    metrics.rebalances(Rebalance::Lost).inc();
    metrics.publish_errors("cohort-changes").inc();
    let source = metrics.source("orders");
    source.skipped("where");
    source.dead_letter("bad_time");
    source.set_lag("shop.orders", 0, Some(0));
    source.set_complete_to("shop.orders", 0, Some(1_767_225_600_000));
    metrics.set_rules(1, "f00d");
    metrics.rank("vip", "clv").show(Some(10.5), 300);
    metrics.set_rank_refresh(Instant(1_767_225_600_000));
    metrics.summaries_skipped("survey").inc();
    metrics.risk_changes("high").inc();
    metrics.churn_quality(Some(0.8), 0.1, 0.02);
    metrics.set_partitions_unowned(Some(0));
    metrics.kafka("producer", "1").requests.inc();
    let expected = Expected { if_silent: 3.0, expected: 4.5 };
    let figures = CohortFigures {
        risk_levels: vec![("low", 4), ("high", 1)],
        value: Some((20.0, 100.0)),
        entries: expected,
        exits: expected,
        value_at_stake: Some(90.0),
        errors: Some((1.0, 2.0)),
    };
    metrics.show_forecast("vip", &figures);
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
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.is_empty(), "{printed}\n{text}");
}

#[test]
fn children_are_found_again_by_their_own_label() {
    let (metrics, _partition, _cohorts) = lively();
    let text = metrics.encode().unwrap();
    for line in [
        "cohortd_records_consumed_total{partition=\"3\",topic=\"customer-events\"} 7",
        "cohortd_events_skipped_total{reason=\"duplicate\",topic=\"customer-events\"} 2",
        "cohortd_events_skipped_total{reason=\"tombstone\",topic=\"customer-events\"} 0",
        "cohortd_dead_letters_total{reason=\"too_late\",topic=\"customer-events\"} 1",
        "cohortd_batch_duration_seconds_count{stage=\"commit\"} 1",
        "cohortd_transactions_total{outcome=\"resolved\"} 1",
        "cohortd_timers_fired_total{kind=\"rearmed\"} 1",
        "cohortd_rebalances_total{kind=\"lost\"} 1",
        "cohortd_retries_total{what=\"partition\"} 0",
        "cohortd_membership_changes_total{change=\"entered\",cohort=\"new\"} 1",
        "cohortd_cohort_members{cohort=\"vip\"} 5",
        "cohortd_stream_timestamp_seconds{partition=\"3\"} 1767225600.5",
        "cohortd_partitions_assigned 1",
        "cohortd_build_info{revision=\"abc\",version=\"0.1.0\"} 1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "no line {line}\n{text}");
    }
}

#[test]
fn families_stand_by_name_and_their_series_by_their_labels() {
    let (metrics, _partition, _cohorts) = lively();
    let text = metrics.encode().unwrap();
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.len() > 60 && families.is_sorted(), "{families:?}");
    let series: Vec<&str> = text.lines().filter(|line| line.starts_with("cohortd_retries_total{")).collect();
    assert!(series.len() > 5 && series.is_sorted(), "{series:?}");
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

#[test]
fn the_process_is_shown_under_the_names_that_all_programs_have() {
    let text = Metrics::new("0", "0").encode().unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}\n{text}")).parse().unwrap()
    };
    if !std::path::Path::new("/proc/self/stat").exists() {
        println!("skipped: there is no /proc");
        return;
    }
    assert!(value("process_start_time_seconds") > 1.7e9, "in seconds since 1970");
    assert!(value("process_cpu_seconds_total") >= 0.0 && value("process_threads") >= 1.0);
    let [resident, all] = ["process_resident_memory_bytes", "process_virtual_memory_bytes"].map(value);
    assert!(resident > 100_000.0 && all >= resident, "{resident} of {all}");
    assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
}

#[test]
fn what_one_process_shows_for_the_group_goes_when_another_shows_it() {
    let (metrics, _partition, _cohorts) = lively();
    let shown = |name: &str| metrics.encode().unwrap().contains(&format!("\ncohortd_{name}"));
    assert!(shown("rank_threshold{") && shown("cohort_forecast_changes{") && shown("partitions_unowned 0"));
    metrics.forget_ranks();
    metrics.forget_forecasts();
    metrics.set_partitions_unowned(None);
    for family in
        ["rank_threshold", "rank_population", "cohort_forecast", "cohort_value_at_stake", "partitions_unowned"]
    {
        assert!(!shown(family), "{family}");
    }
}

#[test]
fn what_is_decided_in_all_partitions_is_decided_in_the_slowest() {
    let metrics = Metrics::new("0", "0");
    assert_eq!(metrics.decided_to(), None);
    let mut partitions = [0, 1].map(|number| metrics.partition("in", number, ["vip"]));
    partitions[0].set_stream_time(Instant(1_798_761_600_000));
    partitions[1].set_stream_time(Instant(1_798_761_599_500));
    assert_eq!(metrics.decided_to(), Some(Instant(1_798_761_599_500)));
}

/// The largest that is meant to run: 600 cohorts, 64 partitions in one process.
#[test]
fn series_grow_with_cohorts_plus_partitions_and_not_with_their_product() {
    let metrics = Metrics::new("0", "0");
    let names: Vec<String> = (0..600).map(|number| format!("a_cohort_with_a_longer_name_{number}")).collect();
    let cohorts = || names.iter().map(String::as_str);
    let counters = metrics.cohorts(cohorts());
    let mut partitions: Vec<PartitionMetrics> =
        (0..64).map(|number| metrics.partition("customer-events", number, cohorts())).collect();
    let expected = Expected { if_silent: 3.25, expected: 4.5 };
    for partition in &mut partitions {
        partition.set_cohort_members(&[17; 600]);
        partition.set_lag(Some(3));
        partition.set_stream_time(Instant(1_767_225_600_500));
        partition.set_last_event(Instant(1_767_225_600_500));
        partition.set_timers_pending(4);
    }
    for name in cohorts() {
        let figures = CohortFigures {
            risk_levels: vec![("low", 4), ("medium", 3), ("high", 2), ("lost", 1)],
            value: Some((20.5, 100.5)),
            entries: expected,
            exits: expected,
            value_at_stake: Some(90.5),
            errors: Some((1.0, 2.0)),
        };
        metrics.show_forecast(name, &figures);
        metrics.rank(name, "clv").show(Some(10.5), 300);
    }
    let begun = std::time::Instant::now();
    let text = metrics.encode().unwrap();
    let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    println!("{} series, {} bytes, encoded in {:?}", series.len(), text.len(), begun.elapsed());
    assert_eq!(counters.len(), 600);
    assert!(!series.iter().any(|line| line.contains("cohort=") && line.contains("partition=")));
    // Of a cohort: two counters, its size, four levels of risk, three values, four forecasts, two errors of them, and two of a
    // rank. Of a partition: five.
    assert!(series.len() <= 600 * 18 + 64 * 5 + 250, "{} series", series.len());
}
