//! A broker so slow that what is decided at once is too much for one transaction.

use std::thread;
use std::time::Duration;

use super::disk::applied;
use super::lab::Lab;
use super::shop::{self, Random};
use super::{eventually, judge};
use crate::support::broker::{Broker, free_ports};
use crate::support::proxy::Proxy;

/// What is sent to a daemon that stands still, nearly.
const PILED_UP: f64 = 1_500.0;

/// A broker that clients of one address reach through a proxy.
fn proxied() -> (Broker, Proxy) {
    let [port] = free_ports();
    let proxy = Proxy::start(port);
    let advertised = proxy.port();
    let broker = Broker::start_with(&|plain, controller| {
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},PROXIED://127.0.0.1:{port}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},PROXIED://127.0.0.1:{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
"
        )
    });
    (broker, proxy)
}

#[test]
fn a_broker_that_is_slow_gets_smaller_transactions_until_it_is_quick_again_and_nothing_is_lost() {
    if Broker::shared().is_none() {
        return;
    }
    let (broker, proxy) = proxied();
    let lab = Lab::at(broker.bootstrap(), "slow", 2, shop::RULES);
    lab.create("in", 2, &[]);
    let mut random = Random::seeded("slow");
    let address = format!("kafka.bootstrap_servers=127.0.0.1:{}", proxy.port());
    let sets = [
        &shop::SETS[..],
        &[&address, "kafka.options.transaction.timeout.ms=4000", "state.flush_after_events=0"],
        // So few travel together that many requests make a transaction.
        &["kafka.options.batch.num.messages=50", "batch.max_records=10000"],
    ]
    .concat();
    let open = shop::open(&lab, random.next(), 100, 250);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    // How slow is too slow depends on how much piled up, and that on the machine.
    let mut delay = Duration::from_millis(60);
    while !daemon.says("A transaction took too long") {
        assert!(delay < Duration::from_secs(2), "no transaction ever took too long");
        daemon.signal("-STOP");
        // What has piled up is decided at once.
        thread::sleep(Duration::from_secs(12));
        proxy.delay(delay);
        daemon.signal("-CONT");
        let decided = applied(&mut daemon) + PILED_UP;
        eventually("a transaction takes too long, or it all went through", || {
            daemon.assert_running();
            (daemon.says("A transaction took too long") || applied(&mut daemon) >= decided).then_some(())
        });
        delay *= 2;
    }
    proxy.delay(Duration::from_millis(60));
    let before = applied(&mut daemon);
    eventually("smaller ones go through", || {
        daemon.assert_running();
        (applied(&mut daemon) > before).then_some(())
    });
    proxy.delay(Duration::ZERO);
    eventually("they are as large as before", || {
        daemon.assert_running();
        daemon.says("Transactions may be as large as before again").then_some(())
    });
    let last = open.close();
    lab.decided_until(last + shop::SETTLED_AFTER);
    daemon.ready();
    daemon.stop();
    let found = judge::check(&lab, shop::config());
    println!("slow: {found:?}");
    assert!(found.changes > 500 && found.by_time > 100, "too little happened: {found:?}");
}
