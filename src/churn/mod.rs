//! Probability models of customers: how likely a customer is not to come back, and the value lost in that case.
//!
//! Pure functions of plain numbers; formulas are cited where they stand. Nothing here knows events, rules or a clock.
//! Times are days, with fractions, since the customer's own first purchase or active day; instants, where a timer needs
//! one, are milliseconds since the epoch.
//!
//! **Risk is the probability of no purchase in the next days** ([`Customer::p_none`]), not of being dead: it can be
//! observed and therefore calibrated. It rises strictly with silence, so the instant at which it reaches a level is
//! solved for ([`Levels::next`]), and no customer is evaluated before.
//!
//! The sufficient statistics of a customer are small ([`Purchases`], [`Usage`]); parameters are fitted to a sample of
//! customers ([`fit`]), and recalibrated on the outcomes of earlier predictions where that helps ([`Recalibration`]).

mod customer;
mod expectation;
mod fgp;
pub mod fit;
mod gamma_gamma;
mod levels;
mod mbg_nbd;
mod minimum;
mod purchases;
pub mod quality;
mod recalibration;
mod special;
mod usage;
mod worth;

#[cfg(test)]
pub(crate) mod tests;

pub use customer::Customer;
pub use fgp::{Activity, Fgp};
pub use gamma_gamma::{GammaGamma, Spent};
pub use levels::{Crossing, Levels, SILENCE_MAX_DAYS, SilenceCorrection, days_since};
pub use mbg_nbd::{MbgNbd, Repeats};
pub use purchases::Purchases;
pub use recalibration::{Evidence, Outcome, Recalibration, SNAPSHOTS_MAX};
pub use usage::{Memories, Usage};
pub use worth::Discounting;
