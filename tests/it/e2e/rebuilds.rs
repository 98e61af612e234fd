//! Killed halfway in a rebuild, or while reading the changelog: whatever had been done by then, the
//! next start goes on and ends right.

use std::fs::{self, File};
use std::path::Path;

use super::daemon::Daemon;
use super::disk::{applied, many_customers};
use super::lab::Lab;
use super::refusals::refusal;
use super::resets::{self, sets, work_on};
use super::shop::{self, Random};
use super::{eventually, judge};

/// Customers beside those of the shop: the state takes a while to read.
const CUSTOMERS: i64 = 6_000;

/// A process that has read and written what a shop and very many others did, and was stopped.
fn history(lab: &Lab, random: &mut Random) {
    many_customers(lab, 0, CUSTOMERS);
    resets::history(lab, random);
}

/// Kills the command once it says this. False: it had come to its end by then, as it may on a busy machine.
fn kill_reset(lab: &Lab, words: &str) -> bool {
    let log = lab.path("reset.log");
    let mut command = lab.command_reset("one", &sets(), &["--rebuild", "--yes"]);
    let mut child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let printed = || fs::read_to_string(&log).unwrap();
    eventually(&format!("the command says {words}"), || printed().contains(words).then_some(()));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    println!("the command was killed after it said {words:?}: {status}");
    !printed().contains("Done:")
}

/// Goes on for some seconds, and judges all that was ever read.
fn go_on(lab: &Lab, random: &mut Random, daemon: Daemon) {
    work_on(lab, random, daemon);
    let found = judge::check(lab, shop::config());
    println!("{}: {found:?}", lab.name);
    assert!(found.changes > 200 && found.by_time > 40, "too little happened: {found:?}");
}

#[test]
fn a_rebuild_that_is_killed_is_refused_until_the_same_command_ends_it_and_then_decides_the_same() {
    let Some(lab) = Lab::new("rebuild", 2, shop::RULES) else { return };
    let mut random = Random::seeded("rebuild");
    history(&lab, &mut random);
    let deleting = |kind: &str, partition: i32| format!("deleting the contents of {}[{partition}]", lab.topic(kind));
    let mut killed = 0;
    for words in [deleting("log", 0), deleting("log", 1), deleting("members", 0), deleting("members", 1)] {
        if !kill_reset(&lab, &words) {
            break;
        }
        killed += 1;
        let words = ["a rebuild was begun and not finished", "`cohortd reset --rebuild --yes`"];
        refusal(lab.start("one", &sets()).ended(), &words);
    }
    assert!(killed > 0, "the command was always quicker");
    let (code, ..) = lab.reset("one", &sets(), &["--rebuild", "--yes"]);
    assert_eq!(code, Some(0));
    // Earlier changes are published again.
    lab.forget_all("changes");
    lab.forget_all("letters");
    let mut daemon = lab.start("one", &sets());
    for without_its_copy in [false, true, false] {
        let until = applied(&mut daemon) + 300.0 + (random.next() % 1_000) as f64;
        eventually("a part of the input is decided again, or all of it", || {
            daemon.assert_running();
            (applied(&mut daemon) > until || daemon.says("Caught up with the input.")).then_some(())
        });
        daemon.kill9();
        if without_its_copy {
            fs::remove_dir_all(lab.state("one")).unwrap();
        }
        daemon = lab.start("one", &sets());
    }
    go_on(&lab, &mut random, daemon);
}

/// Starts it, and kills it while it reads the changelog. False: it was restored before that.
fn kill_halfway(lab: &Lab, records: f64) -> bool {
    let mut daemon = lab.start("one", &sets());
    let halfway = eventually("the changelog is being read", || {
        daemon.assert_running();
        let is_ready = daemon.get("/health/ready")?.0 == 200;
        let read = daemon.metric("cohortd_restore_records_total");
        (is_ready || read > records).then_some(!is_ready)
    });
    daemon.kill9();
    halfway
}

fn remove(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_restore_of_a_lost_copy_that_is_killed_halfway_goes_on_and_ends_right() {
    let Some(lab) = Lab::new("halfway", 2, shop::RULES) else { return };
    let mut random = Random::seeded("halfway");
    history(&lab, &mut random);
    remove(&lab.state("one"));
    let mut halfway = 0;
    for _ in 0..20 {
        // Each further along than the one before, unless what was read is lost again.
        if !kill_halfway(&lab, (random.next() % (CUSTOMERS as u64 / 2)) as f64) {
            remove(&lab.state("one"));
            continue;
        }
        halfway += 1;
        if halfway == 2 {
            remove(&lab.state("one"));
        }
        if halfway == 4 {
            break;
        }
    }
    println!("halfway: killed {halfway} times while it was being restored");
    assert!(halfway >= 2, "it was always restored sooner");
    let daemon = lab.start("one", &sets());
    go_on(&lab, &mut random, daemon);
}
