//! Memory under hostile load, for a short while.
//!
//! `COHORTD_MINUTES=20 cargo test --release --test it e2e::soak -- --nocapture` does it for longer, at a pace that a disk bears.

use std::thread;
use std::time::{Duration, Instant};

use cohortd::clock::wall_clock;

use super::lab::Lab;
use super::shop::Random;
use super::{avro, eventually};
use crate::naive::OwnedValue;

const RULES: &str = r#"
[cohorts.seen]
who = "did visit in the last 90 days"

[cohorts.broad]
who = "did visit with at least 50 different page in the last 30 days"

[cohorts.quiet]
who = "did visit ever and silent for 60 days"
"#;

const FOR: Duration = Duration::from_secs(40);
/// Events are sent in lots of 2,000; of a long soak one comes in so long.
const LOT_EVERY: Duration = Duration::from_millis(400);
/// For bringing up and reading to the end, beside the soak itself.
const BESIDES: Duration = Duration::from_secs(440);
const LIMIT_MIB: f64 = 160.0;

/// One record in a hundred cannot be used, one customer has half of the traffic, some events are as large as may be, and a
/// property has a hundred thousand values.
#[test]
fn memory_stays_within_its_limit_under_hostile_load() {
    let Some(lab) = Lab::new("soak", 2, RULES) else { return };
    let minutes = minutes();
    let length = minutes.map_or(FOR, |minutes| Duration::from_secs(60 * minutes));
    let lab = lab.limited_to(2 * length + BESIDES);
    let mut random = Random::seeded("soak");
    let sets = ["memory.limit=160 MiB", "batch.max_bytes=16 MiB", "time.max_future_skew=1 day"];
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let writer = lab.writer();
    let (began, mut sent) = (Instant::now(), 0_u32);
    while began.elapsed() < length {
        for _ in 0..2_000 {
            sent += 1;
            let customer = match random.below(2) {
                0 => "whale".to_owned(),
                _ => format!("customer-with-a-rather-long-name-{}", random.below(400_000)),
            };
            if random.below(100) == 0 {
                writer.send(&customer, &vec![random.next() as u8; usize::try_from(random.below(200_000)).unwrap()]);
                continue;
            }
            let mut event = avro::event(&customer, "visit", wall_clock().0, Some(sent.to_string()));
            event.properties.push(("page".into(), OwnedValue::Text(format!("/p/{}", random.below(100_000)))));
            if sent.is_multiple_of(5_000) {
                event.properties.push(("blob".into(), OwnedValue::Text("x".repeat(1_000_000))));
            }
            writer.send(&customer, &avro::encode(&event));
        }
        writer.flush();
        daemon.assert_running();
        // The backlog is part of it, but not all there is to it.
        thread::sleep(if minutes.is_some() { LOT_EVERY } else { Duration::from_millis(20) });
    }
    // What piled up is read at whatever pace the machine allows, as long as it is read.
    let mut read = 0;
    while read < sent {
        read = eventually("more was read", || {
            let now = daemon.metric("cohortd_records_consumed_total") as u32;
            (now > read || now == sent).then_some(now)
        });
    }
    assert_eq!(read, sent);
    let most = most_resident_mib(daemon.pid());
    println!("soak: {sent} records, {most:.0} MiB at most");
    assert!(most <= LIMIT_MIB, "{most:.0} MiB of {LIMIT_MIB:.0}");
    daemon.stop();
}

/// The most that a process has had resident at any moment, as the kernel counts it.
fn most_resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
fn minutes() -> Option<u64> {
    std::env::var("COHORTD_MINUTES").ok()?.parse().ok()
}
