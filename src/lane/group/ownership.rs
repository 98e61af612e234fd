//! Does every partition of the input have an owner? Looked at from each process, so that the group mends itself.
//!
//! A group can be left with partitions that nobody reads, and its coordinator does not mind. Under the cooperative strategy
//! partitions change hands in two rounds: the first takes them from one member, the second gives them to another. A static
//! member that dies after the first and comes back is handed its reduced assignment without a round, holds nothing that
//! it would have to let go, and so never asks for the second. So every process describes the group now and then, and the
//! first of them asks for another round when something has had no owner for some seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use crate::kafka::{self, Brokers, Committed, Ends, Failure, GroupMember, GroupState, GroupView, Watermarks};
use crate::lane::commit::mark::OffsetMark;
use crate::lane::context::Context;
use crate::metrics::{GroupSeen, Health, Holder};
use crate::settings::{Kafka, Settings};

/// Between two looks at the group.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two questions about what others have committed: so late may be known that somebody has stopped, or is back.
const ASK_ELSEWHERE_EVERY: Duration = Duration::from_secs(3);
/// How long the coordinator has to answer.
const ASK: Duration = Duration::from_secs(3);
/// So long a partition may be without an owner while the group is stable: longer than a member that hands one over flushes
/// what it holds ([`HAND_OVER_FOR`](crate::lane::commit::finish::HAND_OVER_FOR)) between two rounds.
const PATIENCE: Duration = Duration::from_secs(3);
/// How much longer each next process waits, so that one acts; a dead one may stand before it until its session ends.
const PATIENCE_BY_RANK: Duration = Duration::from_secs(1);
/// Processes further down wait no longer than this one.
const RANK_MAX: u32 = 5;
/// How long a round may take before it is asked for again, by this process.
const ROUND_FOR: Duration = Duration::from_secs(10);
/// So long a lane may know of other partitions than the group has for it while the group is stable. A lane between two polls
/// may be a while behind.
const STRAY_FOR: Duration = Duration::from_secs(15);
/// How old an answer may be to be shown.
const SHOWN_FOR: Duration = Duration::from_secs(10);

/// What the lanes of a process hold, by their own account.
pub struct Ownership {
    lanes: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    assigned: Mutex<BTreeSet<i32>>,
    /// What the lane held when the group was found to have others for it.
    rejoin: Mutex<Option<BTreeSet<i32>>>,
}

impl Ownership {
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        Self { lanes: (0..lanes).map(|_| Slot::default()).collect() }
    }

    /// What a lane was assigned and has acknowledged, after each change.
    pub(in crate::lane) fn assigned(&self, lane: usize, partitions: BTreeSet<i32>) {
        *self.lanes[lane].assigned.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
    }

    /// Whether a lane that holds these should join anew. Answered once; not if it holds others by now.
    pub(in crate::lane) fn takes_rejoin(&self, lane: usize, assigned: &BTreeSet<i32>) -> bool {
        let taken = self.lanes[lane].rejoin.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.is_some_and(|then| then == *assigned)
    }

    fn ask_to_rejoin(&self, lane: usize, assigned: BTreeSet<i32>) {
        *self.lanes[lane].rejoin.lock().unwrap_or_else(PoisonError::into_inner) = Some(assigned);
    }

    fn all(&self) -> Vec<BTreeSet<i32>> {
        let assigned = |slot: &Slot| slot.assigned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.lanes.iter().map(assigned).collect()
    }
}

/// Looks at the group on a thread of its own.
pub struct Watchdog {
    kafka: Kafka,
    context: Arc<Context>,
    watermarks: Arc<Watermarks>,
    ends: Arc<Ends>,
    ownership: Arc<Ownership>,
    health: Arc<Health>,
    brokers: Brokers,
    judge: Judge,
    /// What was committed elsewhere, as last told.
    elsewhere: Vec<Committed>,
    /// When that was asked for.
    asked_elsewhere: Option<Moment>,
    /// Since when partitions without an owner are logged.
    logged: Option<Moment>,
    answered: Moment,
}

impl Watchdog {
    #[must_use]
    pub fn new(
        settings: &Settings,
        context: Arc<Context>,
        (watermarks, ends): (Arc<Watermarks>, Arc<Ends>),
        ownership: Arc<Ownership>,
        health: Arc<Health>,
        brokers: &Brokers,
    ) -> Self {
        let (instance, partitions) = (&settings.kafka.instance_id, context.partitions);
        Self {
            judge: Judge::new(instance, partitions),
            kafka: settings.kafka.clone(),
            context,
            watermarks,
            ends,
            ownership,
            health,
            brokers: brokers.clone(),
            elsewhere: Vec::new(),
            asked_elsewhere: None,
            logged: None,
            answered: Moment::now(),
        }
    }

