//! `make chaos`: the daemon as several processes on three real brokers, under a seeded load, while everything that can go
//! wrong does, several things at a time; and after each few faults, in peace, everything that became visible held against
//! the naive evaluator.
//!
//! `findings` says what should not have been seen, `field` is everything that faults happen to, `faults` the kinds of
//! faults, `checker` what must come out, `sabotage` whether it would notice. With `SOURCES=1` the input is gathered from
//! two topics of other shapes (`sources`). A seed gives the same faults in the same order; when exactly each meets the
//! daemon is up to the machine.
//!
//! | argument of `make chaos` | |
//! |---|---|
//! | `SEED=7` | another one each time, printed, otherwise |
//! | `SOURCES=1` or `0` | gathered from sources, or read directly; otherwise every second seed gathers |
//! | `FAULTS=500` or `MINUTES=30` | how long; ten minutes otherwise |
//! | `KINDS="kill,disk full"` | only kinds whose names contain one of these |
//! | `ALONE=1` | one fault at a time, for recovery times that belong to it alone |
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and tell what they did")]

mod checker;
mod clock;
mod disk;
mod faults;
mod field;
mod findings;
mod front;
mod group;
mod hostile;
mod http;
mod input;
mod load;
mod member;
mod reader;
mod recovery;
mod report;
mod rules;
mod sabotage;
mod sources;
mod watch;

#[path = "../it/e2e/avro.rs"]
mod avro;
#[path = "../it/naive/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests use all of it")]
mod naive;
#[path = "../it/e2e/random.rs"]
#[allow(dead_code, reason = "the other tests use all of it")]
mod random;
#[path = "../it/e2e/registry.rs"]
#[allow(dead_code, reason = "the other tests use all of it")]
mod registry;
#[path = "../support"]
mod support {
    #[allow(dead_code, reason = "the other tests use all of it")]
    pub(crate) mod broker;
    pub(crate) mod cluster;
    pub(crate) mod ends;
    #[allow(dead_code, reason = "the other tests use all of it")]
    pub(crate) mod limit;
    pub(crate) mod preload;
    pub(crate) mod proxy;
}

use std::time::{Duration, Instant};

use cohortd::clock::wall_clock;

use checker::Checker;
use faults::{Begun, End, Happened, KINDS, Kind};
use field::Field;
use random::Random;
use recovery::Deadlines;
use report::Report;
use support::limit::Limit;

/// Faults that overlap are at most so many.
const VOLLEY_MAX: i64 = 4;
/// Faults between two comparisons.
const CHECKED_EVERY: usize = 20;
/// The slice that is part of all tests: about so long, the start of the brokers and the last comparison included.
const SLICE: Duration = Duration::from_secs(75);
/// Starts, comparisons and recoveries may each take their whole time.
const SLICE_LIMIT: Duration = Duration::from_secs(900);

#[test]
fn a_short_run_of_faults_loses_nothing_and_repeats_nothing() {
    let _limit = Limit::of(SLICE_LIMIT);
    let limits = Limits { faults: usize::MAX, length: SLICE, deadlines: Deadlines::EVENTUALLY };
    run(seed(), limits, &KINDS.iter().collect::<Vec<_>>(), VOLLEY_MAX);
}

#[test]
#[ignore = "runs for as long as it is asked to: make chaos"]
fn faults_at_length_lose_nothing_and_repeat_nothing() {
    let faults = number("COHORTD_FAULTS").map_or(usize::MAX, |faults| usize::try_from(faults).unwrap());
    let minutes = number("COHORTD_MINUTES").unwrap_or(if faults == usize::MAX { 10 } else { 24 * 60 });
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
    let names = std::env::var("COHORTD_KINDS").unwrap_or_default();
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| names.iter().any(|name| kind.name.contains(name))).collect();
    assert!(!kinds.is_empty(), "no kind of fault is named like one of {names:?}");
    let volley = if number("COHORTD_ALONE").is_some() { 1 } else { VOLLEY_MAX };
    let length = Duration::from_secs(minutes * 60);
    run(seed(), Limits { faults, length, deadlines: Deadlines::PROMISED }, &kinds, volley);
}

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

fn seed() -> u64 {
    number("COHORTD_SEED").unwrap_or_else(|| wall_clock().0.unsigned_abs() % 1_000_000)
}

/// It ends after so many faults or so long, whichever comes first.
struct Limits {
    faults: usize,
    length: Duration,
    deadlines: Deadlines,
}

/// A fault that is under way.
struct UnderWay {
    name: &'static str,
    until: Instant,
    end: End,
}

