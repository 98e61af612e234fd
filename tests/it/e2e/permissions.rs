//! Permissions taken away from a process while it works, and given back: it says what it is refused, and goes on by itself.

use std::thread;
use std::time::Duration;

use super::credentials::{AUTHORIZER, broker, sets};
use super::daemon::Daemon;
use super::disk::applied;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};
use crate::support::broker::Broker;

/// So long something stays refused after it was noticed: several tries, and longer than a session.
const REFUSED_FOR: Duration = Duration::from_secs(8);

/// What the user of the tests may do, by the words of Kafka's own command.
struct Access<'a>(&'a Broker);

impl Access<'_> {
    fn change(&self, words: &[&str]) {
        let address = ["--bootstrap-server", self.0.bootstrap(), "--force"];
        self.0.command("org.apache.kafka.tools.AclCommand", &[&address, words].concat());
    }

    /// Everything; what is denied besides wins over it.
    fn allow_all(&self) {
        let everything = ["--topic", "*", "--group", "*", "--transactional-id", "*", "--cluster"];
        self.change(&[&["--add", "--allow-principal", "User:shop", "--operation", "All"], &everything[..]].concat());
    }

    fn deny(&self, (kind, name): (&str, &str), operation: &str) {
        self.change(&["--add", "--deny-principal", "User:shop", "--operation", operation, kind, name]);
    }

    fn deny_no_more(&self, (kind, name): (&str, &str), operation: &str) {
        self.change(&["--remove", "--deny-principal", "User:shop", "--operation", operation, kind, name]);
    }
}

/// It works: events are applied, and it is ready.
fn works(daemon: &mut Daemon) {
    let before = applied(daemon);
    eventually("events are applied", || {
        daemon.assert_running();
        (applied(daemon) > before + 50.0).then_some(())
    });
    daemon.ready();
}

/// Takes a permission away until it was noticed and for a while longer, and gives it back.
fn take_away(access: &Access<'_>, daemon: &mut Daemon, what: (&str, &str), operation: &str) {
    works(daemon);
    access.deny(what, operation);
    let logged = eventually(&format!("it says that it may not {operation} {what:?}"), || {
        daemon.assert_running();
        let (status, text) = daemon.get("/health/ready")?;
        (status == 503 && text.contains("uthorization failed")).then_some(text)
    });
    println!("{operation} {what:?}: {logged}");
    assert!(daemon.metrics()["cohortd_waiting"] > 0.0);
    thread::sleep(REFUSED_FOR);
    daemon.assert_running();
    assert_eq!(daemon.get("/health/live").unwrap().0, 200);
    access.deny_no_more(what, operation);
    works(daemon);
}

#[test]
fn permissions_taken_away_while_it_works_are_waited_for_and_nothing_is_lost() {
    if Broker::shared().is_none() {
        return;
    }
    let (broker, address) = broker(AUTHORIZER);
    let lab = Lab::at(broker.bootstrap(), "permissions", 2, shop::RULES).limited_to(Duration::from_secs(900));
    lab.create("in", 2, &[]);
    let access = Access(&broker);
    access.allow_all();
    let mut random = Random::seeded("permissions");
    let credentials = sets(&address, "kafka.options.sasl.password=right");
    let session = ["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"];
    let flushes = ["state.flush_after_events=200", "state.flush_after=1 s"];
    let sets = [&shop::SETS[..], &credentials, &session, &flushes].concat();
    let open = shop::open(&lab, random.next(), 30, 25);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let topic = |kind| lab.topic(kind);
    for (kind, name, operation) in [
        ("--topic", topic("changes"), "Write"),
        ("--topic", topic("log"), "Write"),
        ("--topic", topic("in"), "Read"),
        ("--topic", topic("members"), "All"),
        ("--topic", topic("log"), "All"),
        ("--topic", topic("in"), "All"),
        ("--group", lab.name.clone(), "All"),
        ("--transactional-id", format!("{}-one-0", lab.name), "All"),
    ] {
        take_away(&access, &mut daemon, (kind, &name), operation);
    }
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("permissions: {found:?}");
    assert!(found.changes > 100 && found.by_time > 50, "too little happened: {found:?}");
}
