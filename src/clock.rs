//! The only file that reads the wall clock. Everything else takes event time from records, or `now` from its caller.

#![expect(clippy::disallowed_methods, reason = "this is the one place")]

use std::time::{Duration, SystemTime};

use crate::event::{Instant, Span};

/// The wall clock now.
#[must_use]
pub fn wall_clock() -> Instant {
    let ms = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Instant(ms)
}

/// A leap of the wall clock over the monotonic one that is not believed at once.
pub const JUMP_MIN: Span = Span::MINUTE;

/// How long a leap must last to be believed: an operator's mistake, or a clock being set, is mended within it.
pub const DISTRUST: Duration = Duration::from_mins(5);

/// Watches the wall clock for leaps ahead, each of which would decide deadlines that are not due.
///
/// A leap back needs no care: stream time never goes back. A slow drift passes, as it does for everyone who has a
/// clock.
#[derive(Debug)]
pub struct Watch {
    started: std::time::Instant,
    steady: Steady,
}

/// What the clock says and whether to act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Trusted(Instant),
    /// The first reading after a leap: say so, and do not advance.
    Jumped {
        by: Span,
    },
    /// Still within [`DISTRUST`] of a leap.
    Distrusted,
}

impl Watch {
    /// Trusts the wall clock as it stands.
    #[must_use]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now(), steady: Steady::new(wall_clock()) }
    }

    /// Reads both clocks and compares how far each went since the last reading.
    pub fn read(&mut self) -> Reading {
        self.steady.read(wall_clock(), self.started.elapsed())
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

/// The comparison, without clocks.
#[derive(Debug)]
struct Steady {
    wall: Instant,
    monotonic: Duration,
    /// On the monotonic clock.
    distrusted_until: Option<Duration>,
}

impl Steady {
    fn new(wall: Instant) -> Self {
        Self { wall, monotonic: Duration::ZERO, distrusted_until: None }
    }

    fn read(&mut self, wall: Instant, monotonic: Duration) -> Reading {
        let passed = i64::try_from((monotonic - self.monotonic).as_millis()).unwrap_or(i64::MAX);
        let gained = Span(wall.since(self.wall).0.saturating_sub(passed));
        (self.wall, self.monotonic) = (wall, monotonic);
        if gained > JUMP_MIN {
            self.distrusted_until = Some(monotonic + DISTRUST);
            return Reading::Jumped { by: gained };
        }
        if self.distrusted_until.is_some_and(|until| monotonic < until) {
            // Set back by as much as it had leapt: nothing is left to distrust.
            if gained < Span(-JUMP_MIN.0) {
                self.distrusted_until = None;
                return Reading::Trusted(wall);
            }
            return Reading::Distrusted;
        }
        self.distrusted_until = None;
        Reading::Trusted(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::{DISTRUST, Duration, Instant, Reading, Span, Steady, wall_clock};

    #[test]
    fn the_wall_clock_is_in_milliseconds_of_this_century() {
        let century = Instant(946_684_800_000)..Instant(4_102_444_800_000);
        assert!(century.contains(&wall_clock()));
    }

    #[test]
    fn a_leap_ahead_is_trusted_only_after_a_while() {
        let second = |s: u64| Duration::from_secs(s);
        let mut steady = Steady::new(Instant(0));
        assert_eq!(steady.read(Instant(10_000), second(10)), Reading::Trusted(Instant(10_000)));
        assert_eq!(steady.read(Instant(3_611_000), second(11)), Reading::Jumped { by: Span::HOUR });
        assert_eq!(steady.read(Instant(3_612_000), second(12)), Reading::Distrusted);
        let later = second(11) + DISTRUST;
        assert_eq!(steady.read(Instant(3_911_000), later), Reading::Trusted(Instant(3_911_000)));
    }

    #[test]
    fn a_leap_that_is_taken_back_is_forgotten() {
        let mut steady = Steady::new(Instant(0));
        assert_eq!(steady.read(Instant(3_601_000), Duration::from_secs(1)), Reading::Jumped { by: Span::HOUR });
        assert_eq!(steady.read(Instant(2_000), Duration::from_secs(2)), Reading::Trusted(Instant(2_000)));
    }
}
