//! Freeing memory step by step while the process is near `memory.limit`; reading pauses meanwhile.
//!
//! The allocator returns freed pages within some ten seconds, or at once on request. A process whose limit is too small
//! for its partitions even so reads on in a trickle as long as it is under the limit: slow is better than stopped, and
//! the reported wait says what helps.

use std::time::{Duration, Instant as Moment};

/// Between two steps of freeing memory: each needs some time to take effect.
const STEP_EVERY: Duration = Duration::from_secs(1);

/// Once nothing more can be freed: the time between two short reads.
const TRICKLE_EVERY: Duration = Duration::from_secs(1);

const TRICKLE_EVERY_WHEN_CLOSE: Duration = Duration::from_secs(10);

/// How long one short read is.
const TRICKLE_FOR: Duration = Duration::from_millis(100);

/// Bytes of records in one batch while memory is short.
pub(in crate::lane) const TRICKLE_BYTES: u64 = 2 << 20;

/// What is freed, in this order; each step stays in effect until reading resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Nothing: there is enough memory.
    None,
    /// Prefetched records are dropped, and half of the customers are evicted.
    Customers,
    /// Memtables are flushed.
    Memtables,
    /// Almost all customers are evicted, and half of the block cache is freed.
    Caches,
    /// Nothing more can be freed: reading goes on in a trickle.
    Trickle,
}

impl Step {
    fn next(self) -> Self {
        match self {
            Self::None => Self::Customers,
            Self::Customers => Self::Memtables,
            Self::Memtables => Self::Caches,
            Self::Caches | Self::Trickle => Self::Trickle,
        }
    }
}

pub(in crate::lane) struct MemoryGate {
    step: Step,
    stepped: Moment,
    pub(in crate::lane) looked: Moment,
    /// When free pages were last returned to the system.
    pub(super) released: Moment,
    /// Reading goes on until then although memory is short.
    trickle_until: Option<Moment>,
}

impl MemoryGate {
    pub(in crate::lane) fn new() -> Self {
        let now = Moment::now();
        Self { step: Step::None, stepped: now, looked: now, released: now, trickle_until: None }
    }

    /// By how much the memory for customers is divided.
    pub(in crate::lane) fn customer_memory_divisor(&self) -> usize {
        match self.step {
            Step::None => 1,
            Step::Customers | Step::Memtables => 2,
            Step::Caches | Step::Trickle => 16,
        }
    }

    /// Is memory short?
    pub(in crate::lane) fn is_short(&self) -> bool {
        self.step > Step::None
    }

    /// Is reading paused?
    pub(in crate::lane) fn pauses_reading(&self) -> bool {
        self.is_short() && self.trickle_until.is_none()
    }

    /// Given the resident bytes, what is to be done now.
    pub(super) fn check(&mut self, resident: u64, pause_above: u64, limit: u64, now: Moment) -> Action {
        if resident <= pause_above {
            let was_short = self.is_short();
            (self.step, self.trickle_until) = (Step::None, None);
            return if was_short { Action::Resume } else { Action::Nothing };
        }
        if self.trickle_until.is_some_and(|until| now >= until || resident >= limit) {
            self.trickle_until = None;
            self.stepped = now;
            return Action::Pause;
        }
        if self.trickle_until.is_some() {
            return Action::Nothing;
        }
        if self.step == Step::Trickle {
            // Records that are on their way when reading pauses still come on top.
            let is_close = resident >= pause_above.midpoint(limit);
            let rest = if is_close { TRICKLE_EVERY_WHEN_CLOSE } else { TRICKLE_EVERY };
            if now.duration_since(self.stepped) >= rest && resident < limit {
                self.trickle_until = Some(now + TRICKLE_FOR);
            }
            return Action::Nothing;
        }
        if self.step > Step::None && now.duration_since(self.stepped) < STEP_EVERY {
            return Action::Nothing;
        }
        self.step = self.step.next();
        self.stepped = now;
        match self.step {
            Step::Customers => Action::Pause,
            Step::Memtables => Action::WriteMemtables,
            Step::Caches => Action::ShrinkCache,
            Step::None | Step::Trickle => Action::Nothing,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Pause,
    WriteMemtables,
    ShrinkCache,
    Resume,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE_ABOVE: u64 = 90;
    const LIMIT: u64 = 100;

    fn gate_at(resident: u64, seconds: u64) -> (MemoryGate, Vec<Action>) {
        let mut gate = MemoryGate::new();
        let begin = Moment::now();
        let turns = 0..seconds * 100;
        let actions =
            turns.map(|turn| gate.check(resident, PAUSE_ABOVE, LIMIT, begin + Duration::from_millis(10 * turn)));
        let actions = actions.filter(|action| *action != Action::Nothing).collect();
        (gate, actions)
    }

    #[test]
    fn a_pause_that_does_not_help_gives_back_more_and_then_sips() {
        let (mut gate, actions) = gate_at(92, 20);
        assert_eq!(actions[..3], [Action::Pause, Action::WriteMemtables, Action::ShrinkCache]);
        let sips = |actions: &[Action]| actions[3..].iter().filter(|action| **action == Action::Pause).count();
        assert!((10..20).contains(&sips(&actions)), "it stands still for ever: {actions:?}");
        let (_, actions) = gate_at(99, 40);
        assert!((2..5).contains(&sips(&actions)), "close to the limit as well: {actions:?}");
        assert_eq!(gate.check(90, PAUSE_ABOVE, LIMIT, Moment::now()), Action::Resume);
        assert_eq!((gate.customer_memory_divisor(), gate.pauses_reading()), (1, false));
    }

    #[test]
    fn above_the_limit_itself_nothing_is_read() {
        let (gate, actions) = gate_at(100, 20);
        assert_eq!(actions, [Action::Pause, Action::WriteMemtables, Action::ShrinkCache]);
        assert!(gate.pauses_reading());
    }

    #[test]
    fn a_short_pause_is_over_when_there_is_room() {
        let mut gate = MemoryGate::new();
        let now = Moment::now();
        assert_eq!(gate.check(91, PAUSE_ABOVE, LIMIT, now), Action::Pause);
        assert_eq!(gate.check(91, PAUSE_ABOVE, LIMIT, now), Action::Nothing);
        assert_eq!(gate.check(89, PAUSE_ABOVE, LIMIT, now), Action::Resume);
        assert_eq!(gate.check(89, PAUSE_ABOVE, LIMIT, now), Action::Nothing);
    }
}
