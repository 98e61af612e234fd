//! Becoming the only member of a group, so that none of its threads runs meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant as Moment};

use super::{ASK, PAUSE, patient};
use crate::app::Failure;
use crate::kafka::{self, Admin, Consumer, Polled};
use crate::settings::Kafka;

/// How long leaving the group may take.
const LEAVE_FOR: Duration = Duration::from_secs(2);
/// In addition to a session, for the coordinator to notice and to assign the partitions.
const SESSION_MARGIN: Duration = Duration::from_secs(20);

/// Waits until nobody is a member of the group of these settings, joins it, and waits until these partitions are assigned.
pub(super) fn become_only_member(
    consumer: &Consumer,
    admin: &Admin,
    kafka: &Kafka,
    partitions: Range<i32>,
    say: &dyn Fn(&str),
) -> Result<(), Failure> {
    let group = &kafka.group_id;
    let limit = kafka.session() + SESSION_MARGIN;
    let others = || Failure::Running(format!("group {group} has active members; stop every process of it first"));
    let mut announced = false;
    let started = Moment::now();
    loop {
        let members = patient(|| admin.members(group, ASK))?;
        if members == 0 {
            break;
        }
        if started.elapsed() > limit {
            return Err(others());
        }
        if !std::mem::replace(&mut announced, true) {
            say(&format!(
                "members of group {group}: {members}; a process that was stopped counts until its session ends, so this \
                 waits for up to {} s",
                limit.as_secs()
            ));
        }
        std::thread::sleep(PAUSE);
    }
    consumer.join()?;
    let mut ours = BTreeSet::new();
    let started = Moment::now();
    while !partitions.clone().all(|partition| ours.contains(&partition)) {
        if started.elapsed() > limit {
            return Err(others());
        }
        match consumer.poll(PAUSE) {
            Polled::Assigned(partitions) => {
                consumer.ack_assign()?;
                ours.extend(partitions);
            }
            Polled::Revoked { partitions, .. } => {
                consumer.ack_revoke(&partitions)?;
                ours.retain(|partition| !partitions.contains(partition));
            }
            Polled::Failed(kafka::Failure::Fatal(cause)) => return Err(Failure::Running(cause.text)),
            _ => {}
        }
    }
    Ok(())
}

/// Polls to stay a member during long operations.
pub(super) fn remain_only_member(consumer: &Consumer) -> Result<(), Failure> {
    match consumer.poll(Duration::ZERO) {
        Polled::Revoked { .. } | Polled::Assigned(_) => {
            Err(Failure::Running("another process has joined the group; stop it, then try again".to_owned()))
        }
        Polled::Failed(kafka::Failure::Fatal(cause)) => Err(Failure::Running(cause.text)),
        _ => Ok(()),
    }
}

/// Leaves the group, so that the processes need not wait for the session timeout.
pub(super) fn leave(consumer: &Consumer) {
    if consumer.membership().is_some() && !consumer.leave(LEAVE_FOR) {
        tracing::debug!("The group was not left in time.");
    }
}
