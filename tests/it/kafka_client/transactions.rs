//! What counts, what does not, and who may write.

use std::time::{Duration, Instant};

use cohortd::kafka::{Failure, Kind, Outcome, Outgoing};

use super::{LONG, Lab, join, poll_until, read};

#[test]
fn committed_records_are_visible_aborted_and_open_ones_are_not() {
    let Some(lab) = Lab::new("visible", 1) else { return };
    let mut producer = lab.producer("host-0");
    lab.committed_transaction(&mut producer, &["a", "b"]);
    lab.open_transaction(&mut producer, &["aborted"]);
    producer.abort().unwrap();
    lab.open_transaction(&mut producer, &["open"]);

    // a, b, commit, aborted, abort, open: the reader stands before what is open, although the end is known.
    assert_eq!(lab.end(), 6);
    let mut reader = lab.reader(0, lab.end());
    assert_eq!(read(&mut reader), (vec!["a".to_owned(), "b".to_owned()], "waiting at 5".to_owned()));
    assert_eq!(producer.commit(), Outcome::Committed);
    assert_eq!(read(&mut reader), (vec!["open".to_owned()], "done".to_owned()));
}

#[test]
fn a_transaction_that_is_begun_while_another_is_open_ends_that_one_without_a_trace() {
    let Some(lab) = Lab::new("anew", 1) else { return };
    let mut producer = lab.producer("host-0");
    lab.open_transaction(&mut producer, &["given up"]);
    lab.committed_transaction(&mut producer, &["after"]);
    assert!(!producer.is_open());
    producer.begin().unwrap();
    producer.send(&lab.record("given up before it is acknowledged")).unwrap();
    lab.committed_transaction(&mut producer, &["again"]);
    producer.begin().unwrap();
    assert!(producer.is_open());
    producer.abort_open().unwrap();
    assert!(!producer.is_open());
    assert_eq!(lab.visible(), ["after", "again"]);
}

#[test]
fn the_highest_delivered_offset_is_known_for_each_partition() {
    let Some(lab) = Lab::new("delivered", 2) else { return };
    let mut producer = lab.producer("host-0");
    lab.committed_transaction(&mut producer, &["a", "b"]);
    producer.begin().unwrap();
    for partition in [0, 1, 0] {
        producer.send(&Outgoing { partition, ..lab.record("c") }).unwrap();
    }
    producer.drain().unwrap();
    assert_eq!(producer.delivered(&lab.name, 0), Some(4));
    assert_eq!(producer.delivered(&lab.name, 1), Some(0));
    assert_eq!(producer.delivered("another", 0), None);
    assert_eq!(producer.commit(), Outcome::Committed);
    producer.begin().unwrap();
    assert_eq!(producer.delivered(&lab.name, 0), None);
}

#[test]
fn offsets_count_with_their_transaction_and_keep_their_text() {
    let Some(lab) = Lab::new("offsets", 2) else { return };
    let consumer = lab.consumer("host-0");
    assert_eq!(join(&consumer), [0, 1]);
    assert!(consumer.committed(&[0, 1], LONG).unwrap().iter().all(|committed| committed.offset.is_none()));

    let mut producer = lab.producer("host-0");
    let membership = consumer.membership().unwrap();
    let send_offsets = |producer: &mut _, offset, text| {
        lab.open_transaction(producer, &["x"]);
        producer.send_offsets(&[(&lab.name, 0, offset, text), (&lab.name, 1, 7, "")], &membership).unwrap();
    };
    send_offsets(&mut producer, 42, "seq=1");
    // The barrier: no offset is returned while a transaction may still change it.
    let early = consumer.committed(&[0], Duration::from_millis(500));
    assert!(matches!(&early, Err(Failure::Retry(cause)) if cause.kind == Kind::TimedOut), "{early:?}");
    assert_eq!(producer.commit(), Outcome::Committed);
    let committed = consumer.committed(&[1, 0], LONG).unwrap();
    assert_eq!((committed[1].offset, committed[1].metadata.as_slice()), (Some(42), b"seq=1".as_slice()));
    assert_eq!((committed[0].offset, committed[0].metadata.as_slice()), (Some(7), b"".as_slice()));

    send_offsets(&mut producer, 43, "seq=2");
    producer.abort().unwrap();
    assert_eq!(consumer.committed(&[0], LONG).unwrap()[0].offset, Some(42));
}