fn run(seed: u64, limits: Limits, kinds: &[&Kind], volley: i64) {
    println!("chaos: SEED={seed}");
    let started = Instant::now();
    let gathers = number("COHORTD_SOURCES").unwrap_or(seed % 2) == 1;
    let Some(mut field) = Field::open(seed, gathers) else { return };
    let mut random = Random::new(seed.wrapping_mul(31));
    let mut report = Report::default();
    let mut checker = Checker::new(&field.cluster.direct(), &field.name, field.gathering.is_some(), field::PARTITIONS);
    recovery::begin(&mut field);
    let mut checked_at = 0;
    let is_sound = loop {
        let is_over = field.findings.faults() >= limits.faults || started.elapsed() >= limits.length;
        if is_over || field.findings.faults() >= checked_at + CHECKED_EVERY {
            checked_at = field.findings.faults();
            let is_sound = recovery::check(&mut field, &mut checker, limits.deadlines);
            if is_over || !is_sound {
                break is_sound;
            }
            field.load.resume();
        }
        let most = volley.min(i64::try_from(limits.faults - field.findings.faults()).unwrap_or(volley));
        // Some alone, so that their recovery can be measured.
        let count = if random.percent(40) { 1 } else { 1 + random.below(most) };
        let names = one_round(&mut field, &mut random, &mut report, kinds, count);
        if !names.is_empty() {
            recovery::recover(&mut field, &mut report, &names, limits.deadlines);
        }
    };
    if is_sound {
        recovery::stop_all(&mut field);
        sabotage::must_be_noticed(&field, &mut checker);
    }
    println!("{}", report.text());
    conclude(field, seed, started.elapsed());
}

/// Says how it ended; a finding is a failure.
fn conclude(mut field: Field, seed: u64, took: Duration) {
    let (faults, findings) = (field.findings.faults(), field.findings.all());
    println!(
        "chaos: SEED={seed}: {faults} faults in {:.0} s, {:.1} s each; {} records written; most MiB resident: {}",
        took.as_secs_f64(),
        took.as_secs_f64() / faults.max(1) as f64,
        field.load.written(),
        field.resident()
    );
    let (folder, sources) = (field.folder.clone(), u8::from(field.gathering.is_some()));
    if !findings.is_empty() {
        // Before anything else that could fail.
        println!("chaos: {} findings:\n{}", findings.len(), findings.join("\n"));
    }
    field.members.clear();
    drop(field);
    if findings.is_empty() {
        std::fs::remove_dir_all(&folder).unwrap();
        return;
    }
    panic!(
        "{} findings; logs of all processes are in {}\nagain: make chaos SEED={seed} SOURCES={sources} FAULTS={faults}",
        findings.len(),
        folder.display()
    );
}

/// Begins so many faults, one shortly after the other, and ends each in its time. The kinds of those that happened.
fn one_round(
    field: &mut Field,
    random: &mut Random,
    report: &mut Report,
    kinds: &[&Kind],
    count: i64,
) -> Vec<&'static str> {
    let mut under_way: Vec<UnderWay> = Vec::new();
    let mut names = Vec::new();
    for _ in 0..count {
        let kind = take(kinds, random);
        match (kind.begin)(field, random) {
            Begun::Lasts(length, end) => {
                report.begun(kind.name);
                println!("chaos: {:>4} {}", field.findings.faults() + 1, kind.name);
                field.findings.count_fault();
                under_way.push(UnderWay { name: kind.name, until: Instant::now() + length, end });
            }
            Begun::NotNow => {}
            Begun::Skipped(reason) => report.skipped(kind.name, &reason),
        }
        field.pause(Duration::from_millis(u64::try_from(random.below(900)).unwrap()));
        under_way = end_those_due(field, report, under_way, &mut names);
    }
    while !under_way.is_empty() {
        field.pause(Duration::from_millis(30));
        under_way = end_those_due(field, report, under_way, &mut names);
    }
    names
}

/// Ends what has lasted as long as it should; what is left.
fn end_those_due(
    field: &mut Field,
    report: &mut Report,
    under_way: Vec<UnderWay>,
    names: &mut Vec<&'static str>,
) -> Vec<UnderWay> {
    let (due, left): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|fault| Instant::now() >= fault.until);
    for fault in due {
        if (fault.end)(field) == Happened::Yes {
            report.happened(fault.name);
            names.push(fault.name);
        }
    }
    left
}

/// By weight.
fn take<'k>(kinds: &[&'k Kind], random: &mut Random) -> &'k Kind {
    let mut at = random.below(kinds.iter().map(|kind| kind.weight).sum());
    for kind in kinds {
        at -= kind.weight;
        if at < 0 {
            return kind;
        }
    }
    unreachable!("the weights add up to the sum")
}
