//! Wall clocks that are set.
//!
//! How far stream time then follows the clock is recorded in the changelog, and the naive evaluator is given what was
//! recorded; so the comparison stays exact. A clock that is ahead is set right before its process is started again, since
//! a process that starts believes the clock it finds.

use super::{Begun, Happened, between};
use crate::field::Field;
use crate::random::Random;

fn set(field: &mut Field, random: &mut Random, seconds: i64) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    let member = &mut field.members[number];
    // One that is still starting has not looked at its clock yet.
    if !matches!(member.get("/health/ready"), Some((200, _))) {
        return Begun::NotNow;
    }
    if !member.set_clock(seconds) {
        return Begun::Skipped("there is no C compiler".into());
    }
    member.busy = true;
    Begun::lasting(between(2_000, 5_000, random), move |field| {
        field.members[number].set_clock(0);
        field.members[number].busy = false;
        Happened::Yes
    })
}

/// Less than what is too late, so that events still count.
pub(super) fn ahead(field: &mut Field, random: &mut Random) -> Begun {
    let seconds = 3 + random.below(40);
    set(field, random, seconds)
}

pub(super) fn far_ahead(field: &mut Field, random: &mut Random) -> Begun {
    set(field, random, 3_600)
}

pub(super) fn back(field: &mut Field, random: &mut Random) -> Begun {
    let seconds = [10, 120, 600, 7_200][usize::try_from(random.below(4)).unwrap()];
    set(field, random, -seconds)
}
