//! Two processes under one name: one goes on, the other ends with 78, and a supervisor does not make them take turns.

use cohortd::clock::wall_clock;

use super::daemon::Ended;
use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";
const SETS: [&str; 2] = ["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"];

/// The one line that a person reads.
fn names_the_setting(ended: &Ended) {
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    println!("{}", lines.join("\n"));
    assert!(lines.len() == 1 && lines[0].contains("kafka.instance_id"), "{}", ended.stderr);
}

fn applies(lab: &Lab, customer: &str) {
    let writer = lab.writer();
    writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
    writer.flush();
    lab.read_through();
}

#[test]
fn on_one_state_dir_the_newer_one_does_not_even_join() {
    let Some(lab) = Lab::new("twin", 2, RULES) else { return };
    let mut one = lab.start("one", &SETS);
    one.ready();
    for _ in 0..2 {
        names_the_setting(&lab.start("one", &SETS).ended());
    }
    one.assert_running();
    assert!(!one.says("Revoked"), "it was disturbed");
    applies(&lab, "a");
    one.kill9();
    // A kill leaves no lock behind.
    let mut one = lab.start("one", &SETS);
    one.ready();
    one.stop();
}

#[test]
fn on_two_state_dirs_the_older_one_ends_and_stays_away_while_the_newer_one_lives() {
    let Some(lab) = Lab::new("twins", 2, RULES) else { return };
    let other = format!("state.dir={}", lab.path("elsewhere").display());
    let elsewhere = [&SETS[..], &[&other]].concat();
    let mut older = lab.start("one", &SETS);
    older.ready();
    let mut newer = lab.start("one", &elsewhere);
    names_the_setting(&older.ended());
    newer.ready();
    // A supervisor that starts it again all the same: it waits for the other's session to end, in vain.
    names_the_setting(&lab.start("one", &SETS).ended());
    newer.assert_running();
    assert!(!newer.says("Revoked"), "it was disturbed");
    applies(&lab, "a");
    newer.kill9();
    // Until the session of the one that was killed has ended.
    let mut older = lab.start("one", &SETS);
    older.ready();
    applies(&lab, "b");
    older.assert_running();
    older.stop();
    assert_eq!(lab.read("changes").concat().len(), 2);
}

#[test]
fn a_member_that_took_the_place_and_left_stops_no_process() {
    let Some(lab) = Lab::new("ghost", 2, RULES) else { return };
    let mut daemon = lab.start("one", &SETS);
    daemon.ready();
    applies(&lab, "a");
    // Like a request to join that a broker carries out late: the group has another member of this name, but no process
    // is it.
    for customer in ["b", "c"] {
        lab.take_place("one-0");
        applies(&lab, customer);
        eventually("it is at work again", || (daemon.get("/health/ready")?.0 == 200).then_some(()));
        daemon.assert_running();
    }
    assert!(daemon.says("The lane rejoins"));
    daemon.stop();
    assert_eq!(lab.read("changes").concat().len(), 3);
}
