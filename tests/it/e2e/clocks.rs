//! A wall clock that is wrong: nothing is lost by it. Clocks are moved by a library that is loaded before the daemon and asks
//! a file by how much.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;

use super::lab::Lab;
use super::{avro, eventually};
use crate::support::preload;

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

/// The clock of processes that are started with it: the real one, moved as the file says.
pub(super) struct Clock {
    file: PathBuf,
    pub(super) environment: Vec<(String, String)>,
}

impl Clock {
    /// `None`, with the reason, where there is no C compiler, or no Linux.
    pub(super) fn new(lab: &Lab) -> Option<Self> {
        let (library, file) = (lab.path("clock.so"), lab.path("clock"));
        if let Err(reason) = preload::compile("clock.c", &library) {
            println!("skipped: the library that moves a clock cannot be compiled here: {reason}");
            return None;
        }
        let environment = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("COHORTD_TEST_CLOCK".to_owned(), file.display().to_string()),
        ];
        let clock = Self { file, environment };
        clock.is_off_by(0);
        Some(clock)
    }

    pub(super) fn is_off_by(&self, seconds: i64) {
        preload::write(&self.file, &seconds.to_ne_bytes());
    }
}

#[test]
fn a_clock_that_is_set_back_pauses_what_cannot_be_checked_and_loses_nothing() {
    let Some(lab) = Lab::new("back", 1, RULES) else { return };
    let Some(clock) = Clock::new(&lab) else { return };
    let writer = lab.writer();
    let send = |customer: &str, at: i64| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", at, None)));
        writer.flush();
    };
    // Its time does not follow the wall clock: what was accepted says how far it is.
    let sets = ["time.max_future_skew=1 minute", "time.arrives_within=1 s", "time.live_after=1 hour"];
    let mut daemon = lab.start_with(&clock.environment, "one", &sets);
    send("before", wall_clock().0 - 600_000);
    let changes = lab.follow("changes");
    let next = || eventually("a change", || changes.next(Duration::from_millis(100)));
    assert_eq!(next().key(), "before");
    clock.is_off_by(-3_600);
    thread::sleep(Duration::from_secs(3));
    // Not later than what was accepted before: no clock is needed to check it.
    send("near", wall_clock().0 - 570_000);
    assert_eq!(next().key(), "near");
    send("now", wall_clock().0);
    eventually("it says that its clock is behind", || {
        daemon.assert_running();
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("clock")).then_some(())
    });
    assert!(changes.next(Duration::from_millis(500)).is_none());
    assert_eq!(daemon.metrics()["cohortd_waiting"] as i64, 1);
    // A restart under the wrong clock changes nothing.
    daemon.stop();
    let mut daemon = lab.start_with(&clock.environment, "one", &sets);
    eventually("it waits again", || {
        daemon.assert_running();
        (*daemon.metrics().get("cohortd_waiting")? as i64 == 1).then_some(())
    });
    clock.is_off_by(0);
    assert_eq!(next().key(), "now");
    daemon.ready();
    send("ahead", wall_clock().0 + 600_000);
    lab.read_through();
    daemon.stop();
    let dead_letters = lab.read("letters").concat();
    let dead_letters: Vec<_> = dead_letters.iter().map(|seen| (seen.key(), seen.header("cohortd_reason"))).collect();
    assert_eq!(dead_letters, [("ahead", "future")], "only what is ahead of a clock that is right");
}

#[test]
fn a_machine_that_begins_in_1970_waits_for_the_time() {
    let Some(lab) = Lab::new("1970", 1, RULES) else { return };
    let Some(clock) = Clock::new(&lab) else { return };
    clock.is_off_by(86_400 - wall_clock().0 / 1_000);
    let writer = lab.writer();
    for n in 0..20 {
        let customer = format!("c{n}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, "visit", wall_clock().0, None)));
    }
    writer.flush();
    let mut daemon = lab.start_with(&clock.environment, "one", &[]);
    eventually("it says that its clock is behind", || {
        daemon.assert_running();
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("clock")).then_some(())
    });
    assert_eq!(daemon.metrics()["cohortd_dead_letters_total"] as i64, 0);
    clock.is_off_by(0);
    lab.read_through();
    daemon.ready();
    daemon.stop();
    assert_eq!((lab.read("changes").concat().len(), lab.read("letters").concat().len()), (20, 0));
}

#[test]
fn a_clock_that_leaps_ahead_and_back_moves_no_stream_time_and_loses_nothing() {
    let Some(lab) = Lab::new("leap", 1, "[cohorts.quiet]\nwho = \"did visit ever and silent for 30 minutes\"\n") else {
        return;
    };
    let Some(clock) = Clock::new(&lab) else { return };
    let writer = lab.writer();
    let send = |customer: &str, at: i64| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", at, None)));
        writer.flush();
    };
    let sets = ["time.arrives_within=1 s", "time.max_lateness=10 minutes"];
    let mut daemon = lab.start_with(&clock.environment, "one", &sets);
    send("a", wall_clock().0);
    lab.read_through();
    daemon.ready();
    thread::sleep(Duration::from_secs(2));
    clock.is_off_by(3 * 3_600);
    eventually("the leap is seen", || (daemon.metrics()["cohortd_clock_jumps_total"] as i64 == 1).then_some(()));
    // Two hours ahead: the clock agrees, and what is known of the time does not.
    send("ahead", wall_clock().0 + 7_200_000);
    send("b", wall_clock().0);
    thread::sleep(Duration::from_secs(2));
    clock.is_off_by(0);
    thread::sleep(Duration::from_secs(3));
    send("c", wall_clock().0);
    lab.read_through();
    daemon.ready();
    daemon.stop();
    assert_eq!(lab.read("changes").concat().len(), 0, "nobody was silent for half an hour");
    let dead_letters = lab.read("letters").concat();
    let dead_letters: Vec<_> = dead_letters.iter().map(|seen| (seen.key(), seen.header("cohortd_reason"))).collect();
    assert_eq!(dead_letters, [("ahead", "future")]);
}

#[test]
fn a_clock_that_is_set_right_before_anything_is_owned_holds_nothing_up() {
    let Some(lab) = Lab::new("standby", 1, RULES) else { return };
    let Some(clock) = Clock::new(&lab) else { return };
    let writer = lab.writer();
    let send = |customer: &str| {
        writer.send(customer, &avro::encode(&avro::event(customer, "visit", wall_clock().0, None)));
        writer.flush();
    };
    let mut owner = lab.start("one", &[]);
    send("a");
    lab.read_through();
    owner.ready();
    clock.is_off_by(-7_200);
    let mut standby = lab.start_with(&clock.environment, "two", &[]);
    standby.ready();
    clock.is_off_by(0);
    eventually("the leap is seen", || (standby.metrics()["cohortd_clock_jumps_total"] as i64 == 1).then_some(()));
    send("b");
    lab.read_through();
    owner.stop();
    send("c");
    lab.read_through();
    standby.ready();
    standby.stop();
    assert_eq!((lab.read("changes").concat().len(), lab.read("letters").concat().len()), (3, 0));
}
