//! What a wall clock that is wrong holds up, and nothing more: records of which it cannot be told whether their time is
//! right wait, none is lost, and deadlines that the wall clock brings about are not decided.

use crate::clock::{Reading, WRITTEN_AFTER, is_behind};
use crate::event::{Instant, Span};
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;
use crate::metrics::{Wait, WaitCause};

/// What the wall clock holds up in one partition.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::lane) struct ClockWait {
    /// It is behind what is known of the time.
    is_behind: bool,
    /// The next record waits for it.
    holds_record: bool,
}

impl Partition {
    /// Up to where events were accepted, or stream time was moved.
    pub(in crate::lane) fn latest_event(&self) -> Instant {
        match self.stream_time() {
            Instant::MIN => Instant::MIN,
            stream_time => stream_time + self.timing.arrives_within,
        }
    }

    /// The latest time of which there is proof.
    pub(in crate::lane) fn believed(&self) -> Instant {
        self.latest_event().max(self.trusted)
    }

    /// The next record is not taken in before the wall clock is right.
    pub(in crate::lane) fn wait_for_clock(&mut self) {
        self.clock = ClockWait { is_behind: true, holds_record: true };
    }

    pub(in crate::lane) fn waits_for_clock(&self) -> bool {
        self.clock.holds_record
    }
}

impl Lane {
    /// Reads the wall clock, and says which partitions it holds up.
    pub(in crate::lane) fn gate_clock(&mut self) {
        let skew = self.context.max_future_skew;
        let was_behind = self.partitions.values().any(|partition| partition.clock.is_behind);
        self.reading = self.watch.read();
        if let Reading::Jumped { by } = self.reading {
            let now = crate::clock::wall_clock();
            let is_right = |partition: &Partition| !is_behind(now, partition.believed(), skew);
            if was_behind && self.partitions.values().all(is_right) {
                tracing::info!(ms = by.0, "The wall clock was set right.");
                self.watch.trust();
                self.reading = Reading::Trusted(now);
            } else {
                self.context.metrics.clock_jumps.inc();
                tracing::error!(ms = by.0, "The wall clock leapt ahead; time stands still for 5 minutes.");
            }
        }
        let now = self.now();
        for partition in self.partitions.values_mut() {
            let believed = partition.believed();
            let number = Some(partition.number);
            if is_behind(now, believed, skew) {
                partition.clock.is_behind = true;
                let by = Span(believed.max(WRITTEN_AFTER).0.saturating_sub(now.0));
                let wait = Wait { cause: WaitCause::Clock, partition: number, detail: words(now, by) };
                self.health.lane(self.number).wait(wait);
            } else {
                if std::mem::take(&mut partition.clock).is_behind {
                    self.health.lane(self.number).resume(WaitCause::Clock, number);
                }
                if let Reading::Trusted(now) = self.reading {
                    partition.trusted = partition.trusted.max(now);
                }
            }
        }
    }

    /// By what events are judged: the wall clock, without a leap that is not trusted yet.
    pub(in crate::lane) fn now(&self) -> Instant {
        match self.reading {
            Reading::Trusted(now) => now,
            Reading::Jumped { .. } | Reading::Distrusted => self.watch.without_leap(),
        }
    }
}

fn words(now: Instant, by: Span) -> String {
    let seconds = by.0 / 1_000;
    format!(
        "the wall clock says {now}, at least {seconds} s too early; set it right, and what waits goes on by \
         itself"
    )
}
