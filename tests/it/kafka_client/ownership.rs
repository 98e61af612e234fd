//! Partitions without an owner, members that leave for good, and end offsets that are known without waiting.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cohortd::kafka::{Consumer, EndOffsets, GroupState, GroupView, Polled, Watermarks, request_rebalance, retire};

use super::{LONG, Lab, TICK, eventually, join, poll_until};
use crate::support::broker::Broker;

/// A session that no test outlasts: what happens, happens without its end.
const LASTING: [(&str, &str); 3] =
    [("session.timeout.ms", "600000"), ("max.poll.interval.ms", "600000"), ("heartbeat.interval.ms", "200")];

/// A member that accepts each rebalance.
fn step(consumer: &Consumer) {
    match consumer.poll(TICK) {
        Polled::Assigned(_) => consumer.ack_assign().unwrap(),
        Polled::Revoked { partitions, .. } => consumer.ack_revoke(&partitions).unwrap(),
        Polled::Failed(failure) => panic!("{failure}"),
        _ => {}
    }
}

fn group(lab: &Lab) -> GroupView {
    let watermarks = Watermarks::new(&lab.settings("asks", &[]), &lab.brokers).unwrap();
    watermarks.group(&lab.name, &lab.name, LONG).unwrap()
}

fn held(consumers: &[&Consumer]) -> usize {
    consumers.iter().map(|consumer| consumer.assigned().len()).sum()
}

/// Two members, of which the first died between the two rounds and came back: two of four partitions have no owner.
fn two_without_an_owner(lab: &Lab) -> (Consumer, Consumer) {
    let first = lab.consumer_with("host-0", &LASTING);
    join(&first);
    let second = lab.consumer_with("host-1", &LASTING);
    poll_until(&first, |polled| {
        step(&second);
        matches!(polled, Polled::Revoked { .. }).then_some(())
    });
    drop(first);
    let back = lab.consumer_with("host-0", &LASTING);
    eventually("it is given what it had left", || {
        step(&second);
        step(&back);
        back.assigned().len() == 2
    });
    (back, second)
}

#[test]
fn a_member_that_dies_between_two_rebalances_leaves_partitions_without_an_owner_until_another_is_requested() {
    let Some(lab) = Lab::new("unowned", 4) else { return };
    lab.create(&format!("{}-other", lab.name), 1, &[]);
    let (back, second) = two_without_an_owner(&lab);
    // The group is content with that.
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        step(&second);
        step(&back);
    }
    assert_eq!(held(&[&back, &second]), 2);
    let seen = group(&lab);
    assert_eq!(seen.state, GroupState::Stable);
    assert_eq!(seen.members.iter().map(|member| member.partitions.len()).sum::<usize>(), 2);
    let instances: BTreeSet<&str> = seen.members.iter().filter_map(|member| member.instance.as_deref()).collect();
    assert_eq!(instances, BTreeSet::from(["host-0", "host-1"]));

    let kept = back.assigned();
    let asks = {
        let (settings, brokers) = (lab.settings("host", &[]), lab.brokers.clone());
        let other = format!("{}-other", lab.name);
        thread::spawn(move || request_rebalance(&settings, &other, &brokers, LONG))
    };
    eventually("every partition has an owner", || {
        step(&second);
        step(&back);
        held(&[&back, &second]) == 4 && asks.is_finished()
    });
    asks.join().unwrap().unwrap();
    assert_eq!(back.assigned(), kept, "nobody loses a partition by it");
    eventually("whoever asked has gone", || {
        step(&second);
        step(&back);
        let seen = group(&lab);
        seen.state == GroupState::Stable && seen.members.len() == 2
    });
    assert_eq!(held(&[&back, &second]), 4);
}

#[test]
fn a_member_that_will_not_come_back_is_taken_out_of_the_group() {
    let Some(lab) = Lab::new("retire", 4) else { return };
    let (stays, gone) = share(&lab);
    drop(gone);
    let retires = {
        let (settings, topic, brokers) = (lab.settings("host-1", &LASTING), lab.name.clone(), lab.brokers);
        thread::spawn(move || retire(&settings, &topic, &brokers, LONG))
    };
    eventually("the other has all of its partitions", || {
        step(&stays);
        held(&[&stays]) == 4 && retires.is_finished()
    });
    retires.join().unwrap().unwrap();
}

#[test]
fn a_member_that_leaves_hands_over_at_once() {
    let Some(lab) = Lab::new("leave", 4) else { return };
    let (stays, leaves) = share(&lab);
    let left = thread::spawn(move || leaves.leave(LONG));
    eventually("the other has all of its partitions", || {
        step(&stays);
        held(&[&stays]) == 4 && left.is_finished()
    });
    assert!(left.join().unwrap());
}

