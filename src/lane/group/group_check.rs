//! What a description of the group shows: partitions without an owner, and the remedy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Moment};

use crate::kafka::{GroupMember, GroupState, GroupView};

/// How long a partition may be without an owner while the group is stable: longer than a member flushes between the two
/// rebalances of a hand-over ([`HAND_OVER_FOR`](crate::lane::commit::finish::HAND_OVER_FOR)).
const PATIENCE: Duration = Duration::from_secs(3);

/// How much longer each next process waits, so that only one acts; a dead one may rank before it until its session
/// ends.
const PATIENCE_BY_RANK: Duration = Duration::from_secs(1);

/// Processes of a higher rank wait no longer than this one.
const RANK_MAX: u32 = 5;

/// How long a rebalance may take before this process requests it again.
pub(super) const ROUND_FOR: Duration = Duration::from_secs(10);

/// How long a lane may know of other partitions than the group has assigned to it while the group is stable. Between
/// two polls a lane may be behind.
const MISMATCH_FOR: Duration = Duration::from_secs(15);

/// What follows from one description of the group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GroupFindings {
    /// Without an owner, now or when the group was last stable.
    pub(super) unowned: BTreeSet<i32>,
    /// Those of them that have had none for longer than a hand-over takes.
    pub(super) lasting: BTreeSet<i32>,
    pub(super) unowned_for: Duration,
    /// Partitions kept for members that have stopped and may come back (`kafka.on_stop`), by the member's name.
    pub(super) reserved: BTreeMap<String, BTreeSet<i32>>,
    /// How many running members rank before the first of this process; `None` if it has none in the group.
    pub(super) rank: Option<u32>,
    pub(super) remedy: Remedy,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    None,
    /// Request a rebalance.
    Rebalance,
    /// Remove the member of a lane of an earlier run.
    Retire(usize),
    /// Have a lane rejoin that has these partitions.
    Rejoin {
        lane: usize,
        assigned: BTreeSet<i32>,
    },
}

/// Remembers the last descriptions. A function of them and of time.
pub(super) struct GroupMonitor {
    pub(super) instance: String,
    pub(super) partitions: BTreeSet<i32>,
    /// Without an owner since.
    pub(super) unowned: BTreeMap<i32, Moment>,
    /// By lane: what the group has assigned to it, what it knows of, and since when they differ.
    mismatches: BTreeMap<usize, (BTreeSet<i32>, BTreeSet<i32>, Moment)>,
    /// When a remedy was last requested.
    asked: Option<Moment>,
}

