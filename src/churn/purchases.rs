//! What is kept of one customer's purchases.

use super::mbg_nbd::Repeats;

/// The purchases of one customer, day by day: what is bought on one calendar day is one purchase, the amounts added.
///
/// Days are numbered as the caller likes, usually since 1970-01-01 in one time zone. Amounts are millionths of a unit of
/// money: sums of whole numbers do not depend on the order of arrival. Refunds are negative amounts; they are added, and
/// are no purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchases {
    pub first_day: i32,
    pub last_day: i32,
    /// Days with a purchase after the first one.
    pub repeats: u32,
    /// What was spent on the first day: the models of spend leave it out.
    pub first_amount: i128,
    /// What was spent on all days.
    pub amount: i128,
}

impl Purchases {
    /// The first purchase that is seen.
    #[must_use]
    pub fn first(day: i32, amount: i128) -> Self {
        Self { first_day: day, last_day: day, repeats: 0, first_amount: amount, amount }
    }

    /// Counts a day on which no purchase was seen yet; it may lie before others. Whether a late event's day was counted
    /// already, only its caller can remember.
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

    /// The purchases of two customers who are one, where no day after the first is among those of both: which days they were
    /// is not kept.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (early, late) = if self.first_day <= other.first_day { (self, other) } else { (other, self) };
        let is_one_first = early.first_day == late.first_day;
        let first_amount = if is_one_first { late.first_amount } else { 0 };
        Self {
            first_day: early.first_day,
            last_day: self.last_day.max(other.last_day),
            // The first day of the later one is no first day any more.
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

    /// What [`MbgNbd`](super::MbgNbd) looks at.
    #[must_use]
    pub fn repeats(&self) -> Repeats {
        Repeats { x: f64::from(self.repeats), t_x: f64::from(self.last_day) - f64::from(self.first_day) }
    }

    /// What was spent on a day of a repeat purchase, on average: what [`GammaGamma`](super::GammaGamma) looks at. `None`
    /// without one.
    #[must_use]
    pub fn mean_repeat_amount(&self) -> Option<f64> {
        let repeated = self.amount.saturating_sub(self.first_amount);
        (self.repeats > 0).then(|| repeated as f64 / 1e6 / f64::from(self.repeats))
    }
}
