//! Liveness and readiness. Written by lanes, read by the HTTP servers; lanes share no locks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Metrics;
use super::group::GroupSeen;
use super::waiting::{Wait, WaitCause, Waiting, Waits};

/// A lane sends a heartbeat in each iteration of its loop, also in retries and restores. This is far above its longest
/// single call, the end of a transaction within 15 s, so that a slow disk does not count as a dead process.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(60);

/// Shared by all lanes and HTTP servers.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    stopping: AtomicBool,
    lanes: Box<[Lane]>,
    /// Those of them that decide; the others gather.
    deciding: usize,
    /// Not used by lanes.
    rules_problem: Mutex<Option<String>>,
    waits: Waits,
    group: Mutex<Option<GroupSeen>>,
}

/// The values are independent, so relaxed order is enough: a reader may see one a moment before another.
#[derive(Debug, Default)]
struct Lane {
    /// Milliseconds after `started`; 0: the lane has not started, since the process still waits for Kafka or the
    /// registry.
    beat: AtomicU64,
    /// Has the group answered, even without partitions?
    joined: AtomicBool,
    /// Since when the lane is in the group, or is not, in milliseconds after `started`.
    since: AtomicU64,
    owned: AtomicU32,
    /// Written by its lane and read by checks, both briefly.
    restoring: Mutex<Vec<i32>>,
}

/// The interface for one lane.
#[derive(Debug, Clone, Copy)]
pub struct LaneHealth<'a> {
    health: &'a Health,
    lane: &'a Lane,
}

/// Why a check fails. Its text is one sentence, or one for each wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unhealthy {
    /// A lane has made no progress for this long.
    Stalled {
        lane: usize,
        silent_for: Duration,
    },
    /// Some lanes wait for an assignment by the group.
    Joining {
        lanes: usize,
        /// The longest wait.
        lasts: Duration,
        /// `None` while the group is not known.
        group: Option<Box<GroupSeen>>,
    },
    Restoring {
        partitions: Vec<i32>,
        of: u32,
    },
    /// Something waits; the longest wait comes first.
    Waiting(Vec<Waiting>),
    Stopping,
}

impl Unhealthy {
    /// One word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stalled { .. } => "stalled",
            Self::Joining { .. } => "joining",
            Self::Restoring { .. } => "restoring",
            Self::Waiting(_) => "waiting",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled { lane, silent_for } => {
                write!(f, "Lane {lane}, a processing thread, has made no progress for {} s.", silent_for.as_secs())
            }
            Self::Joining { lanes, lasts, group } => {
                write!(
                    f,
                    "Lanes waiting for an assignment by the consumer group: {lanes}, for {} s; ",
                    lasts.as_secs()
                )?;
                match group {
                    None => f.write_str("its coordinator does not answer."),
                    Some(group) if group.holders.is_empty() => f.write_str("nobody else is in it."),
                    Some(group) if group.state == "rebalancing" => {
                        let others = match group.others() {
                            others if others.is_empty() => others,
                            others => format!(" ({others})"),
                        };
                        write!(
                            f,
                            "it waits for all members{others} to join again, and for those that died until their sessions end, at \
                             most {} s.",
                            group.session.as_secs()
                        )
                    }
                    Some(group) => write!(f, "it is {}, with {} members.", group.state, group.holders.len()),
                }
            }
            Self::Restoring { partitions, of } => {
                let numbers: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                write!(f, "Partitions being restored: {} of {of}: {}.", partitions.len(), numbers.join(", "))
            }
            Self::Waiting(waits) => {
                let sentences: Vec<String> = waits.iter().map(ToString::to_string).collect();
                f.write_str(&sentences.join(" "))
            }
            Self::Stopping => f.write_str("The process is stopping."),
        }
    }
}

impl Health {
    /// No lane has started yet. The numbers of threads that gather come after those of lanes.
    #[must_use]
    pub fn new(lanes: usize, gathering: usize, metrics: &Metrics) -> Self {
        Self {
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            lanes: (0..lanes + gathering).map(|_| Lane::default()).collect(),
            deciding: lanes,
            rules_problem: Mutex::default(),
            waits: Waits::new(&metrics.waiting),
            group: Mutex::default(),
        }
    }

