//! A schema registry in trouble.

use super::{Begun, Happened, between};
use crate::field::Field;
use crate::front::Mood;
use crate::random::Random;

fn for_a_while(field: &mut Field, random: &mut Random, mood: Mood) -> Begun {
    if field.registry_busy {
        return Begun::NotNow;
    }
    field.registry_busy = true;
    field.registry.set(mood);
    Begun::lasting(between(1_500, 6_000, random), |field| {
        field.registry.set(Mood::Well);
        field.registry_busy = false;
        Happened::Yes
    })
}

pub(super) fn away(field: &mut Field, random: &mut Random) -> Begun {
    for_a_while(field, random, Mood::Away)
}

pub(super) fn unauthorized(field: &mut Field, random: &mut Random) -> Begun {
    for_a_while(field, random, Mood::Says(401))
}

pub(super) fn failing(field: &mut Field, random: &mut Random) -> Begun {
    for_a_while(field, random, Mood::Says(500))
}

pub(super) fn slow(field: &mut Field, random: &mut Random) -> Begun {
    for_a_while(field, random, Mood::Slow)
}

pub(super) fn hangs(field: &mut Field, random: &mut Random) -> Begun {
    for_a_while(field, random, Mood::Hangs)
}