impl GroupMonitor {
    pub(super) fn new(instance: &str, partitions: u32) -> Self {
        Self {
            instance: instance.to_owned(),
            partitions: (0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect(),
            unowned: BTreeMap::new(),
            mismatches: BTreeMap::new(),
            asked: None,
        }
    }

    /// `lanes`: what each lane of this process knows to be assigned to it. `stopped`: partitions elsewhere whose last
    /// owner has stopped.
    pub(super) fn observe(
        &mut self,
        view: &GroupView,
        lanes: &[BTreeSet<i32>],
        stopped: &BTreeSet<i32>,
        now: Moment,
    ) -> GroupFindings {
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
        let reserved = away.iter().map(|member| (member.name().to_owned(), member.partitions.clone())).collect();
        let rank = self.rank(&here, lanes.len());
        let remedy = if stable { self.remedy(view, lanes, rank, now) } else { Remedy::None };
        let lasting = |(_, since): &(&i32, &Moment)| now.duration_since(**since) >= PATIENCE;
        GroupFindings {
            unowned: self.unowned.keys().copied().collect(),
            lasting: self.unowned.iter().filter(lasting).map(|(partition, _)| *partition).collect(),
            unowned_for: self.unowned_for(now),
            reserved,
            rank,
            remedy,
        }
    }

    fn unowned_for(&self, now: Moment) -> Duration {
        self.unowned.values().map(|since| now.duration_since(*since)).max().unwrap_or_default()
    }

    /// The lane whose member this is, also if it is of an earlier run.
    pub(super) fn lane(&self, instance: &str) -> Option<usize> {
        instance.strip_prefix(&self.instance)?.strip_prefix('-')?.parse().ok()
    }

    fn rank(&self, members: &[&GroupMember], lanes: usize) -> Option<u32> {
        let mut instances: Vec<&str> = members.iter().filter_map(|member| member.instance.as_deref()).collect();
        instances.sort_unstable();
        let ours = |instance: &&str| self.lane(instance).is_some_and(|lane| lane < lanes);
        instances.iter().position(ours).map(|position| u32::try_from(position).unwrap_or(u32::MAX))
    }

    fn remedy(&mut self, view: &GroupView, lanes: &[BTreeSet<i32>], rank: Option<u32>, now: Moment) -> Remedy {
        if let Some(remedy) = self.mismatch(view, lanes, now) {
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
            Remedy::Rebalance
        } else {
            return Remedy::None;
        };
        self.asked = Some(now);
        remedy
    }

    /// A lane that has known of other partitions than the group has assigned to it, both unchanged, for too long.
    fn mismatch(&mut self, view: &GroupView, lanes: &[BTreeSet<i32>], now: Moment) -> Option<Remedy> {
        for (lane, assigned) in lanes.iter().enumerate() {
            let member = view
                .members
                .iter()
                .find(|member| member.instance.as_deref().is_some_and(|instance| self.lane(instance) == Some(lane)));
            let Some(member) = member.filter(|member| member.partitions != *assigned) else {
                self.mismatches.remove(&lane);
                continue;
            };
            let now_differs = (member.partitions.clone(), assigned.clone(), now);
            let mismatch = self.mismatches.entry(lane).or_insert_with(|| now_differs.clone());
            if (&mismatch.0, &mismatch.1) != (&now_differs.0, &now_differs.1) {
                *mismatch = now_differs;
            } else if now.duration_since(mismatch.2) >= MISMATCH_FOR {
                self.mismatches.remove(&lane);
                return Some(Remedy::Rejoin { lane, assigned: assigned.clone() });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Duration, GroupFindings, GroupMember, GroupMonitor, GroupState, GroupView, Moment, Remedy};

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
        a: GroupMonitor,
        b: GroupMonitor,
        began: Moment,
    }

    impl Both {
        fn new() -> Self {
            Self { a: GroupMonitor::new("a", 4), b: GroupMonitor::new("b", 4), began: Moment::now() }
        }

        fn observe(&mut self, second: u64, view: &GroupView) -> [GroupFindings; 2] {
            let now = self.began + Duration::from_secs(second);
            let held = |name: &str| {
                let members = view.members.iter();
                let found = members.filter(|member| member.instance.as_deref() == Some(name));
                found.flat_map(|member| member.partitions.clone()).collect()
            };
            let none = BTreeSet::new();
            [self.a.observe(view, &[held("a-0")], &none, now), self.b.observe(view, &[held("b-0")], &none, now)]
        }
    }

    #[test]
    fn the_first_process_asks_for_a_round_when_partitions_stay_without_an_owner() {
        let mut both = Both::new();
        let half = group(GroupState::Stable, &[("b-0", &[]), ("a-0", &[0, 1])]);
        for second in 0..3 {
            let [a, b] = both.observe(second, &half);
            assert_eq!((&a.remedy, &b.remedy), (&Remedy::None, &Remedy::None), "second {second}");
            assert_eq!(a.unowned, BTreeSet::from([2, 3]));
            assert!(a.lasting.is_empty());
        }
        let [a, b] = both.observe(3, &half);
        assert_eq!((a.remedy, b.remedy), (Remedy::Rebalance, Remedy::None));
        assert_eq!(a.lasting, BTreeSet::from([2, 3]));
        assert_eq!((a.rank, b.rank), (Some(0), Some(1)));
        // The other one only if the first does nothing.
        let [a, b] = both.observe(4, &half);
        assert_eq!((a.remedy, b.remedy), (Remedy::None, Remedy::Rebalance));
        // And again, if that did not help either.
        assert_eq!(both.observe(12, &half)[0].remedy, Remedy::None);
        assert_eq!(both.observe(13, &half)[0].remedy, Remedy::Rebalance);
        let [a, _] = both.observe(14, &group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[2, 3])]));
        assert_eq!((a.unowned, a.remedy), (BTreeSet::new(), Remedy::None));
    }

    #[test]
    fn a_hand_over_between_two_rounds_is_no_reason() {
        let mut both = Both::new();
        both.observe(0, &group(GroupState::Stable, &[("a-0", &[0, 1, 2, 3])]));
        both.observe(1, &group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[])]));
        // Nobody's assignment is told meanwhile.
        for second in 2..30 {
            let [a, b] = both.observe(second, &group(GroupState::Rebalancing, &[("a-0", &[]), ("b-0", &[])]));
            assert_eq!((a.remedy, b.remedy), (Remedy::None, Remedy::None));
            assert_eq!(a.unowned, BTreeSet::from([2, 3]), "as last known");
        }
        let [a, b] = both.observe(30, &group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[2, 3])]));
        assert_eq!((a.remedy, b.remedy, a.unowned), (Remedy::None, Remedy::None, BTreeSet::new()));
    }

    #[test]
    fn a_process_that_is_not_in_the_group_leaves_it_to_those_who_are() {
        let mut monitor = GroupMonitor::new("c", 4);
        let began = Moment::now();
        for second in 0..30 {
            let found = monitor.observe(
                &group(GroupState::Stable, &[("a-0", &[0])]),
                &lanes(&[&[]]),
                &BTreeSet::new(),
                began + Duration::from_secs(second),
            );
            assert_eq!((found.remedy, found.rank), (Remedy::None, None));
        }
    }

    #[test]
    fn a_lane_that_knows_of_other_partitions_than_the_group_rejoins() {
        let mut monitor = GroupMonitor::new("a", 4);
        let began = Moment::now();
        let mut look = |second, held: &[i32]| {
            let view = group(GroupState::Stable, &[("a-0", &[0, 1]), ("b-0", &[2, 3])]);
            monitor.observe(&view, &lanes(&[held]), &BTreeSet::new(), began + Duration::from_secs(second)).remedy
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
        let mut monitor = GroupMonitor::new("a", 4);
        let members: [(&str, &[i32]); 4] = [("a-0", &[0]), ("a-1", &[1]), ("a-7-0", &[2]), ("b-9", &[3])];
        let found =
            monitor.observe(&group(GroupState::Stable, &members), &lanes(&[&[0]]), &BTreeSet::new(), Moment::now());
        assert_eq!(found.remedy, Remedy::Retire(1));
    }

    #[test]
    fn partitions_kept_for_a_process_that_has_stopped_are_shown_by_the_first_that_has_not() {
        let mut monitor = GroupMonitor::new("b", 5);
        let members: [(&str, &[i32]); 4] = [("a-0", &[0, 1]), ("b-0", &[2]), ("c-0", &[3]), ("d-0", &[])];
        let view = group(GroupState::Stable, &members);
        let mut look = |stopped: &[i32]| {
            let found = monitor.observe(&view, &lanes(&[&[2]]), &stopped.iter().copied().collect(), Moment::now());
            let reserved: Vec<(String, Vec<i32>)> =
                found.reserved.into_iter().map(|(name, partitions)| (name, partitions.into_iter().collect())).collect();
            (reserved, found.rank, found.unowned.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(look(&[]), (vec![], Some(1), vec![4]));
        // One of the two was read since: its owner is at work.
        assert_eq!(look(&[1]), (vec![], Some(1), vec![4]));
        let of_a = || ("a-0".to_owned(), vec![0, 1]);
        assert_eq!(look(&[0, 1]), (vec![of_a()], Some(0), vec![4]));
        // Nobody has 4; it stopped with its last owner.
        assert_eq!(look(&[0, 1, 3, 4]), (vec![of_a(), ("c-0".to_owned(), vec![3])], Some(0), vec![4]));
    }
}
