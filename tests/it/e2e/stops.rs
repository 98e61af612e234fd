//! How a process ends: in time, whatever the brokers do, and saying so.

use std::time::Instant;

use super::daemon::{Daemon, STOPS_WITHIN};
use super::eventually;
use super::lab::Lab;
use super::shop::{self, Random};
use crate::support::broker::Broker;

/// A process at work, on a broker of its own.
fn at_work(name: &str, work: impl FnOnce(&mut Broker, Daemon)) {
    if Broker::shared().is_none() {
        return;
    }
    let mut broker = Broker::start_own();
    let lab = Lab::at(broker.bootstrap(), name, 2, shop::RULES);
    lab.create("in", 2, &[]);
    let open = shop::open(&lab, Random::seeded(name).next(), 30, 50);
    let mut daemon = lab.start("one", &[&shop::SETS[..], &["lanes=2", "state.flush_after=10 minutes"]].concat());
    daemon.ready();
    eventually("events are applied", || (daemon.metrics()["cohortd_events_applied_total"] > 50.0).then_some(()));
    // Its thread ends before the broker does.
    open.close();
    work(&mut broker, daemon);
}

#[test]
fn a_process_that_is_stopped_while_no_broker_answers_ends_in_time_and_logs_that_it_drains() {
    at_work("drains", |broker, mut daemon| {
        broker.freeze();
        let asked = Instant::now();
        daemon.signal("-TERM");
        eventually("readiness is withdrawn", || {
            let (status, body) = daemon.get("/health/ready")?;
            (status == 503 && body.contains("stopping")).then_some(())
        });
        assert_eq!(daemon.get("/metrics").unwrap().0, 200, "what it does last can still be seen");
        let ended = daemon.ended();
        println!("drains: ended with {:?} after {:?}", ended.code, asked.elapsed());
        assert!(asked.elapsed() < STOPS_WITHIN, "{}", ended.stderr);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        // By its own limit, and not since something else gave up.
        assert!(ended.stderr.contains("the process ends without it"), "{}", ended.stderr);
        broker.thaw();
    });
}

#[test]
fn a_second_signal_ends_a_process_at_once() {
    at_work("twice", |broker, daemon| {
        broker.freeze();
        daemon.signal("-TERM");
        eventually("it drains", || daemon.says("once more to stop at once").then_some(()));
        daemon.signal("-TERM");
        let ended = daemon.ended();
        // One that ends in good order ends with 0.
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        broker.thaw();
    });
}
