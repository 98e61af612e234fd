//! Conditions on one customer at one instant: whether each holds, and until when it does if the customer stays silent.
//!
//! `verdict` is the idea that the whole engine rests on; `view` is all that a condition may look at. Nothing here changes a
//! customer, and nothing knows what follows from an answer.

mod evaluate;
mod measure;
mod observed;
mod periods;
mod prediction;
mod rank;
mod verdict;
mod view;
mod window;

pub(super) use evaluate::{holds, moves};
pub use observed::Observed;
pub(super) use periods::{Rhythm, run};
pub(super) use prediction::{Outlook, Spell};
pub use verdict::Verdict;
pub(super) use view::CustomerView;
pub(super) use window::{is_in, within};
