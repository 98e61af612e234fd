//! Many partitions, cohorts and processes: what grows with their products has a bound.
//!
//! `COHORTD_GROWTH=256x600x20 cargo test --release --test it e2e::growth::figures -- --ignored --nocapture` prints the figures of
//! so many partitions, cohorts and processes; `COHORTD_BINARY` names another program to measure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use cohortd::clock::wall_clock;
use cohortd::event::{Number, Span};
use cohortd::store::SummaryKind;
use serde_json::Value;

use super::avro;
use super::daemon::Daemon;
use super::lab::Lab;
use crate::naive::OwnedValue;

/// Bytes of META that are written with every batch, at most. What grows with the cohorts is written where it changes.
const META_BYTES_MAX: usize = 512;
/// Bytes of the summaries that a process keeps, at most, for each cohort: of the newest survey and of 32 digests.
const KEPT_BYTES_MAX: f64 = 8_192.0;
/// Series of a process that are named after cohorts, at most, for each cohort.
const SERIES_MAX: usize = 14;

/// A process has what 20 of them leave each other on one machine.
const SETS: [&str; 4] =
    ["memory.limit=256 MiB", "ranks.refresh=20 s", "time.arrives_within=1 s", "kafka.options.session.timeout.ms=20000"];

#[derive(Debug, Clone, Copy)]
struct Size {
    partitions: i32,
    cohorts: usize,
    processes: usize,
    customers: usize,
    /// Far longer than anything takes.
    limit: Duration,
    /// How long META is counted.
    quiet: Duration,
}

/// What one process is seen to take.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    partitions: f64,
    resident_mib: f64,
    peak_mib: f64,
    handles: usize,
    threads: usize,
    summaries_read: f64,
    summaries_kept: f64,
    series: usize,
    /// Of `/metrics`.
    page_bytes: usize,
    /// Median time to read it over HTTP.
    scrape: Duration,
}

/// Scrapes of which the median is taken.
const SCRAPES: usize = 21;

#[derive(Debug)]
struct Figures {
    ready: Vec<Duration>,
    applied: Duration,
    whole: Option<Duration>,
    taken: Vec<Taken>,
    /// Bytes of the summaries topic, and of its partition 0.
    summaries: usize,
    summaries_of_first: usize,
    /// Records and bytes a second, and the longest: META, and its parts.
    meta: (f64, f64, usize),
    parts: (f64, f64, usize),
}

/// Cohorts of several kinds, of which every tenth ranks its customers.
fn rules(cohorts: usize, days: usize) -> String {
    let mut rules = "[churn]\non = 'purchase'\namount = 'purchase.amount'\n".to_owned();
    for n in 0..cohorts {
        let (event, times, days) = (n % 40, 1 + n / 40 % 5, days + n % 25);
        let who = match n % 10 {
            0 if n < 100 => format!("in the top {} % by count(e{event} in the last {days} days)", 5 + n / 10),
            1 => format!("churn_risk >= {}", 20 + n % 70),
            2 => format!("did e{event} and did not e{event} in the last {days} days"),
            _ => format!("did e{event} at least {times} times in the last {days} days"),
        };
        writeln!(rules, "[cohorts.c{n:04}]\nwho = '{who}'").unwrap();
    }
    rules
}

/// Every customer does something in the last weeks, and comes once more now.
fn write_events(lab: &Lab, size: Size) {
    let writer = lab.writer();
    let now = wall_clock().0;
    let mut dice = super::shop::Random::new(7);
    let mut events = Vec::new();
    for customer in 0..size.customers {
        for _ in 0..12 {
            events.push((now - dice.below(25 * Span::DAY.0) - 600_000, customer));
        }
    }
    events.sort_unstable();
    events.extend((0..size.customers).map(|customer| (now - 1_000, customer)));
    for (number, (at, customer)) in events.iter().enumerate() {
        let name = if dice.percent(25) { "purchase".to_owned() } else { format!("e{}", dice.below(40)) };
        let customer = format!("customer-{customer}");
        let mut event = avro::event(&customer, &name, *at, Some(format!("{number}")));
        event.properties.push(("amount".into(), OwnedValue::Number(Number::from_integer(1 + dice.below(500)))));
        writer.send(&customer, &avro::encode(&event));
    }
    writer.flush();
}

fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, started.elapsed());
        }
        assert!(started.elapsed() < limit, "never: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn is_ready(daemon: &mut Daemon) -> bool {
    daemon.assert_running();
    daemon.is_listening() && daemon.get("/health/ready").is_some_and(|(status, _)| status == 200)
}

fn measure(size: Size) -> Option<(Lab, Vec<Daemon>, Figures)> {
    let lab = Lab::new("growth", size.partitions, &rules(size.cohorts, 3))?.limited_to(10 * size.limit);
    let started = Instant::now();
    let mut daemons: Vec<Daemon> = (0..size.processes).map(|n| lab.start(&format!("p{n}"), &SETS)).collect();
    // All partitions are held, and everybody is ready at once.
    let mut ready = vec![Duration::ZERO; size.processes];
    until("all are ready", size.limit, || {
        for (daemon, ready) in daemons.iter_mut().zip(&mut ready) {
            if *ready == Duration::ZERO && is_ready(daemon) {
                *ready = started.elapsed();
            }
        }
        let held = daemons.iter_mut().filter(|daemon| daemon.is_listening()).map(partitions).sum::<f64>();
        (held >= f64::from(size.partitions) && ready.iter().all(|ready| *ready > Duration::ZERO)).then_some(())
    });
    ready.push(started.elapsed());
    write_events(&lab, size);
    let events = (size.customers * 13) as f64;
    let sum = |daemons: &mut Vec<Daemon>, name: &str| -> f64 {
        daemons.iter_mut().filter_map(|daemon| daemon.metrics().get(name).copied()).sum()
    };
    let ((), applied) = until("all events are applied", size.limit, || {
        (sum(&mut daemons, "cohortd_events_applied_total") >= events).then_some(())
    });
    let limit = size.limit.min(Duration::from_secs(120));
    let begun = Instant::now();
    let mut whole = None;
    while whole.is_none() && begun.elapsed() < limit {
        let shows = |daemon: &mut Daemon| {
            let (status, body) = daemon.ask("admin", "/cohorts")?;
            let overview: Value = (status == 200).then(|| serde_json::from_str(&body).unwrap())?;
            (overview["customers"].as_u64()? > 0).then_some(())
        };
        if daemons.iter_mut().all(|daemon| shows(daemon).is_some()) {
            whole = Some(begun.elapsed());
        }
        thread::sleep(Duration::from_millis(200));
    }
    let (meta, parts) = metas(&lab, size.quiet);
    let taken = daemons.iter_mut().map(taken).collect();
    let of_topic = |records: Vec<super::lab::Seen>| -> usize {
        records.iter().map(|seen| seen.key.len() + seen.payload.as_ref().map_or(0, Vec::len)).sum()
    };
    let sizes: Vec<usize> = lab.read("summaries").into_iter().map(of_topic).collect();

    let figures = Figures {
        ready,
        applied,
        whole,
        taken,
        summaries: sizes.iter().sum(),
        summaries_of_first: sizes[0],
        meta,
        parts,
    };
    Some((lab, daemons, figures))
}

/// How many partitions of a process have applied an edit.
fn edited(daemon: &Daemon) -> i64 {
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains("The new rules are in force."));
    lines
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line.get("partitions").or_else(|| line["fields"].get("partitions")).unwrap().as_i64().unwrap()
        })
        .sum()
}

