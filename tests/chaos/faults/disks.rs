//! Disks without room, processes without handles.

use std::process::Command;

use super::{Begun, Happened, between};
use crate::field::Field;
use crate::random::Random;

pub(super) fn full(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    if !field.members[number].disk.is_own() {
        return Begun::Skipped("a small file system cannot be mounted here".into());
    }
    field.members[number].busy = true;
    field.members[number].disk.fill();
    Begun::lasting(between(1_000, 6_000, random), move |field| {
        field.members[number].disk.free();
        field.members[number].busy = false;
        Happened::Yes
    })
}

/// Files that a process may have open, as `prlimit` takes them.
fn limit(pid: u32, soft: &str) -> bool {
    let limit = format!("--nofile={soft}:");
    Command::new("prlimit").args([&format!("--pid={pid}"), &limit]).output().is_ok_and(|output| output.status.success())
}

pub(super) fn no_handles(field: &mut Field, random: &mut Random) -> Begun {
    let Some(number) = field.pick(random) else { return Begun::NotNow };
    let Some(pid) = field.members[number].pid() else { return Begun::NotNow };
    let Ok(soft) = soft_limit(pid) else { return Begun::Skipped("there is no /proc".into()) };
    if !limit(pid, "10") {
        return Begun::Skipped("prlimit is not installed, or may not be used".into());
    }
    field.members[number].busy = true;
    field.members[number].watched.asleep();
    Begun::lasting(between(1_000, 4_000, random), move |field| {
        limit(pid, &soft);
        field.members[number].watched.awake();
        field.members[number].busy = false;
        Happened::Yes
    })
}

fn soft_limit(pid: u32) -> std::io::Result<String> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    Ok(line.split_whitespace().nth(3).unwrap_or("1024").to_owned())
}
