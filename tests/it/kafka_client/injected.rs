//! What each answer of a broker is taken for. The broker in this process answers to order; it shows nothing about what
//! becomes of the records.

use std::time::Duration;

use cohortd::kafka::{Failure, Injected, Kind, Mock, Outcome, Producer, Reader, Request, Watermarks};

use super::{LONG, Lab, eventually, join};

fn lab(mock: &Mock, name: &str) -> Lab {
    let lab = Lab::at(&mock.bootstrap_servers(), name);
    mock.create_topic(&lab.name, 1).unwrap();
    lab
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Committed => "committed",
        Outcome::Indeterminate(_) => "indeterminate",
        Outcome::Fenced(_) => "fenced",
    }
}

fn verdict<T>(result: &Result<T, Failure>) -> (&'static str, Option<Kind>) {
    let name = match result {
        Ok(_) => return ("ok", None),
        Err(Failure::Retry(_)) => "retry",
        Err(Failure::Abort(_)) => "abort",
        Err(Failure::Resolve(_)) => "resolve",
        Err(Failure::Fatal(_)) => "fatal",
    };
    (name, result.as_ref().err().map(|failure| failure.cause().kind))
}

#[test]
fn a_commit_that_fails_is_never_guessed() {
    let mock = Mock::start().unwrap();
    for (injected, expected, suspect) in [
        (Injected::CoordinatorLoading, "committed", false),
        (Injected::ConcurrentTransactions, "committed", false),
        (Injected::Disconnect, "committed", true),
        (Injected::Unknown, "indeterminate", false),
        (Injected::InvalidProducerIdMapping, "indeterminate", false),
        (Injected::InvalidTransactionState, "indeterminate", false),
        (Injected::ProducerFenced, "fenced", false),
        (Injected::InvalidProducerEpoch, "fenced", false),
    ] {
        let lab = lab(&mock, "commit");
        let mut producer = lab.producer("host-0");
        lab.open_transaction(&mut producer, &["x"]);
        mock.inject(Request::EndTxn, &[injected]);
        let outcome = producer.commit();
        assert_eq!((name(&outcome), producer.needs_recreation()), (expected, suspect), "{injected:?}: {outcome:?}");
        // Whatever it was, a new producer goes on.
        producer.recreate().unwrap();
        producer.init(LONG).unwrap();
        assert!(!producer.needs_recreation());
        lab.committed_transaction(&mut producer, &["y"]);
    }
}

#[test]
fn an_abort_is_tried_again_or_left_to_the_next_producer() {
    let mock = Mock::start().unwrap();
    for (injected, expected) in [
        (Injected::CoordinatorLoading, "ok"),
        (Injected::ConcurrentTransactions, "ok"),
        (Injected::Disconnect, "ok"),
        (Injected::InvalidTransactionState, "resolve"),
        (Injected::ProducerFenced, "fatal"),
    ] {
        let lab = lab(&mock, "abort");
        let mut producer = lab.producer("host-0");
        lab.open_transaction(&mut producer, &["x"]);
        mock.inject(Request::EndTxn, &[injected]);
        let outcome = producer.abort();
        assert_eq!(verdict(&outcome).0, expected, "{injected:?}: {outcome:?}");
    }
}

#[test]
fn a_record_that_is_refused_aborts_its_transaction() {
    let mock = Mock::start().unwrap();
    for (injected, expected) in [
        (Injected::NotEnoughReplicas, ("ok", None)),
        (Injected::Disconnect, ("ok", None)),
        (Injected::TopicDenied, ("abort", Some(Kind::NotAuthorized))),
        (Injected::MessageTooLarge, ("abort", Some(Kind::TooLarge))),
    ] {
        let lab = lab(&mock, "produce");
        let mut producer = lab.producer("host-0");
        producer.begin().unwrap();
        mock.inject(Request::Produce, &[injected]);
        producer.send(&lab.record("x")).unwrap();
        let outcome = producer.drain();
        assert_eq!(verdict(&outcome), expected, "{injected:?}: {outcome:?}");
        producer.abort().unwrap();
        // The client would remember a permission refused.
        producer.recreate().unwrap();
        producer.init(LONG).unwrap();
        lab.committed_transaction(&mut producer, &["y"]);
    }
}