    /// # Panics
    /// If there are not that many lanes.
    #[must_use]
    pub fn lane(&self, number: usize) -> LaneHealth<'_> {
        LaneHealth { health: self, lane: &self.lanes[number] }
    }

    /// Lanes that have partitions, restored or not.
    #[must_use]
    pub fn lanes_at_work(&self) -> usize {
        self.lanes[..self.deciding].iter().filter(|lane| lane.owned.load(Ordering::Relaxed) > 0).count()
    }

    /// Not ready from now on: load balancers route elsewhere while this process drains.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Why the last edit of the rules was rejected; `None` once one is accepted. It does not affect readiness.
    pub fn set_rules_problem(&self, problem: Option<String>) {
        *self.rules_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    #[must_use]
    pub fn rules_problem(&self) -> Option<String> {
        self.rules_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The group as last seen; `None` while it is not known.
    pub fn set_group(&self, group: Option<GroupSeen>) {
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }

    #[must_use]
    pub fn group(&self) -> Option<GroupSeen> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Declares a wait, or that it still lasts: call it as often as you like. It is logged once when it has lasted a
    /// second, and makes the process not ready after five.
    pub fn wait(&self, wait: Wait) {
        self.waits.wait(wait);
    }

    /// Ends a wait, if there is one.
    pub fn resume(&self, cause: WaitCause, partition: Option<i32>) {
        self.waits.resume(cause, partition);
    }

    /// Do all started lanes make progress? A restart would not help while Kafka or the registry is waited for.
    ///
    /// # Errors
    /// The lane that has been silent the longest, if above [`HEARTBEAT_AGE_MAX`]: restart the process.
    pub fn live(&self) -> Result<(), Unhealthy> {
        self.live_at(self.started.elapsed())
    }

    /// Are all owned partitions restored, and is none waiting? A lane without partitions has nothing to restore.
    ///
    /// # Errors
    /// What is still to be waited for.
    pub fn ready(&self) -> Result<(), Unhealthy> {
        self.live()?;
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Unhealthy::Stopping);
        }
        let waiting = self.waits.lasting();
        if !waiting.is_empty() {
            return Err(Unhealthy::Waiting(waiting));
        }
        let outside = self.lanes.iter().filter(|lane| !lane.joined.load(Ordering::Relaxed));
        let since: Vec<u64> = outside.map(|lane| lane.since.load(Ordering::Relaxed)).collect();
        if let Some(first) = since.iter().min() {
            let lasts = self.started.elapsed().saturating_sub(Duration::from_millis(*first));
            return Err(Unhealthy::Joining { lanes: since.len(), lasts, group: self.group().map(Box::new) });
        }
        let restoring = |lane: &Lane| lane.restoring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut partitions: Vec<i32> = self.lanes.iter().flat_map(restoring).collect();
        if !partitions.is_empty() {
            partitions.sort_unstable();
            let of = self.lanes.iter().map(|lane| lane.owned.load(Ordering::Relaxed)).sum();
            return Err(Unhealthy::Restoring { partitions, of });
        }
        Ok(())
    }

    fn live_at(&self, now: Duration) -> Result<(), Unhealthy> {
        let beats = self.lanes.iter().map(|lane| Duration::from_millis(lane.beat.load(Ordering::Relaxed)));
        let begun = beats.enumerate().filter(|(_, beat)| !beat.is_zero());
        let Some((lane, oldest)) = begun.min_by_key(|(_, beat)| *beat) else {
            return Ok(());
        };
        let silent_for = now.saturating_sub(oldest);
        if silent_for > HEARTBEAT_AGE_MAX { Err(Unhealthy::Stalled { lane, silent_for }) } else { Ok(()) }
    }
}

