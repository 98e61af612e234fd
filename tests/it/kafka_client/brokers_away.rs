//! What is seen, and what hangs not, while no broker answers.

use std::time::{Duration, Instant};

use cohortd::kafka::{BrokerState, Polled, Watermarks};

use super::{LONG, Lab, join_reading, next_record};
use crate::support::broker::Broker;

#[test]
fn a_crash_of_the_broker_is_seen_survived_and_forgotten() {
    if Broker::shared().is_none() {
        return;
    }
    let mut broker = Broker::start_own();
    let lab = Lab::at(broker.bootstrap(), "crash");
    lab.create(&lab.name, 1, &[]);
    lab.publish(0, &["a", "b"]);
    // The default session outlasts the restart.
    let consumer = lab.consumer_with("host-0", &[]);
    join_reading(&consumer);
    assert_eq!(next_record(&consumer), "a");
    assert_eq!(lab.brokers.state(), BrokerState::Reachable);

    broker.kill9();
    super::eventually("the broker is seen to be away", || {
        assert!(!matches!(consumer.poll(Duration::from_millis(20)), Polled::Failed(_)));
        lab.brokers.state() != BrokerState::Reachable
    });
    println!("{:?}", lab.brokers.state());

    broker.restart();
    lab.publish(0, &["c"]);
    super::eventually(
        "it answers again",
        || matches!(consumer.poll(Duration::from_millis(20)), Polled::Record(record) if record.offset() == 2),
    );
    assert_eq!(lab.brokers.state(), BrokerState::Reachable);
    assert_eq!(lab.visible(), ["a", "b", "c"]);

    // Closing while it is away again is bounded, whatever librdkafka does.
    let mut producer = lab.producer("host-0");
    lab.open_transaction(&mut producer, &["open"]);
    broker.kill9();
    let started = Instant::now();
    let closed = consumer.close(Duration::from_secs(5));
    println!("without a broker: closed {closed} in {:?}", started.elapsed());
    let started = Instant::now();
    drop(producer);
    println!("without a broker: producer dropped in {:?}", started.elapsed());
    assert!(started.elapsed() < LONG);
}

#[test]
fn a_broker_that_stops_answering_is_seen_and_a_clean_stop_loses_nothing() {
    if Broker::shared().is_none() {
        return;
    }
    let mut broker = Broker::start_own();
    let lab = Lab::at(broker.bootstrap(), "freeze");
    lab.create(&lab.name, 1, &[]);
    lab.publish(0, &["a"]);
    let watermarks = Watermarks::new(&lab.settings("host-0", &[]), &lab.brokers).unwrap();
    let end = || watermarks.range(&lab.name, 0, Duration::from_secs(1)).map(|range| range.end);
    assert_eq!(end(), Ok(1));

    // No connection breaks: only a request without an answer shows it.
    broker.freeze();
    super::eventually("the silence is noticed", || end().is_err() && lab.brokers.state() != BrokerState::Reachable);
    broker.thaw();
    super::eventually("it answers again", || end().is_ok());
    assert_eq!(lab.brokers.state(), BrokerState::Reachable);

    broker.stop();
    broker.restart();
    super::eventually("it is back", || end() == Ok(1));
}
