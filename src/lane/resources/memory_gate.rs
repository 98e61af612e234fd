//! Reading pauses while the process is near `memory.limit`, and what can be given back is given back, step by step.
//!
//! The allocator returns freed pages within some ten seconds, and at once when it is told to. A process that needs more than it
//! may even so, because the limit is too small for its partitions, reads on in small sips as long as it is under the limit
//! itself: slow is better than still, and the wait says what helps.

use std::time::{Duration, Instant as Moment};

use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::metrics::{Wait, WaitCause, give_back, resident_bytes};

/// Between two looks at how much is resident: one takes 20 us.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two times of giving back what is free.
const GIVE_BACK_EVERY: Duration = Duration::from_millis(500);
/// Between two steps of giving memory back: each needs some time to show.
const STEP_EVERY: Duration = Duration::from_secs(1);
/// Once nothing more can be given back: between two sips, and how long one is.
const SIP_EVERY: Duration = Duration::from_secs(1);
const SIP_EVERY_WHEN_CLOSE: Duration = Duration::from_secs(10);
const SIP_FOR: Duration = Duration::from_millis(100);

/// Bytes of records in one batch while memory is short.
pub(in crate::lane) const SIP_BYTES: u64 = 2 << 20;

/// What is given back, in this order; each step is kept until reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Nothing: enough is free.
    None,
    /// What was read ahead is dropped, and half of the customers leave memory.
    Customers,
    /// What waits in memory to be written to the databases is written.
    Memtables,
    /// Almost all customers leave memory, and half of the block cache is given back.
    Caches,
    /// Nothing more can be given back.
    Sips,
}

impl Step {
    fn next(self) -> Self {
        match self {
            Self::None => Self::Customers,
            Self::Customers => Self::Memtables,
            Self::Memtables => Self::Caches,
            Self::Caches | Self::Sips => Self::Sips,
        }
    }
}

pub(in crate::lane) struct MemoryGate {
    step: Step,
    stepped: Moment,
    looked: Moment,
    /// When what is free was last given back.
    gave_back: Moment,
    /// Reading goes on until then, although memory is short.
    sips_until: Option<Moment>,
}

impl MemoryGate {
    pub(in crate::lane) fn new() -> Self {
        let now = Moment::now();
        Self { step: Step::None, stepped: now, looked: now, gave_back: now, sips_until: None }
    }

    /// By how much what customers may take is divided.
    pub(in crate::lane) fn divides_customers_by(&self) -> usize {
        match self.step {
            Step::None => 1,
            Step::Customers | Step::Memtables => 2,
            Step::Caches | Step::Sips => 16,
        }
    }

    /// Must customers leave memory although nothing is read?
    pub(in crate::lane) fn is_short(&self) -> bool {
        self.step > Step::None
    }

    /// Is nothing read now?
    pub(in crate::lane) fn pauses_reading(&self) -> bool {
        self.is_short() && self.sips_until.is_none()
    }

    /// Takes what is resident, and says what is to be done now, if anything.
    fn look(&mut self, resident: u64, pause_above: u64, limit: u64, now: Moment) -> Action {
        if resident <= pause_above {
            let was_short = self.is_short();
            (self.step, self.sips_until) = (Step::None, None);
            return if was_short { Action::GoOn } else { Action::Nothing };
        }
        if self.sips_until.is_some_and(|until| now >= until || resident >= limit) {
            self.sips_until = None;
            self.stepped = now;
            return Action::Pause;
        }
        if self.sips_until.is_some() {
            return Action::Nothing;
        }
        if self.step == Step::Sips {
            // What is on its way when reading stops again still comes on top.
            let is_close = resident >= pause_above.midpoint(limit);
            let rest = if is_close { SIP_EVERY_WHEN_CLOSE } else { SIP_EVERY };
            if now.duration_since(self.stepped) >= rest && resident < limit {
                self.sips_until = Some(now + SIP_FOR);
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
            Step::None | Step::Sips => Action::Nothing,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Nothing,
    Pause,
    WriteMemtables,
    ShrinkCache,
    GoOn,
}

impl Lane {
    /// Looks at how much memory is resident, and does what follows.
    pub(in crate::lane) fn gate_memory(&mut self) -> Result<(), LaneError> {
        if self.gate.looked.elapsed() < LOOK_EVERY && !self.gate.is_short() {
            return Ok(());
        }
        let Some(mut resident) = resident_bytes() else { return Ok(()) };
        let now = Moment::now();
        self.gate.looked = now;
        let (pause_above, limit) = (self.settings.memory.pause_above(), self.settings.memory.limit);
        if resident > pause_above && now.duration_since(self.gate.gave_back) >= GIVE_BACK_EVERY {
            give_back();
            self.gate.gave_back = now;
            resident = resident_bytes().unwrap_or(resident);
        }
        let action = self.gate.look(resident, pause_above, limit, now);
        if self.gate.is_short() {
            self.health().wait(Wait {
                cause: WaitCause::Memory,
                partition: None,
                detail: format!(
                    "{} MiB of memory.limit, {} MiB, are in use, and reading waits for room; if this lasts, raise \
                     memory.limit or start more processes",
                    resident >> 20,
                    limit >> 20
                ),
            });
        }
        match action {
            Action::Nothing => {}
            Action::Pause => self.rest()?,
            Action::WriteMemtables => {
                for partition in self.partitions.values() {
                    if let Err(error) = partition.database.request_flush() {
                        tracing::warn!(partition = partition.number, %error, "Memtables cannot be written now.");
                    }
                }
            }
            Action::ShrinkCache => self.memory.shrink(),
            Action::GoOn => {
                self.memory.regrow();
                self.health().resume(WaitCause::Memory, None);
            }
        }
        self.context.metrics.intake_paused.set(i64::from(self.gate.pauses_reading()));
        Ok(())
    }
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
            turns.map(|turn| gate.look(resident, PAUSE_ABOVE, LIMIT, begin + Duration::from_millis(10 * turn)));
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
        assert_eq!(gate.look(90, PAUSE_ABOVE, LIMIT, Moment::now()), Action::GoOn);
        assert_eq!((gate.divides_customers_by(), gate.pauses_reading()), (1, false));
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
        assert_eq!(gate.look(91, PAUSE_ABOVE, LIMIT, now), Action::Pause);
        assert_eq!(gate.look(91, PAUSE_ABOVE, LIMIT, now), Action::Nothing);
        assert_eq!(gate.look(89, PAUSE_ABOVE, LIMIT, now), Action::GoOn);
        assert_eq!(gate.look(89, PAUSE_ABOVE, LIMIT, now), Action::Nothing);
    }
}
