//! Who holds which partitions, and how they change hands.

use std::thread;
use std::time::Duration;

use cohortd::kafka::{Consumer, Failure, Kind, Polled};

use super::{LONG, Lab, join, join_reading, next_record, poll_until};

/// One step of a consumer that accepts each rebalance; records what happened.
fn step(consumer: &Consumer, notes: &mut Vec<String>) {
    match consumer.poll(Duration::from_millis(20)) {
        Polled::Assigned(partitions) => {
            notes.push(format!("+{}", partitions.len()));
            consumer.ack_assign().unwrap();
        }
        Polled::Revoked { partitions, lost } => {
            notes.push(format!("-{}{}", partitions.len(), if lost { " lost" } else { "" }));
            consumer.ack_revoke(&partitions).unwrap();
        }
        Polled::Failed(failure) => notes.push(failure.to_string()),
        _ => {}
    }
}

#[test]
fn a_second_member_gets_its_share_only_when_the_first_lets_go() {
    let Some(lab) = Lab::new("share", 4) else { return };
    let first = lab.consumer("host-0");
    assert_eq!(join(&first), [0, 1, 2, 3]);
    let second = lab.consumer("host-1");
    let mut of_second = Vec::new();
    let revoked = poll_until(&first, |polled| {
        step(&second, &mut of_second);
        match polled {
            Polled::Revoked { partitions, lost: false } => Some(partitions),
            _ => None,
        }
    });
    assert_eq!(revoked.len(), 2);
    // The first takes its time; it is still a member and may still commit.
    for _ in 0..25 {
        assert!(matches!(first.poll(Duration::ZERO), Polled::Nothing));
        step(&second, &mut of_second);
    }
    assert!(first.membership().is_some());
    assert_eq!(of_second, Vec::<String>::new());
    first.ack_revoke(&revoked).unwrap();
    let mut of_first = Vec::new();
    super::eventually("the second member has its share", || {
        step(&first, &mut of_first);
        step(&second, &mut of_second);
        !of_second.is_empty()
    });
    assert_eq!((of_second, of_first), (vec!["+2".to_owned()], vec![]));
}

#[test]
fn a_static_member_comes_back_to_its_partitions_without_disturbing_the_others() {
    let Some(lab) = Lab::new("static", 4) else { return };
    let stays = lab.consumer("host-0");
    join(&stays);
    let leaves = lab.consumer("host-1");
    let (mut of_stays, mut of_leaves) = (Vec::new(), Vec::new());
    super::eventually("two each", || {
        step(&stays, &mut of_stays);
        step(&leaves, &mut of_leaves);
        of_leaves == ["+2"] && of_stays == ["-2"]
    });
    assert!(leaves.close(LONG));
    let back = lab.consumer("host-1");
    let (mut of_stays, mut of_back) = (Vec::new(), Vec::new());
    super::eventually("it is back", || {
        step(&stays, &mut of_stays);
        step(&back, &mut of_back);
        !of_back.is_empty()
    });
    assert_eq!((of_back, of_stays), (vec!["+2".to_owned()], vec![]));
}

#[test]
fn a_twin_with_the_same_instance_id_fences_the_older() {
    let Some(lab) = Lab::new("instance", 1) else { return };
    let older = lab.consumer("host-0");
    join(&older);
    let newer = lab.consumer("host-0");
    let failure = poll_until(&older, |polled| {
        let _ = newer.poll(Duration::ZERO);
        match polled {
            Polled::Failed(failure @ Failure::Fatal(_)) => Some(failure),
            _ => None,
        }
    });
    assert_eq!(failure.cause().kind, Kind::Fenced, "{failure}");
}

#[test]
fn a_member_that_does_not_poll_loses_its_partitions_and_knows() {
    let Some(lab) = Lab::new("lost", 2) else { return };
    let options = [("session.timeout.ms", "1500"), ("heartbeat.interval.ms", "200"), ("max.poll.interval.ms", "1500")];
    let consumer = lab.consumer_with("host-0", &options);
    join(&consumer);
    assert!(consumer.membership().is_some());
    thread::sleep(Duration::from_millis(2500));
    let revoked = poll_until(&consumer, |polled| match polled {
        Polled::Revoked { partitions, lost } => Some((partitions.len(), lost)),
        Polled::Failed(failure) => {
            assert_eq!(failure.cause().kind, Kind::StaleMember, "{failure}");
            None
        }
        _ => None,
    });
    assert_eq!(revoked, (2, true));
    assert!(consumer.membership().is_none());
    consumer.ack_revoke(&[0, 1]).unwrap();
    assert_eq!(join(&consumer), [0, 1]);
    assert!(consumer.membership().is_some());
}

#[test]
fn the_newer_group_protocol_can_be_chosen() {
    let Some(lab) = Lab::new("protocol", 2) else { return };
    lab.publish(1, &["a"]);
    let consumer = lab.consumer_with("host-0", &[("group.protocol", "consumer")]);
    assert_eq!(join_reading(&consumer), [0, 1]);
    assert_eq!(next_record(&consumer), "a");
    assert!(consumer.membership().is_some());
}

#[test]
fn a_consumer_closes_with_an_assignment_that_nobody_acknowledged() {
    let Some(lab) = Lab::new("close", 2) else { return };
    let consumer = lab.consumer("host-0");
    poll_until(&consumer, |polled| matches!(polled, Polled::Assigned(_)).then_some(()));
    assert!(consumer.close(LONG));

    // Under the same name it does not wait for the session of the first to end.
    let holding = lab.consumer("host-0");
    let mut notes = Vec::new();
    super::eventually("it holds something", || {
        step(&holding, &mut notes);
        !notes.is_empty()
    });
    assert!(holding.close(LONG));
}
