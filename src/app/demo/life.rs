//! The actions of one customer, at the hours and weekdays at which people shop.

use super::random::Random;
use crate::event::{Instant, Span};

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) at: Instant,
    pub(super) customer: u32,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Signup,
    OnboardingStarted,
    StepCompleted(u8),
    OnboardingCompleted,
    Visit,
    ProductViewed,
    Purchase { cents: u32 },
    Unsubscribed,
}

impl What {
    /// The event's name in the default rules.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::OnboardingStarted => "onboarding_started",
            Self::StepCompleted(_) => "onboarding_step_completed",
            Self::OnboardingCompleted => "onboarding_completed",
            Self::Visit => "visit",
            Self::ProductViewed => "product_viewed",
            Self::Purchase { .. } => "purchase",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// Relative activity in each hour of the day, UTC: low at night, some at noon, most in the evening.
const HOURS: [u32; 24] = [2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 13, 12, 10, 10, 11, 12, 14, 18, 20, 18, 13, 8, 4];

/// From Monday: the probability that a visit is postponed to the next day.
const PUT_OFF: [f64; 7] = [0.25, 0.35, 0.25, 0.2, 0.1, 0.0, 0.0];

/// The actions of one customer so far. Days count from the opening of the shop.
pub(super) struct Life<'a> {
    pub(super) random: Random,
    /// The last day.
    pub(super) days: f64,
    customer: u32,
    opening: Instant,
    closing: Instant,
    acts: &'a mut Vec<Act>,
}

impl<'a> Life<'a> {
    pub(super) fn new(random: Random, customer: u32, time: (Instant, Instant), acts: &'a mut Vec<Act>) -> Self {
        let (opening, closing) = time;
        let days = closing.since(opening).0 as f64 / Span::DAY.0 as f64;
        Self { random, days, customer, opening, closing, acts }
    }

    /// An instant on this day, or the next, at an hour at which people shop.
    pub(super) fn on(&mut self, day: f64) -> Instant {
        let mut midnight = (self.opening + Span((day * Span::DAY.0 as f64) as i64)).0.div_euclid(Span::DAY.0);
        // 1970 began on a Thursday.
        let weekday = (midnight + 3).rem_euclid(7);
        midnight += i64::from(self.random.chance(PUT_OFF[usize::try_from(weekday).unwrap_or(0)]));
        let hour = self.random.weighted(&HOURS) as i64;
        let within = self.random.between(0.0, Span::HOUR.0 as f64) as i64;
        Instant(midnight * Span::DAY.0 + hour * Span::HOUR.0 + within)
    }

    /// Adds an action, unless it is before the opening or after the closing. Returns when.
    pub(super) fn act(&mut self, at: Instant, what: What) -> Instant {
        if at >= self.opening && at < self.closing {
            self.acts.push(Act { at, customer: self.customer, what });
        }
        at
    }

    /// Some minutes later.
    pub(super) fn after(&mut self, at: Instant, least: f64, most: f64) -> Instant {
        at + Span((self.random.between(least, most) * Span::MINUTE.0 as f64) as i64)
    }

    /// Visits a few pages. Returns the time of the last one.
    pub(super) fn visit(&mut self, day: f64) -> Instant {
        let at = self.on(day);
        let mut at = self.act(at, What::Visit);
        for _ in 0..self.random.whole(0, 3) {
            at = self.after(at, 0.5, 8.0);
            self.act(at, What::ProductViewed);
        }
        at
    }

    /// Visits, and buys.
    pub(super) fn buy(&mut self, day: f64) {
        let at = self.visit(day);
        let at = self.after(at, 2.0, 15.0);
        let cents = self.random.whole(900, 14_000);
        self.act(at, What::Purchase { cents });
    }
}