impl LaneHealth<'_> {
    /// Call it in each iteration of the loop, and in every other wait.
    pub fn report_alive(self) {
        let ms = u64::try_from(self.health.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.lane.beat.store(ms.max(1), Ordering::Relaxed);
    }

    /// As [`Health::wait`].
    pub fn wait(self, wait: Wait) {
        self.health.wait(wait);
    }

    /// As [`Health::resume`].
    pub fn resume(self, cause: WaitCause, partition: Option<i32>) {
        self.health.resume(cause, partition);
    }

    /// A partition is no longer owned: ends its waits.
    pub fn forget(self, partition: i32) {
        self.health.waits.forget(partition);
    }

    /// As `forget`, except for waits with this cause.
    pub fn forget_but(self, partition: i32, kept: WaitCause) {
        self.health.waits.forget_but(partition, kept);
    }

    /// Sets the number of owned partitions and the ones being restored, after each change. The first call means that
    /// the group has answered.
    pub fn partitions(self, owned: u32, restoring: impl IntoIterator<Item = i32>) {
        self.lane.owned.store(owned, Ordering::Relaxed);
        *self.lane.restoring.lock().unwrap_or_else(PoisonError::into_inner) = restoring.into_iter().collect();
        if !self.lane.joined.swap(true, Ordering::Relaxed) {
            self.membership_changed();
        }
    }

    /// The lane lost its membership in the group, and rejoins.
    pub fn left(self) {
        if self.lane.joined.swap(false, Ordering::Relaxed) {
            self.membership_changed();
        }
    }

    fn membership_changed(self) {
        let ms = u64::try_from(self.health.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.lane.since.store(ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Holder;
    use super::{Duration, GroupSeen, HEARTBEAT_AGE_MAX, Health, Metrics, Unhealthy, Wait, WaitCause};

    #[test]
    fn ready_means_that_every_owned_partition_is_restored() {
        let health = Health::new(2, 0, &Metrics::new("0", "0"));
        assert!(matches!(health.ready(), Err(Unhealthy::Joining { lanes: 2, group: None, .. })));
        health.lane(0).partitions(3, [4, 2]);
        assert!(matches!(health.ready(), Err(Unhealthy::Joining { lanes: 1, .. })));
        health.lane(1).partitions(0, []);
        let restoring = health.ready().unwrap_err();
        assert_eq!(restoring.to_string(), "Partitions being restored: 2 of 3: 2, 4.");
        health.lane(0).partitions(3, []);
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.lanes_at_work(), 1, "the other one has none");
        health.lane(1).left();
        health.set_group(Some(GroupSeen {
            state: "rebalancing",
            holders: vec![
                Holder { name: "a-0".into(), ..Holder::default() },
                Holder { name: "b-0".into(), is_here: true, ..Holder::default() },
            ],
            session: Duration::from_secs(45),
            ..GroupSeen::default()
        }));
        let joining = health.ready().unwrap_err();
        assert_eq!(
            joining.to_string(),
            "Lanes waiting for an assignment by the consumer group: 1, for 0 s; it waits for all members (a-0) to join again, \
             and for those that died until their sessions end, at most 45 s."
        );
        health.lane(1).partitions(0, []);
        assert_eq!(health.ready(), Ok(()));
        health.stop();
        assert_eq!(health.ready(), Err(Unhealthy::Stopping));
        assert_eq!(health.live(), Ok(()));
    }

    #[test]
    fn what_stands_still_for_long_is_a_reason_for_not_being_ready() {
        let metrics = Metrics::new("0", "0");
        let health = Health::new(1, 0, &metrics);
        health.lane(0).partitions(4, []);
        let waits = |partition| Wait { cause: WaitCause::Disk, partition: Some(partition), detail: "no room".into() };
        health.wait(waits(1));
        health.wait(waits(3));
        health.wait(waits(3));
        let gauge = |text: &str| metrics.encode().unwrap().lines().any(|line| line == text);
        assert!(gauge("cohortd_waiting{cause=\"disk\"} 2"));
        assert_eq!(health.ready(), Ok(()), "it may be over in a moment");
        health.waits.began_before(Duration::from_secs(10));
        let Err(Unhealthy::Waiting(lasting)) = health.ready() else { panic!("it waits") };
        assert_eq!(lasting.iter().map(|waiting| waiting.wait.partition).collect::<Vec<_>>(), [Some(1), Some(3)]);
        assert_eq!(lasting[1].to_string(), "Partition 3 waits (disk, for 10 s): no room.");
        health.resume(WaitCause::Disk, Some(1));
        health.lane(0).forget(3);
        assert_eq!(health.ready(), Ok(()));
        assert!(gauge("cohortd_waiting{cause=\"disk\"} 0"));
    }

    #[test]
    fn a_lane_that_stopped_turning_is_not_alive() {
        let health = Health::new(2, 0, &Metrics::new("0", "0"));
        let later = HEARTBEAT_AGE_MAX + Duration::from_secs(5);
        assert_eq!(health.live_at(later), Ok(()), "no lane has begun");
        health.lane(1).report_alive();
        assert_eq!(health.live(), Ok(()));
        let Err(Unhealthy::Stalled { lane: 1, silent_for }) = health.live_at(later) else { panic!("it has stopped") };
        assert!(silent_for > HEARTBEAT_AGE_MAX);
    }
}