#[test]
fn a_commit_after_a_drain_does_not_wait_for_a_tick() {
    let Some(lab) = Lab::new("latency", 1) else { return };
    let consumer = lab.consumer("host-0");
    join(&consumer);
    let mut producer = lab.producer("host-0");
    let mut times = Vec::new();
    for n in 0..50 {
        let membership = consumer.membership().unwrap();
        let started = Instant::now();
        lab.open_transaction(&mut producer, &["x"; 100]);
        let drained = started.elapsed();
        producer.send_offsets(&[(&lab.name, 0, n, "")], &membership).unwrap();
        let sent = started.elapsed();
        assert_eq!(producer.commit(), Outcome::Committed);
        times.push([started.elapsed(), drained, sent - drained, started.elapsed() - sent]);
    }
    times.sort_unstable();
    println!("transactions of 100 records: [all, drain, offsets, commit] p50 {:?}, worst {:?}", times[25], times[49]);
    // Every commit of a client that waits in steps of 100 ms takes longer than that; here the fastest of fifty.
    assert!(times[0][0] < Duration::from_millis(90), "{:?}", times[0]);
}

#[test]
fn a_twin_with_the_same_transactional_id_fences_the_older() {
    let Some(lab) = Lab::new("twin", 1) else { return };
    let mut older = lab.producer("host-0");
    lab.open_transaction(&mut older, &["of the older"]);
    let mut newer = lab.producer("host-0");
    let outcome = older.commit();
    assert!(matches!(&outcome, Outcome::Fenced(cause) if cause.kind == Kind::Fenced), "{outcome:?}");
    lab.committed_transaction(&mut newer, &["of the newer"]);
    assert_eq!(lab.visible(), ["of the newer"]);
}

#[test]
fn a_transaction_that_grew_too_old_is_to_be_resolved_not_taken_for_a_twin() {
    let Some(lab) = Lab::new("old", 1) else { return };
    let mut producer = lab.producer_with("host-0", &[("transaction.timeout.ms", "1000")]);
    producer.init(LONG).unwrap();
    lab.open_transaction(&mut producer, &["too late"]);
    eventually_aborted(&lab);
    let outcome = producer.commit();
    assert!(matches!(outcome, Outcome::Indeterminate(_)), "{outcome:?}");
    producer.recreate().unwrap();
    producer.init(LONG).unwrap();
    lab.committed_transaction(&mut producer, &["in time"]);
    assert_eq!(lab.visible(), ["in time"]);
}

/// The broker ends a transaction by itself: then a reader passes it.
fn eventually_aborted(lab: &Lab) {
    let mut reader = lab.reader(0, lab.end());
    super::eventually("the broker aborts", || read(&mut reader).1 == "done");
}

#[test]
fn offsets_of_an_older_generation_are_refused() {
    let Some(lab) = Lab::new("stale", 2) else { return };
    let first = lab.consumer("host-0");
    join(&first);
    let stale = first.membership().unwrap();
    let second = lab.consumer("host-1");
    // The first lets go of a partition for the second: a new generation.
    poll_until(&first, |polled| {
        let _ = second.poll(Duration::ZERO);
        match polled {
            cohortd::kafka::Polled::Revoked { partitions, lost } => {
                assert!(!lost);
                first.ack_revoke(&partitions).unwrap();
                Some(())
            }
            _ => None,
        }
    });
    poll_until(&second, |polled| {
        let _ = first.poll(Duration::ZERO);
        matches!(polled, cohortd::kafka::Polled::Assigned(_)).then_some(())
    });

    let mut producer = lab.producer("host-0");
    lab.open_transaction(&mut producer, &["zombie"]);
    let refused = producer.send_offsets(&[(&lab.name, 0, 1, "")], &stale);
    assert!(matches!(&refused, Err(Failure::Abort(cause)) if cause.kind == Kind::StaleMember), "{refused:?}");
    producer.abort().unwrap();
    // The producer is as good as before.
    lab.committed_transaction(&mut producer, &["after"]);
    assert_eq!(lab.visible(), ["after"]);
}