    /// Looks until told to stop.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.watermarks.group(&self.kafka.group_id, &self.context.topics.input, ASK) {
                Ok(view) => self.look(&view),
                Err(failure) => self.unanswered(&failure),
            }
            let until = Moment::now() + LOOK_EVERY;
            while Moment::now() < until && !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn look(&mut self, view: &GroupView) {
        self.answered = Moment::now();
        let held = self.ownership.all();
        self.ask_elsewhere(&held);
        let found = self.judge.look(view, &held, &stopped(&self.elsewhere), self.answered);
        self.health.set_group(Some(seen(view, &found)));
        self.log(&found);
        self.show(&found);
        match found.remedy {
            Remedy::None => {}
            Remedy::Round => {
                tracing::warn!(partitions = ?found.unowned, "Asking the group for another round of assignments.");
                self.remedied(kafka::request_round(
                    &self.kafka,
                    &self.context.topics.summaries,
                    &self.brokers,
                    ROUND_FOR,
                ));
            }
            Remedy::Retire(lane) => {
                tracing::warn!(
                    lane,
                    "An earlier run of this process had more lanes; the group is told that this one does not come back."
                );
                let instance_id = format!("{}-{lane}", self.kafka.instance_id);
                let member = Kafka { instance_id, ..self.kafka.clone() };
                self.remedied(kafka::retire(&member, &self.context.topics.input, &self.brokers, ROUND_FOR));
            }
            Remedy::Rejoin { lane, assigned } => self.ownership.ask_to_rejoin(lane, assigned),
        }
    }

    fn remedied(&self, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            tracing::warn!(reason = %failure, "The group was not asked; trying again.");
        }
    }

    /// An answer that is too old says nothing any more.
    fn unanswered(&mut self, failure: &Failure) {
        tracing::debug!(reason = %failure, "The group is not known.");
        if self.answered.elapsed() >= SHOWN_FOR {
            self.health.set_group(None);
            self.context.metrics.set_partitions_unowned(None);
            self.context.metrics.set_unowned_lag(&self.context.topics.input, &BTreeMap::new());
        }
    }

    fn log(&mut self, found: &Found) {
        match (self.logged, found.lasting.is_empty()) {
            (None, false) => {
                tracing::warn!(
                    partitions = ?found.lasting,
                    "Partitions of the input have no owner; the first process of the group asks for another round."
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

    /// Asks now and then what the group has committed in partitions that are not held here. An answer that does not come
    /// leaves the one before.
    fn ask_elsewhere(&mut self, held: &[BTreeSet<i32>]) {
        if self.asked_elsewhere.is_some_and(|asked| asked.elapsed() < ASK_ELSEWHERE_EVERY) {
            return;
        }
        let is_elsewhere = |partition: &i32| !held.iter().any(|partitions| partitions.contains(partition));
        let elsewhere: Vec<i32> = self.judge.partitions.iter().copied().filter(is_elsewhere).collect();
        self.asked_elsewhere = Some(Moment::now());
        let (group, topic) = (&self.kafka.group_id, &self.context.topics.input);
        if elsewhere.is_empty() {
            self.elsewhere.clear();
        } else if let Ok(committed) = self.watermarks.committed(group, topic, &elsewhere, ASK) {
            self.elsewhere = committed;
        }
    }

    /// The gauges, from one process: how many have no owner, and how far those are behind that nobody reads.
    fn show(&self, found: &Found) {
        let metrics = &self.context.metrics;
        let (topic, is_first) = (&self.context.topics.input, found.rank == Some(0));
        metrics.set_partitions_unowned(is_first.then_some(found.unowned.len()));
        let unread = |partition| found.unowned.contains(&partition) || found.waiting.contains(&partition);
        let lag = |committed: &Committed| {
            let behind = self.ends.known(committed.partition)? - committed.offset?;
            Some((committed.partition, behind.max(0)))
        };
        let unread = self.elsewhere.iter().filter(|committed| is_first && unread(committed.partition));
        metrics.set_unowned_lag(topic, &unread.filter_map(lag).collect());
    }
}

/// Partitions whose last owner said that it stops.
fn stopped(committed: &[Committed]) -> BTreeSet<i32> {
    let is_stopped = |committed: &&Committed| OffsetMark::read(&committed.metadata).is_some_and(|mark| mark.stopped);
    committed.iter().filter(is_stopped).map(|committed| committed.partition).collect()
}

fn seen(view: &GroupView, found: &Found) -> GroupSeen {
    let holders = view.members.iter().map(|member| Holder {
        name: member.instance.clone().unwrap_or_else(|| member.client.clone()),
        partitions: member.partitions.iter().copied().collect(),
    });
    GroupSeen {
        state: view.state.word(),
        holders: holders.collect(),
        unowned: found.unowned.iter().copied().collect(),
        unowned_for: found.unowned_for,
    }
}

/// What follows from one look.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Without an owner, now or when the group was last stable.
    unowned: BTreeSet<i32>,
    /// Those of them for longer than a hand-over takes.
    lasting: BTreeSet<i32>,
    unowned_for: Duration,
    /// Kept for members that have stopped and may come back (`kafka.on_stop`).
    waiting: BTreeSet<i32>,
    /// How many members that have not stopped stand before the first of this process; `None` if it has none in the group.
    rank: Option<u32>,
    remedy: Remedy,
}

#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    None,
    /// Another round of assignments.
    Round,
    /// A lane of an earlier run leaves for good.
    Retire(usize),
    /// A lane joins anew that holds these.
    Rejoin {
        lane: usize,
        assigned: BTreeSet<i32>,
    },
}

/// Remembers what the last looks showed. A function of them and of time.
struct Judge {
    instance: String,
    partitions: BTreeSet<i32>,
    /// Without an owner since.
    unowned: BTreeMap<i32, Moment>,
    /// By lane: what the group has for it, what it holds, and since when they differ.
    strays: BTreeMap<usize, (BTreeSet<i32>, BTreeSet<i32>, Moment)>,
    /// When something was last asked of the group.
    asked: Option<Moment>,
}

impl Judge {
    fn new(instance: &str, partitions: u32) -> Self {
        Self {
            instance: instance.to_owned(),
            partitions: (0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect(),
            unowned: BTreeMap::new(),
            strays: BTreeMap::new(),
            asked: None,
        }
    }

    /// `lanes`: what each lane of this process holds. `stopped`: partitions elsewhere whose last owner said that it stops.
    fn look(&mut self, view: &GroupView, lanes: &[BTreeSet<i32>], stopped: &BTreeSet<i32>, now: Moment) -> Found {
        let stable = view.state == GroupState::Stable;
        if stable {
            let owned: BTreeSet<i32> = view.members.iter().flat_map(|member| &member.partitions).copied().collect();
            self.unowned.retain(|partition, _| !owned.contains(partition));
            for partition in self.partitions.difference(&owned) {
                self.unowned.entry(*partition).or_insert(now);
            }
        }
        let is_away = |member: &&GroupMember| {
            let is_ours = member.instance.as_deref().is_some_and(|instance| self.lane(instance).is_some());
            !is_ours && !member.partitions.is_empty() && member.partitions.is_subset(stopped)
        };
        let (away, here): (Vec<&GroupMember>, Vec<&GroupMember>) = view.members.iter().partition(is_away);
        let waiting = away.iter().flat_map(|member| &member.partitions).copied().collect();
        let rank = self.rank(&here, lanes.len());
        let remedy = if stable { self.remedy(view, lanes, rank, now) } else { Remedy::None };
        let lasting = |(_, since): &(&i32, &Moment)| now.duration_since(**since) >= PATIENCE;
        Found {
            unowned: self.unowned.keys().copied().collect(),
            lasting: self.unowned.iter().filter(lasting).map(|(partition, _)| *partition).collect(),
            unowned_for: self.unowned_for(now),
            waiting,
            rank,
            remedy,
        }
    }

    fn unowned_for(&self, now: Moment) -> Duration {
        self.unowned.values().map(|since| now.duration_since(*since)).max().unwrap_or_default()
    }

    /// The lane whose member this is, also one of an earlier run.
    fn lane(&self, instance: &str) -> Option<usize> {
        instance.strip_prefix(&self.instance)?.strip_prefix('-')?.parse().ok()
    }

    fn rank(&self, members: &[&GroupMember], lanes: usize) -> Option<u32> {
        let mut instances: Vec<&str> = members.iter().filter_map(|member| member.instance.as_deref()).collect();
        instances.sort_unstable();
        let ours = |instance: &&str| self.lane(instance).is_some_and(|lane| lane < lanes);
        instances.iter().position(ours).map(|position| u32::try_from(position).unwrap_or(u32::MAX))
    }

    fn remedy(&mut self, view: &GroupView, lanes: &[BTreeSet<i32>], rank: Option<u32>, now: Moment) -> Remedy {
        if let Some(remedy) = self.stray(view, lanes, now) {
            return remedy;
        }
        if self.asked.is_some_and(|asked| now.duration_since(asked) < ROUND_FOR) {
            return Remedy::None;
        }
        let Some(rank) = rank else { return Remedy::None };
        let members = view.members.iter();
        let gone =
            members.filter_map(|member| self.lane(member.instance.as_deref()?)).find(|lane| *lane >= lanes.len());
        let remedy = if let Some(lane) = gone {
            Remedy::Retire(lane)
        } else if self.unowned_for(now) >= PATIENCE + PATIENCE_BY_RANK * rank.min(RANK_MAX) {
            Remedy::Round
        } else {
            return Remedy::None;
        };
        self.asked = Some(now);
        remedy
    }

    /// A lane that has held other partitions than the group has for it, and the same ones, for long.
    fn stray(&mut self, view: &GroupView, lanes: &[BTreeSet<i32>], now: Moment) -> Option<Remedy> {
        for (lane, assigned) in lanes.iter().enumerate() {
            let member = view
                .members
                .iter()
                .find(|member| member.instance.as_deref().is_some_and(|instance| self.lane(instance) == Some(lane)));
            let Some(member) = member.filter(|member| member.partitions != *assigned) else {
                self.strays.remove(&lane);
                continue;
            };
            let now_differs = (member.partitions.clone(), assigned.clone(), now);
            let stray = self.strays.entry(lane).or_insert_with(|| now_differs.clone());
            if (&stray.0, &stray.1) != (&now_differs.0, &now_differs.1) {
                *stray = now_differs;
            } else if now.duration_since(stray.2) >= STRAY_FOR {
                self.strays.remove(&lane);
                return Some(Remedy::Rejoin { lane, assigned: assigned.clone() });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Duration, Found, GroupMember, GroupState, GroupView, Judge, Moment, Remedy};

    fn group(state: GroupState, members: &[(&str, &[i32])]) -> GroupView {
        let member = |(instance, partitions): &(&str, &[i32])| GroupMember {
            instance: Some((*instance).to_owned()),
            client: format!("g-{instance}"),
            partitions: partitions.iter().copied().collect(),
        };
        GroupView { state, members: members.iter().map(member).collect() }
    }

    fn lanes(held: &[&[i32]]) -> Vec<BTreeSet<i32>> {
        held.iter().map(|partitions| partitions.iter().copied().collect()).collect()
    }

    /// Two processes of one group: `a` and `b`, one lane each, four partitions.
    struct Both {
        a: Judge,
        b: Judge,
        began: Moment,
    }

    impl Both {
        fn new() -> Self {
            Self { a: Judge::new("a", 4), b: Judge::new("b", 4), began: Moment::now() }
        }

        fn look(&mut self, second: u64, view: &GroupView) -> [Found; 2] {
            let now = self.began + Duration::from_secs(second);
            let held = |name: &str| {
                let members = view.members.iter();
                let found = members.filter(|member| member.instance.as_deref() == Some(name));
                found.flat_map(|member| member.partitions.clone()).collect()
            };
            let none = BTreeSet::new();
            [self.a.look(view, &[held("a-0")], &none, now), self.b.look(view, &[held("b-0")], &none, now)]
        }
    }

    #[test]
    fn the_first_process_asks_for_a_round_when_partitions_stay_without_an_owner() {
        let mut both = Both::new();
        let half = group(GroupState::Stable, &[("b-0", &[]), ("a-0", &[0, 1])]);
        for second in 0..3 {
            let [a, b] = both.look(second, &half);
            assert_eq!((&a.remedy, &b.remedy), (&Remedy::None, &Remedy::None), "second {second}");
            assert_eq!(a.unowned, BTreeSet::from([2, 3]));
            assert!(a.lasting.is_empty());
        }
        let [a, b] = both.look(3, &half);
        assert_eq!((a.remedy, b.remedy), (Remedy::Round, Remedy::None));
        assert_eq!(a.lasting, BTreeSet::from([2, 3]));
        assert_eq!((a.rank, b.rank), (Some(0), Some(1)));
        // The other one only if the first does nothing.
        let [a, b] = both.look(4, &half);
        assert_eq!((a.remedy, b.remedy), (Remedy::None, Remedy::Round));
        // And again, if that did not help either.
        assert_eq!(both.look(12, &half)[0].remedy, Remedy::None);
        assert_eq!(both.look(13, &half)[0].remedy, Remedy::Round);
        let [a, _] = both.look(14, &group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[2, 3])]));
        assert_eq!((a.unowned, a.remedy), (BTreeSet::new(), Remedy::None));
    }

    #[test]
    fn a_hand_over_between_two_rounds_is_no_reason() {
        let mut both = Both::new();
        both.look(0, &group(GroupState::Stable, &[("a-0", &[0, 1, 2, 3])]));
        both.look(1, &group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[])]));
        // Nobody's assignment is told meanwhile.
        for second in 2..30 {
            let [a, b] = both.look(second, &group(GroupState::Rebalancing, &[("a-0", &[]), ("b-0", &[])]));
            assert_eq!((a.remedy, b.remedy), (Remedy::None, Remedy::None));
            assert_eq!(a.unowned, BTreeSet::from([2, 3]), "as last known");
        }
        let [a, b] = both.look(30, &group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[2, 3])]));
        assert_eq!((a.remedy, b.remedy, a.unowned), (Remedy::None, Remedy::None, BTreeSet::new()));
    }

    #[test]
    fn a_process_that_is_not_in_the_group_leaves_it_to_those_who_are() {
        let mut judge = Judge::new("c", 4);
        let began = Moment::now();
        for second in 0..30 {
            let found = judge.look(
                &group(GroupState::Stable, &[("a-0", &[0])]),
                &lanes(&[&[]]),
                &BTreeSet::new(),
                began + Duration::from_secs(second),
            );
            assert_eq!((found.remedy, found.rank), (Remedy::None, None));
        }
    }

    #[test]
    fn a_lane_that_knows_of_other_partitions_than_the_group_joins_anew() {
        let mut judge = Judge::new("a", 4);
        let began = Moment::now();
        let mut look = |second, held: &[i32]| {
            let view = group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[2, 3])]);
            judge.look(&view, &lanes(&[held]), &BTreeSet::new(), began + Duration::from_secs(second)).remedy
        };
        assert_eq!(look(0, &[0]), Remedy::None);
        assert_eq!(look(14, &[]), Remedy::None, "it changed meanwhile");
        assert_eq!(look(28, &[]), Remedy::None);
        assert_eq!(look(29, &[]), Remedy::Rejoin { lane: 0, assigned: BTreeSet::new() });
        assert_eq!(look(30, &[0, 1]), Remedy::None);
        assert_eq!(look(60, &[0, 1]), Remedy::None);
    }

    #[test]
    fn lanes_of_an_earlier_run_are_taken_out_of_the_group() {
        let mut judge = Judge::new("a", 4);
        let members: [(&str, &[i32]); 4] = [("a-0", &[0]), ("a-1", &[1]), ("a-7-0", &[2]), ("b-9", &[3])];
        let found = judge.look(&group(GroupState::Stable, &members), &lanes(&[&[0]]), &BTreeSet::new(), Moment::now());
        assert_eq!(found.remedy, Remedy::Retire(1));
    }

    #[test]
    fn partitions_kept_for_a_process_that_has_stopped_are_shown_by_the_first_that_has_not() {
        let mut judge = Judge::new("b", 5);
        let members: [(&str, &[i32]); 4] = [("a-0", &[0, 1]), ("b-0", &[2]), ("c-0", &[3]), ("d-0", &[])];
        let view = group(GroupState::Stable, &members);
        let mut look = |stopped: &[i32]| {
            let found = judge.look(&view, &lanes(&[&[2]]), &stopped.iter().copied().collect(), Moment::now());
            (found.waiting.into_iter().collect::<Vec<_>>(), found.rank, found.unowned.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(look(&[]), (vec![], Some(1), vec![4]));
        // One of the two was read since: its owner is at work.
        assert_eq!(look(&[1]), (vec![], Some(1), vec![4]));
        assert_eq!(look(&[0, 1]), (vec![0, 1], Some(0), vec![4]));
        // Nobody has 4; it stopped with its last owner.
        assert_eq!(look(&[0, 1, 3, 4]), (vec![0, 1, 3], Some(0), vec![4]));
    }
}
