//! Guarding against a wrong wall clock: records whose time cannot be checked wait, none is lost, and the wall clock
//! does not move stream time meanwhile.

use crate::clock::{Reading, WRITTEN_AFTER, confirms_leap, is_behind, wall_clock};
use crate::event::{Instant, Span};
use crate::lane::lane::Lane;
use crate::lane::partition::state::{ClockWait, Partition};
use crate::metrics::{Wait, WaitCause};

impl Partition {
    /// The time of the latest accepted event, or that to which stream time was moved.
    pub(super) fn latest_event(&self) -> Instant {
        match self.stream_time() {
            stream_time if stream_time == Instant::MIN || !self.timing.is_moved_by_events() => stream_time,
            stream_time => stream_time + self.timing.arrives_within,
        }
    }

    /// The latest time that is known to have passed.
    pub(super) fn latest_known_time(&self) -> Instant {
        self.latest_event().max(self.trusted_time)
    }

    /// The next record is not ingested before the wall clock is right.
    pub(super) fn wait_for_clock(&mut self) {
        self.clock = ClockWait { is_behind: true, holds_record: true };
    }

    pub(in crate::lane) fn is_waiting_for_clock(&self) -> bool {
        self.clock.holds_record
    }
}

impl Lane {
    /// Reads the wall clock, and reports the partitions that it holds up.
    pub(in crate::lane) fn gate_clock(&mut self) {
        let skew = self.context.max_future_skew;
        let was_behind = self.partitions.values().any(|partition| partition.clock.is_behind);
        self.clock_reading = self.clock_watch.read();
        match self.clock_reading {
            Reading::Trusted(_) => {}
            Reading::Jumped { by } => {
                let now = wall_clock();
                let is_right = |partition: &Partition| !is_behind(now, partition.latest_known_time(), skew);
                if was_behind && self.partitions.values().all(is_right) {
                    self.trust_leap(now);
                } else {
                    self.context.metrics.clock_jumps.inc();
                    tracing::error!(
                        ms = by.0,
                        "The wall clock jumped ahead; stream time does not follow it for 5 minutes."
                    );
                }
            }
            // Without partitions nothing showed that the clock was behind; those assigned since may.
            Reading::Distrusted => {
                let (now, without_leap) = (wall_clock(), self.clock_watch.without_leap());
                let confirms =
                    |partition: &Partition| confirms_leap(partition.latest_known_time(), now, without_leap, skew);
                if self.partitions.values().any(confirms) {
                    self.trust_leap(now);
                }
            }
        }
        let now = self.now();
        for partition in self.partitions.values_mut() {
            let latest_known_time = partition.latest_known_time();
            let number = Some(partition.number);
            if is_behind(now, latest_known_time, skew) {
                partition.clock.is_behind = true;
                let by = Span(latest_known_time.max(WRITTEN_AFTER).0.saturating_sub(now.0));
                let wait = Wait { cause: WaitCause::Clock, partition: number, detail: words(now, by) };
                self.health.lane(self.number).wait(wait);
            } else {
                if std::mem::take(&mut partition.clock).is_behind {
                    self.health.lane(self.number).resume(WaitCause::Clock, number);
                }
                if let Reading::Trusted(now) = self.clock_reading {
                    partition.trusted_time = partition.trusted_time.max(now);
                }
            }
        }
    }

    /// The wall clock was behind, and its leap ahead set it right.
    fn trust_leap(&mut self, now: Instant) {
        tracing::info!("The wall clock was set right.");
        self.clock_watch.trust();
        self.clock_reading = Reading::Trusted(now);
    }

    /// The time against which events are checked: the wall clock, without a jump that is not trusted yet.
    pub(in crate::lane) fn now(&self) -> Instant {
        match self.clock_reading {
            Reading::Trusted(now) => now,
            Reading::Jumped { .. } | Reading::Distrusted => self.clock_watch.without_leap(),
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
