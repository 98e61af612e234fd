//! Between faults: how long recovery takes, and whether all results are right.

use std::thread;
use std::time::{Duration, Instant};

use cohortd::clock::wall_clock;

use crate::checker::Checker;
use crate::field::{Ends, Field, PARTITIONS};
use crate::member::STOPS_WITHIN;
use crate::report::Report;
use crate::rules::SETTLED_AFTER;

/// How long recovery may take; anything longer is a finding.
#[derive(Clone, Copy)]
pub(super) struct Deadlines {
    /// After the last fault every partition has an owner within this.
    owned: Duration,
    /// And all is ready, and has caught up, within this.
    recovered: Duration,
    /// Whoever has not recovered by then does not.
    given_up: Duration,
}

impl Deadlines {
    /// What the documentation says, of a machine that is not overloaded.
    pub(super) const PROMISED: Self =
        Self { owned: Duration::from_secs(15), recovered: Duration::from_secs(60), given_up: Duration::from_secs(120) };
    /// For a run among other tests, which only tells slow from never.
    pub(super) const EVENTUALLY: Self = Self {
        owned: Duration::from_secs(240),
        recovered: Duration::from_secs(240),
        given_up: Duration::from_secs(240),
    };
}

const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// Brokers and Java, on a busy machine.
const CLUSTER_WITHIN: Duration = Duration::from_secs(180);
const BEGINS_WITHIN: Duration = Duration::from_secs(240);

/// Waits until everything works for the first time: eight topics are made, of three copies each.
pub(super) fn begin(field: &mut Field) {
    let deadline = Instant::now() + BEGINS_WITHIN;
    // Some input, so that every partition has been read.
    field.pause(Duration::from_secs(2));
    let mut ends = ends(field);
    while let Some((_, missing)) = field.missing(&mut ends) {
        assert!(Instant::now() < deadline, "it does not begin: {missing}");
        field.pause(Duration::from_millis(100));
    }
}

/// Where everything that is written ends now; brokers may be electing.
fn ends(field: &mut Field) -> Ends {
    let deadline = Instant::now() + BEGINS_WITHIN;
    loop {
        if let Some(ends) = field.ends() {
            return ends;
        }
        assert!(Instant::now() < deadline, "the brokers do not say where the input ends");
        field.pause(Duration::from_millis(100));
    }
}

