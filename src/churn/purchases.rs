//! The sufficient statistics of one customer's purchases.

use super::mbg_nbd::Repeats;

/// The purchases of one customer, by day: everything bought on one calendar day is one purchase, with the sum of the
/// amounts.
///
/// Days are numbered as the caller likes, usually since 1970-01-01 in one time zone. Amounts are millionths of a unit
/// of money: sums of integers do not depend on the order of arrival. Refunds are negative amounts, which are added but
/// do not count as a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchases {
    pub first_day: i32,
    pub last_day: i32,
    /// Days with a purchase after the first one.
    pub repeats: u32,
    /// The amount of the first day, which the models of spend leave out.
    pub first_amount: i128,
    /// The amount of all days.
    pub amount: i128,
}

impl Purchases {
    /// The first purchase.
    #[must_use]
    pub fn first(day: i32, amount: i128) -> Self {
        Self { first_day: day, last_day: day, repeats: 0, first_amount: amount, amount }
    }

    /// Counts a day without a purchase so far; it may be before others. Only the caller can know whether a day was
    /// counted already.
    pub fn count(&mut self, day: i32, amount: i128) {
        if day < self.first_day {
            (self.first_day, self.first_amount) = (day, amount);
        }
        self.last_day = self.last_day.max(day);
        self.repeats = self.repeats.saturating_add(1);
        self.amount = self.amount.saturating_add(amount);
    }

    /// Adds an amount to a day that was counted already.
    pub fn add(&mut self, day: i32, amount: i128) {
        if day == self.first_day {
            self.first_amount = self.first_amount.saturating_add(amount);
        }
        self.amount = self.amount.saturating_add(amount);
    }

    /// Merges the purchases of two customers. No day after the first may be in both, as the days are not kept.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (early, late) = if self.first_day <= other.first_day { (self, other) } else { (other, self) };
        let is_one_first = early.first_day == late.first_day;
        let first_amount = if is_one_first { late.first_amount } else { 0 };
        Self {
            first_day: early.first_day,
            last_day: self.last_day.max(other.last_day),
            // The first day of the later customer counts as a repeat.
            repeats: self.repeats.saturating_add(other.repeats).saturating_add(u32::from(!is_one_first)),
            first_amount: early.first_amount.saturating_add(first_amount),
            amount: self.amount.saturating_add(other.amount),
        }
    }

    /// The purchases on these days, in ascending order; equal days are one. `None` when there are none.
    pub fn of(days: impl IntoIterator<Item = (i32, i128)>) -> Option<Self> {
        let mut days = days.into_iter();
        let (day, amount) = days.next()?;
        let mut purchases = Self::first(day, amount);
        for (day, amount) in days {
            if day > purchases.last_day { purchases.count(day, amount) } else { purchases.add(day, amount) }
        }
        Some(purchases)
    }

    /// The input of [`MbgNbd`](super::MbgNbd).
    #[must_use]
    pub fn repeats(&self) -> Repeats {
        Repeats { x: f64::from(self.repeats), t_x: f64::from(self.last_day) - f64::from(self.first_day) }
    }

    /// The mean amount of a repeat purchase, the input of [`GammaGamma`](super::GammaGamma). `None` without one.
    #[must_use]
    pub fn mean_repeat_amount(&self) -> Option<f64> {
        let repeated = self.amount.saturating_sub(self.first_amount);
        (self.repeats > 0).then(|| repeated as f64 / 1e6 / f64::from(self.repeats))
    }
}