#[test]
fn what_cannot_be_written_says_why() {
    let Some(lab) = Lab::new("refused", 1) else { return };
    let mut producer = lab.producer("host-0");
    producer.begin().unwrap();
    let large = "x".repeat(2 * super::MIB);
    let refused = producer.send(&lab.record(&large));
    assert!(matches!(&refused, Err(Failure::Abort(cause)) if cause.kind == Kind::TooLarge), "{refused:?}");
    let together = producer.send_together(&[lab.record("x"), lab.record(&large)], &[7, 8]);
    assert!(matches!(&together, Err((8, Failure::Abort(cause))) if cause.kind == Kind::TooLarge), "{together:?}");
    producer.send(&Outgoing { topic: "no-such-topic", ..lab.record("x") }).unwrap();
    let refused = producer.drain();
    assert!(matches!(&refused, Err(Failure::Abort(cause)) if cause.kind == Kind::UnknownTopic), "{refused:?}");
    producer.abort().unwrap();
    lab.committed_transaction(&mut producer, &["after"]);
    assert_eq!(lab.visible(), ["after"]);
}

#[test]
fn recreating_the_producer_is_quick_and_aborts_what_was_open() {
    let Some(lab) = Lab::new("recreate", 1) else { return };
    let mut producer = lab.producer("host-0");
    lab.open_transaction(&mut producer, &["left open"]);
    let started = Instant::now();
    producer.recreate().unwrap();
    let recreated = started.elapsed();
    producer.init(LONG).unwrap();
    println!("with an open transaction: recreate {recreated:?}, init {:?}", started.elapsed() - recreated);
    lab.committed_transaction(&mut producer, &["after"]);
    assert_eq!(lab.visible(), ["after"]);
    let started = Instant::now();
    producer.recreate().unwrap();
    let recreated = started.elapsed();
    producer.init(LONG).unwrap();
    println!("with nothing open: recreate {recreated:?}, init {:?}", started.elapsed() - recreated);
}

#[test]
fn a_transaction_counts_if_its_record_is_visible_in_its_topic() {
    let Some(lab) = Lab::new("counts", 1) else { return };
    // Open for longer than it takes to wait for it.
    let mut producer = lab.producer_with("host-0", &[("transaction.timeout.ms", "120000")]);
    producer.init(LONG).unwrap();
    lab.committed_transaction(&mut producer, &["first"]);
    lab.open_transaction(&mut producer, &["aborted"]);
    producer.abort().unwrap();
    lab.open_transaction(&mut producer, &["second"]);

    let mut reader = lab.reader(0, 0);
    let mut holds = |what: &str, from: i64, to: i64| {
        reader.holds(&lab.name, 0, from..to, |record| record.payload() == Some(what.as_bytes()), &|| {})
    };
    assert!(holds("first", 0, 4).unwrap());
    assert!(!holds("first", 1, 4).unwrap());
    assert!(!holds("aborted", 0, 4).unwrap());
    // While a transaction is open, and for a record that does not exist, nothing is said.
    for (from, to) in [(0, lab.end()), (0, lab.end() + 10)] {
        let open = holds("second", from, to);
        assert!(matches!(&open, Err(Failure::Retry(cause)) if cause.kind == Kind::TimedOut), "{open:?}");
    }
    assert_eq!(producer.commit(), Outcome::Committed);
    assert!(holds("second", 0, lab.end()).unwrap());
    assert!(holds("second", 4, lab.end() + 10).unwrap());
}
