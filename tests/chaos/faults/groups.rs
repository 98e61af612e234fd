//! Members that come, go, and pretend to be one another.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use super::{Begun, Happened, between};
use crate::field::Field;
use crate::member::STOPS_WITHIN;
use crate::random::Random;

/// What a supervisor must not answer with another start.
const WRONG_CONFIGURATION: i32 = 78;
const SIGTERM: i32 = 15;
/// They shut each other out within a heartbeat of each join, until one has been shut out for the third time.
const TWINS_SETTLE_WITHIN: Duration = Duration::from_secs(60);
/// A process that has run longer when its twin comes is the older one, and the twin the newcomer.
const YOUNG_FOR: Duration = Duration::from_secs(15);
/// From the end of one of two to that of the other, if both end.
const BOTH_END_WITHIN: Duration = Duration::from_secs(4);

/// Asks a process to stop and expects that it does so in time and in good order.
fn stop_member(field: &mut Field, number: usize) {
    field.members[number].signal("-TERM");
    let name = field.members[number].name.clone();
    match field.members[number].ends_within(STOPS_WITHIN) {
        Some(status) if status.code() == Some(0) => {}
        // Asked before the program's first instruction.
        Some(status) if status.signal() == Some(SIGTERM) && field.members[number].is_silent() => {}
        Some(status) => field.findings.add(&format!("{name}, asked to stop, ended with {status}")),
        None => field.findings.add(&format!("{name} still ran {STOPS_WITHIN:?} after SIGTERM")),
    }
}

pub(super) fn stop(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    field.members[number].busy = true;
    stop_member(field, number);
    Begun::lasting(between(0, 1_500, random), move |field| {
        field.members[number].busy = false;
        field.members[number].start();
        Happened::Yes
    })
}

/// The last process comes and goes: asked to, or by a crash from which it does not return.
pub(super) fn join_or_leave(field: &mut Field, random: &mut Random) -> Begun {
    let joiner = field.members.len() - 1;
    if field.members[joiner].busy {
        return Begun::NotNow;
    }
    if !field.members[joiner].wanted {
        field.members[joiner].wanted = true;
        field.members[joiner].start();
    } else {
        field.members[joiner].wanted = false;
        if field.members[joiner].is_running() {
            if random.percent(60) { stop_member(field, joiner) } else { field.members[joiner].kill9() }
        }
    }
    Begun::over(Happened::Yes)
}

pub(super) fn twin_on_the_same_disk(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    twin(field, number, false)
}

pub(super) fn twin_on_another_disk(field: &mut Field, random: &mut Random) -> Begun {
    // This waits for the end of one of them, and ends no other fault meanwhile: a twin that reaches no broker fences
    // nobody.
    if field.brokers_busy || field.registry_busy {
        return Begun::NotNow;
    }
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    twin(field, number, true)
}

/// Starts a second process of the same name. One of the two has to end, with the code that keeps a supervisor from
/// starting it again; the other goes on as the one.
fn twin(field: &mut Field, number: usize, on_another_disk: bool) -> Begun {
    let member = &mut field.members[number];
    member.busy = true;
    let is_young = member.runs_for() < YOUNG_FOR;
    let log = member.twin_log();
    let other = member.disk.path().join("twin");
    std::fs::remove_dir_all(&other).ok();
    let state = if on_another_disk { other } else { member.state.clone() };
    let mut second = member.spawn(&state, &log);
    let started = Instant::now();
    let name = member.name.clone();
    let (code, twin_ended) = loop {
        let member = &mut field.members[number];
        let first_ended = member.child().and_then(|child| child.try_wait().unwrap());
        let second_ended = second.try_wait().unwrap();
        match (first_ended, second_ended) {
            (Some(status), _) => break (status.code(), false),
            (_, Some(status)) => break (status.code(), true),
            _ if started.elapsed() > TWINS_SETTLE_WITHIN => {
                field.findings.add(&format!("{name} and its twin both run after {TWINS_SETTLE_WITHIN:?}"));
                break (Some(WRONG_CONFIGURATION), true);
            }
            _ => thread::sleep(Duration::from_millis(20)),
        }
    };
    if code != Some(WRONG_CONFIGURATION) {
        field.findings.add(&format!("of {name} and its twin one ended with {code:?}, not {WRONG_CONFIGURATION}"));
    }
    let member = &mut field.members[number];
    // Of two that were started at about the same time none is the older one: both may end.
    let both_ended = is_young && {
        thread::sleep(BOTH_END_WITHIN);
        let other = if twin_ended { member.child() } else { Some(&mut second) };
        other.is_none_or(|child| child.try_wait().unwrap().is_some())
    };
    if twin_ended {
        second.kill().ok();
        second.wait().unwrap();
        if both_ended {
            member.kill9();
        }
        if !member.is_running() {
            member.start();
        }
    } else {
        member.kill9();
        if on_another_disk || both_ended {
            // The pod's own disk comes back with the pod.
            second.kill().ok();
            second.wait().unwrap();
            member.start();
        } else {
            member.attach(second, log);
        }
    }
    member.busy = false;
    Begun::over(Happened::Yes)
}
