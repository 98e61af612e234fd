//! Errors to order, by librdkafka's broker in this process. It is no transactional broker: aborted records stay visible,
//! offsets sent in a transaction are dropped, twins are not fenced. So nothing is shown here about exactly-once; only
//! that the daemon survives each error and that every event has its effect at least once.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::kafka::{Injected, Mock, Request};

use super::lab::Lab;
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

#[test]
fn errors_of_a_broker_are_survived_and_no_event_is_lost() {
    let mock = Mock::start().unwrap();
    let lab = Lab::at(&mock.bootstrap_servers(), "injected", 1, RULES);
    for kind in ["in", "changes", "members", "risks", "forecasts", "letters", "log", "summaries", "rules"] {
        mock.create_topic(&lab.topic(kind), 1).unwrap();
    }
    let mut daemon = lab.start("one", &["state.flush_after_events=0", "kafka.options.transaction.timeout.ms=5000"]);
    daemon.ready();
    let writer = lab.writer();
    let changes = lab.follow("changes");
    let mut seen = BTreeSet::new();
    let mut number = 0;
    use Injected as E;
    for (request, error) in [
        (Request::EndTxn, E::Disconnect),
        (Request::EndTxn, E::CoordinatorLoading),
        (Request::EndTxn, E::ConcurrentTransactions),
        (Request::Produce, E::NotEnoughReplicas),
        (Request::Produce, E::Disconnect),
        (Request::AddPartitionsToTxn, E::ConcurrentTransactions),
        (Request::AddOffsetsToTxn, E::CoordinatorLoading),
        (Request::AddOffsetsToTxn, E::Disconnect),
        (Request::TxnOffsetCommit, E::CoordinatorLoading),
        (Request::TxnOffsetCommit, E::IllegalGeneration),
        (Request::TxnOffsetCommit, E::UnknownMember),
        (Request::TxnOffsetCommit, E::Disconnect),
        (Request::InitProducerId, E::ConcurrentTransactions),
        (Request::Fetch, E::Disconnect),
        // A twin would do it again.
        (Request::TxnOffsetCommit, E::FencedInstance),
        (Request::EndTxn, E::ProducerFenced),
    ] {
        mock.inject(request, &[error]);
        number += 1;
        let customer = format!("c{number}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, "visit", wall_clock().0, None)));
        writer.flush();
        eventually(&format!("{customer} after {error:?} to {request:?}"), || {
            daemon.assert_running();
            while let Some(change) = changes.next(Duration::from_millis(20)) {
                seen.insert(change.key().to_owned());
            }
            seen.contains(&customer).then_some(())
        });
    }
    // The broker goes away for a while in the middle of it all.
    mock.down().unwrap();
    thread::sleep(Duration::from_secs(1));
    mock.up().unwrap();
    writer.send("last", &avro::encode(&avro::event("last", "visit", wall_clock().0, None)));
    writer.flush();
    eventually("the last one", || {
        daemon.assert_running();
        let change = changes.next(Duration::from_millis(20))?;
        seen.insert(change.key().to_owned());
        seen.contains("last").then_some(())
    });
    assert_eq!(seen.len(), number + 1);
    daemon.stop();
}
