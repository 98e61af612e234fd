//! The sufficient statistics of one customer's active days.

use super::fgp::{Activity, Fgp};
use super::special::exp;

/// The number of memories kept for each customer.
const KEPT: usize = 6;

/// The memories, in days, over which activity is summed for each customer.
///
/// A fit chooses tau among them. The sums of another memory could be computed only from the whole history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memories([f64; KEPT]);

impl Default for Memories {
    fn default() -> Self {
        Self([7.0, 14.0, 30.0, 60.0, 120.0, 365.0])
    }
}

impl Memories {
    /// The default memories, with `tau_days` in place of the nearest one, for parameters set by hand.
    #[must_use]
    pub fn with(tau_days: f64) -> Self {
        let mut days = Self::default().0;
        let mut nearest = 0;
        for (slot, memory) in days.iter().enumerate() {
            if (memory - tau_days).abs() < (days[nearest] - tau_days).abs() {
                nearest = slot;
            }
        }
        days[nearest] = tau_days;
        Self(days)
    }

    #[must_use]
    pub fn days(&self) -> &[f64; KEPT] {
        &self.0
    }
}

/// The active days of one customer, numbered as those of [`Purchases`](super::Purchases). Several events, or sessions,
/// on one day count once, as bursts do not follow a Poisson process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub first_day: i32,
    pub last_day: i32,
    /// For each memory the active days, discounted by their distance from the last one.
    pub activity: [f64; KEPT],
}

impl Usage {
    /// The first active day.
    #[must_use]
    pub fn first(day: i32) -> Self {
        Self { first_day: day, last_day: day, activity: [1.0; KEPT] }
    }

    /// Counts an active day that was not counted yet; it may be before others.
    pub fn count(&mut self, day: i32, memories: &Memories) {
        let apart = (f64::from(day) - f64::from(self.last_day)).abs();
        for (sum, tau) in self.activity.iter_mut().zip(memories.0) {
            let discount = exp(-apart / tau);
            *sum = if day > self.last_day { *sum * discount + 1.0 } else { *sum + discount };
        }
        self.first_day = self.first_day.min(day);
        self.last_day = self.last_day.max(day);
    }

    /// Merges the active days of two customers. No day may be in both, as the days are not kept.
    #[must_use]
    pub fn and(&self, other: &Self, memories: &Memories) -> Self {
        let (early, late) = if self.last_day <= other.last_day { (self, other) } else { (other, self) };
        let apart = f64::from(late.last_day) - f64::from(early.last_day);
        let mut both = *late;
        both.first_day = self.first_day.min(other.first_day);
        for ((sum, of_early), tau) in both.activity.iter_mut().zip(early.activity).zip(memories.0) {
            *sum += of_early * exp(-apart / tau);
        }
        both
    }

    /// The active days on these days, in ascending order; equal days are one. `None` when there are none.
    pub fn of(days: impl IntoIterator<Item = i32>, memories: &Memories) -> Option<Self> {
        let mut days = days.into_iter();
        let mut usage = Self::first(days.next()?);
        for day in days {
            if day > usage.last_day {
                usage.count(day, memories);
            }
        }
        Some(usage)
    }

    /// The rate of active days per day as of the last one, over the memory of `tau_days`; `None` where that is not
    /// kept.
    #[must_use]
    pub fn rate(&self, tau_days: f64, memories: &Memories) -> Option<f64> {
        let kept = memories.0.iter().zip(self.activity).find(|(tau, _)| **tau == tau_days);
        // One day of exposure for the first event, as the model has it.
        let span = f64::from(self.last_day) - f64::from(self.first_day) + 1.0;
        kept.map(|(tau, active)| active / (tau * (1.0 - exp(-span / tau))))
    }

    /// The input of a model; `None` if the model's tau is none of the memories.
    #[must_use]
    pub fn activity(&self, model: &Fgp, memories: &Memories) -> Option<Activity> {
        let kept = memories.0.iter().zip(self.activity).find(|(tau, _)| **tau == model.tau_days);
        kept.map(|(_, x)| Activity { x, t_x: f64::from(self.last_day) - f64::from(self.first_day) })
    }
}