/// How long it takes until edited rules are in force everywhere, and until a process that was killed is ready again.
fn edit_and_kill(size: Size, lab: &Lab, mut daemons: Vec<Daemon>) -> (Duration, Duration) {
    fs::write(lab.path("rules.toml"), rules(size.cohorts, 4)).unwrap();
    let ((), edited) = until("all partitions are decided by the edited rules", size.limit, || {
        let applied: i64 = daemons.iter().map(edited).sum();
        (applied >= i64::from(size.partitions)).then_some(())
    });
    // Killed, and started again with its disk.
    daemons.remove(0).kill9();
    let started = Instant::now();
    daemons.insert(0, lab.start("p0", &SETS));
    until("the first is ready again", size.limit, || is_ready(&mut daemons[0]).then_some(()));
    let restarted = started.elapsed();
    (edited, restarted)
}

fn partitions(daemon: &mut Daemon) -> f64 {
    daemon.metrics().get("cohortd_partitions_assigned").copied().unwrap_or_default()
}

fn taken(daemon: &mut Daemon) -> Taken {
    let metrics = daemon.metrics();
    let (_, text) = daemon.get("/metrics").unwrap();
    let mut scrapes: Vec<Duration> = (0..SCRAPES)
        .map(|_| {
            let asked = Instant::now();
            daemon.get("/metrics").unwrap();
            asked.elapsed()
        })
        .collect();
    scrapes.sort_unstable();
    let process = format!("/proc/{}", daemon.pid());
    let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok()
    };
    let metric = |name: &str| metrics.get(name).copied().unwrap_or_default();
    Taken {
        partitions: metric("cohortd_partitions_assigned"),
        resident_mib: field("VmRSS").unwrap_or_default() / 1024.0,
        peak_mib: field("VmHWM").unwrap_or_default() / 1024.0,
        handles: fs::read_dir(format!("{process}/fd")).map_or(0, Iterator::count),
        threads: field("Threads").unwrap_or_default() as usize,
        summaries_read: metric("cohortd_summaries_read_bytes_total"),
        summaries_kept: metric("cohortd_summaries_kept_bytes"),
        series: text.lines().filter(|line| !line.starts_with('#') && line.contains("cohort=\"")).count(),
        page_bytes: text.len(),
        scrape: scrapes[SCRAPES / 2],
    }
}

/// What is written of META in a while: records and bytes a second, and the longest record; of itself, and of its parts.
fn metas(lab: &Lab, quiet: Duration) -> ((f64, f64, usize), (f64, f64, usize)) {
    let from = wall_clock().0;
    thread::sleep(quiet);
    let mut found: BTreeMap<bool, (f64, f64, usize)> = BTreeMap::new();
    for seen in lab.read("log").concat() {
        let is_meta = seen.key == b"M";
        let length = seen.payload.as_ref().map_or(0, Vec::len);
        if is_meta || seen.key.first() == Some(&b'P') {
            let (records, bytes, longest) = found.entry(is_meta).or_default();
            if seen.written >= from {
                *records += 1.0 / quiet.as_secs_f64();
                *bytes += length as f64 / quiet.as_secs_f64();
            }
            *longest = (*longest).max(length);
        }
    }
    (found.get(&true).copied().unwrap_or_default(), found.get(&false).copied().unwrap_or_default())
}

fn print(size: Size, figures: &Figures) {
    let Figures { ready, taken, meta, parts, .. } = figures;
    println!(
        "growth: {} partitions, {} cohorts, {} processes, {} customers",
        size.partitions, size.cohorts, size.processes, size.customers
    );
    println!(
        "ready after: first {:.1?}, last {:.1?}; all partitions held and ready {:.1?}",
        ready.iter().min().unwrap(),
        ready[..size.processes].iter().max().unwrap(),
        ready[size.processes]
    );
    println!("applied in {:.1?}; whole day shown everywhere after {:?}", figures.applied, figures.whole);
    println!(
        "META: {:.1} records/s of at most {} bytes, {:.0} bytes/s; its parts: {:.1} records/s of at most {} bytes, {:.0} bytes/s",
        meta.0, meta.2, meta.1, parts.0, parts.2, parts.1
    );
    println!(
        "summaries: {} bytes, {} of them in partition 0; read by all processes {:.0}",
        figures.summaries,
        figures.summaries_of_first,
        taken.iter().map(|taken| taken.summaries_read).sum::<f64>()
    );
    println!(
        "process: partitions  resident MiB  peak MiB  handles  threads  summaries read    kept  cohort series  page KB  scrape"
    );
    for (n, taken) in taken.iter().enumerate() {
        println!(
            "{n:7}: {:10} {:13.0} {:9.0} {:8} {:8} {:15.0} {:7.0} {:14} {:8} {:.1?}",
            taken.partitions,
            taken.resident_mib,
            taken.peak_mib,
            taken.handles,
            taken.threads,
            taken.summaries_read,
            taken.summaries_kept,
            taken.series,
            taken.page_bytes / 1_000,
            taken.scrape
        );
    }
}