#[test]
fn offsets_that_are_refused_abort_or_are_sent_again() {
    let mock = Mock::start().unwrap();
    let lab = lab(&mock, "offsets");
    let consumer = lab.consumer("host-0");
    join(&consumer);
    for (request, injected, expected) in [
        (Request::TxnOffsetCommit, Injected::CoordinatorLoading, ("ok", None)),
        (Request::TxnOffsetCommit, Injected::Disconnect, ("ok", None)),
        (Request::AddOffsetsToTxn, Injected::ConcurrentTransactions, ("ok", None)),
        (Request::TxnOffsetCommit, Injected::IllegalGeneration, ("abort", Some(Kind::StaleMember))),
        (Request::TxnOffsetCommit, Injected::UnknownMember, ("abort", Some(Kind::StaleMember))),
        (Request::TxnOffsetCommit, Injected::FencedInstance, ("abort", Some(Kind::Fenced))),
        (Request::TxnOffsetCommit, Injected::Unknown, ("abort", Some(Kind::Other))),
        (Request::AddOffsetsToTxn, Injected::ProducerFenced, ("fatal", Some(Kind::Fenced))),
    ] {
        let mut producer = lab.producer("host-0");
        lab.open_transaction(&mut producer, &["x"]);
        mock.inject(request, &[injected]);
        let membership = consumer.membership().unwrap();
        let outcome = producer.send_offsets(&[(&lab.name, 0, 1, "")], &membership);
        assert_eq!(verdict(&outcome), expected, "{request:?} {injected:?}: {outcome:?}");
        if expected.0 == "abort" {
            producer.abort().unwrap();
            lab.committed_transaction(&mut producer, &["y"]);
        }
    }
}

#[test]
fn an_announcement_is_tried_again_unless_it_is_forbidden() {
    let mock = Mock::start().unwrap();
    for (injected, expected) in [
        (Injected::CoordinatorLoading, ("ok", None)),
        (Injected::ConcurrentTransactions, ("ok", None)),
        (Injected::Disconnect, ("ok", None)),
        (Injected::TransactionalIdDenied, ("fatal", Some(Kind::NotAuthorized))),
    ] {
        let lab = lab(&mock, "init");
        let mut producer: Producer = lab.producer_with("host-0", &[]);
        mock.inject(Request::InitProducerId, &[injected]);
        let outcome = producer.init(LONG);
        assert_eq!(verdict(&outcome), expected, "{injected:?}: {outcome:?}");
    }
}

#[test]
fn topics_of_the_broker_in_this_process_can_be_described() {
    let mock = Mock::start().unwrap();
    let lab = lab(&mock, "describe");
    let topic = lab.admin().topic(&lab.name, LONG).unwrap().unwrap();
    assert_eq!((topic.partitions, topic.settings.len()), (1, 0));
}

#[test]
fn a_partition_without_a_leader_for_a_moment_is_waited_for_and_asked_again() {
    let mock = Mock::start().unwrap();
    let lab = lab(&mock, "leader");
    let ask = Duration::from_secs(1);
    let settings = lab.settings("host-0", &[]);
    let watermarks = Watermarks::new(&settings, &lab.brokers).unwrap();
    let reader = Reader::new(&settings, 2 << 20, &lab.brokers).unwrap();
    let passing = |result: &Result<(), Failure>| matches!(result, Err(Failure::Retry(_)));
    // A client learns of the topic while it is led, or while it is not.
    for _ in 0..2 {
        mock.remove_leader(&lab.name, 0).unwrap();
        eventually("the client has heard of it", || {
            let asked = watermarks.range(&lab.name, 0, ask).map(|_| ());
            assert!(asked.is_ok() || passing(&asked), "{asked:?}");
            asked.is_err()
        });
        for asked in [
            watermarks.range(&lab.name, 0, ask).map(|_| ()),
            watermarks.end_offsets(&lab.name, &[0], ask).map(|_| ()),
            watermarks.at_time(&lab.name, 0, 0, ask).map(|_| ()),
            reader.stable_end(&lab.name, 0, ask).map(|_| ()),
        ] {
            assert!(asked.is_ok() || passing(&asked), "{asked:?}");
        }
        mock.restore_leader(&lab.name, 0).unwrap();
        eventually("its end offset is known", || watermarks.end_offsets(&lab.name, &[0], ask) == Ok(vec![(0, 0)]));
        eventually("its range is known", || watermarks.range(&lab.name, 0, ask) == Ok(0..0));
        eventually("and its stable end", || reader.stable_end(&lab.name, 0, ask) == Ok(0));
    }
    // What does not exist is not waited for.
    for place in [(lab.name.as_str(), 7), ("nowhere", 0)] {
        let asked = watermarks.range(place.0, place.1, ask);
        assert_eq!(verdict(&asked), ("fatal", Some(Kind::UnknownTopic)), "{place:?}");
    }
}
