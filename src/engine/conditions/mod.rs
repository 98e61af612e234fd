//! Conditions on one customer at one instant: whether each holds, and until when that stays the same without further
//! events.
//!
//! `verdict` is the result that all deadlines are computed from; `view` is everything that a condition may read.
//! Nothing here changes a customer.

mod evaluate;
mod measure;
mod observed;
mod periods;
mod prediction;
mod rank;
mod verdict;
mod view;
mod window;

pub(super) use evaluate::{holds, times_of};
pub use observed::Observed;
pub(super) use periods::{Rhythm, run};
pub(super) use prediction::{LevelInterval, Prediction};
pub use verdict::Verdict;
pub(super) use view::CustomerView;
pub(super) use window::{is_in, within};