#[test]
#[ignore = "minutes: prints the figures of the size that COHORTD_GROWTH names"]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
fn figures() {
    let text = std::env::var("COHORTD_GROWTH").unwrap_or_else(|_| "256x600x20".to_owned());
    let numbers: Vec<usize> = text.split('x').map(|number| number.parse().unwrap()).collect();
    let [partitions, cohorts, processes] = numbers[..] else { panic!("partitions x cohorts x processes: {text}") };
    let size = Size {
        partitions: i32::try_from(partitions).unwrap(),
        cohorts,
        processes,
        customers: 4_000,
        limit: Duration::from_secs(600),
        quiet: Duration::from_secs(30),
    };
    let Some((lab, daemons, figures)) = measure(size) else { return };
    print(size, &figures);
    let (edited, restarted) = edit_and_kill(size, &lab, daemons);
    println!("edit in force everywhere after {edited:.1?}; ready after kill -9 in {restarted:.1?}");
}

#[test]
fn what_grows_with_partitions_cohorts_and_processes_has_a_bound() {
    let limit = super::LONG;
    let size =
        Size { partitions: 16, cohorts: 100, processes: 3, customers: 200, limit, quiet: Duration::from_secs(2) };
    let Some((_lab, _daemons, figures)) = measure(size) else { return };
    print(size, &figures);
    assert!(figures.whole.is_some(), "the day is not whole, or not shown everywhere");
    assert!(figures.meta.2 <= META_BYTES_MAX, "META takes {} bytes", figures.meta.2);
    let (all, first) = (figures.summaries as f64, figures.summaries_of_first as f64);
    let mut reads: Vec<f64> = figures.taken.iter().map(|taken| taken.summaries_read).collect();
    reads.sort_by(f64::total_cmp);
    let [least, .., publisher] = &reads[..] else { panic!("too few processes") };
    // While the group forms, another process may hold partition 0 for a moment, and begin to read everything.
    assert!(*least <= first, "{reads:?} of {first}");
    assert!(*publisher > 0.0 && *publisher <= first + all, "{reads:?} of {all}");
    for taken in &figures.taken {
        let cohorts = size.cohorts as f64;
        assert!(taken.summaries_kept <= KEPT_BYTES_MAX * cohorts, "{taken:?}");
        assert!(taken.series <= SERIES_MAX * size.cohorts, "{taken:?}");
        assert!(taken.peak_mib <= 256.0, "{taken:?}");
    }
}

/// Every kind of record is known, so that what is measured here is all there is.
#[test]
fn kinds_of_summaries_are_known_by_their_keys() {
    assert_eq!(SummaryKind::of(b"RT"), SummaryKind::Thresholds);
    assert_eq!(SummaryKind::of(&[0, 0, 0, 1, b'B', 0, 0, 1]), SummaryKind::Survey);
    assert_eq!(SummaryKind::of(&[0, 0, 0, 1, b'N', 0, 1]), SummaryKind::Counters);
    assert_eq!(SummaryKind::of(&[0, 0, 0, 1, 0, 1]), SummaryKind::Retired);
    assert_eq!(SummaryKind::of(b"whatever"), SummaryKind::Unknown);
}
