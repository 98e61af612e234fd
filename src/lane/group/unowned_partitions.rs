//! Watching from each process that every partition of the input has an owner, so that the group repairs itself.
//!
//! A group can be left with partitions that nobody reads, without its coordinator noticing. Under the cooperative
//! strategy partitions move in two rebalances: the first revokes them from one member, the second assigns them to
//! another. A static member that dies after the first and comes back gets its reduced assignment without a rebalance,
//! has nothing to revoke, and so never triggers the second. So every process describes the group regularly, and the
//! first of them requests a rebalance when a partition has had no owner for some seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Moment};

use crate::kafka;
use crate::kafka::{Brokers, Committed, EndOffsets, Failure, GroupMember, GroupView, Watermarks};
use crate::lane::context::Context;
use crate::lane::group::group_check::{GroupFindings, GroupMonitor, ROUND_FOR, Remedy};
use crate::lane::group::ownership::Ownership;
use crate::lane::output::offset_mark::OffsetMark;
use crate::metrics::{GroupSeen, Health, Holder};
use crate::settings::{Kafka, Settings};

/// Between two descriptions of the group.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two queries of what others have committed: so late it may be known that a process has stopped, or is back.
const ASK_ELSEWHERE_EVERY: Duration = Duration::from_secs(3);

/// How long the coordinator has to answer.
const ASK: Duration = Duration::from_secs(3);

/// How old a description may be to be shown.
const SHOWN_FOR: Duration = Duration::from_secs(10);

/// Watches the group on a thread of its own.
pub struct Watchdog {
    kafka: Kafka,
    context: Arc<Context>,
    watermarks: Arc<Watermarks>,
    end_offsets: Arc<EndOffsets>,
    ownership: Arc<Ownership>,
    health: Arc<Health>,
    brokers: Brokers,
    monitor: GroupMonitor,
    /// What was committed for partitions elsewhere, as of the last query.
    elsewhere: Vec<Committed>,
    /// When that was queried.
    asked_elsewhere: Option<Moment>,
    /// Since when partitions without an owner are logged.
    logged: Option<Moment>,
    /// Members that are logged as stopped.
    logged_away: BTreeSet<String>,
    answered: Moment,
}

impl Watchdog {
    #[must_use]
    pub fn new(
        settings: &Settings,
        context: Arc<Context>,
        (watermarks, end_offsets): (Arc<Watermarks>, Arc<EndOffsets>),
        ownership: Arc<Ownership>,
        health: Arc<Health>,
        brokers: &Brokers,
    ) -> Self {
        let (instance, partitions) = (&settings.kafka.instance_id, context.partitions);
        Self {
            monitor: GroupMonitor::new(instance, partitions),
            kafka: settings.kafka.clone(),
            context,
            watermarks,
            end_offsets,
            ownership,
            health,
            brokers: brokers.clone(),
            elsewhere: Vec::new(),
            asked_elsewhere: None,
            logged: None,
            logged_away: BTreeSet::new(),
            answered: Moment::now(),
        }
    }

