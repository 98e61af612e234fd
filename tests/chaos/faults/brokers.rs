//! Brokers that die or stand still. One at a time: two of three are what the topics need.

use std::time::Duration;

use super::{Begun, Happened, between};
use crate::field::Field;
use crate::random::Random;
use crate::support::cluster::BROKERS;

fn any(random: &mut Random) -> usize {
    usize::try_from(random.below(BROKERS as i64)).unwrap()
}

fn is_busy(field: &Field) -> bool {
    field.brokers_busy || !field.cluster.is_whole()
}

fn kill_one(field: &mut Field, number: usize, down: Duration) -> Begun {
    field.brokers_busy = true;
    field.cluster.kill9(number);
    Begun::lasting(down, move |field| {
        field.cluster.restart(number);
        field.brokers_busy = false;
        Happened::Yes
    })
}

pub(super) fn kill(field: &mut Field, random: &mut Random) -> Begun {
    if is_busy(field) {
        return Begun::NotNow;
    }
    let number = any(random);
    kill_one(field, number, between(200, 4_000, random))
}

pub(super) fn kill_controller(field: &mut Field, random: &mut Random) -> Begun {
    match field.cluster.controller() {
        Some(number) if !is_busy(field) => kill_one(field, number, between(200, 3_000, random)),
        _ => Begun::NotNow,
    }
}

pub(super) fn freeze(field: &mut Field, random: &mut Random) -> Begun {
    if is_busy(field) {
        return Begun::NotNow;
    }
    let number = any(random);
    field.brokers_busy = true;
    field.cluster.freeze(number);
    Begun::lasting(between(1_000, 6_000, random), move |field| {
        field.cluster.thaw(number);
        field.brokers_busy = false;
        Happened::Yes
    })
}