#[test]
fn a_member_that_rejoins_is_assigned_what_the_group_has_for_it() {
    let Some(lab) = Lab::new("rejoin", 2) else { return };
    let consumer = lab.consumer_with("host-0", &LASTING);
    // An assignment that was not delivered.
    poll_until(&consumer, |polled| matches!(polled, Polled::Assigned(_)).then_some(()));
    assert_eq!(held(&[&consumer]), 0);
    consumer.rejoin().unwrap();
    eventually("it is given them", || {
        step(&consumer);
        held(&[&consumer]) == 2 && consumer.membership().is_some()
    });
    let before = consumer.assigned();
    consumer.rejoin().unwrap();
    poll_until(&consumer, |polled| match polled {
        Polled::Revoked { partitions, lost: false } => {
            assert_eq!(partitions.iter().copied().collect::<BTreeSet<i32>>(), before);
            consumer.ack_revoke(&partitions).unwrap();
            Some(())
        }
        _ => None,
    });
    eventually("it is given them again", || {
        step(&consumer);
        consumer.assigned() == before
    });
}

/// Two members with two partitions each.
fn share(lab: &Lab) -> (Consumer, Consumer) {
    let (one, other) = (lab.consumer_with("host-0", &LASTING), lab.consumer_with("host-1", &LASTING));
    eventually("two each", || {
        step(&one);
        step(&other);
        one.assigned().len() == 2 && other.assigned().len() == 2
    });
    (one, other)
}

#[test]
fn clients_that_end_in_the_middle_of_a_rebalance_end() {
    let Some(lab) = Lab::new("ends", 4) else { return };
    // On a machine that is very busy librdkafka was seen to keep one of some thousand for ever. The process goes on without
    // it: whoever drops a client waits 2 s at most.
    let mut kept = 0;
    for round in 0..30 {
        let first = lab.consumer_with("host-0", &LASTING);
        let second = lab.consumer_with("host-1", &LASTING);
        // Somewhere between joining, taking and giving.
        for turn in 0..round {
            if turn % 2 == 0 {
                step(&first);
            } else {
                step(&second);
            }
        }
        for client in [second, first] {
            if !client.close(LONG / 2) {
                kept += 1;
                println!("a client did not end in round {round}");
            }
        }
        assert!(kept <= 1, "{kept} clients did not end");
    }
}

#[test]
fn ends_are_known_without_waiting_for_a_broker_and_not_for_long() {
    if Broker::shared().is_none() {
        return;
    }
    let mut broker = Broker::start_own();
    let lab = Lab::at(broker.bootstrap(), "known");
    lab.create(&lab.name, 2, &[]);
    lab.publish(1, &["a", "b"]);
    let watermarks = Arc::new(Watermarks::new(&lab.settings("host-0", &[]), &lab.brokers).unwrap());
    let end_offsets = Arc::new(EndOffsets::new(watermarks, &lab.name, 2));
    assert_eq!((end_offsets.known(1), end_offsets.fresh(1)), (None, None));
    let stop = Arc::new(AtomicBool::new(false));
    let follows = {
        let (end_offsets, stop) = (Arc::clone(&end_offsets), Arc::clone(&stop));
        thread::spawn(move || end_offsets.follow(&stop))
    };
    eventually("the ends are known", || (end_offsets.fresh(0), end_offsets.fresh(1)) == (Some(0), Some(2)));
    let mut producer = lab.producer("host-0");
    lab.open_transaction(&mut producer, &["open"]);
    eventually("open transactions are counted", || end_offsets.fresh(0) == Some(1));

    broker.freeze();
    let started = Instant::now();
    eventually("an old end is no longer fresh", || end_offsets.fresh(0).is_none());
    let mut longest = Duration::ZERO;
    for _ in 0..1_000 {
        let asked = Instant::now();
        assert_eq!(end_offsets.fresh(0), None);
        longest = longest.max(asked.elapsed());
    }
    println!(
        "with a silent broker: not fresh after {:?}; the longest of 1,000 looks took {longest:?}",
        started.elapsed()
    );
    assert_eq!(end_offsets.known(0), Some(1), "it may still be shown");
    eventually("nor for long", || end_offsets.known(0).is_none());
    broker.thaw();
    // The transaction may have grown too old meanwhile, and its end is a record as well.
    eventually("it is known again", || end_offsets.fresh(0).is_some_and(|end| end >= 1));
    stop.store(true, Ordering::Release);
    follows.join().unwrap();
}