/// Waits until all is well after some faults, and notes how long it took.
pub(super) fn recover(field: &mut Field, report: &mut Report, kinds: &[&'static str], deadlines: Deadlines) {
    let Deadlines { owned: owned_within, recovered: recovered_within, given_up } = deadlines;
    let since = Instant::now();
    let mut ends = ends(field);
    let (mut owned, mut is_unowned, mut is_late) = (None, false, false);
    loop {
        field.tend();
        let missing = field.missing(&mut ends);
        let took = since.elapsed();
        if missing.as_ref().is_none_or(|(what, _)| *what != "owners") {
            owned.get_or_insert(took);
        }
        let Some((what, text)) = missing else {
            report.recovered(kinds, owned.unwrap_or(took), took);
            if took > Duration::from_secs(10) {
                println!("chaos: recovered after {:.1} s from {}", took.as_secs_f64(), kinds.join(", "));
            }
            return;
        };
        // Later it may be well for a moment and then again not; what counts is the first time.
        if owned.is_none() && took > owned_within && !is_unowned {
            is_unowned = true;
            field.findings.add(&format!("{owned_within:?} after {}: {text}", kinds.join(", ")));
        }
        if took > recovered_within && !is_late {
            is_late = true;
            field.findings.add(&format!("{recovered_within:?} after {}: {what}: {text}", kinds.join(", ")));
        }
        if took > given_up {
            println!("chaos: no recovery from {}: {text}", kinds.join(", "));
            return;
        }
        thread::sleep(LOOKS_EVERY);
    }
}

/// Lets the load rest, everything come due and everybody catch up, and compares all that became visible. The load rests on.
/// False if what was found makes going on useless.
pub(super) fn check(field: &mut Field, checker: &mut Checker, deadlines: Deadlines) -> bool {
    let given_up = deadlines.given_up;
    let began = Instant::now();
    let last = field.load.pause();
    let deadline = Instant::now() + CLUSTER_WITHIN;
    while !field.cluster.is_whole() {
        assert!(Instant::now() < deadline, "a broker does not come back");
        field.pause(Duration::from_millis(100));
    }
    // Events may be stamped some time before they are written.
    while wall_clock().0 < last + SETTLED_AFTER + 1_500 {
        field.pause(Duration::from_millis(50));
    }
    field.load.tick();
    let mut ends = ends(field);
    let deadline = Instant::now() + given_up;
    while let Some((what, missing)) = field.missing(&mut ends) {
        if Instant::now() > deadline {
            field.findings.add(&format!("in peace for {given_up:?}: {what}: {missing}"));
            return false;
        }
        field.pause(LOOKS_EVERY);
    }
    if !is_applied(field, checker, last + SETTLED_AFTER, deadlines.recovered) {
        return false;
    }
    in_step(field, checker, ends.input());
    accounted_for(field);
    let is_sound = match checker.check(field.version) {
        Ok(compared) => {
            println!(
                "chaos: after {} faults all is right, as compared in {:.1} s: {compared:?}",
                field.findings.faults(),
                began.elapsed().as_secs_f64()
            );
            true
        }
        Err(wrong) => {
            for text in wrong {
                field.findings.add(&text);
            }
            false
        }
    };
    field.forgive();
    is_sound
}

/// Waits until every partition is decided up to an instant, and by the rules that the file has now.
fn is_applied(field: &mut Field, checker: &mut Checker, until: i64, within: Duration) -> bool {
    let fingerprint = field.version.fingerprint();
    let deadline = Instant::now() + within;
    loop {
        let versions = match checker.metas() {
            Err(error) => {
                field.findings.add(&format!("the changelog: {error}"));
                return false;
            }
            Ok(metas) => {
                let is_new = |rules: &str| rules == fingerprint;
                let is_applied = metas
                    .iter()
                    .flatten()
                    .filter(|meta| is_new(&meta.rules) && meta.migration.is_none() && meta.stream_time.0 >= until);
                if is_applied.count() == metas.len() {
                    return true;
                }
                let state = |meta: &&cohortd::store::Meta| {
                    format!("{} {} at {}", meta.rules, meta.migration.is_some(), meta.stream_time)
                };
                metas.iter().flatten().map(state).collect::<Vec<_>>()
            }
        };
        if Instant::now() > deadline {
            let text = format!("in peace for {within:?}: not decided to {until} by rules {fingerprint}: {versions:?}");
            field.findings.add(&text);
            return false;
        }
        field.pause(Duration::from_millis(100));
    }
}

/// The committed offset, META's and the end of the input are one, in every partition; behind the last record of a gathered
/// log are the markers of transactions.
fn in_step(field: &mut Field, checker: &mut Checker, ends: &[i64]) {
    let committed = field.group.committed();
    match checker.metas() {
        Err(error) => field.findings.add(&format!("the changelog: {error}")),
        Ok(metas) => {
            let metas: Vec<i64> = metas.iter().map(|meta| meta.map_or(-1, |meta| meta.next_offset)).collect();
            let is_at_end = match &field.gathering {
                Some(_) => metas.iter().zip(ends).all(|(next, end)| next >= end),
                None => metas == ends,
            };
            if committed.as_ref() != Some(&metas) || !is_at_end {
                field.findings.add(&format!("out of step: committed {committed:?}, META {metas:?}, the end {ends:?}"));
            }
        }
    }
    let counts: Vec<Option<f64>> = field
        .members
        .iter()
        .filter(|member| member.wanted)
        .map(|member| member.metric("cohortd_partitions_assigned"))
        .collect();
    let sum: f64 = counts.iter().flatten().sum();
    if (sum - f64::from(PARTITIONS)).abs() > 0.1 {
        field.findings.add(&format!("the processes say that they own {counts:?} partitions, of {PARTITIONS}"));
    }
}

/// Everything that a process took in was applied, passed over, or set aside.
fn accounted_for(field: &mut Field) {
    for member in field.members.iter().filter(|member| member.wanted) {
        let metric = |name: &str| member.metric(&format!("cohortd_{name}_total")).unwrap_or(f64::NAN);
        let [consumed, applied] = ["records_consumed", "events_applied"].map(metric);
        let [skipped, dead] = ["events_skipped", "dead_letters"].map(metric);
        if (consumed - applied - skipped - dead).abs() > 0.1 {
            let (name, findings) = (&member.name, &field.findings);
            findings.add(&format!("{name} took in {consumed}, applied {applied}, skipped {skipped}, set aside {dead}"));
        }
        if field.gathering.is_none() {
            continue;
        }
        let [read, mapped] = ["source_records_read", "source_records_mapped"].map(metric);
        let [skipped, dead] = ["source_records_skipped", "source_dead_letters"].map(metric);
        if (read - mapped - skipped - dead).abs() > 0.1 {
            let (name, findings) = (&member.name, &field.findings);
            findings.add(&format!(
                "{name} read {read} of the sources, mapped {mapped}, skipped {skipped}, set aside {dead}"
            ));
        }
    }
}

/// At the end: every process stops when asked to.
pub(super) fn stop_all(field: &mut Field) {
    field.tend();
    for member in &mut field.members {
        member.wanted = false;
        member.signal("-TERM");
    }
    for member in field.members.iter_mut().filter(|member| member.is_running()) {
        match member.ends_within(STOPS_WITHIN) {
            Some(status) if status.code() == Some(0) => {}
            status => field.findings.add(&format!("{}, asked to stop, came to {status:?}", member.name)),
        }
    }
}
