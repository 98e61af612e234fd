//! Processes that end or stand still without warning.

use std::thread;
use std::time::{Duration, Instant};

use super::{Begun, Happened, between};
use crate::field::{Field, SESSION};
use crate::random::Random;

/// How long a line of the log is waited for.
const LINE_WITHIN: Duration = Duration::from_secs(6);

fn kill(field: &mut Field, random: &mut Random, down: Duration) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    field.pause(between(0, 300, random));
    let member = &mut field.members[number];
    if !member.is_running() {
        return Begun::NotNow;
    }
    member.busy = true;
    member.kill9();
    Begun::lasting(down, move |field| {
        field.members[number].busy = false;
        field.members[number].start();
        Happened::Yes
    })
}

pub(super) fn at_once(field: &mut Field, random: &mut Random) -> Begun {
    let down = between(0, 200, random);
    kill(field, random, down)
}

pub(super) fn after_session(field: &mut Field, random: &mut Random) -> Begun {
    let down = SESSION + between(500, 2_500, random);
    kill(field, random, down)
}

pub(super) fn over_and_over(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    field.members[number].busy = true;
    for _ in 0..3 {
        field.members[number].kill9();
        field.members[number].start();
        field.pause(between(0, 1_200, random));
    }
    if field.members[number].is_running() {
        field.members[number].kill9();
        field.members[number].start();
    }
    field.members[number].busy = false;
    Begun::over(Happened::Yes)
}

/// Kills a process in the moment in which it says something, and starts it again.
fn kill_at(field: &mut Field, number: usize, place: u64, line: &str) -> Happened {
    let deadline = Instant::now() + LINE_WITHIN;
    let mut happened = Happened::No;
    while Instant::now() < deadline && field.members[number].is_running() {
        if field.members[number].says_after(place, line) {
            happened = Happened::Yes;
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    if happened == Happened::Yes {
        field.members[number].kill9();
        field.members[number].start();
    }
    field.members[number].busy = false;
    happened
}

/// Causes a rebalance, by another process that joins or comes back.
fn disturb(field: &mut Field, random: &mut Random, not: usize) -> bool {
    let joiner = field.members.len() - 1;
    if joiner != not && !field.members[joiner].busy && !field.members[joiner].is_running() {
        field.members[joiner].wanted = true;
        field.members[joiner].start();
        return true;
    }
    let Some(other) = field.pick_but(Some(not), random) else { return false };
    field.members[other].kill9();
    // Its session must end, or the group does not notice that it was away.
    field.members[other].busy = true;
    field.pause(SESSION + Duration::from_millis(500));
    field.members[other].busy = false;
    field.members[other].start();
    true
}

fn in_rebalance(field: &mut Field, random: &mut Random, line: &str) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    field.members[number].busy = true;
    let place = field.members[number].log_end();
    if !disturb(field, random, number) {
        field.members[number].busy = false;
        return Begun::NotNow;
    }
    Begun::over(kill_at(field, number, place, line))
}

pub(super) fn at_revoked(field: &mut Field, random: &mut Random) -> Begun {
    in_rebalance(field, random, "\"Revoked.\"")
}

pub(super) fn at_assigned(field: &mut Field, random: &mut Random) -> Begun {
    in_rebalance(field, random, "\"Assigned.\"")
}

pub(super) fn at_restoring(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    let member = &mut field.members[number];
    member.busy = true;
    member.kill9();
    member.start();
    Begun::over(kill_at(field, number, 0, "\"Restor"))
}

fn sleep(field: &mut Field, random: &mut Random, length: Duration) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    let member = &mut field.members[number];
    member.busy = true;
    member.watched.asleep();
    member.signal("-STOP");
    Begun::lasting(length, move |field| {
        let member = &mut field.members[number];
        member.signal("-CONT");
        member.watched.awake();
        member.busy = false;
        Happened::Yes
    })
}

pub(super) fn asleep(field: &mut Field, random: &mut Random) -> Begun {
    let length = SESSION + between(700, 3_000, random);
    sleep(field, random, length)
}

pub(super) fn dozing(field: &mut Field, random: &mut Random) -> Begun {
    let length = between(300, 2_500, random);
    sleep(field, random, length)
}
