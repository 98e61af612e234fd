//! Local copies that are damaged, gone, or older than they should be.

use std::fs;

use super::{Begun, Happened, between};
use crate::disk::{copy, files, flip};
use crate::field::Field;
use crate::random::Random;

/// Bits flipped at once.
const BITS: u32 = 48;

fn is_sst(name: &str) -> bool {
    name.ends_with(".sst")
}

fn is_manifest(name: &str) -> bool {
    name.starts_with("MANIFEST-")
}

/// Flips bits in one of a process's files. No file, no fault.
fn flip_one(field: &mut Field, number: usize, is_it: fn(&str) -> bool, random: &mut Random) -> Happened {
    let found = files(&field.members[number].state, is_it);
    let count = i64::try_from(found.len()).unwrap();
    if count == 0 {
        return Happened::No;
    }
    field.members[number].may_lose_copy = true;
    // Somebody has looked at what was damaged before: the daemon counts, and waits for that when it comes again and again.
    for count in files(&field.members[number].state, |name| name.ends_with(".damages")) {
        fs::remove_file(count).ok();
    }
    let path = &found[usize::try_from(random.below(count)).unwrap()];
    if flip(path, BITS, random) { Happened::Yes } else { Happened::No }
}

/// Something is done to the copy of a process while that is down.
fn while_down(
    field: &mut Field,
    random: &mut Random,
    act: impl FnOnce(&mut Field, usize, &mut Random) -> Happened,
) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    field.members[number].busy = true;
    field.members[number].kill9();
    let happened = act(field, number, random);
    Begun::lasting(between(0, 300, random), move |field| {
        field.members[number].busy = false;
        field.members[number].start();
        happened
    })
}

fn while_running(field: &mut Field, random: &mut Random, is_it: fn(&str) -> bool) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    Begun::over(flip_one(field, number, is_it, random))
}

pub(super) fn flip_sst_while_down(field: &mut Field, random: &mut Random) -> Begun {
    while_down(field, random, |field, number, random| flip_one(field, number, is_sst, random))
}

pub(super) fn flip_manifest_while_down(field: &mut Field, random: &mut Random) -> Begun {
    while_down(field, random, |field, number, random| flip_one(field, number, is_manifest, random))
}

pub(super) fn flip_sst_while_running(field: &mut Field, random: &mut Random) -> Begun {
    while_running(field, random, is_sst)
}

pub(super) fn flip_manifest_while_running(field: &mut Field, random: &mut Random) -> Begun {
    while_running(field, random, is_manifest)
}

pub(super) fn delete_while_down(field: &mut Field, random: &mut Random) -> Begun {
    while_down(field, random, |field, number, _| {
        let member = &mut field.members[number];
        member.may_lose_copy = true;
        match fs::remove_dir_all(&member.state) {
            Ok(()) => Happened::Yes,
            Err(_) => Happened::No,
        }
    })
}

pub(super) fn delete_while_running(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    let member = &mut field.members[number];
    member.may_lose_copy = true;
    for path in files(&member.state, |_| true) {
        // It may have removed it itself.
        fs::remove_file(path).ok();
    }
    Begun::over(Happened::Yes)
}

/// The first time a copy is put by; from then on it takes the place of what is there, and what was there is put by.
pub(super) fn older(field: &mut Field, random: &mut Random) -> Begun {
    while_down(field, random, |field, number, random| {
        let member = &mut field.members[number];
        let (kept, newer) = (member.disk.path().join("kept"), member.disk.path().join("newer"));
        if !member.state.exists() {
            return Happened::No;
        }
        if !kept.exists() {
            copy(&member.state, &kept);
            return Happened::No;
        }
        if random.percent(40) {
            copy(&member.state, &newer);
        }
        copy(&kept, &member.state);
        // A copy of long ago may have to be read from the beginning.
        member.may_lose_copy = true;
        if newer.exists() {
            fs::remove_dir_all(&kept).unwrap();
            fs::rename(&newer, &kept).unwrap();
        }
        Happened::Yes
    })
}