    /// Watches until `stop` is set.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.watermarks.group(&self.kafka.group_id, &self.context.topics.input, ASK) {
                Ok(view) => self.observe(&view),
                Err(failure) => self.unanswered(&failure),
            }
            let until = Moment::now() + LOOK_EVERY;
            while Moment::now() < until && !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn observe(&mut self, view: &GroupView) {
        self.answered = Moment::now();
        let held = self.ownership.all();
        self.ask_elsewhere(&held);
        let found = self.monitor.observe(view, &held, &stopped(&self.elsewhere), self.answered);
        let seen = self.seen(view, &found);
        self.log(&found);
        self.log_reserved(&seen);
        self.health.set_group(Some(seen));
        self.show(&found);
        match found.remedy {
            Remedy::None => {}
            Remedy::Rebalance => {
                tracing::warn!(partitions = ?found.unowned, "Requesting a rebalance of the group.");
                self.log_remedy(kafka::request_rebalance(
                    &self.kafka,
                    &self.context.topics.summaries,
                    &self.brokers,
                    ROUND_FOR,
                ));
            }
            Remedy::Retire(lane) => {
                tracing::warn!(
                    lane,
                    "An earlier run of this process had more lanes; the member of this one is removed from the group."
                );
                let instance_id = format!("{}-{lane}", self.kafka.instance_id);
                let member = Kafka { instance_id, ..self.kafka.clone() };
                self.log_remedy(kafka::retire(&member, &self.context.topics.input, &self.brokers, ROUND_FOR));
            }
            Remedy::Rejoin { lane, assigned } => self.ownership.request_rejoin(lane, assigned),
        }
    }

    fn log_remedy(&self, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            tracing::warn!(reason = %failure, "The request to the group failed; trying again.");
        }
    }

    /// Withdraws a description that is too old.
    fn unanswered(&mut self, failure: &Failure) {
        tracing::debug!(reason = %failure, "The group cannot be described.");
        if self.answered.elapsed() >= SHOWN_FOR {
            self.health.set_group(None);
            self.context.metrics.set_partitions_unowned(None);
            self.context.metrics.set_unowned_lag(&self.context.topics.input, &BTreeMap::new());
        }
    }

    fn log(&mut self, found: &GroupFindings) {
        match (self.logged, found.lasting.is_empty()) {
            (None, false) => {
                tracing::warn!(
                    partitions = ?found.lasting,
                    "Partitions of the input have no owner; the first process of the group requests a rebalance."
                );
                self.logged = Some(Moment::now());
            }
            (Some(since), true) if found.unowned.is_empty() => {
                tracing::info!(seconds = since.elapsed().as_secs(), "Every partition of the input has an owner again.");
                self.logged = None;
            }
            _ => {}
        }
    }

    /// One line when a member has stopped and its partitions are kept for it, and one when they are read again.
    fn log_reserved(&mut self, seen: &GroupSeen) {
        let away: BTreeSet<String> = seen.reserved.iter().map(|holder| holder.name.clone()).collect();
        for holder in seen.reserved.iter().filter(|holder| !self.logged_away.contains(&holder.name)) {
            let Holder { name, partitions, .. } = holder;
            tracing::info!(member = name, ?partitions, "The group is {}.", holder.wait(seen.session));
        }
        for name in self.logged_away.difference(&away) {
            tracing::info!(member = name, "The group keeps no partitions for a stopped member any more.");
        }
        self.logged_away = away;
    }

    fn seen(&self, view: &GroupView, found: &GroupFindings) -> GroupSeen {
        let holder = |name: &str, partitions: &BTreeSet<i32>, is_here| Holder {
            name: name.to_owned(),
            partitions: partitions.iter().copied().collect(),
            is_here,
        };
        let is_here =
            |member: &GroupMember| member.instance.as_deref().is_some_and(|id| self.monitor.lane(id).is_some());
        let holders = view.members.iter().map(|member| holder(member.name(), &member.partitions, is_here(member)));
        GroupSeen {
            state: view.state.word(),
            holders: holders.collect(),
            unowned: found.unowned.iter().copied().collect(),
            unowned_for: found.unowned_for,
            reserved: found.reserved.iter().map(|(name, partitions)| holder(name, partitions, false)).collect(),
            session: self.kafka.session(),
        }
    }

    /// Queries from time to time what the group has committed in partitions that are not assigned here. Without an
    /// answer the last one stays.
    fn ask_elsewhere(&mut self, held: &[BTreeSet<i32>]) {
        if self.asked_elsewhere.is_some_and(|asked| asked.elapsed() < ASK_ELSEWHERE_EVERY) {
            return;
        }
        let is_elsewhere = |partition: &i32| !held.iter().any(|partitions| partitions.contains(partition));
        let elsewhere: Vec<i32> = self.monitor.partitions.iter().copied().filter(is_elsewhere).collect();
        self.asked_elsewhere = Some(Moment::now());
        let (group, topic) = (&self.kafka.group_id, &self.context.topics.input);
        if elsewhere.is_empty() {
            self.elsewhere.clear();
        } else if let Ok(committed) = self.watermarks.committed(group, topic, &elsewhere, ASK) {
            self.elsewhere = committed;
        }
    }

    /// The gauges, from one process: how many partitions have no owner, and the lag of those that nobody reads.
    fn show(&self, found: &GroupFindings) {
        let metrics = &self.context.metrics;
        let (topic, is_first) = (&self.context.topics.input, found.rank == Some(0));
        metrics.set_partitions_unowned(is_first.then_some(found.unowned.len()));
        let is_reserved = |partition| found.reserved.values().any(|partitions| partitions.contains(&partition));
        let unread = |partition| found.unowned.contains(&partition) || is_reserved(partition);
        let lag = |committed: &Committed| {
            let behind = self.end_offsets.known(committed.partition)? - committed.offset?;
            Some((committed.partition, behind.max(0)))
        };
        let unread = self.elsewhere.iter().filter(|committed| is_first && unread(committed.partition));
        metrics.set_unowned_lag(topic, &unread.filter_map(lag).collect());
    }
}

/// Partitions whose last owner marked them as stopped.
fn stopped(committed: &[Committed]) -> BTreeSet<i32> {
    let is_stopped = |committed: &&Committed| OffsetMark::read(&committed.metadata).is_some_and(|mark| mark.stopped);
    committed.iter().filter(is_stopped).map(|committed| committed.partition).collect()
}
