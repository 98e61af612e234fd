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

/// The smallest jump of the wall clock, relative to the monotonic one, that is not trusted at once.
pub const JUMP_MIN: Span = Span::MINUTE;

/// How long a jump must last to be trusted: an operator's mistake, or a clock being set, is corrected within it.
pub const DISTRUST: Duration = Duration::from_mins(5);

/// A wall clock before this is wrong: the beginning of 2026, when this program was written. A machine without a clock
/// of its own starts in 1970.
pub const WRITTEN_AFTER: Instant = Instant(1_767_225_600_000);

/// An event at most this old makes the partition that it is read from live: its time follows the wall clock from then on.
pub const LIVE_EVENT_AGE_MAX: Span = Span(5 * Span::MINUTE.0);

/// The smallest difference that cannot be between two clocks that are about right.
const BEHIND_MIN: Span = Span::MINUTE;

/// Is the wall clock behind the latest known time by more than clocks may differ? Then it was set back, or it was not
/// set yet. `believed`: the latest proven time, of an accepted event or of a write.
#[must_use]
pub fn is_behind(now: Instant, believed: Instant, skew: Span) -> bool {
    now < WRITTEN_AFTER || now + Span(skew.0.max(BEHIND_MIN.0)) < believed
}

/// Was a leap of the wall clock ahead right? `proven`: a time that another machine is known to have reached; without the
/// leap this clock would be behind it, with the leap it is no more than [`DISTRUST`] past it.
#[must_use]
pub fn confirms_leap(proven: Instant, wall: Instant, without_leap: Instant, skew: Span) -> bool {
    let passed = wall.since(proven).0;
    is_behind(without_leap, proven, skew)
        && !is_behind(wall, proven, skew)
        && passed <= i64::try_from(DISTRUST.as_millis()).unwrap_or(i64::MAX)
}

/// How an event relates to the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    No,
    Yes,
    /// It is by the wall clock, but the wall clock is wrong.
    Unknown,
}

/// Compares an event's time with the wall clock and, so that a clock that was set back rejects nothing, with `latest`,
/// up to which events were accepted before. `believed` as for [`is_behind`].
#[must_use]
pub fn is_ahead(at: Instant, now: Instant, latest: Instant, believed: Instant, skew: Span) -> Ahead {
    if at <= now.max(latest) + skew {
        Ahead::No
    } else if is_behind(now, believed, skew) {
        Ahead::Unknown
    } else {
        Ahead::Yes
    }
}

/// Watches the wall clock for jumps ahead, each of which would decide deadlines that are not due.
///
/// A jump back has no effect on stream time, which never goes back; see [`is_behind`] for what waits. A slow drift is
/// followed.
#[derive(Debug)]
pub struct Watch {
    started: std::time::Instant,
    steady: Steady,
}

/// A reading of the clock, and whether to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Trusted(Instant),
    /// The first reading after a jump: report it, and do not advance.
    Jumped {
        by: Span,
    },
    /// Still within [`DISTRUST`] of a jump.
    Distrusted,
}

impl Watch {
    /// Trusts the wall clock as it is.
    #[must_use]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now(), steady: Steady::new(wall_clock()) }
    }

    /// Reads both clocks and compares their progress since the last reading.
    pub fn read(&mut self) -> Reading {
        self.steady.read(wall_clock(), self.started.elapsed())
    }

    /// The last trusted time plus the progress of the monotonic clock since: during a jump, the time without it.
    #[must_use]
    pub fn without_leap(&self) -> Instant {
        self.steady.without_leap(self.started.elapsed())
    }

    /// The last leap set the clock right.
    pub fn trust(&mut self) {
        self.steady.distrusted_until = None;
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
    /// The last trusted reading of both clocks.
    trusted: (Instant, Duration),
}

impl Steady {
    fn new(wall: Instant) -> Self {
        Self { wall, monotonic: Duration::ZERO, distrusted_until: None, trusted: (wall, Duration::ZERO) }
    }

    fn without_leap(&self, monotonic: Duration) -> Instant {
        let (wall, then) = self.trusted;
        wall + Span(i64::try_from(monotonic.saturating_sub(then).as_millis()).unwrap_or(i64::MAX))
    }

    fn read(&mut self, wall: Instant, monotonic: Duration) -> Reading {
        let reading = self.compare(wall, monotonic);
        if let Reading::Trusted(now) = reading {
            self.trusted = (now, monotonic);
        }
        reading
    }

    fn compare(&mut self, wall: Instant, monotonic: Duration) -> Reading {
        let passed = i64::try_from((monotonic - self.monotonic).as_millis()).unwrap_or(i64::MAX);
        let gained = Span(wall.since(self.wall).0.saturating_sub(passed));
        (self.wall, self.monotonic) = (wall, monotonic);
        if gained > JUMP_MIN {
            self.distrusted_until = Some(monotonic + DISTRUST);
            return Reading::Jumped { by: gained };
        }
        if self.distrusted_until.is_some_and(|until| monotonic < until) {
            // Set back by as much as it had jumped: nothing is left to distrust.
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
    use super::{
        Ahead, DISTRUST, Duration, Instant, Reading, Span, Steady, WRITTEN_AFTER, confirms_leap, is_ahead, is_behind,
        wall_clock,
    };

    const SKEW: Span = Span(5 * Span::MINUTE.0);
    /// Some time at which everything is right.
    const NOON: Instant = Instant(WRITTEN_AFTER.0 + 300 * Span::DAY.0);

    fn at(hours: i64) -> Instant {
        NOON + Span(hours * Span::HOUR.0)
    }

    #[test]
    fn a_clock_that_is_right_refuses_what_is_ahead_of_it() {
        let judge = |event: Instant| is_ahead(event, NOON, NOON - Span::MINUTE, NOON - Span(1_000), SKEW);
        assert_eq!([judge(NOON), judge(NOON + SKEW), judge(at(1))], [Ahead::No, Ahead::No, Ahead::Yes]);
        assert_eq!(judge(at(-24)), Ahead::No);
    }

    #[test]
    fn a_clock_that_was_set_back_refuses_nothing_that_goes_on_from_what_was_accepted() {
        // It is noon by the events and by what was written, and an hour earlier by the wall clock.
        let judge = |event: Instant| is_ahead(event, at(-1), NOON, NOON, SKEW);
        assert_eq!([judge(NOON), judge(NOON + SKEW)], [Ahead::No, Ahead::No]);
        assert_eq!(judge(at(2)), Ahead::Unknown, "it may be two o'clock by now");
        assert!(is_behind(at(-1), NOON, SKEW) && !is_behind(at(0), NOON, SKEW));
    }

    #[test]
    fn a_machine_that_does_not_know_the_year_refuses_nothing() {
        let nothing_read = Instant::MIN;
        assert_eq!(is_ahead(NOON, Instant(0), nothing_read, nothing_read, SKEW), Ahead::Unknown);
        assert_eq!(is_ahead(NOON, Instant(86_400_000), nothing_read, NOON, SKEW), Ahead::Unknown);
    }

    #[test]
    fn a_leap_to_about_a_proven_time_is_right_and_one_beyond_it_is_not() {
        let two_hours_slow = at(-2);
        let confirms = |proven, wall| confirms_leap(proven, wall, two_hours_slow, SKEW);
        assert!(confirms(NOON, NOON) && confirms(NOON, NOON + Span::MINUTE) && confirms(NOON, NOON - SKEW));
        assert!(!confirms(NOON, at(1)), "it leapt too far");
        assert!(!confirms(NOON, at(-1)), "it is still behind");
        assert!(!confirms(two_hours_slow, NOON), "nothing shows that it was slow");
    }

    #[test]
    fn during_a_leap_time_goes_on_as_before_it() {
        let second = |s: u64| Duration::from_secs(s);
        let mut steady = Steady::new(NOON);
        assert_eq!(steady.read(NOON + Span(1_000), second(1)), Reading::Trusted(NOON + Span(1_000)));
        assert_eq!(steady.read(at(3), second(2)), Reading::Jumped { by: Span(3 * Span::HOUR.0 - 2_000) });
        assert_eq!(steady.without_leap(second(10)), NOON + Span(10_000));
        assert_eq!(steady.read(NOON + Span(11_000), second(11)), Reading::Trusted(NOON + Span(11_000)));
    }

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
